//! Relayed pinholes: a listener of this host behind the guard.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use portcullis::nft::{Admits, FirewallHole, Happening, HoleKey, Opening};
use portcullis_netlab::{Family, Node};

use crate::yard::{
    GATEWAY, MARK, PATIENCE, SILENCE, TTL, accept, at_gateway, dial, elements, expect, expect_used,
    install, lab, listen, nft, passive, sh, told, wait_for,
};

fn relay(key: u64, peer: IpNet, at: SocketAddr) -> FirewallHole {
    FirewallHole {
        key: HoleKey(key),
        opening: Opening::Relay {
            peer,
            at,
            admits: Admits::One,
        },
        ttl: TTL,
    }
}

fn network(node: Node, family: Family, prefix: u8) -> IpNet {
    IpNet::new(node.address(family), prefix).unwrap()
}

/// The whole length of an address, a near network, and nothing.
fn prefixes(family: Family) -> [u8; 3] {
    match family {
        Family::V4 => [32, 24, 0],
        Family::V6 => [128, 64, 0],
    }
}

#[test]
fn a_listener_in_the_window_is_reached_through_a_pinhole_alone() {
    let lab = lab();
    at_gateway(&lab, || {
        // The operator's firewall drops all but established connections and ours.
        nft(
            &lab,
            &format!(
                "'add table inet op; add chain inet op i {{ type filter hook input priority filter; policy drop; }}; \
                 add rule inet op i ct state established,related accept; add rule inet op i icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept; \
                 add rule inet op i ct mark & {MARK:#x} == {MARK:#x} accept'"
            ),
        );
        let mut kernel = install();
        let mut key = 0;
        for family in Family::BOTH {
            let at = SocketAddr::new(Node::Gateway.address(family), 21000);
            let listener = listen(&lab, Node::Gateway, at);
            assert!(dial(&lab, Node::Client, 0, at, SILENCE).is_err(), "shut");
            for prefix in prefixes(family) {
                key += 1;
                let hole = relay(key, network(Node::Client, family, prefix), at);
                kernel.open(GATEWAY, &hole).unwrap();
                if prefix != 0 {
                    let stranger = dial(&lab, Node::Attacker, 0, at, SILENCE);
                    assert!(stranger.is_err(), "{stranger:?}");
                }
                assert!(wait_for(&listener, Duration::ZERO).is_none());
                let client = dial(&lab, Node::Client, 0, at, PATIENCE).unwrap();
                let (_leg, from) = accept(&listener);
                assert_eq!(from, client.local_addr().unwrap());
                let second = dial(&lab, Node::Client, 0, at, SILENCE);
                assert!(second.is_err(), "{prefix}: {second:?}");
                assert!(wait_for(&listener, Duration::ZERO).is_none());
                let settled = kernel.close(HoleKey(key)).unwrap();
                assert!(settled.used() && settled.usage.is_none(), "{settled:?}");
                assert_eq!(elements(&lab), Vec::<String>::new());
            }
        }
    });
}

/// A peer for whom a forwarded and a relayed pinhole stand at one port, which the window's books do not let happen: each lets one
/// connection in, the forwarded one first, and none while its entries stand.
#[test]
fn beside_a_forwarded_pinhole_at_the_same_port_each_lets_in_one() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        for (family, relayed_first) in [(Family::V4, true), (Family::V6, false)] {
            let at = SocketAddr::new(Node::Gateway.address(family), 21000);
            let server = SocketAddr::new(Node::Server.address(family), 2000);
            let far = listen(&lab, Node::Server, server);
            let near = listen(&lab, Node::Gateway, at);
            let peer = IpNet::from(Node::Client.address(family));
            let mut holes = [passive(1, family, 21000, server), relay(2, peer, at)];
            if relayed_first {
                holes.reverse();
            }
            for hole in &holes {
                kernel.open(GATEWAY, hole).unwrap();
            }
            let stranger = dial(&lab, Node::Attacker, 0, at, SILENCE);
            assert!(stranger.is_err(), "{stranger:?}");

            let client = dial(&lab, Node::Client, 0, at, PATIENCE).unwrap();
            let (_leg, _) = accept(&far);
            let second = dial(&lab, Node::Client, 0, at, SILENCE);
            assert!(second.is_err(), "{second:?}");
            assert_eq!(expect_used(&mut kernel, 1), client.local_addr().unwrap());

            let client = dial(&lab, Node::Client, 0, at, PATIENCE).unwrap();
            let (_leg, from) = accept(&near);
            assert_eq!(from, client.local_addr().unwrap());
            let third = dial(&lab, Node::Client, 0, at, SILENCE);
            assert!(third.is_err(), "{third:?}");
            for (listener, name) in [(&far, "server"), (&near, "gateway")] {
                assert!(wait_for(listener, Duration::ZERO).is_none(), "{name}");
            }
            for key in [1, 2] {
                assert!(kernel.close(HoleKey(key)).unwrap().used(), "{key}");
            }
            assert_eq!(elements(&lab), Vec::<String>::new());
        }
    });
}

/// A listener that tells by itself whom it awaits: no SYN uses such a hole up, not even one whose sender is gone.
#[test]
fn a_hole_for_several_lets_in_all_of_its_peer_until_it_is_shut() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let mut key = 0;
        for family in Family::BOTH {
            let at = SocketAddr::new(Node::Gateway.address(family), 21000);
            let listener = listen(&lab, Node::Gateway, at);
            for prefix in prefixes(family) {
                key += 1;
                let peer = network(Node::Client, family, prefix);
                let opening = Opening::Relay {
                    peer,
                    at,
                    admits: Admits::Several,
                };
                let hole = FirewallHole {
                    opening,
                    ..relay(key, peer, at)
                };
                kernel.open(GATEWAY, &hole).unwrap();
                if prefix != 0 {
                    let stranger = dial(&lab, Node::Attacker, 0, at, SILENCE);
                    assert!(stranger.is_err(), "{stranger:?}");
                }
                for _ in 0..5 {
                    let client = dial(&lab, Node::Client, 0, at, PATIENCE).unwrap();
                    let (_leg, from) = accept(&listener);
                    assert_eq!(from, client.local_addr().unwrap());
                }
                kernel.renew(HoleKey(key), TTL).unwrap();
                // The last comes as it is being shut: it is nobody's late packet, and stays.
                let last = dial(&lab, Node::Client, 0, at, PATIENCE).unwrap();
                let settled = kernel.close(HoleKey(key)).unwrap();
                assert!(!settled.used(), "{settled:?}");
                let (leg, _) = accept(&listener);
                (&last).write_all(b"x").unwrap();
                leg.set_read_timeout(Some(PATIENCE)).unwrap();
                assert_eq!((&leg).read(&mut [0; 2]).unwrap(), 1);
                let late = dial(&lab, Node::Client, 0, at, SILENCE);
                assert!(late.is_err(), "{late:?}");
                assert_eq!(elements(&lab), Vec::<String>::new());
            }
        }
        let used = |happening: &Happening| matches!(happening, Happening::Used { .. });
        assert!(!told(&mut kernel).iter().any(used));
    });
}

/// The neighbour may use a hole for a whole network, but not one for its neighbour's address.
#[test]
fn a_hole_for_a_network_is_for_one_of_it() {
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        sh(
            &lab,
            Node::Client,
            "ip address add 198.51.100.8/24 dev gateway",
        );
        let from = |address: [u8; 4]| {
            lab.inside(Node::Client, move || {
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
                socket.bind(&SocketAddr::from((address, 0)).into())?;
                let at = SocketAddr::new(Node::Gateway.address(Family::V4), 21000);
                socket.connect_timeout(&at.into(), SILENCE)?;
                Ok::<_, std::io::Error>(socket)
            })
            .unwrap()
        };
        let mut kernel = install();
        let at = SocketAddr::new(Node::Gateway.address(family), 21000);
        let listener = listen(&lab, Node::Gateway, at);
        kernel
            .open(GATEWAY, &relay(1, network(Node::Client, family, 32), at))
            .unwrap();
        assert!(from([198, 51, 100, 8]).is_err());
        kernel.close(HoleKey(1)).unwrap();
        kernel
            .open(GATEWAY, &relay(2, network(Node::Client, family, 24), at))
            .unwrap();
        let _neighbour = from([198, 51, 100, 8]).unwrap();
        accept(&listener);
        assert!(from([198, 51, 100, 7]).is_err());
        assert!(kernel.close(HoleKey(2)).unwrap().used());
    });
}

/// An upstream or a client on this very host dials through the loopback device, and is judged like others.
#[test]
fn a_dial_from_this_host_needs_a_pinhole_too() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        for family in Family::BOTH {
            let own = Node::Gateway.address(family);
            let at = SocketAddr::new(own, 22000);
            let listener = listen(&lab, Node::Gateway, at);
            assert!(dial(&lab, Node::Gateway, 0, at, SILENCE).is_err());
            let hole = relay(1, IpNet::from(own), at);
            kernel.open(GATEWAY, &hole).unwrap();
            let _upstream = dial(&lab, Node::Gateway, 0, at, PATIENCE).unwrap();
            accept(&listener);
            assert!(dial(&lab, Node::Gateway, 0, at, SILENCE).is_err());
            assert!(kernel.close(HoleKey(1)).unwrap().used());
        }
    });
}

#[test]
fn knocks_are_told_with_their_number() {
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        let mut kernel = install();
        let at = SocketAddr::new(Node::Gateway.address(family), 21003);
        let stranger = dial(&lab, Node::Attacker, 0, at, SILENCE);
        assert!(stranger.is_err());
        let first = expect(&mut kernel, |happening| match happening {
            Happening::Knocked { from, at, more } => Some((from.ip(), *at, *more)),
            Happening::Used { .. } | Happening::Restored => None,
        });
        assert_eq!(first, (Node::Attacker.address(family), at, 0));
        // Its second SYN, a second later, is counted only.
        assert_eq!(told(&mut kernel), []);
    });
}

#[test]
fn a_ban_holds_at_the_listeners_ports_and_nowhere_else() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        for family in Family::BOTH {
            let address = Node::Gateway.address(family);
            let control = listen(&lab, Node::Gateway, SocketAddr::new(address, 21));
            let other = listen(&lab, Node::Gateway, SocketAddr::new(address, 2222));
            let dial = |listener: &std::net::TcpListener| {
                dial(
                    &lab,
                    Node::Client,
                    0,
                    listener.local_addr().unwrap(),
                    SILENCE,
                )
            };
            for prefix in &prefixes(family)[..2] {
                let banned = network(Node::Client, family, *prefix);
                let running = dial(&control).unwrap();
                kernel.ban(banned, TTL).unwrap();
                kernel.ban(banned, TTL * 2).unwrap();
                let bans = kernel.bans().unwrap();
                assert!(
                    matches!(bans.as_slice(), [(net, left)] if *net == banned.trunc() && *left > TTL),
                    "{bans:?}"
                );
                assert!(dial(&control).is_err());
                dial(&other).unwrap();
                // What runs goes on: the gateway ends it, not the firewall.
                let (accepted, _) = accept(&control);
                std::io::Write::write_all(&mut &accepted, b"220").unwrap();
                std::io::Read::read_exact(&mut &running, &mut [0; 3]).unwrap();
                assert!(kernel.unban(banned).unwrap());
                assert!(!kernel.unban(banned).unwrap());
                dial(&control).unwrap();
                accept(&control);
            }
            assert!(kernel.ban(network(Node::Client, family, 17), TTL).is_err());
        }
    });
}
