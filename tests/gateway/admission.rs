//! Who may begin a session.

use std::net::IpAddr;

use crate::client::Client;
use crate::gate::{Setup, until};
use crate::server::{GREETING, Server};

fn from(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

#[test]
fn limits_sessions_turns_others_away_with_421_and_one_record() {
    let server = Server::start();
    let gate = Setup::to(server.at)
        .more("limits: {sessions: 2, connects_per_address: 100000/s}")
        .start();
    let first = Client::connect(gate.at).logged_in();
    let _second = Client::connect_from(from(2), gate.at).logged_in();
    let mut third = Client::connect_from(from(3), gate.at);
    third.hears("421 Too many sessions at the moment");
    assert_eq!(third.hears_the_end(), "");
    let record = gate.journal.shows("limit.reached");
    assert_eq!(
        (&record["limit"], &record["client"]),
        (&"limits.sessions".into(), &"127.0.0.3".into())
    );
    drop(first);
    gate.journal.shows("session.closed");
    // The record is written just before the place is free.
    until("the place is never free again", || {
        Client::connect_from(from(3), gate.at).reply() == GREETING
    });
}

#[test]
fn limits_sessions_per_address_spares_other_addresses() {
    let server = Server::start();
    let gate = Setup::to(server.at)
        .more("limits: {sessions_per_address: 1}")
        .start();
    let _first = Client::login(gate.at);
    let mut second = Client::connect(gate.at);
    second.hears("421 Too many sessions from your address");
    assert_eq!(
        gate.journal.shows("limit.reached")["limit"],
        "limits.sessions_per_address"
    );
    Client::connect_from(from(2), gate.at).logged_in();
}

#[test]
fn connection_floods_from_one_address_are_turned_away_and_others_are_unharmed() {
    let server = Server::start();
    let gate = Setup::to(server.at)
        .more("limits: {connects_per_address: 3/h}")
        .start();
    for _ in 0..3 {
        Client::login(gate.at);
    }
    Client::connect(gate.at).hears("421 Too many connections in a short time");
    Client::connect(gate.at).hears("421 Too many connections in a short time");
    let record = gate.journal.shows("limit.reached");
    assert_eq!(record["limit"], "limits.connects_per_address");
    Client::connect_from(from(2), gate.at).logged_in();
    gate.running.shutdown();
    let more = gate.journal.to_the_end();
    let more = more
        .iter()
        .filter(|record| record["event"] == "limit.reached");
    assert_eq!(more.count(), 0, "a flood fills no journal");
}

#[test]
fn an_upstreams_max_sessions_is_kept_and_the_next_client_gets_421() {
    let server = Server::start();
    let mut setup = Setup::to(server.at);
    setup.upstream_more = "    max_sessions: 1".to_owned();
    let gate = setup
        .more("limits: {connects_per_address: 100000/s}")
        .start();
    let mut first = Client::login(gate.at);
    Client::connect(gate.at).hears("421");
    gate.journal.shows("upstream.unreachable");
    gate.journal.shows("session.closed");
    first.asks("QUIT", "221");
    gate.journal.shows("session.closed");
    until("the seat is never free again", || {
        Client::connect(gate.at).reply() == GREETING
    });
}
