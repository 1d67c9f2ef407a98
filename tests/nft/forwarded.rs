//! Forwarded pinholes: the kernel carries one connection, and no second.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portcullis::nft::{FirewallHole, Granted, Happening, HoleKey, Opening, Wish};
use portcullis_netlab::{Family, Node};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::yard::{
    self, GATEWAY, MARK, PATIENCE, SILENCE, TTL, accept, at, at_gateway, dial, elements, expect,
    expect_used, install, lab, listen, nft, passive, sh, told, wait_for,
};

#[test]
fn one_connection_passes_over_ipv4() {
    one_connection_passes(Family::V4);
}

#[test]
fn one_connection_passes_over_ipv6() {
    one_connection_passes(Family::V6);
}

fn one_connection_passes(family: Family) {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(family), 5000);
        let server = listen(&lab, Node::Server, to);
        let hole = passive(1, family, 21000, to);
        kernel.open(GATEWAY, &hole).unwrap();
        let mut client = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
        let (mut upstream, from) = accept(&server);
        assert_eq!(from.ip(), Node::Server.gateway(family));
        assert_eq!(expect_used(&mut kernel, 1), client.local_addr().unwrap());
        assert_eq!(elements(&lab), Vec::<String>::new());

        let sent: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
        let got = thread::scope(|scope| {
            scope.spawn(|| {
                upstream.write_all(&sent).unwrap();
                upstream.shutdown(Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            got
        });
        assert!(got == sent);
        let usage = kernel.usage(HoleKey(1)).unwrap().unwrap();
        assert!(usage.wire_bytes_to_peer > 3_000_000, "{usage:?}");
        // A FIN that is sent again looks like the other side's.
        assert!(usage.state.has_begun_to_end(), "{usage:?}");

        let second = dial(&lab, Node::Client, 0, at(&hole), SILENCE);
        assert!(second.is_err(), "{second:?}");
        drop(client);
        let settled = kernel.close(HoleKey(1)).unwrap();
        assert!(settled.used() && settled.usage.is_some(), "{settled:?}");
        assert!(kernel.close(HoleKey(1)).is_err(), "closed twice");
    });
}

#[test]
fn an_upstream_that_dials_is_seen_at_port_20_over_ipv4() {
    an_upstream_dials(Family::V4);
}

#[test]
fn an_upstream_that_dials_is_seen_at_port_20_over_ipv6() {
    an_upstream_dials(Family::V6);
}

/// Active mode: the mirror. Two clients at once get the same port 20 of the same address.
fn an_upstream_dials(family: Family) {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let ours = SocketAddr::new(Node::Gateway.address(family), 20);
        for (key, port) in [(1, 6001), (2, 6002)] {
            let to = SocketAddr::new(Node::Client.address(family), port);
            let client = listen(&lab, Node::Client, to);
            let at = SocketAddr::new(Node::Server.gateway(family), 22000 + port);
            let opening = Opening::Forward {
                peer: Node::Server.address(family),
                at: SocketAddr::new(at.ip(), 22000 + key as u16),
                to,
                source: Some(ours),
            };
            let hole = FirewallHole {
                key: HoleKey(key),
                opening,
                ttl: TTL,
            };
            kernel.open(GATEWAY, &hole).unwrap();
            let mut upstream = dial(&lab, Node::Server, 0, yard::at(&hole), PATIENCE).unwrap();
            let (mut leg, from) = accept(&client);
            assert_eq!(from, ours);
            expect_used(&mut kernel, key);
            upstream.write_all(b"file").unwrap();
            upstream.shutdown(Shutdown::Write).unwrap();
            let mut got = Vec::new();
            leg.read_to_end(&mut got).unwrap();
            assert_eq!(got, b"file");
        }
    });
}

/// The kernel tracks a connection for minutes after its end, whoever asked for it: a gateway that was started anew knows of none.
#[test]
fn a_source_port_that_the_kernel_still_tracks_is_not_asked_for() {
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        let mut kernel = install();
        let ours = SocketAddr::new(Node::Gateway.address(family), 20);
        let to = SocketAddr::new(Node::Client.address(family), 6001);
        let client = listen(&lab, Node::Client, to);
        // Each way of opening; the first finds nothing, the others what it left.
        for (key, asked_together) in [(1, false), (2, false), (3, true)] {
            let at = SocketAddr::new(Node::Server.gateway(family), 22000 + key as u16);
            let opening = Opening::Forward {
                peer: Node::Server.address(family),
                at,
                to,
                source: Some(ours),
            };
            let (key, ttl) = (HoleKey(key), TTL);
            let hole = FirewallHole { key, opening, ttl };
            if asked_together {
                let answers = kernel.together(|_| GATEWAY, &[Wish::Open(hole)]);
                assert!(matches!(answers[..], [Ok(Granted::Opened)]), "{answers:?}");
            } else {
                kernel.open(GATEWAY, &hole).unwrap();
            }
            let upstream = dial(&lab, Node::Server, 0, at, PATIENCE).unwrap();
            let (leg, from) = accept(&client);
            assert_eq!(from == ours, key == HoleKey(1), "{from}");
            assert_eq!(from.ip(), ours.ip());
            expect_used(&mut kernel, key.0);
            drop((upstream, leg));
        }
    });
}

/// An operator who lets everything through one masquerading rule, and wants the client's address to be seen here.
#[test]
fn without_a_source_the_peers_address_stays_although_others_masquerade() {
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        nft(
            &lab,
            "'add table ip nat; add chain ip nat p { type nat hook postrouting priority srcnat; }; add rule ip nat p masquerade'",
        );
        let client = Node::Client.address(family);
        let via = Node::Server.gateway(family);
        sh(
            &lab,
            Node::Server,
            &format!("ip route add {client}/32 via {via}"),
        );
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(family), 5000);
        let server = listen(&lab, Node::Server, to);
        let mut hole = passive(1, family, 21000, to);
        if let Opening::Forward { source, .. } = &mut hole.opening {
            *source = None;
        }
        kernel.open(GATEWAY, &hole).unwrap();
        let dialled = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
        let (_upstream, from) = accept(&server);
        assert_eq!(from, dialled.local_addr().unwrap());
    });
}

#[test]
fn a_stranger_is_not_answered_and_told_of() {
    let lab = lab();
    at_gateway(&lab, || {
        for family in Family::BOTH {
            let mut kernel = install();
            let to = SocketAddr::new(Node::Server.address(family), 5000);
            let server = listen(&lab, Node::Server, to);
            let hole = passive(1, family, 21000, to);
            kernel.open(GATEWAY, &hole).unwrap();
            let stranger = dial(&lab, Node::Attacker, 0, at(&hole), SILENCE);
            assert_eq!(stranger.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
            let (from, knocked) = expect(&mut kernel, |happening| match happening {
                Happening::Knocked { from, at, .. } => Some((*from, *at)),
                Happening::Used { .. } | Happening::Restored => None,
            });
            assert_eq!(
                (from.ip(), knocked),
                (Node::Attacker.address(family), at(&hole))
            );
            assert!(wait_for(&server, Duration::ZERO).is_none());
            let _client = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
            accept(&server);
            expect_used(&mut kernel, 1);
            drop(kernel);
            nft(&lab, "flush ruleset");
        }
    });
}

/// The normal case: a firewall of the operator's that drops by default, with the one line of ours.
#[test]
fn a_default_drop_firewall_needs_one_line() {
    let (lab, family) = (lab(), Family::V4);
    let line = format!("ct mark & {MARK:#x} == {MARK:#x} accept");
    at_gateway(&lab, || {
        nft(
            &lab,
            "'add table inet op; add chain inet op f { type filter hook forward priority filter; policy drop; }; \
             add chain inet op i { type filter hook input priority filter; policy drop; }; \
             add rule inet op f ct state established,related accept; add rule inet op i ct state established,related accept; \
             add rule inet op f tcp dport 5000 counter'",
        );
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(family), 5000);
        let server = listen(&lab, Node::Server, to);
        let hole = passive(1, family, 21000, to);
        kernel.open(GATEWAY, &hole).unwrap();
        // While the line is missing SYNs are lost in the operator's chain. They use up nothing: as soon as it is there, the
        // same connection's next SYN gets through.
        let client = thread::scope(|scope| {
            let dialling = scope.spawn(|| dial(&lab, Node::Client, 0, at(&hole), PATIENCE));
            let deadline = Instant::now() + PATIENCE;
            while nft(&lab, "list chain inet op f").contains("packets 0 ") {
                assert!(Instant::now() < deadline, "no SYN came");
            }
            assert_eq!(told(&mut kernel), []);
            nft(
                &lab,
                &format!("'add rule inet op f {line}; add rule inet op i {line}'"),
            );
            dialling.join().unwrap()
        });
        client.unwrap();
        accept(&server);
        expect_used(&mut kernel, 1);
    });
}

#[test]
fn only_our_bit_of_the_mark_is_changed() {
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        nft(
            &lab,
            "'add table ip op; add chain ip op p { type filter hook prerouting priority mangle; }; add rule ip op p ct mark set 0x8042'",
        );
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(family), 5000);
        let server = listen(&lab, Node::Server, to);
        let hole = passive(1, family, 21000, to);
        kernel.open(GATEWAY, &hole).unwrap();
        nft(
            &lab,
            "'add chain ip op f { type filter hook forward priority filter; }; add rule ip op f ct mark 0x1008042 counter'",
        );
        let _client = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
        accept(&server);
        let listed = nft(&lab, "list chain ip op f");
        assert!(!listed.contains("packets 0"), "{listed}");
    });
}

#[test]
fn an_unused_hole_shuts_by_itself() {
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(family), 5000);
        let server = listen(&lab, Node::Server, to);
        let hole = passive(1, family, 21000, to);
        kernel.open(GATEWAY, &hole).unwrap();
        assert_eq!(elements(&lab).len(), 2);
        // What was seen of it is all; now its end may come.
        kernel
            .renew(HoleKey(1), Duration::from_millis(300))
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !elements(&lab).is_empty() {
            assert!(Instant::now() < deadline, "{:?}", elements(&lab));
        }
        assert!(dial(&lab, Node::Client, 0, at(&hole), SILENCE).is_err());
        assert!(wait_for(&server, Duration::ZERO).is_none());
        assert!(
            kernel.renew(HoleKey(1), TTL).is_err(),
            "renewed what is gone"
        );
        assert!(!kernel.close(HoleKey(1)).unwrap().used());
        // The same key is free again at once.
        kernel.open(GATEWAY, &hole).unwrap();
        let _client = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
        expect_used(&mut kernel, 1);
    });
}

#[test]
fn a_renewed_hole_lasts_longer_and_still_lets_in_one() {
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(family), 5000);
        let server = listen(&lab, Node::Server, to);
        let mut hole = passive(1, family, 21000, to);
        // Renewed thirty times before each end: a machine that stops for a second or two loses none.
        hole.ttl = Duration::from_secs(3);
        kernel.open(GATEWAY, &hole).unwrap();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(4500) {
            kernel.renew(HoleKey(1), hole.ttl).unwrap();
            thread::sleep(Duration::from_millis(100));
        }
        kernel.renew(HoleKey(1), TTL).unwrap();
        let _client = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
        accept(&server);
        // Not even before anybody looked at what happened.
        assert!(dial(&lab, Node::Client, 0, at(&hole), SILENCE).is_err());
        assert!(wait_for(&server, Duration::ZERO).is_none());
        assert!(
            kernel.renew(HoleKey(1), TTL).is_err(),
            "renewed what was used"
        );
        expect_used(&mut kernel, 1);
        assert_eq!(elements(&lab), Vec::<String>::new());
    });
}

/// The client takes the same port again at once, when the connection's entry is still in TIME_WAIT.
#[test]
fn the_same_ports_can_be_used_again_at_once() {
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        let mut kernel = install();
        for round in 1..=20 {
            let to = SocketAddr::new(Node::Server.address(family), 5000);
            let server = listen(&lab, Node::Server, to);
            let hole = passive(round, family, 21000, to);
            kernel.open(GATEWAY, &hole).unwrap();
            let mut client = dial(&lab, Node::Client, 40_000, at(&hole), PATIENCE).unwrap();
            let (mut upstream, _) = accept(&server);
            // The upstream closes first, so that its side waits and the client's port is free.
            upstream.write_all(&[round as u8]).unwrap();
            drop(upstream);
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            assert_eq!(got, [round as u8]);
            drop(client);
            assert!(kernel.close(HoleKey(round)).unwrap().used());
        }
    });
}

/// Of a hole's shutting and a SYN exactly one wins: whoever was told "unused" gets no connection, and the other way round.
#[test]
fn shutting_and_a_dial_at_once_have_one_winner() {
    /// As many as are wanted at least, and at most where the machine is slow and one side wins them all.
    const ROUNDS: u64 = 1000;
    const MOST: u64 = 20 * ROUNDS;
    let (lab, family) = (lab(), Family::V4);
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(family), 5000);
        let server = listen(&lab, Node::Server, to);
        let (mut used, mut unused) = (0, 0);
        for round in 0..MOST {
            if round >= ROUNDS && used > 0 && unused > 0 {
                break;
            }
            let hole = passive(round, family, 21000, to);
            kernel.open(GATEWAY, &hole).unwrap();
            let client = lab
                .inside(Node::Client, || {
                    Socket::new(Domain::IPV4, Type::STREAM, None)
                })
                .unwrap()
                .unwrap();
            client.set_nonblocking(true).unwrap();
            let ready = AtomicBool::new(false);
            let settled = thread::scope(|scope| {
                scope.spawn(|| {
                    ready.store(true, Ordering::Release);
                    // In progress: EINPROGRESS is its way to say so.
                    let _ = client.connect(&SockAddr::from(at(&hole)));
                });
                while !ready.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                // Around the time that a SYN needs to get here: longer where nobody was that fast.
                let pause = Duration::from_micros(round % 40 * (1 + round / ROUNDS));
                let begin = Instant::now();
                while begin.elapsed() < pause {
                    std::hint::spin_loop();
                }
                kernel.close(HoleKey(round)).unwrap()
            });
            assert!(!told(&mut kernel).contains(&Happening::Restored));
            if settled.used() {
                used += 1;
                accept(&server);
            } else {
                unused += 1;
                // One that was too late was ended as soon as its packet was heard of.
                while wait_for(&server, Duration::ZERO).is_some() {
                    let (mut upstream, _) = accept(&server);
                    assert!(upstream.read(&mut [0]).is_err());
                }
            }
        }
        println!("{used} used, {unused} unused");
        assert!(
            used > 0 && unused > 0,
            "no race: {used} used, {unused} unused"
        );
    });
}
