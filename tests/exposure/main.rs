//! What somebody else gets of the transfers: nothing, while all ports of the gateway and its window are tried without pause.
//!
//! The whole of `firewall: nftables` with an operator's firewall that drops by default; an attacker in a fourth network
//! namespace, and one at the client's own address. Beside it the kernel's own FTP helper and ProFTPD's mod_proxy are
//! attacked in the same way, for the figures. Needs root and the programs that `scripts/test` installs.
#![cfg(feature = "nftables")]

#[path = "../netns/dialogue.rs"]
mod dialogue;
mod figures;
mod peer;
#[path = "../netns/scan.rs"]
mod scan;
mod second;
mod site;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_netlab::gateway::{UPSTREAM_WINDOW, WINDOW};
use portcullis_netlab::{Family, Node};

use crate::figures::Figures;
use crate::peer::Peer;
use crate::scan::{Sight, scan};
use crate::site::{CONTROL, Site, TRANSFERS};

/// How long anything that must happen may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often each port of the window must have been tried at least.
const SWEEPS: usize = 100;

#[test]
fn port_21_answers_and_nothing_else_over_ipv4() {
    nothing_else_answers(Family::V4);
}

#[test]
fn port_21_answers_and_nothing_else_over_ipv6() {
    nothing_else_answers(Family::V6);
}

/// All ports once at least, the windows without pause, on every address of the gateway, while clients take files.
fn nothing_else_answers(family: Family) {
    let mut site = Site::new(family);
    let running = site.start(Peer::Portcullis);
    let gateways = [Node::Client, Node::Server, Node::Attacker].map(|node| node.gateway(family));
    // And the server itself, to which the gateway's machine could be a router.
    let behind = [Node::Server.address(family)];
    let (over, tried) = (AtomicBool::new(false), AtomicUsize::new(0));
    let enough = |_: &Sight| over.load(Ordering::Relaxed);
    let begin = Instant::now();
    let (sights, done) = thread::scope(|scope| {
        let (lab, over, tried) = (&site.lab, &over, &tried);
        let attack = |work: Box<dyn FnOnce() -> Sight + Send>| {
            scope.spawn(move || lab.inside(Node::Attacker, work).unwrap())
        };
        let all = attack(Box::new(move || {
            scan(&gateways[..1], &(1..=u16::MAX), |sight| {
                tried.store(sight.attempts, Ordering::Relaxed);
                over.load(Ordering::Relaxed)
            })
        }));
        let window = attack(Box::new(move || scan(&gateways, &WINDOW, enough)));
        let upstream = attack(Box::new(move || {
            let few = *UPSTREAM_WINDOW.start()..=*UPSTREAM_WINDOW.start() + 20;
            scan(&gateways, &few, enough)
        }));
        let server = attack(Box::new(move || scan(&behind, &(2101..=2101), enough)));
        let mut done = 0;
        // A sweep over all ports takes longer than the transfers: then there are some more of them.
        while done < TRANSFERS || tried.load(Ordering::Relaxed) < usize::from(u16::MAX) {
            assert!(begin.elapsed() < Duration::from_secs(170), "too slow");
            assert!(site.transfer(done, PATIENCE), "transfer {done} failed");
            done += 1;
        }
        over.store(true, Ordering::Relaxed);
        let sights = [all, window, upstream, server].map(|sight| sight.join().unwrap());
        (sights, done)
    });
    let [all, window, upstream, server] = &sights;
    println!(
        "{done} transfers over {}; all ports: {all:?}",
        family.name()
    );
    println!("window: {window:?}\nupstream's window: {upstream:?}\nthe server: {server:?}");
    let open: Vec<u16> = all.ports.keys().copied().collect();
    assert_eq!(open, [CONTROL], "{all:?}");
    for sight in [window, upstream, server] {
        assert_eq!(
            (sight.opened, sight.refused, sight.bytes),
            (0, 0, 0),
            "{sight:?}"
        );
    }
    assert_eq!(all.refused, 0, "a shut port answered");
    assert!(window.attempts >= SWEEPS * 3 * WINDOW.count(), "no attack");
    let exposure = running.finish(&site, begin.elapsed());
    println!("exposure: {exposure}");
}

/// The same attack on three gateways: what is open for how long, to whom, and what a thief gets.
#[test]
fn beside_the_kernels_helper_and_mod_proxy() {
    let mut table = vec![Figures::head()];
    for peer in Peer::ALL {
        println!("{}", peer.name());
        if let Err(reason) = peer.is_there() {
            table.push(format!("| {} | left out: {reason} |", peer.name()));
            continue;
        }
        let mut site = Site::new(Family::V4);
        let running = site.start(peer);
        let begin = Instant::now();
        let thefts = site.thefts();
        let (sight, done) = site.transfers_under_attack();
        let exposure = running.finish(&site, begin.elapsed());
        let figures = Figures {
            peer,
            done,
            sight,
            thefts,
            exposure,
        };
        table.push(figures.row());
        figures.check();
    }
    println!("{}", table.join("\n"));
}

/// Where clients are.
fn control(family: Family) -> SocketAddr {
    SocketAddr::new(Node::Gateway.address(family), CONTROL)
}
