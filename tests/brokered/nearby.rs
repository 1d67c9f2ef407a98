//! What is on the gateway's own machine: a server, to which the table shuts the windows too, and second addresses.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use portcullis_netlab::Node;

use crate::client::{Client, read_all};
use crate::lab::{Yard, around};

/// Ports of the windows that the program's config has.
const IN_CLIENT_WINDOW: u16 = 25955;
const IN_UPSTREAM_WINDOW: u16 = 25960;

impl Yard {
    fn journal(&self) -> String {
        fs::read_to_string(self.program.journal_path()).expect("a journal")
    }
}

#[test]
fn a_server_on_this_machine_that_announces_a_port_of_a_window_is_refused_at_once() {
    let yard = Yard::behind(Node::Gateway, &[]);
    let mut client = yard.client();
    for (times, (port, ask)) in [(IN_CLIENT_WINDOW, "PASV"), (IN_UPSTREAM_WINDOW, "EPSV")]
        .into_iter()
        .enumerate()
    {
        yard.server.awaits_at(port);
        client.asks(
            ask,
            "425 The server announced a data port in the gateway's own window",
        );
        client.asks("RETR file", "425 No data connection was set up");
        yard.program.journal_shows_times(times + 1, "address.shut");
    }
    yard.program
        .logs("give the server passive ports outside the windows");
    let journal = yard.journal();
    let named = format!(
        "{}:{IN_CLIENT_WINDOW}\",\"window\":\"25950-25959\"",
        yard.server.at.ip()
    );
    assert!(journal.contains(&named), "{journal}");
    // Nothing was opened for it, and nobody dialled.
    for event in ["pinhole.opened", "data.dialled"] {
        assert!(!journal.contains(event), "{journal}");
    }
    // Any other port of this machine is reached.
    yard.server.awaits_at(0);
    yard.works();
}

/// The gateway asks the server for a port, and the client is told at its PORT.
#[test]
fn an_active_client_hears_of_it_before_its_transfer_command() {
    let yard = Yard::behind(Node::Gateway, &["--data-mode", "passive"]);
    yard.server.awaits_at(IN_CLIENT_WINDOW);
    let mut client = yard.client();
    client.asks("PORT 198,18,0,1,200,1", "504");
    let at = client.control.local_addr().expect("ours").ip().to_string();
    let port = format!("PORT {},200,1", at.replace('.', ","));
    client.asks(
        &port,
        "425 The server announced a data port in the gateway's own window",
    );
    yard.program.journal_shows("address.shut");
}

/// The kernel shuts the windows to what the gateway dials on this machine too, so that it would wait in vain.
#[test]
fn an_active_client_on_this_machine_that_names_a_port_of_a_window_is_refused_at_once() {
    let yard = Yard::new();
    let at = yard.program.at;
    let inside = || {
        let mut client = Client::login(at);
        let ip = client.control.local_addr().expect("ours").ip();
        assert_eq!(ip, at.ip(), "it is the gateway's own address");
        let ip = ip.to_string().replace('.', ",");
        for port in [IN_CLIENT_WINDOW, IN_UPSTREAM_WINDOW] {
            client.asks(
                &format!("PORT {ip},{},{}", port >> 8, port & 255),
                "425 Your data port is in the gateway's own window",
            );
            client.asks("RETR file", "425 No data connection was set up");
        }
        // Any other port of this machine is reached.
        let data = client.active();
        client.asks("RETR file", "150");
        let (data, _) = data.accept().expect("the gateway");
        assert_eq!(read_all(data), b"some content");
        client.hears("226");
    };
    yard.lab.inside(Node::Gateway, inside).expect("inside");
    yard.program.journal_shows_times(2, "address.shut");
    yard.program.logs("have it use passive mode");
    let journal = yard.journal();
    let named = format!(
        "\"side\":\"client\",\"address\":\"{}:{IN_CLIENT_WINDOW}\",\"window\":\"25950-25959\"",
        at.ip()
    );
    assert!(journal.contains(&named), "{journal}");
    // A client on another machine may name them.
    let mut client = yard.client();
    let ip = client.control.local_addr().expect("ours").ip().to_string();
    let (high, low) = (IN_CLIENT_WINDOW >> 8, IN_CLIENT_WINDOW & 255);
    let port = format!("PORT {},{high},{low}", ip.replace('.', ","));
    client.asks(&port, "200");
}

/// The kernel dials it from the first one, so the routing table does not tell that it is this machine's.
#[test]
fn pinholes_open_at_a_second_address_of_the_same_network() {
    let (lab, server) = around(Node::Server);
    let second = IpAddr::from([198, 51, 100, 2]);
    let mut add = lab.command(Node::Gateway, "ip");
    add.args(["address", "add", &format!("{second}/24"), "dev", "client"]);
    assert!(add.status().expect("run").success());
    let yard = Yard::at(lab, server, SocketAddr::new(second, 21), &[]);
    yard.works();
    assert!(yard.journal().contains("\"carried\":\"forwarded\""));
}
