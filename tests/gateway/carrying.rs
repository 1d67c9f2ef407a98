//! Sessions and transfers that go well.

use std::io::Write as _;

use crate::client::{Client, read_all};
use crate::gate::Setup;
use crate::server::{GREETING, Server};

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8).collect()
}

#[test]
fn without_a_lobby_it_dials_at_once_and_the_upstreams_220_passes() {
    let server = Server::start();
    let gate = Setup::to(server.at).start();
    assert_eq!(Client::connect(gate.at).reply(), GREETING);
    let opened = gate.journal.shows("session.opened");
    assert_eq!(opened["listener"], "main");
    gate.journal.shows("upstream.connected");
}

#[test]
fn passive_download_and_upload_carry_every_byte() {
    let big = content(3_000_000);
    let server = Server::start()
        .with_file("big", &big)
        .with_file("empty", b"");
    let gate = Setup::to(server.at).start();
    let mut client = Client::login(gate.at);
    assert!(client.download("big") == big);
    assert!(client.download("empty").is_empty());
    client.upload("up", &big);
    assert!(server.file("up").expect("a file") == big);
    client.asks("QUIT", "221");
    assert_eq!(client.hears_the_end(), "");
    let closed = gate.journal.shows("session.closed");
    assert_eq!(
        (&closed["reason"], &closed["transfers"]),
        (&"quit".into(), &3.into())
    );
}

#[test]
fn the_client_dials_before_retr_after_it_or_only_after_150() {
    let server = Server::start().with_file("file", b"some content");
    let gate = Setup::to(server.at).start();
    let mut client = Client::login(gate.at);
    assert_eq!(client.download("file"), b"some content");

    let at = client.passive();
    client.send("RETR file");
    let data = client.dial(at);
    client.hears("150");
    assert_eq!(read_all(data), b"some content");
    client.hears("226");

    let at = client.passive();
    client.asks("RETR file", "150");
    let data = client.dial(at);
    assert_eq!(read_all(data), b"some content");
    client.hears("226");
}

#[test]
fn active_clients_are_dialled_and_each_leg_is_negotiated_on_its_own() {
    for mode in ["as_client", "passive", "active"] {
        let server = Server::start().with_file("file", b"some content");
        let mut setup = Setup::to(server.at);
        setup.upstream_more = format!("    data_mode: {mode}");
        let gate = setup.start();
        let mut client = Client::login(gate.at);
        let listener = client.active();
        client.asks("RETR file", "150");
        let (data, _) = listener.accept().expect("the gateway dials");
        assert_eq!(read_all(data), b"some content", "{mode}");
        client.hears("226");
        assert_eq!(client.download("file"), b"some content", "{mode}");
    }
}

#[test]
fn an_ipv6_client_reaches_an_ipv4_upstream() {
    let server = Server::start().with_file("file", b"some content");
    let mut setup = Setup::to(server.at);
    setup.listen = "[::1]:0".to_owned();
    let gate = setup.start();
    let mut client = Client::login(gate.at);
    let at = client.extended_passive();
    assert!(at.is_ipv6());
    let data = client.dial(at);
    client.asks("RETR file", "150");
    assert_eq!(read_all(data), b"some content");
    client.hears("226");
    client.asks("PASV", "425");
}

#[test]
fn a_star_listens_on_both_families() {
    let server = Server::start();
    let mut setup = Setup::to(server.at);
    setup.listen = "*:0".to_owned();
    let gate = setup.start();
    let addresses = gate.running.addresses();
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses[0].1.port(), addresses[1].1.port());
    for ip in ["127.0.0.1", "::1"] {
        let to = std::net::SocketAddr::new(ip.parse().expect("an address"), addresses[0].1.port());
        assert_eq!(Client::connect(to).reply(), GREETING);
    }
}

#[test]
fn direction_lock_bytes_from_the_client_on_a_download_go_nowhere() {
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let gate = Setup::to(server.at).start();
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let mut data = client.dial(at);
    client.asks("RETR held", "150");
    data.write_all(b"smuggled").expect("sent");
    drop(hold);
    assert_eq!(read_all(data), b"first half, second half");
    client.hears("226");
    assert_eq!(gate.journal.shows("pinhole.closed")["bytes_up"], 0);
}
