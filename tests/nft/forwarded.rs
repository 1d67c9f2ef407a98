//! Forwarded pinholes: the kernel carries one connection, and no second.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;

use portcullis::nft::{FlowState, HoleKey};
use portcullis_netlab::{Family, Node};

use crate::yard::{
    self, GATEWAY, PATIENCE, SILENCE, accept, at, at_gateway, dial, elements, expect_used, install,
    listen, passive,
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
    let lab = yard::lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        println!("{}", yard::nft(&lab, "list ruleset"));
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
                upstream.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            got
        });
        assert!(got == sent);
        let usage = kernel.usage(HoleKey(1)).unwrap().unwrap();
        assert!(usage.wire_bytes_to_peer > 3_000_000, "{usage:?}");
        assert_eq!(usage.state, FlowState::Ending);

        let second = dial(&lab, Node::Client, 0, at(&hole), SILENCE);
        assert!(second.is_err(), "{second:?}");
        drop(client);
        let settled = kernel.close(HoleKey(1)).unwrap();
        assert!(settled.used);
        assert!(settled.usage.is_some());
    });
}
