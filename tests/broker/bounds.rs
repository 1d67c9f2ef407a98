//! The envelope of these tests, and what it permits.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use portcullis::nft::Opening;
use portcullis::nft::envelope::Envelope;

const OURS: [&str; 4] = ["198.51.100.1", "192.0.2.1", "2001:db8:1::1", "127.0.0.1"];

pub fn envelope() -> Envelope {
    Envelope {
        client_window: 21000..=21015,
        upstream_window: Some(22000..=22999),
        listeners: vec![ip("198.51.100.1"), ip("::")],
        upstreams: vec![ip("192.0.2.7"), ip("2001:db8:2::7")],
        names: BTreeMap::from([("ftp.example.com".to_owned(), Vec::new())]),
        foreign: vec![network("10.1.0.0/16")],
        prefix_peers: false,
        candidates: false,
        any_peer: false,
        keeps_source: false,
        source_ports: vec![20],
        client_ttl: Duration::from_secs(40),
        upstream_ttl: Duration::from_secs(310),
        holes: 10,
        bans: 10,
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

pub fn network(text: &str) -> IpNet {
    text.parse().expect("a network")
}

pub fn is_ours(address: IpAddr) -> bool {
    OURS.iter().any(|ours| ip(ours) == address)
}

/// A passive transfer: the client dials us, and is led to the upstream.
pub fn passive() -> Opening {
    forward(
        "203.0.113.9",
        "198.51.100.1:21003",
        "192.0.2.7:50000",
        Some("192.0.2.1:0"),
    )
}

pub fn forward(peer: &str, target: &str, to: &str, source: Option<&str>) -> Opening {
    Opening::Forward {
        peer: ip(peer),
        at: at(target),
        to: at(to),
        source: source.map(at),
    }
}
