//! Upstreams that are away, come back, or have a second address.

use std::net::SocketAddr;

use crate::client::Client;
use crate::gate::Setup;
use crate::server::{GREETING, Server};

/// An address at which nobody listens: one that no other process of these tests has, and a port below those that the
/// kernel gives away. Nor has anybody listened there: a process that is being started would hold such a listener for a moment.
fn nobody(port: u16) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 99, high, low], port))
}

#[test]
fn an_upstream_that_is_unreachable_gives_421_until_it_is_back() {
    let at = nobody(23_901);
    let gate = Setup::to(at).start();
    let mut client = Client::connect(gate.at);
    let reply = client.hears("421");
    assert!(
        !reply.contains("127."),
        "never an upstream's address: {reply}"
    );
    assert_eq!(client.hears_the_end(), "");
    assert_eq!(
        gate.journal.shows("upstream.unreachable")["why"],
        "connection refused"
    );
    assert_eq!(
        gate.journal.shows("session.closed")["reason"],
        "upstream_unreachable"
    );
    let _server = Server::at(at);
    assert_eq!(Client::connect(gate.at).reply(), GREETING);
}

#[test]
fn fail_over_reaches_the_next_address_and_remembers_the_dead_one() {
    let server = Server::start();
    let mut setup = Setup::to(nobody(23_902));
    setup.upstreams.push(server.at);
    let gate = setup.start();
    for _ in 0..3 {
        assert_eq!(Client::connect(gate.at).reply(), GREETING);
        let connected = gate.journal.shows("upstream.connected");
        assert_eq!(connected["to"], server.at.to_string());
    }
}

#[test]
fn fail_over_happens_within_timeouts_connect_also_when_an_address_says_nothing() {
    let server = Server::start();
    // A listener with a full backlog ignores SYNs, as a host does that is gone.
    let silent =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    silent
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("bound");
    silent.listen(0).expect("listens");
    let at = silent
        .local_addr()
        .expect("an address")
        .as_socket()
        .expect("an address");
    let fill: Vec<_> = (0..2)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
                .expect("a socket");
            socket.set_nonblocking(true).expect("set");
            // It may be under way for ever.
            let _ = socket.connect(&at.into());
            socket
        })
        .collect();
    let mut setup = Setup::to(at);
    setup.upstreams.push(server.at);
    // Half of it is for the silent one. Had that one all of it, nothing would be left for the other, and the reply be 421.
    let gate = setup.more("timeouts: {connect: 6s}").start();
    assert_eq!(Client::connect(gate.at).reply(), GREETING);
    drop(fill);
}

#[test]
fn a_name_is_resolved_and_dialled() {
    let server = Server::start();
    let mut setup = Setup::to(server.at);
    setup.upstreams.clear();
    let port = server.at.port();
    let setup = Setup {
        upstream_more: String::new(),
        ..setup
    };
    let text = setup.text().replace(
        "addresses: []",
        &format!("addresses: [\"localhost:{port}\"]"),
    );
    let config = portcullis::config::Config::parse(&text, "test.yaml")
        .expect("a good config")
        .config;
    let running =
        portcullis::gateway::Gateway::start(config, Default::default()).expect("a gateway");
    assert_eq!(Client::connect(running.addresses()[0].1).reply(), GREETING);
}
