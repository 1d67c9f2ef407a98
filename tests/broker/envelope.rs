//! Every bound of the envelope, each by what breaks it and nothing else.

use std::net::IpAddr;
use std::time::Duration;

use portcullis::nft::envelope::Envelope;
use portcullis::nft::message::Reason;
use portcullis::nft::{Admits, FirewallHole, HoleKey, Opening};

use crate::bounds::{at, envelope, forward, ip, is_ours, network, passive};

fn hole(opening: Opening) -> FirewallHole {
    FirewallHole {
        key: HoleKey(1),
        opening,
        ttl: Duration::from_secs(32),
    }
}

/// An active one: the upstream dials us, and is led to the client.
fn active() -> Opening {
    forward(
        "192.0.2.7",
        "192.0.2.1:22003",
        "203.0.113.9:4000",
        Some("198.51.100.1:20"),
    )
}

fn relay(peer: &str, target: &str) -> Opening {
    Opening::Relay {
        peer: network(peer),
        at: at(target),
        admits: Admits::One,
    }
}

fn checked(envelope: &Envelope, opening: Opening) -> Result<(), Reason> {
    envelope.check_hole(&hole(opening), 0, &mut is_ours)
}

#[track_caller]
fn refused(opening: Opening, reason: Reason) {
    assert_eq!(checked(&envelope(), opening), Err(reason));
}

#[test]
fn what_the_config_allows_is_permitted() {
    let envelope = envelope();
    for opening in [
        passive(),
        active(),
        forward(
            "203.0.113.9",
            "198.51.100.1:21000",
            "10.1.2.3:1024",
            Some("192.0.2.1:0"),
        ),
        forward(
            "2001:db8:3::9",
            "[2001:db8:1::1]:21015",
            "[2001:db8:2::7]:50000",
            Some("[2001:db8:1::1]:0"),
        ),
        relay("203.0.113.9/32", "198.51.100.1:21000"),
        relay("192.0.2.7/32", "192.0.2.1:22999"),
    ] {
        assert_eq!(checked(&envelope, opening), Ok(()), "{opening:?}");
    }
}

#[test]
fn only_ports_of_the_windows() {
    for port in ["21", "20999", "21016", "21999", "23000", "8080", "0"] {
        let target = format!("198.51.100.1:{port}");
        refused(relay("203.0.113.9/32", &target), Reason::PortOutsideWindow);
        let opening = forward(
            "203.0.113.9",
            &target,
            "192.0.2.7:50000",
            Some("192.0.2.1:0"),
        );
        refused(opening, Reason::PortOutsideWindow);
    }
    // Where no upstream ever dials, there is no window for upstreams.
    let mut passive_only = envelope();
    passive_only.upstream_window = None;
    assert_eq!(
        checked(&passive_only, active()),
        Err(Reason::PortOutsideWindow)
    );
}

#[test]
fn only_addresses_of_ours_where_a_listener_is() {
    // Not ours; ours but without a listener; all of them; ours in another form.
    for address in ["198.51.100.2", "192.0.2.1", "0.0.0.0", "224.0.0.1"] {
        refused(
            relay("203.0.113.9/32", &format!("{address}:21000")),
            Reason::AddressNotOurs,
        );
    }
    for address in ["[::]", "[2001:db8:1::2]", "[::ffff:198.51.100.1]"] {
        refused(
            relay("2001:db8:3::9/128", &format!("{address}:21000")),
            Reason::AddressNotOurs,
        );
    }
    // For upstreams any address of ours, but no other.
    refused(
        relay("192.0.2.7/32", "192.0.2.2:22000"),
        Reason::AddressNotOurs,
    );
}

#[test]
fn only_one_peer_and_an_upstream_in_the_window_of_upstreams() {
    for everybody in [
        "0.0.0.0/0",
        "203.0.113.0/24",
        "203.0.113.8/31",
        "0.0.0.0/32",
        "224.0.0.1/32",
        "255.255.255.255/32",
    ] {
        refused(
            relay(everybody, "198.51.100.1:21000"),
            Reason::PeerNotPermitted,
        );
    }
    refused(
        relay("::ffff:203.0.113.9/128", "[2001:db8:1::1]:21000"),
        Reason::PeerNotPermitted,
    );
    for stranger in ["203.0.113.9/32", "192.0.2.0/24", "10.1.2.3/32"] {
        refused(relay(stranger, "192.0.2.1:22000"), Reason::PeerNotPermitted);
    }
    let from = forward(
        "203.0.113.9",
        "192.0.2.1:22003",
        "203.0.113.9:4000",
        Some("198.51.100.1:20"),
    );
    refused(from, Reason::PeerNotPermitted);
}

#[test]
fn prefixes_and_everybody_only_where_the_config_says_so() {
    let mut prefix = envelope();
    prefix.prefix_peers = true;
    assert_eq!(
        checked(&prefix, relay("203.0.113.0/24", "198.51.100.1:21000")),
        Ok(())
    );
    assert_eq!(
        checked(&prefix, relay("2001:db8:3::/64", "[2001:db8:1::1]:21000")),
        Ok(())
    );
    for (wider, target) in [
        ("203.0.112.0/23", "198.51.100.1:21000"),
        ("203.0.113.9/24", "198.51.100.1:21000"),
        ("0.0.0.0/0", "198.51.100.1:21000"),
        ("2001:db8::/32", "[2001:db8:1::1]:21000"),
        ("192.0.2.0/24", "192.0.2.1:22000"),
    ] {
        let refused = Err(Reason::PeerNotPermitted);
        assert_eq!(checked(&prefix, relay(wider, target)), refused, "{wider}");
    }
}

#[test]
fn several_only_where_tls_tells_them_apart_and_everybody_only_as_several() {
    let several = |peer: &str, target: &str| Opening::Relay {
        peer: network(peer),
        at: at(target),
        admits: Admits::Several,
    };
    let refused = Err(Reason::PeerNotPermitted);
    let (client, upstream) = ("198.51.100.1:21000", "192.0.2.1:22000");
    let mut wider = envelope();
    assert_eq!(checked(&wider, several("203.0.113.9/32", client)), refused);
    wider.candidates = true;
    assert_eq!(checked(&wider, several("203.0.113.9/32", client)), Ok(()));
    for (peer, target) in [
        ("203.0.113.0/24", client),
        ("0.0.0.0/0", client),
        ("192.0.2.7/32", upstream),
        ("0.0.0.0/0", upstream),
    ] {
        assert_eq!(checked(&wider, several(peer, target)), refused, "{peer}");
    }
    wider.any_peer = true;
    assert_eq!(checked(&wider, several("0.0.0.0/0", client)), Ok(()));
    assert_eq!(checked(&wider, relay("0.0.0.0/0", client)), refused);
    assert_eq!(checked(&wider, several("0.0.0.0/0", upstream)), refused);
    assert_eq!(checked(&wider, several("203.0.113.0/24", client)), refused);
}

#[test]
fn a_connection_leads_to_an_upstream_only_and_never_below_1024_or_to_ourselves() {
    let client = |to: &str| forward("203.0.113.9", "198.51.100.1:21000", to, Some("192.0.2.1:0"));
    // Another host; privileged ports of the right one; nowhere; ourselves.
    for to in [
        "192.0.2.8:50000",
        "192.0.2.7:1023",
        "192.0.2.7:22",
        "192.0.2.7:0",
        "127.0.0.1:50000",
        "198.51.100.1:50000",
    ] {
        refused(client(to), Reason::DestinationNotPermitted);
    }
    let upstream = |to: &str| forward("192.0.2.7", "192.0.2.1:22000", to, Some("198.51.100.1:20"));
    for to in [
        "203.0.113.9:1023",
        "203.0.113.9:21",
        "0.0.0.0:4000",
        "255.255.255.255:4000",
        "127.0.0.1:4000",
        "192.0.2.1:4000",
    ] {
        refused(upstream(to), Reason::DestinationNotPermitted);
    }
}

#[test]
fn a_named_upstream_is_where_its_name_was_resolved_to() {
    let mut envelope = envelope();
    let opening = forward(
        "203.0.113.9",
        "198.51.100.1:21000",
        "192.0.2.99:50000",
        Some("192.0.2.1:0"),
    );
    let dialling = relay("192.0.2.99/32", "192.0.2.1:22000");
    let refused = Err(Reason::DestinationNotPermitted);
    assert_eq!(checked(&envelope, opening), refused);
    assert_eq!(checked(&envelope, dialling), Err(Reason::PeerNotPermitted));
    envelope.learn("other.example.com", &[ip("192.0.2.99")]);
    assert_eq!(
        checked(&envelope, opening),
        refused,
        "a name that nobody configured"
    );
    envelope.learn("ftp.example.com", &[ip("192.0.2.99")]);
    assert_eq!(checked(&envelope, opening), Ok(()));
    assert_eq!(checked(&envelope, dialling), Ok(()));
    // A name that means ever other hosts does not grow for ever; what it meant last stays.
    for last in 0..200 {
        envelope.learn("ftp.example.com", &[IpAddr::from([10, 9, 9, last])]);
    }
    assert_eq!(checked(&envelope, opening), refused);
    assert_eq!(envelope.names["ftp.example.com"].len(), 64);
}

#[test]
fn the_source_is_ours_and_its_port_any_or_the_one_beside_a_listener() {
    let client = |source| {
        forward(
            "203.0.113.9",
            "198.51.100.1:21000",
            "192.0.2.7:50000",
            source,
        )
    };
    for source in [
        None,
        Some("192.0.2.1:20"),
        Some("192.0.2.1:4000"),
        Some("203.0.113.9:0"),
        Some("0.0.0.0:0"),
    ] {
        refused(client(source), Reason::SourceNotPermitted);
    }
    let upstream = |source| forward("192.0.2.7", "192.0.2.1:22000", "203.0.113.9:4000", source);
    for source in [
        None,
        Some("198.51.100.1:21"),
        Some("198.51.100.1:22"),
        Some("192.0.2.7:20"),
    ] {
        refused(upstream(source), Reason::SourceNotPermitted);
    }
    let mut keeps = envelope();
    keeps.keeps_source = true;
    assert_eq!(checked(&keeps, client(None)), Ok(()));
    assert_eq!(
        checked(&keeps, upstream(None)),
        Err(Reason::SourceNotPermitted)
    );
}

#[test]
fn one_family_and_no_scopes() {
    refused(
        relay("2001:db8:3::9/128", "198.51.100.1:21000"),
        Reason::FamiliesDiffer,
    );
    let mixed = forward(
        "203.0.113.9",
        "198.51.100.1:21000",
        "[2001:db8:2::7]:50000",
        Some("192.0.2.1:0"),
    );
    refused(mixed, Reason::FamiliesDiffer);
    let mixed = forward(
        "203.0.113.9",
        "198.51.100.1:21000",
        "192.0.2.7:50000",
        Some("[2001:db8:1::1]:0"),
    );
    refused(mixed, Reason::FamiliesDiffer);
    refused(
        relay("2001:db8:3::9/128", "[2001:db8:1::1%7]:21000"),
        Reason::AddressNotOurs,
    );
}

#[test]
fn no_hole_lasts_longer_than_the_config_lets_it() {
    let lasting = |opening, seconds| FirewallHole {
        ttl: Duration::from_secs(seconds),
        ..hole(opening)
    };
    let check = |hole: FirewallHole| envelope().check_hole(&hole, 0, &mut is_ours);
    assert_eq!(check(lasting(passive(), 40)), Ok(()));
    assert_eq!(check(lasting(passive(), 41)), Err(Reason::LastsTooLong));
    assert_eq!(check(lasting(passive(), 0)), Err(Reason::LastsTooLong));
    assert_eq!(check(lasting(active(), 310)), Ok(()));
    assert_eq!(check(lasting(active(), 311)), Err(Reason::LastsTooLong));
    assert_eq!(
        check(lasting(relay("203.0.113.9/32", "198.51.100.1:21000"), 41)),
        Err(Reason::LastsTooLong)
    );
    let renewed =
        |target: &str, seconds| envelope().check_renewal(at(target), Duration::from_secs(seconds));
    assert_eq!(renewed("198.51.100.1:21000", 40), Ok(()));
    assert_eq!(renewed("198.51.100.1:21000", 41), Err(Reason::LastsTooLong));
    assert_eq!(renewed("192.0.2.1:22000", 311), Err(Reason::LastsTooLong));
}

#[test]
fn not_more_holes_than_sessions_can_need() {
    let check = |standing| envelope().check_hole(&hole(passive()), standing, &mut is_ours);
    assert_eq!(check(9), Ok(()));
    assert_eq!(check(10), Err(Reason::TooMany));
}

#[test]
fn descriptors_only_from_the_port_beside_a_listener_at_an_address_of_ours() {
    let check = |from: &str| envelope().check_dialler(at(from), &mut is_ours);
    assert_eq!(check("198.51.100.1:20"), Ok(()));
    for from in [
        "198.51.100.1:21",
        "198.51.100.1:22",
        "198.51.100.1:0",
        "198.51.100.1:4000",
        "203.0.113.9:20",
        "0.0.0.0:20",
        "[::]:20",
        "[::ffff:198.51.100.1]:20",
    ] {
        assert_eq!(check(from), Err(Reason::SourceNotPermitted), "{from}");
    }
}

#[test]
fn bans_are_small_short_and_never_of_an_upstream() {
    let hour = Duration::from_secs(3600);
    let check = |text, ttl| envelope().check_ban(network(text), ttl, 0);
    for good in ["203.0.113.9/32", "203.0.113.0/24", "2001:db8:3::/64"] {
        assert_eq!(check(good, hour), Ok(()), "{good}");
    }
    for bad in [
        "203.0.112.0/23",
        "0.0.0.0/0",
        "203.0.113.9/24",
        "2001:db8::/32",
        "192.0.2.7/32",
        "192.0.2.0/24",
        "2001:db8:2::/64",
    ] {
        assert_eq!(check(bad, hour), Err(Reason::NotBannable), "{bad}");
    }
    assert_eq!(
        check("203.0.113.9/32", Duration::ZERO),
        Err(Reason::LastsTooLong)
    );
    assert_eq!(
        check("203.0.113.9/32", 25 * hour),
        Err(Reason::LastsTooLong)
    );
    let many = envelope().check_ban(network("203.0.113.9/32"), hour, 10);
    assert_eq!(many, Err(Reason::TooMany));
}
