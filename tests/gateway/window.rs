//! The shared window.

use std::net::IpAddr;

use crate::client::{Client, read_all};
use crate::gate::{Setup, window};
use crate::server::Server;

#[test]
fn two_hundred_sessions_share_a_ten_port_window_and_one_address_beyond_its_ten_gets_425_at_once() {
    let server = Server::start().with_file("file", b"some content");
    let mut setup = Setup::to(server.at);
    setup.window = window(10);
    let gate = setup.more("limits: {connects_per_address: 1000/s}").start();
    let mut waiting: Vec<_> = (1..=200_u8)
        .map(|last| {
            let from = IpAddr::from([127, 0, 1, last]);
            let mut client = Client::connect_from(from, gate.at).logged_in();
            let at = client.passive();
            (client, at)
        })
        .collect();
    for (client, at) in &mut waiting {
        let data = client.dial(*at);
        client.asks("RETR file", "150");
        assert_eq!(read_all(data), b"some content");
        client.hears("226");
    }
    drop(waiting);
    let mut held: Vec<_> = (0..10)
        .map(|_| {
            let mut client = Client::login(gate.at);
            let at = client.passive();
            (client, at)
        })
        .collect();
    let mut ports: Vec<_> = held.iter().map(|(_, at)| at.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 10);
    let mut eleventh = Client::login(gate.at);
    let reply = eleventh.asks("PASV", "425");
    assert!(reply.contains("10 in use"), "{reply}");
    // A port that is used up is free again.
    let (client, at) = &mut held[3];
    let data = client.dial(*at);
    client.asks("RETR file", "150");
    read_all(data);
    client.hears("226");
    assert_eq!(eleventh.download("file"), b"some content");
}

#[test]
fn a_thousand_pasv_without_a_transfer_use_one_port() {
    let server = Server::start().with_file("file", b"some content");
    let mut setup = Setup::to(server.at);
    setup.window = window(2);
    // Enough to go round the window many times, and quick.
    let gate = setup.more("limits: {commands: 100000/s}").start();
    let mut client = Client::login(gate.at);
    for _ in 0..1000 {
        client.passive();
    }
    let mut other = Client::login(gate.at);
    assert_eq!(other.download("file"), b"some content");
    assert_eq!(client.download("file"), b"some content");
}

/// Only the kernel's firewall shuts a window to the gateway itself; without it nothing is refused that works.
#[test]
fn a_server_on_this_host_is_reached_at_a_port_of_the_window() {
    let server = Server::start().with_file("file", b"some content");
    let setup = Setup::to(server.at);
    let (first, _) = setup.window.split_once('-').expect("a range");
    server.awaits_at(first.parse().expect("a port"));
    let gate = setup.start();
    let mut client = Client::login(gate.at);
    for _ in 0..20 {
        assert_eq!(client.download("file"), b"some content");
    }
    server.hears_at_last("RETR file");
}
