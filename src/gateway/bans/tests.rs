use super::*;

const NOW: Duration = Duration::from_secs(100);
const WALL: Wall = Wall(1_795_000_000_000_000);
const TIME: Duration = Duration::from_secs(900);

fn guard(yaml: &str) -> config::LoginGuard {
    let text = format!(
        "version: 1\nlisteners: {{main: {{listen: [\"127.0.0.1:0\"]}}}}\nupstreams: {{old: {{addresses: [\"10.0.0.5:21\"]}}}}\nlogin_guard: {{{yaml}}}\n"
    );
    let loaded = config::Config::parse(&text, "test").expect("a good config");
    loaded.config.login_guard
}

fn bans(yaml: &str) -> Bans {
    Bans::new(Bounds::of(&guard(yaml)))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn fail(bans: &mut Bans, client: &str, user: &str, now: Duration) -> Option<Banned> {
    bans.failed(ip(client), Some(user), now, WALL)
}

#[test]
fn as_many_refused_logins_as_the_config_says_ban_an_address_for_its_time() {
    let mut bans = bans("tries: 3");
    assert_eq!(fail(&mut bans, "192.0.2.1", "bob", NOW), None);
    assert_eq!(fail(&mut bans, "192.0.2.1", "root", NOW), None);
    assert_eq!(fail(&mut bans, "192.0.2.2", "bob", NOW), None);
    let banned = fail(&mut bans, "192.0.2.1", "admin", NOW).expect("banned");
    assert_eq!(banned.network.to_string(), "192.0.2.1/32");
    assert_eq!(banned.ban.failures, Some(3));
    assert_eq!(banned.ban.until, Wall(WALL.0 + 900_000_000));
    assert!(bans.is_banned(ip("192.0.2.1"), NOW + TIME - Duration::from_millis(1)));
    assert!(!bans.is_banned(ip("192.0.2.1"), NOW + TIME));
    assert!(!bans.is_banned(ip("192.0.2.2"), NOW));
    // What is still on its way from sessions that were open does not ban twice.
    assert_eq!(fail(&mut bans, "192.0.2.1", "bob", NOW), None);
    assert!(bans.ended(NOW + TIME - Duration::from_millis(1)).is_empty());
    let ended = bans.ended(NOW + TIME);
    assert_eq!(ended.len(), 1);
    assert_eq!(bans.next_end(), None);
    // It begins anew.
    assert_eq!(fail(&mut bans, "192.0.2.1", "bob", NOW + TIME), None);
}

#[test]
fn refused_logins_count_only_within_the_time_of_a_ban() {
    let mut bans = bans("tries: 2, ban: 10s");
    let late = NOW + Duration::from_secs(10);
    assert_eq!(fail(&mut bans, "192.0.2.1", "bob", NOW), None);
    assert_eq!(fail(&mut bans, "192.0.2.1", "bob", late), None);
    let sooner = late + Duration::from_millis(9_999);
    assert!(fail(&mut bans, "192.0.2.1", "bob", sooner).is_some());
}

#[test]
fn a_login_that_goes_well_takes_back_its_own_name_alone() {
    let mut bans = bans("tries: 3");
    for round in 0..10 {
        // Somebody mistypes twice and gets in: for ever.
        assert_eq!(fail(&mut bans, "192.0.2.1", "bob", NOW), None, "{round}");
        assert_eq!(fail(&mut bans, "192.0.2.1", "bob", NOW), None, "{round}");
        bans.succeeded(ip("192.0.2.1"), Some("bob"));
    }
    // With an account of one's own, guesses at another are not forgotten.
    for guess in 1..=3 {
        let banned = fail(&mut bans, "192.0.2.1", "root", NOW);
        assert_eq!(banned.is_some(), guess == 3);
        bans.succeeded(ip("192.0.2.1"), Some("bob"));
    }
}

#[test]
fn an_ipv6_client_is_its_64_and_a_mapped_one_is_ipv4() {
    let mut bans = bans("tries: 2");
    assert_eq!(fail(&mut bans, "2001:db8::1", "bob", NOW), None);
    let banned = fail(&mut bans, "2001:db8::ffff:2", "bob", NOW).expect("banned");
    assert_eq!(banned.network.to_string(), "2001:db8::/64");
    assert!(bans.is_banned(ip("2001:db8::3"), NOW));
    assert!(!bans.is_banned(ip("2001:db8:0:1::3"), NOW));
    assert_eq!(fail(&mut bans, "::ffff:192.0.2.1", "bob", NOW), None);
    assert!(fail(&mut bans, "192.0.2.1", "bob", NOW).is_some());
}

#[test]
fn who_is_never_banned_or_probes_is_not_and_a_reload_lifts_what_stands() {
    let mut bans = bans("tries: 1, never_ban: [192.0.2.0/24], probes_from: [198.51.100.0/24]");
    assert_eq!(fail(&mut bans, "192.0.2.1", "bob", NOW), None);
    assert_eq!(fail(&mut bans, "::ffff:192.0.2.1", "bob", NOW), None);
    assert_eq!(fail(&mut bans, "198.51.100.9", "bob", NOW), None);
    assert!(fail(&mut bans, "203.0.113.1", "bob", NOW).is_some());
    // One of a /64 is spared: the others are banned, but not by the kernel, which would drop all of them.
    let some = Bounds::of(&guard("tries: 1, never_ban: [\"2001:db8::7/128\"]"));
    bans.replace(some);
    let banned = fail(&mut bans, "2001:db8::8", "bob", NOW).expect("banned");
    assert!(!banned.spares_nobody);
    assert!(!bans.is_banned(ip("2001:db8::7"), NOW));
    assert!(bans.is_banned(ip("2001:db8::8"), NOW));
    assert!(bans.is_banned(ip("203.0.113.1"), NOW));
    let lifted = bans.replace(Bounds::of(&guard("never_ban: [203.0.113.0/24]")));
    assert_eq!(lifted.len(), 1);
    assert!(!bans.is_banned(ip("203.0.113.1"), NOW));
}

#[test]
fn without_a_ban_or_without_tries_nothing_is_counted() {
    for yaml in ["ban: none", "tries: none"] {
        let mut bans = bans(yaml);
        for _ in 0..200 {
            assert_eq!(fail(&mut bans, "192.0.2.1", "bob", NOW), None);
        }
        assert!(bans.failures.is_empty());
    }
}

#[test]
fn a_lifted_ban_begins_anew_and_all_can_be_lifted() {
    let mut bans = bans("tries: 1");
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        fail(&mut bans, client, "bob", NOW).expect("banned");
    }
    bans.turned_away(ip("192.0.2.1"));
    let (network, ban) = bans.unban(network_of(ip("192.0.2.1"))).remove(0);
    assert_eq!(
        (network.to_string().as_str(), ban.turned_away),
        ("192.0.2.1/32", 1)
    );
    assert_eq!(bans.unban(network_of(ip("192.0.2.1"))), []);
    assert_eq!(bans.unban_all().len(), 2);
    assert_eq!(bans.all().count(), 0);
    assert_eq!(bans.next_end(), None);
}

#[test]
fn memory_is_bounded_whoever_guesses() {
    let mut bans = bans("tries: 2");
    let address = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
    for n in 0..100_000 {
        assert_eq!(bans.failed(address(n), None, NOW, WALL), None);
    }
    assert!(bans.order.len() <= MOST && bans.failures.len() <= MOST);
    assert!(bans.forgotten() >= 100_000 - MOST as u64);
    let mut bans = super::tests::bans("tries: 1");
    for n in 0..70_000_u64 {
        let now = NOW + Duration::from_millis(n);
        let n = u32::try_from(n).expect("small");
        let banned = bans.failed(address(n), None, now, WALL).expect("banned");
        assert_eq!(banned.replaced.is_some(), n as usize >= MOST, "{n}");
    }
    assert_eq!(bans.bans.len(), MOST);
    assert_eq!(bans.ends.len(), MOST);
    assert!(!bans.is_banned(address(0), NOW));
}

#[test]
fn a_ban_that_an_earlier_gateway_made_is_known_with_its_time() {
    let mut bans = bans("");
    let left = Duration::from_secs(60);
    bans.adopt("192.0.2.1/32".parse().expect("a network"), left, NOW, WALL);
    assert!(bans.is_banned(ip("192.0.2.1"), NOW));
    let (_, ban) = bans.all().next().expect("a ban");
    assert_eq!((ban.in_kernel, ban.failures), (true, None));
    assert_eq!(bans.ended(NOW + left).len(), 1);
}

#[test]
fn an_operator_bans_a_24_too_and_nobody_who_is_never_banned() {
    let mut bans =
        bans("tries: 1, ban: none, never_ban: [192.0.2.7/32, 10.0.0.0/8, \"2001:db8::7/128\"]");
    let mut order = |network: &str, seconds| {
        let network = network.parse().expect("a network");
        bans.order(network, Duration::from_secs(seconds), NOW, WALL)
    };
    for spared in [
        "192.0.2.7/32",
        "192.0.2.0/24",
        "10.1.2.0/24",
        "10.1.2.3/32",
        "2001:db8::/64",
    ] {
        order(spared, 60).expect_err(spared);
    }
    let banned = order("198.51.100.0/24", 60).expect("banned");
    assert!(banned.spares_nobody && banned.ban.by_operator && banned.ban.failures.is_none());
    order("198.51.100.9/32", 30).expect("banned");
    // The time is set anew, to a shorter one too.
    let again = order("198.51.100.9/32", 10).expect("banned");
    assert_eq!(again.ban.until, Wall(WALL.0 + 10_000_000));
    let after = |seconds| NOW + Duration::from_secs(seconds);
    assert_eq!(bans.ended(after(10)).len(), 1);
    // What is left is that of the whole network.
    assert!(bans.is_banned(ip("198.51.100.9"), after(59)));
    assert!(bans.is_banned(ip("::ffff:198.51.100.200"), after(59)));
    assert!(!bans.is_banned(ip("198.51.101.9"), NOW));
    bans.turned_away(ip("198.51.100.200"));
    assert_eq!(
        bans.wider_ban(network_of(ip("198.51.100.9"))),
        Some("198.51.100.0/24".parse().expect("a network"))
    );
    let lifted = bans.unban("198.51.100.0/24".parse().expect("a network"));
    assert_eq!(
        lifted
            .iter()
            .map(|(_, ban)| ban.turned_away)
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(bans.next_end(), None);
}

#[test]
fn a_24_that_an_earlier_gateway_banned_is_taken_over_whole() {
    let mut bans = bans("");
    let network = "198.51.100.0/24".parse().expect("a network");
    bans.adopt(network, TIME, NOW, WALL);
    assert!(bans.is_banned(ip("198.51.100.200"), NOW));
    assert!(!bans.is_banned(ip("198.51.101.1"), NOW));
    let lifted = bans.unban(network);
    assert!(matches!(&lifted[..], [(one, ban)] if *one == network && ban.in_kernel));
}
