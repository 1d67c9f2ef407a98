//! The table itself: whose it is, what it leaves alone, and what happens when the kernel says no.

use std::net::SocketAddr;
use std::time::Instant;

use portcullis::nft::kernel::{Error, Generation, Kernel};
use portcullis::nft::{HoleKey, Opening};
use portcullis_netlab::{Family, Node};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::yard::{
    GATEWAY, TTL, accept, at, at_gateway, dial, elements, expect_used, install, lab, layout,
    listen, nft, passive, sh,
};

/// A table that is there already, with everything that a table can have.
const OTHERS: &str = "'add table inet op; add set inet op s { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 }; }; \
     add chain inet op i { type filter hook input priority filter; policy accept; }; add rule inet op i ip saddr @s drop; \
     add table ip nat; add chain ip nat p { type nat hook postrouting priority srcnat; }; add rule ip nat p oifname nosuch masquerade'";

#[test]
fn other_tables_stay_as_they_are() {
    let lab = lab();
    at_gateway(&lab, || {
        nft(&lab, OTHERS);
        let before = nft(&lab, "list ruleset");
        let mut kernel = install();
        for key in 0..1000 {
            let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
            let mut hole = passive(key, Family::V4, 22000 + key as u16, to);
            if key % 2 == 0 {
                let to = SocketAddr::new(Node::Server.address(Family::V6), 5000);
                hole = passive(key, Family::V6, 22000 + key as u16, to);
            }
            kernel.open(Generation(key as u32 % 3), &hole).unwrap();
        }
        drop(kernel);
        let mut kernel = install();
        kernel.ban("192.0.2.9/32".parse().unwrap(), TTL).unwrap();
        // Two elements a hole; those of one of three generations stay.
        let living = (0..1000).filter(|key| key % 3 == 1).count();
        assert_eq!(kernel.sweep(&[Generation(1)]).unwrap(), (1000 - living) * 2);
        assert_eq!(kernel.sweep(&[Generation(1)]).unwrap(), 0);
        assert_eq!(kernel.sweep(&[]).unwrap(), living * 2);
        assert_eq!(kernel.bans().unwrap().len(), 1);
        assert!(kernel.verify().unwrap());
        drop(kernel);
        nft(&lab, "delete table inet portcullis");
        assert_eq!(nft(&lab, "list ruleset"), before);
    });
}

#[test]
fn a_table_of_our_name_that_is_not_ours_is_refused_and_left_alone() {
    let lab = lab();
    at_gateway(&lab, || {
        nft(
            &lab,
            "'add table inet portcullis { comment \"mine\"; }; add chain inet portcullis c'",
        );
        let before = nft(&lab, "list ruleset");
        let error = Kernel::install(&layout()).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
        assert_eq!(error.exit_code(), 78);
        assert!(error.to_string().contains("firewall: none"), "{error}");
        assert_eq!(nft(&lab, "list ruleset"), before);
    });
}

#[test]
fn a_second_broker_is_refused_before_it_touches_anything() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut first = install();
        let mut other = layout();
        other.client_window = 21000..=21999;
        let error = Kernel::install(&other).unwrap_err();
        assert!(matches!(error, Error::Taken(_)), "{error}");
        assert_eq!(error.exit_code(), 78);
        assert!(first.verify().unwrap());
    });
}

#[test]
fn without_privilege_the_remedy_is_told() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        sets.permitted.remove(CapabilitySet::NET_ADMIN);
        // Of this thread alone, which ends with the test.
        set_capabilities(None, sets).unwrap();
        let error = Kernel::install(&layout()).unwrap_err();
        assert!(matches!(error, Error::NotPermitted(_)), "{error}");
        assert_eq!(error.exit_code(), 77);
        assert!(error.to_string().contains("firewall: none"), "{error}");
    });
}

#[test]
fn a_full_set_refuses_whole_holes_and_recovers() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut small = layout();
        small.size = 3;
        let mut kernel = Kernel::install(&small).unwrap();
        let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
        let hole = |key: u64| passive(key, Family::V4, 21000 + key as u16, to);
        for key in 0..3 {
            kernel.open(GATEWAY, &hole(key)).unwrap();
        }
        let error = kernel.open(GATEWAY, &hole(3)).unwrap_err();
        assert!(matches!(error, Error::Full(_)), "{error}");
        assert_eq!(elements(&lab).len(), 3 * 2, "{:?}", elements(&lab));
        // Nothing of what was refused is left, so its name is free.
        kernel.close(HoleKey(0)).unwrap();
        kernel.open(GATEWAY, &hole(3)).unwrap();
        assert!(!kernel.close(HoleKey(3)).unwrap().used());
    });
}

#[test]
fn the_same_peer_and_port_are_open_once() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
        kernel
            .open(GATEWAY, &passive(1, Family::V4, 21000, to))
            .unwrap();
        for key in [1, 2] {
            let again = kernel.open(GATEWAY, &passive(key, Family::V4, 21000, to));
            assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
        }
        kernel.close(HoleKey(1)).unwrap();
        kernel
            .open(GATEWAY, &passive(2, Family::V4, 21000, to))
            .unwrap();
        let mut mixed = passive(3, Family::V4, 21001, to);
        if let Opening::Forward { to, .. } = &mut mixed.opening {
            *to = SocketAddr::new(Node::Server.address(Family::V6), 5000);
        }
        let mixed = kernel.open(GATEWAY, &mixed);
        assert!(matches!(mixed, Err(Error::Unsuitable(_))), "{mixed:?}");
    });
}

/// Two sessions of one client whose upstreams, behind one address, announced the same port.
#[test]
fn two_pinholes_to_one_place_are_told_apart() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
        let server = listen(&lab, Node::Server, to);
        let holes = [1, 2].map(|key| passive(key, Family::V4, 21000 + key as u16, to));
        for hole in &holes {
            kernel.open(GATEWAY, hole).unwrap();
        }
        let _second = dial(&lab, Node::Client, 0, at(&holes[1]), TTL).unwrap();
        accept(&server);
        expect_used(&mut kernel, 2);
        assert!(!kernel.close(HoleKey(1)).unwrap().used());
        assert!(kernel.close(HoleKey(2)).unwrap().used());
    });
}

/// The time of an opening and a shutting, alone and beside ten thousand others; a bound that only a wrong kind of work
/// would break.
#[test]
fn opening_and_shutting_stay_cheap_beside_ten_thousand() {
    let lab = lab();
    at_gateway(&lab, || {
        sh(&lab, Node::Gateway, "true");
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
        let pairs = |kernel: &mut Kernel, what: &str| {
            let mut taken: Vec<u128> = (0..2000)
                .map(|round| {
                    let hole = passive(1_000_000 + round, Family::V4, 21000, to);
                    let begin = Instant::now();
                    kernel.open(GATEWAY, &hole).unwrap();
                    kernel.close(hole.key).unwrap();
                    begin.elapsed().as_nanos()
                })
                .collect();
            taken.sort_unstable();
            let (middle, late) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
            println!("open + close {what}: p50 {middle} ns, p99 {late} ns");
            middle
        };
        let alone = pairs(&mut kernel, "alone");
        for key in 0..10_000 {
            kernel
                .open(GATEWAY, &passive(key, Family::V4, 30_000 + key as u16, to))
                .unwrap();
        }
        let beside = pairs(&mut kernel, "beside 10,000");
        assert!(
            beside < alone * 3 + 100_000,
            "{alone} ns alone, {beside} ns beside 10,000"
        );
    });
}

/// A program that the broker starts, the gateway above all, must not get a way to the firewall.
#[test]
fn no_socket_is_handed_to_programs_that_are_started() {
    let lab = lab();
    at_gateway(&lab, || {
        let kernel = install();
        for descriptor in kernel.descriptors() {
            let flags = rustix::io::fcntl_getfd(descriptor).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    });
}
