//! One connection, of the one who is awaited, while the pinhole is open; recorded before it happens.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::client::{Client, read_all};
use crate::gate::window;
use crate::scripted::{Upstream, accept, begin_dial, expect_nobody, expect_shut, listener, setup};
use crate::server::Server;
use crate::{host, ours};

#[test]
fn a_dial_from_a_third_address_gets_nothing_and_the_pinhole_is_still_there_for_its_owner() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(0));
    let (mut client, mut peer) = upstream.login(Client::connect_from(host(2), gate.at));
    let (at, listens) = peer.passive(&mut client);
    let before = begin_dial(host(3), at);
    client.send("RETR file");
    peer.hears("RETR file");
    let mut upstream_leg = accept(&listens);
    let between = begin_dial(host(3), at);
    let data = client.dial(at);
    let after = begin_dial(host(3), at);
    peer.says("150 Here it comes.");
    client.hears("150");
    upstream_leg
        .write_all(b"for its owner alone")
        .expect("sent");
    drop(upstream_leg);
    peer.says("226 Done.");
    assert_eq!(read_all(data), b"for its owner alone");
    client.hears("226");
    for mut stranger in [before, between, after] {
        assert!(stranger.peer_addr().is_err(), "a stranger is connected");
        let read = stranger.read(&mut [0; 1]);
        assert!(!matches!(read, Ok(1..)), "a stranger got a byte");
    }
}

#[test]
fn a_second_dial_of_the_owner_is_refused() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(1));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let first = client.dial(at);
    gate.journal.shows("pinhole.used");
    expect_shut(host(1), at);
    client.send("RETR file");
    peer.hears("RETR file");
    let mut upstream_leg = accept(&listens);
    expect_shut(host(1), at);
    peer.says("150 Here it comes.");
    client.hears("150");
    upstream_leg.write_all(b"once").expect("sent");
    drop(upstream_leg);
    peer.says("226 Done.");
    assert_eq!(read_all(first), b"once");
    client.hears("226");
    assert_eq!(gate.journal.shows("pinhole.closed")["reason"], "completed");
}

#[test]
fn pasv_and_no_dial_shuts_at_the_ttl_and_a_later_retr_gets_425() {
    let upstream = Upstream::new();
    let mut setup = upstream.setup(2);
    setup.window.push_str(", ttl: 200ms");
    let gate = upstream.start(setup);
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, _listens) = peer.passive(&mut client);
    assert_eq!(gate.journal.shows("pinhole.closed")["reason"], "never_used");
    expect_shut(host(1), at);
    client.asks("RETR file", "425");
    peer.answers(&mut client, "NOOP", "200 Fine.");
}

#[test]
fn a_pinhole_that_was_used_and_gets_no_command_ends_after_timeouts_command() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(3).more("timeouts: {command: 200ms}"));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let mut data = client.dial(at);
    assert_eq!(gate.journal.shows("pinhole.closed")["reason"], "no_command");
    let end = data.read(&mut [0; 1]);
    assert!(!matches!(end, Ok(1..)), "not a byte");
    expect_nobody(&listens);
    client.asks("RETR file", "425");
}

#[test]
fn the_journal_has_every_record_before_its_effect() {
    let upstream = Upstream::new();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut setup = upstream.setup(4);
    setup.journal = path.display().to_string();
    let gate = upstream.started(setup.start_with(directory));
    let has = |event: &str, at: &str| {
        let journal = std::fs::read_to_string(&path).expect("a journal");
        let wanted = format!("\"event\":\"{event}\"");
        let found = journal
            .lines()
            .any(|line| line.contains(&wanted) && line.contains(at));
        assert!(found, "{event} {at} is not there yet:\n{journal}");
    };
    let client = Client::connect(gate.at);
    let (mut client, mut peer) = upstream.login(client);
    has("session.opened", "127.0.0.1");
    for _ in 0..20 {
        let (at, listens) = peer.passive(&mut client);
        has("pinhole.opened", &format!("\"{at}\""));
        // Announced means open: the first dial succeeds.
        let data = client.dial(at);
        client.send("RETR file");
        peer.hears("RETR file");
        let upstream_leg = accept(&listens);
        has(
            "data.dialled",
            &format!("\"{}\"", listens.local_addr().expect("an address")),
        );
        peer.says("150 Here it comes.");
        client.hears("150");
        drop(upstream_leg);
        peer.says("226 Done.");
        assert_eq!(read_all(data), b"");
        client.hears("226");
    }
}

#[test]
fn ten_thousand_pasv_on_a_window_of_one_port_all_get_it() {
    let server = Server::start().with_file("file", b"some content");
    let mut setup = setup(server.at, 5);
    setup.window = window(1);
    let gate = setup.more("limits: {commands: 1000000/s}").start();
    let mut client = Client::login(gate.at);
    let first = client.passive();
    for n in 1..10_000 {
        let again = client.passive();
        assert_eq!(again, first, "{n}");
    }
    assert_eq!(client.download("file"), b"some content");
}

#[test]
fn ipv6_pinholes_on_both_sides_are_admitted_once() {
    let localhost = IpAddr::from(Ipv6Addr::LOCALHOST);
    let server = Server::at(SocketAddr::new(localhost, 0)).with_file("file", b"over version 6");
    let mut setup = setup(server.at, 6);
    setup.listen = "[::1]:0".to_owned();
    let gate = setup.start();
    let mut client = Client::login(gate.at);
    let at = client.extended_passive();
    let data = client.dial(at);
    let used = gate.journal.shows("pinhole.used");
    assert_eq!(used["side"], "client");
    expect_shut(localhost, at);
    client.asks("RETR file", "150");
    assert_eq!(read_all(data), b"over version 6");
    client.hears("226");

    let listens = listener(localhost);
    let port = listens.local_addr().expect("an address").port();
    client.asks(&format!("EPRT |2|::1|{port}|"), "200");
    let opened = gate.journal.shows("pinhole.opened");
    assert_eq!(
        (&opened["side"], &opened["from"]),
        (&"upstream".into(), &"::1/128".into())
    );
    client.asks("RETR file", "150");
    assert_eq!(read_all(accept(&listens)), b"over version 6");
    client.hears("226");
}

#[test]
fn two_clients_on_one_port_get_their_own_bytes_and_nobody_elses() {
    let upstream = Upstream::new();
    let mut setup = upstream.setup(7);
    setup.window = window(1);
    let gate = upstream.start(setup);
    let (mut ann, mut for_ann) = upstream.login(Client::connect_from(host(2), gate.at));
    let (mut ben, mut for_ben) = upstream.login(Client::connect_from(host(3), gate.at));
    let (at, anns) = for_ann.passive(&mut ann);
    let (same, bens) = for_ben.passive(&mut ben);
    assert_eq!((at, at.ip()), (same, ours(7)));
    let to_ben = ben.dial(at);
    let to_ann = ann.dial(at);
    for (client, peer, listens, text) in [
        (&mut ann, &mut for_ann, anns, b"ann"),
        (&mut ben, &mut for_ben, bens, b"ben"),
    ] {
        client.send("RETR file");
        peer.hears("RETR file");
        accept(&listens).write_all(text).expect("sent");
        peer.says("150 Here it comes.");
        peer.says("226 Done.");
        client.hears("150");
        client.hears("226");
    }
    assert_eq!(read_all(to_ann), b"ann");
    assert_eq!(read_all(to_ben), b"ben");
}

#[test]
fn a_second_pasv_hangs_up_on_whoever_came_through_the_first() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(8));
    let (mut client, mut peer) = upstream.session(&gate);
    let (first, unused) = peer.passive(&mut client);
    let mut early = client.dial(first);
    gate.journal.shows("pinhole.used");
    let (second, listens) = peer.passive(&mut client);
    assert_eq!(gate.journal.shows("pinhole.closed")["reason"], "replaced");
    let end = early.read(&mut [0; 1]);
    assert!(!matches!(end, Ok(1..)), "not a byte");
    let data = client.dial(second);
    client.send("RETR file");
    peer.hears("RETR file");
    expect_nobody(&unused);
    accept(&listens).write_all(b"content").expect("sent");
    peer.says("150 Here it comes.");
    peer.says("226 Done.");
    client.hears("150");
    assert_eq!(read_all(data), b"content");
    client.hears("226");
}
