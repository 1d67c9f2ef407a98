//! The window beside a naive model: a list of who has which port.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::pinhole::window::{PEERS_PER_PORT, Window};

#[derive(Clone, Debug)]
enum Step {
    Claim { at: u8, peer: IpNet, over: Vec<u16> },
    Release(prop::sample::Index),
}

const PORTS: RangeInclusive<u16> = 1998..=2003;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let peer = (0..90u8, prop_oneof![9 => Just(32), 1 => 24..32u8])
        .prop_map(|(n, length)| IpNet::new(host(n), length).unwrap().trunc());
    let claim = (0..2u8, peer, vec(PORTS, 0..2)).prop_map(|(at, peer, over)| Step::Claim {
        at,
        peer,
        over,
    });
    let release = any::<prop::sample::Index>().prop_map(Step::Release);
    vec(prop_oneof![4 => claim, 1 => release], 0..600)
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_window_agrees_with_a_naive_model(steps in steps()) {
        let mut window = Window::new(PORTS);
        let mut model: Vec<(u8, u16, IpNet)> = Vec::new();
        for step in steps {
            match step {
                Step::Claim { at, peer, over } => {
                    let there = |port| model.iter().filter(move |has| has.0 == at && has.1 == port);
                    let free: Vec<u16> = PORTS
                        .filter(|port| *port != 2000 && !over.contains(port))
                        .filter(|&port| !there(port).any(|has| overlap(has.2, peer)))
                        .filter(|&port| there(port).count() < PEERS_PER_PORT)
                        .collect();
                    let unshared = free.iter().any(|&port| there(port).count() == 0);
                    match window.claim(ours(at), peer, &over) {
                        None => prop_assert!(free.is_empty(), "free: {free:?}"),
                        Some(port) => {
                            prop_assert!(free.contains(&port));
                            prop_assert!(!unshared || there(port).count() == 0);
                            model.push((at, port, peer));
                        }
                    }
                }
                Step::Release(which) => {
                    if model.is_empty() {
                        continue;
                    }
                    let (at, port, peer) = model.swap_remove(which.index(model.len()));
                    let nobody = !model.iter().any(|has| has.0 == at && has.1 == port);
                    prop_assert_eq!(window.release(ours(at), port, peer), nobody);
                }
            }
        }
    }
}

#[test]
fn every_free_port_is_equally_likely() {
    let mut window = Window::new(21000..=21015);
    let peer = IpNet::from(host(1));
    let mut drawn = [0u32; 16];
    for _ in 0..16_000 {
        let port = window.claim(ours(0), peer, &[]).unwrap();
        drawn[usize::from(port - 21000)] += 1;
        window.release(ours(0), port, peer);
    }
    // Expected 1,000 each with a standard deviation of 31.
    assert!(drawn.iter().all(|n| (750..1250).contains(n)), "{drawn:?}");
}

#[test]
fn a_full_window_of_many_peers_is_still_cheap() {
    let mut window = Window::new(21000..=21015);
    let peer = |n: u16| {
        let [high, low] = n.to_be_bytes();
        IpNet::from(IpAddr::from([10, 0, high, low]))
    };
    for n in 0..2048 {
        assert!(window.claim(ours(0), peer(n), &[]).is_some(), "peer {n}");
    }
    assert_eq!(window.claim(ours(0), peer(2048), &[]), None);
    // The thread's own time (proc(5), schedstat: nanoseconds): whoever else is on this machine is no matter of the window's.
    let spent = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let spent = text.split_whitespace().next().unwrap();
        Duration::from_nanos(spent.parse().unwrap())
    };
    let start = spent();
    for n in 0..8_000 {
        window.release(ours(0), 21000, peer(60_000));
        assert_eq!(window.claim(ours(0), peer(3000 + n), &[]), None);
    }
    // Some microseconds each, even in a debug build; a scan that grew with sessions would take far longer.
    assert!(spent() - start < Duration::from_secs(4));
}
