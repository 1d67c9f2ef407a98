//! Bans in the kernel: who guesses is not even answered, until its time is over or somebody lifts the ban.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use portcullis_netlab::{Family, Node};
use serde_json::Value;

use crate::PATIENCE;
use crate::client::Client;
use crate::lab::Yard;

/// How long a dial waits that is to be dropped; the kernel sends its SYN a second time within it.
const DROPPED: Duration = Duration::from_millis(1500);

/// A yard in which two refused logins ban an address for this time.
fn yard(ban: &str) -> Yard {
    let yard = Yard::new();
    let guard = format!("login_guard: {{tries: 2, delay: 1ms, ban: {ban}}}");
    yard.program.configure(&guard);
    let reloaded = yard.program.ctl(&["reload"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    yard
}

impl Yard {
    /// Guesses twice from the client's address.
    fn guesses(&self) {
        let at = self.program.at;
        let guess = || {
            let mut client = Client::connect(at);
            client.hears("220");
            client.asks("USER bob", "331");
            client.asks("PASS wrong", "530");
            client.asks("USER root", "331");
            client.send("PASS wrong");
            client.hears("421 Too many refused logins");
        };
        self.lab.inside(Node::Client, guess).expect("inside");
        self.program.journal_shows("address.banned");
    }

    /// Dials the gateway from the client's address.
    fn dials(&self) -> io::Result<TcpStream> {
        let at = self.program.at;
        let dial = || TcpStream::connect_timeout(&at, DROPPED);
        self.lab.inside(Node::Client, dial).expect("inside")
    }

    /// Somebody with another address in the client's network logs in.
    fn neighbour_logs_in(&self) {
        let IpAddr::V4(client) = Node::Client.address(Family::V4) else {
            panic!("no IPv4 address");
        };
        let [a, b, c, d] = client.octets();
        let neighbour = Ipv4Addr::new(a, b, c, d ^ 0x40);
        let mut add = self.lab.command(Node::Client, "ip");
        add.args(["address", "add", &format!("{neighbour}/32"), "dev", "lo"]);
        assert!(add.status().expect("run").success());
        let at = self.program.at;
        let logs_in = || drop(Client::connect_from(neighbour.into(), at).logged_in());
        self.lab.inside(Node::Client, logs_in).expect("inside");
    }

    /// The elements of the kernel's set of banned IPv4 addresses: each with its timeout and what is left of it.
    fn banned(&self) -> Vec<(String, u64, u64)> {
        let mut nft = self.lab.command(Node::Gateway, "nft");
        let output = nft
            .args(["-j", "list", "set", "inet", "portcullis", "banned4"])
            .output()
            .expect("nft");
        assert!(output.status.success(), "{output:?}");
        let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON of nft");
        let things = listed["nftables"].as_array().expect("a list");
        let elements = things
            .iter()
            .filter_map(|thing| thing["set"]["elem"].as_array())
            .flatten();
        elements
            .map(|element| {
                let element = &element["elem"];
                let number = |name: &str| element[name].as_u64().expect("a number");
                let address = element["val"].as_str().expect("an address");
                (address.to_owned(), number("timeout"), number("expires"))
            })
            .collect()
    }

    fn bans(&self) -> Vec<Value> {
        let output = self.program.ctl(&["bans", "--format", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no bans: {output:?}"))
    }
}

#[test]
fn a_banned_address_is_dropped_by_the_kernel_until_somebody_lifts_the_ban() {
    let yard = yard("10m");
    let mut inside = yard.client();
    yard.guesses();
    let address = Node::Client.address(Family::V4).to_string();
    let banned = yard.banned();
    let [(network, timeout, left)] = &banned[..] else {
        panic!("not one ban: {banned:?}");
    };
    assert_eq!((network, *timeout), (&address, 600));
    assert!((500..=600).contains(left), "{left}");
    let refused = yard.dials().expect_err("dropped");
    assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    yard.neighbour_logs_in();
    // Who had logged in before goes on.
    inside.asks("NOOP", "200");
    let bans = yard.bans();
    assert_eq!(
        (
            &bans[0]["address"],
            &bans[0]["in_kernel"],
            &bans[0]["failures"]
        ),
        (&address.clone().into(), &true.into(), &2.into())
    );
    let lifted = yard.program.ctl(&["unban", &address]);
    assert!(lifted.status.success(), "{lifted:?}");
    assert_eq!(yard.banned(), []);
    yard.works();
}

#[test]
fn a_ban_in_the_kernel_ends_by_itself() {
    let yard = yard("3s");
    yard.guesses();
    assert_eq!(yard.banned().len(), 1);
    yard.program.journal_shows("address.unbanned");
    let until = Instant::now() + PATIENCE;
    while !yard.banned().is_empty() {
        assert!(Instant::now() < until, "it stays");
    }
    yard.works();
}

#[test]
fn a_ban_outlives_gateway_and_broker_and_both_successors_know_it() {
    let mut yard = yard("10m");
    yard.guesses();
    let address = Node::Client.address(Family::V4).to_string();
    let gateway = yard.program.gateway();
    yard.program.kill(gateway);
    yard.program.notified("READY=1");
    let known = |yard: &Yard| {
        let bans = yard.bans();
        assert_eq!(
            (
                &bans[0]["address"],
                &bans[0]["in_kernel"],
                &bans[0]["since"]
            ),
            (&address.clone().into(), &true.into(), &Value::Null)
        );
    };
    known(&yard);
    yard.dials().expect_err("still dropped");
    // The whole program, with the config that it has when it starts.
    let gateway = yard.program.gateway();
    yard.program.kill_broker();
    yard.program.kill(gateway);
    yard.program = yard.program.start_again();
    known(&yard);
    yard.dials().expect_err("still dropped");
    let lifted = yard.program.ctl(&["unban", "all"]);
    assert!(lifted.status.success(), "{lifted:?}");
    assert_eq!(yard.banned(), []);
    yard.works();
    // A config that never bans this address lifts such a ban as soon as it is in force.
    yard.program
        .configure("login_guard: {tries: 1, delay: none}");
    assert!(yard.program.ctl(&["reload"]).status.success());
    let at: SocketAddr = yard.program.at;
    let guess = || {
        let mut client = Client::connect(at);
        client.hears("220");
        client.asks("USER bob", "331");
        client.asks("PASS wrong", "421");
    };
    yard.lab.inside(Node::Client, guess).expect("inside");
    yard.program.journal_shows_times(2, "address.banned");
    yard.dials().expect_err("dropped");
    let never = format!("login_guard: {{never_ban: [{address}/32]}}");
    yard.program.configure(&never);
    assert!(yard.program.ctl(&["reload"]).status.success());
    yard.works();
}

/// An operator bans the client's address, and then its network; whoever is never banned stays so.
#[test]
fn an_operators_ban_is_the_kernels_too_and_a_24_is_one_element() {
    let yard = yard("10m");
    let address = Node::Client.address(Family::V4).to_string();
    let upstream = Node::Server.address(Family::V4).to_string();
    let done = yard.program.ctl(&["ban", &address, "--for", "1h"]);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.trim_end().ends_with(", by the kernel too"), "{said}");
    let banned = yard.banned();
    assert!(
        matches!(&banned[..], [(network, 3600, _)] if *network == address),
        "{banned:?}"
    );
    yard.dials().expect_err("dropped");
    yard.neighbour_logs_in();
    assert_eq!(yard.bans()[0]["by_operator"], true);
    let lifted = yard.program.ctl(&["unban", &address]);
    assert!(lifted.status.success(), "{lifted:?}");
    assert_eq!(yard.banned(), []);
    yard.works();
    let (near, _) = address.rsplit_once('.').expect("an IPv4 address");
    let near = format!("{near}.0/24");
    let done = yard.program.ctl(&["ban", &near]);
    assert!(done.status.success(), "{done:?}");
    yard.dials().expect_err("dropped");
    let lifted = yard.program.ctl(&["unban", "all"]);
    assert!(lifted.status.success(), "{lifted:?}");
    yard.works();
    // The kernel's packets to an upstream are never dropped, so there the gateway alone holds the ban.
    let done = yard.program.ctl(&["ban", &upstream]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && !said.contains("kernel"),
        "{done:?}"
    );
    assert_eq!(yard.banned(), []);
    let journal = std::fs::read_to_string(yard.program.journal_path()).expect("a journal");
    assert_eq!(
        journal.matches("\"reason\":\"operator\",\"until\"").count(),
        3,
        "{journal}"
    );
}
