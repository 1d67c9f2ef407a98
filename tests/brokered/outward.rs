//! An operator's firewall that lets nothing out but what is the gateway's.

use std::io::Write as _;
use std::process::{Command, Stdio};

use portcullis_netlab::{Lab, Node};

use crate::client::read_all;
use crate::lab::Yard;

/// What `check --system` proposes for a chain of output that drops: the gateway's user and nobody else, so that nothing of
/// root's leaves.
const OPERATORS: &str = "table inet operators {
  chain output {
    type filter hook output priority filter; policy drop;
    oif lo accept
    ct state established,related accept
    meta skuid 65534 accept
  }
}
";

fn load(lab: &Lab, rules: &str) {
    let mut nft: Command = lab.command(Node::Gateway, "nft");
    let mut child = nft
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("nft");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(rules.as_bytes()).expect("written");
    drop(input);
    assert!(child.wait().expect("nft").success(), "{rules}");
}

/// The upstream is asked for passive data connections and the client for active ones: both are dialled from here, the client
/// from port 20, with a socket that the broker made.
#[test]
fn what_the_gateway_dials_is_its_users_also_from_port_20() {
    let yard = Yard::with(&["--data-mode", "passive"]);
    load(&yard.lab, OPERATORS);
    let mut client = yard.client();
    let listener = yard
        .lab
        .inside(Node::Client, || client.active())
        .expect("inside");
    client.asks("RETR file", "150");
    let (data, from) = listener.accept().expect("dialled");
    assert_eq!(from.port(), 20);
    assert_eq!(read_all(data), b"some content");
    client.hears("226");
}
