//! Two first packets on two CPUs at once: exactly one gets through, in every one of 100,000 rounds.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portcullis::nft::{Admits, FirewallHole, Happening, HoleKey, Opening};
use portcullis_netlab::{Family, Lab, Node, segment};
use socket2::Socket;

use crate::yard::{
    GATEWAY, TTL, at, at_gateway, expect, expect_used, install, lab, nft, passive, sh, v4,
};

/// As many as are wanted to believe it, a batch of holes at a time.
const ROUNDS: u64 = 100_000;
const BATCH: usize = 500;

/// The first port of a batch: the upstream's window has enough of them.
const PORT: u16 = 22000;

#[test]
fn of_two_dials_at_once_to_a_forwarded_pinhole_one_gets_through() {
    let lab = lab();
    let server = Node::Server.address(Family::V4);
    // Many places: to one of them the gateway has some 60,000 ports to come from, and those of earlier rounds are remembered.
    let to = |key: u64| SocketAddr::new(server, 5000 + (key / BATCH as u64 % 50) as u16);
    // What came to the server; unanswered, so that nothing but first packets is on the way.
    let counted = "add table ip c; add chain ip c i { type filter hook input priority filter; }; add rule ip c i tcp dport 5000-5049 tcp flags syn counter drop";
    let mut command = lab.command(Node::Server, "nft");
    assert!(command.arg(counted).status().unwrap().success());
    race(&lab, |key, port| passive(key, Family::V4, port, to(key)));
    let arrived = sh(&lab, Node::Server, "nft list chain ip c i");
    assert!(arrived.contains(&format!("packets {ROUNDS} ")), "{arrived}");
}

#[test]
fn of_two_dials_at_once_to_a_relayed_pinhole_one_gets_through() {
    let lab = lab();
    // Behind our table, before any socket.
    let counted = "'add table ip c; add chain ip c i { type filter hook input priority filter; }; add rule ip c i tcp dport 22000-22999 tcp flags syn counter; \
                   add chain ip c n { type nat hook input priority 150; }; add rule ip c n tcp dport 22000-22999 counter drop'";
    nft(&lab, counted);
    race(&lab, |key, port| FirewallHole {
        key: HoleKey(key),
        opening: Opening::Relay {
            peer: Node::Client.address(Family::V4).into(),
            at: SocketAddr::new(Node::Gateway.address(Family::V4), port),
            admits: Admits::One,
        },
        ttl: TTL,
    });
    let arrived = nft(&lab, "list chain ip c n");
    assert!(arrived.contains(&format!("packets {ROUNDS} ")), "{arrived}");
}

/// More holes are used at once than the kernel has room to tell of: what it lost is looked for.
#[test]
fn a_use_that_was_not_told_is_found_nonetheless() {
    const MANY: u16 = 20_000;
    let lab = lab();
    // Nobody answers: a connection that is reset at once has left no entry, and its port would stay unknown.
    let silent =
        "add table ip c; add chain ip c i { type filter hook input priority filter; policy drop; }";
    let mut command = lab.command(Node::Server, "nft");
    assert!(command.arg(silent).status().unwrap().success());
    at_gateway(&lab, || {
        let mut kernel = install();
        let socket = lab
            .inside(Node::Client, segment::raw_socket)
            .unwrap()
            .unwrap();
        let holes: Vec<FirewallHole> = (0..MANY)
            .map(|number| {
                let to = SocketAddr::new(Node::Server.address(Family::V4), 10_000 + number);
                passive(number.into(), Family::V4, 40_000 + number, to)
            })
            .collect();
        let (dialled, others) = holes.split_at(usize::from(MANY) - 100);
        for hole in &holes {
            kernel.open(GATEWAY, hole).unwrap();
        }
        for hole in dialled {
            send(&socket, &syn(1, 1024, at(hole)), at(hole));
        }
        let mut used = std::collections::HashMap::new();
        expect(&mut kernel, |happening| {
            if let Happening::Used { key, peer } = happening {
                assert!(used.insert(*key, *peer).is_none(), "{key:?} twice");
            }
            (used.len() == dialled.len()).then_some(())
        });
        let peer = SocketAddr::new(Node::Client.address(Family::V4), 1024);
        assert!(used.values().all(|from| *from == peer));
        for hole in dialled {
            assert!(kernel.close(hole.key).unwrap().used());
        }
        for hole in others {
            assert!(!kernel.close(hole.key).unwrap().used());
        }
    });
}

/// A packet in the middle of a connection that nobody knows looks like a new one to connection tracking.
#[test]
fn a_stray_acknowledgement_uses_up_nothing() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let socket = lab
            .inside(Node::Client, segment::raw_socket)
            .unwrap()
            .unwrap();
        let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
        let hole = passive(1, Family::V4, 21000, to);
        kernel.open(GATEWAY, &hole).unwrap();
        send(&socket, &empty(1, 1024, at(&hole), segment::ACK), at(&hole));
        // It comes to the shut window instead.
        expect(&mut kernel, |happening| {
            matches!(happening, Happening::Knocked { .. }).then_some(())
        });
        send(&socket, &syn(1, 1025, at(&hole)), at(&hole));
        assert_eq!(expect_used(&mut kernel, 1).port(), 1025);
    });
}

/// Opens holes in batches and lets two threads dial all of a batch in the same order, side by side as far as the machine
/// has two processors for them; fails unless each hole tells of one connection.
fn race(lab: &Lab, hole: impl Fn(u64, u16) -> FirewallHole + Sync) {
    at_gateway(lab, || {
        let mut kernel = install();
        // Connections that never come about need not be remembered for long, but until their holes are settled: also on a slow machine.
        sh(
            lab,
            Node::Gateway,
            "echo 20 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_syn_sent",
        );
        let raw = || {
            lab.inside(Node::Client, segment::raw_socket)
                .unwrap()
                .unwrap()
        };
        let sockets = [raw(), raw()];
        let mut side_by_side = 0;
        for first in (0..ROUNDS).step_by(BATCH) {
            let holes: Vec<FirewallHole> = (0..BATCH as u16)
                .map(|number| hole(first + u64::from(number), PORT + number))
                .collect();
            for hole in &holes {
                kernel.open(GATEWAY, hole).unwrap();
            }
            let places = [AtomicUsize::new(0), AtomicUsize::new(0)];
            let barrier = Barrier::new(2);
            side_by_side += thread::scope(|scope| {
                let threads = [0, 1].map(|me| {
                    let (sockets, holes, places, barrier) = (&sockets, &holes, &places, &barrier);
                    scope.spawn(move || {
                        let packets: Vec<Vec<u8>> = holes
                            .iter()
                            .map(|hole| syn(first, 20_000 * (me as u16 + 1), at(hole)))
                            .collect();
                        barrier.wait();
                        let mut together = 0;
                        for (place, (hole, packet)) in holes.iter().zip(&packets).enumerate() {
                            places[me].store(place, Ordering::Release);
                            // As long as it takes if the other runs too, but not if it has no processor.
                            let begin = Instant::now();
                            while places[1 - me].load(Ordering::Acquire) < place
                                && begin.elapsed() < Duration::from_micros(50)
                            {
                                std::hint::spin_loop();
                            }
                            together += u64::from(places[1 - me].load(Ordering::Acquire) == place);
                            send(&sockets[me], packet, at(hole));
                        }
                        places[me].store(usize::MAX, Ordering::Release);
                        together
                    })
                });
                threads
                    .map(|thread| thread.join().unwrap())
                    .into_iter()
                    .max()
                    .unwrap()
            });
            for hole in &holes {
                assert!(
                    kernel.close(hole.key).unwrap().used(),
                    "nobody got through to {hole:?}"
                );
            }
        }
        println!("{ROUNDS} rounds, {side_by_side} of them side by side");
        assert!(side_by_side > 0, "no two dials were at once");
        let ours = nft(lab, "list table inet portcullis");
        let counted = |rule: &str| -> u64 {
            let line = ours.lines().find(|line| line.contains(rule)).unwrap();
            let mut words = line
                .split_whitespace()
                .skip_while(|word| *word != "packets");
            words.nth(1).unwrap().parse().unwrap()
        };
        println!(
            "{} second dials were dropped behind the operator's rules",
            counted("comment \"second\"")
        );
    });
}

fn send(socket: &Socket, packet: &[u8], to: SocketAddr) {
    segment::send(socket, packet, v4(to)).unwrap();
}

/// A SYN from the client, from a port that no other batch uses.
fn syn(round: u64, first_port: u16, to: SocketAddr) -> Vec<u8> {
    let port = first_port + (round / BATCH as u64 % 20_000) as u16;
    empty(round as u32, port, to, segment::SYN)
}

/// An empty segment from the client with some flags.
fn empty(sequence: u32, port: u16, to: SocketAddr, flags: u8) -> Vec<u8> {
    let from = SocketAddr::new(Node::Client.address(Family::V4), port);
    segment::segment(v4(from), v4(to), sequence, flags)
}
