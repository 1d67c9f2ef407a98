//! A connection that dies before it comes up: a server that remembers an earlier one of the same ports answers a SYN with a bare
//! acknowledgement, which the client resets before it repeats its SYN. Here the client's kernel resets what no socket of its awaits.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use portcullis::nft::kernel::Kernel;
use portcullis::nft::{FirewallHole, Happening};
use portcullis_netlab::{Family, Lab, Node, segment};

use crate::yard::{
    GATEWAY, PATIENCE, SILENCE, at, at_gateway, dial, expect_used, install, lab, listen, nft,
    passive, told, v4,
};

/// How often a hole's peer may try again, as the kernel half sees it.
const MOST: u16 = 3;

/// Begins a connection that will be reset, and waits until the hole was used.
fn begin(lab: &Lab, hole: &FirewallHole, port: u16) {
    let from = SocketAddr::new(Node::Client.address(Family::V4), port);
    let (from, to) = (v4(from), v4(at(hole)));
    let sent = lab.inside(Node::Client, || {
        let syn = segment::segment(from, to, 1, segment::SYN);
        segment::send(&segment::raw_socket()?, &syn, to)
    });
    sent.unwrap().unwrap();
    until("it is used", || spent(lab, 1));
}

/// Whether the hole's token has seen this many packets.
fn spent(lab: &Lab, packets: u8) -> bool {
    nft(lab, "list map inet portcullis snat4").contains(&format!("counter packets {packets} "))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        // Nothing tells when the kernel's state is another.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Lets the kernel half look until the hole is good again; nothing may be told of it.
fn revived(lab: &Lab, kernel: &mut Kernel) {
    until("its peer may try again", || {
        let used = |happening: &Happening| matches!(happening, Happening::Used { .. });
        assert!(!told(kernel).iter().any(used));
        spent(lab, 0)
    });
}

/// Opens a hole, and has as many connections to it die as may, each before it comes up.
fn died_as_often_as_may_be(lab: &Lab, kernel: &mut Kernel) -> FirewallHole {
    let to = server_at();
    let hole = passive(1, Family::V4, 21000, to);
    kernel.open(GATEWAY, &hole).unwrap();
    for port in 0..MOST {
        begin(lab, &hole, 1025 + port);
        revived(lab, kernel);
    }
    hole
}

/// Where the holes lead.
fn server_at() -> SocketAddr {
    SocketAddr::new(Node::Server.address(Family::V4), 5000)
}

fn server(lab: &Lab) -> TcpListener {
    listen(lab, Node::Server, server_at())
}

#[test]
fn its_peer_may_try_again_and_one_connection_comes_up() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let _server = server(&lab);
        let hole = died_as_often_as_may_be(&lab, &mut kernel);
        let client = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
        assert_eq!(expect_used(&mut kernel, 1), client.local_addr().unwrap());
        let second = dial(&lab, Node::Client, 0, at(&hole), SILENCE);
        assert!(second.is_err(), "{second:?}");
    });
}

#[test]
fn not_for_ever() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let _server = server(&lab);
        let hole = died_as_often_as_may_be(&lab, &mut kernel);
        begin(&lab, &hole, 1025 + MOST);
        assert_eq!(expect_used(&mut kernel, 1).port(), 1025 + MOST);
        let late = dial(&lab, Node::Client, 0, at(&hole), SILENCE);
        assert!(late.is_err(), "{late:?}");
    });
}
