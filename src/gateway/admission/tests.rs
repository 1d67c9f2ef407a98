use super::*;
use crate::config::Rate;

fn admission(sessions: u32, per_address: u32, per_second: u32) -> Arc<Admission> {
    Admission::new(&Limits {
        sessions,
        sessions_per_address: per_address,
        connects_per_address: Rate::per_second(per_second),
        ..Limits::default()
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const NOW: Duration = Duration::from_secs(100);

#[test]
fn sessions_are_counted_until_their_permit_is_dropped() {
    let admission = admission(2, 64, 100);
    let first = admission.admit(ip("192.0.2.1"), NOW).expect("room");
    let _second = admission.admit(ip("192.0.2.2"), NOW).expect("room");
    let away = admission.admit(ip("192.0.2.3"), NOW).expect_err("full");
    assert_eq!(
        away,
        TurnedAway {
            bound: Bound::Sessions,
            news: true
        }
    );
    let away = admission.admit(ip("192.0.2.4"), NOW).expect_err("full");
    assert!(
        !away.news,
        "one record about a full gateway is enough for a while"
    );
    drop(first);
    assert!(admission.admit(ip("192.0.2.3"), NOW).is_ok());
}

#[test]
fn one_address_has_its_own_bound_and_others_are_unharmed() {
    let admission = admission(100, 1, 100);
    let _held = admission.admit(ip("192.0.2.1"), NOW).expect("room");
    let away = admission
        .admit(ip("192.0.2.1"), NOW)
        .expect_err("its own bound");
    assert_eq!(away.bound, Bound::SessionsPerAddress);
    assert!(admission.admit(ip("192.0.2.2"), NOW).is_ok());
}

#[test]
fn connects_are_a_bucket_that_refills() {
    let admission = admission(1000, 1000, 20);
    for _ in 0..20 {
        admission
            .admit(ip("192.0.2.1"), NOW)
            .expect("within the burst");
    }
    let away = admission.admit(ip("192.0.2.1"), NOW).expect_err("too fast");
    assert_eq!(
        away,
        TurnedAway {
            bound: Bound::ConnectsPerAddress,
            news: true
        }
    );
    let soon = NOW + Duration::from_millis(60);
    assert!(admission.admit(ip("192.0.2.1"), soon).is_ok());
    assert!(
        !admission
            .admit(ip("192.0.2.1"), soon)
            .expect_err("again")
            .news
    );
}

#[test]
fn a_flood_from_many_addresses_is_told_of_in_bounded_numbers() {
    let admission = admission(1, 64, 100);
    let _held = admission.admit(ip("192.0.2.1"), NOW).expect("room");
    let limits = Limits {
        sessions: 100_000,
        sessions_per_address: 1,
        ..Limits::default()
    };
    admission.replace(&limits);
    let mut permits = Vec::new();
    let told = (0..1000_u32).filter(|n| {
        let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        permits.push(admission.admit(address, NOW).expect("room"));
        admission
            .admit(address, NOW)
            .expect_err("its own bound")
            .news
    });
    assert_eq!(told.count(), 10);
}

#[test]
fn an_ipv6_client_is_its_64() {
    let admission = admission(100, 1, 100);
    let _held = admission.admit(ip("2001:db8::1"), NOW).expect("room");
    assert!(admission.admit(ip("2001:db8::ffff:2"), NOW).is_err());
    assert!(admission.admit(ip("2001:db8:0:1::1"), NOW).is_ok());
}

#[test]
fn a_flood_from_ever_other_addresses_does_not_grow_the_table() {
    let admission = admission(100, 10, 1);
    let _held = admission.admit(ip("192.0.2.1"), NOW).expect("room");
    for n in 0..100_000_u32 {
        drop(admission.admit(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), NOW));
    }
    let counts = admission.counts();
    assert!(
        counts.addresses.len() <= MOST_IDLE + 100,
        "{}",
        counts.addresses.len()
    );
    assert_eq!(
        counts.addresses.get(&ip("192.0.2.1")).map(|a| a.sessions),
        Some(1)
    );
}

#[test]
fn what_may_be_a_health_check_counts_for_no_address_until_it_is_none() {
    let admission = admission(3, 1, 1);
    let probe = ip("192.0.2.1");
    let mut first = admission.admit_probe(probe, NOW).expect("room");
    let mut second = admission.admit_probe(probe, NOW).expect("room");
    assert!(first.is_probes());
    first.count(probe, NOW).expect("the first one counts");
    assert!(!first.is_probes());
    let away = second.count(probe, NOW).expect_err("its own bound");
    assert_eq!(away.bound, Bound::ConnectsPerAddress);
    assert!(second.is_probes());
    let third = admission.admit_probe(probe, NOW).expect("room");
    let away = admission.admit_probe(probe, NOW).expect_err("full");
    assert_eq!(away.bound, Bound::Sessions);
    drop((first, second, third));
    assert_eq!(admission.sessions(), 0);
    let counts = admission.counts();
    assert_eq!(counts.addresses.get(&probe).map(|a| a.sessions), Some(0));
}
