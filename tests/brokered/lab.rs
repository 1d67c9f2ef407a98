//! A client, a gateway and a server in namespaces of their own.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use portcullis_netlab::firewall::forward_packets;
use portcullis_netlab::{Family, Lab, Node};

use crate::client::Client;
use crate::program::Program;
use crate::server::{Held, Server};

/// Where a confined gateway's processes run as nobody in particular.
const ALWAYS: &str = "process: {user: 65534}\n";

pub struct Yard {
    pub lab: Lab,
    pub server: Server,
    pub program: Program,
}

/// A client in the middle of a transfer that the kernel carries.
pub struct Busy {
    pub client: Client,
    data: TcpStream,
    pub hold: Held,
}

impl Yard {
    pub fn new() -> Yard {
        Yard::with(&[])
    }

    /// With more flags for the program.
    pub fn with(flags: &'static [&'static str]) -> Yard {
        Yard::behind(Node::Server, flags)
    }

    /// With a server on this machine.
    pub fn behind(upstream: Node, flags: &'static [&'static str]) -> Yard {
        let (lab, server) = around(upstream);
        let server = server.with_file("held", b"first half, second half");
        let at = SocketAddr::new(Node::Gateway.address(Family::V4), 21);
        Yard::at(lab, server, at, flags)
    }

    /// With a listener at this address.
    pub fn at(lab: Lab, server: Server, at: SocketAddr, flags: &'static [&'static str]) -> Yard {
        let program = start(&lab, at, server.at, flags);
        Yard {
            lab,
            server,
            program,
        }
    }

    pub fn client(&self) -> Client {
        let at = self.program.at;
        let login = || Client::login(at);
        self.lab.inside(Node::Client, login).expect("inside")
    }

    /// The client takes a file, and another one: all is as it should be.
    pub fn works(&self) {
        let mut client = self.client();
        for _ in 0..2 {
            let taken = self.lab.inside(Node::Client, || client.download("file"));
            assert_eq!(taken.expect("inside"), b"some content");
        }
    }

    pub fn busy(&self) -> Busy {
        let hold = self.server.hold();
        let mut client = self.client();
        let at = client.passive();
        let dial = || client.dial(at);
        let mut data = self.lab.inside(Node::Client, dial).expect("inside");
        client.asks("RETR held", "150");
        data.read_exact(&mut [0; 11]).expect("the first half");
        // The gateway has no part in it.
        self.program.journal_shows("pinhole.used");
        Busy { client, data, hold }
    }

    /// What the kernel shows of our table's sets: as many entries as there are.
    pub fn entries(&self) -> usize {
        let mut nft = self.lab.command(Node::Gateway, "nft");
        let output = nft
            .args(["-j", "list", "table", "inet", "portcullis"])
            .output()
            .expect("nft");
        assert!(output.status.success(), "{output:?}");
        let listed: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("JSON of nft");
        let things = listed["nftables"].as_array().expect("a list");
        things
            .iter()
            .flat_map(|thing| [&thing["set"], &thing["map"]])
            .filter(|set| set["name"] != "listeners")
            .filter_map(|set| set["elem"].as_array())
            .map(Vec::len)
            .sum()
    }
}

impl Busy {
    /// Lets the transfer go on, to its end.
    pub fn finishes(self) {
        let Busy {
            client,
            mut data,
            hold,
        } = self;
        drop(hold);
        let mut rest = Vec::new();
        data.read_to_end(&mut rest).expect("the second half");
        assert_eq!(rest, b" second half");
        drop(client);
    }
}

/// The namespaces around a gateway that forwards, with a server on one of these machines.
pub fn around(upstream: Node) -> (Lab, Server) {
    let lab = Lab::new(&[Node::Client, Node::Server]).expect("a laboratory");
    forward_packets(&lab).expect("a gateway that forwards");
    let at = SocketAddr::new(upstream.address(Family::V4), 2121);
    let server = lab.inside(upstream, || Server::at(at)).expect("inside");
    (lab, server.with_file("file", b"some content"))
}

/// Starts the program in the gateway's namespace.
fn start(
    lab: &Lab,
    at: SocketAddr,
    upstream: SocketAddr,
    flags: &'static [&'static str],
) -> Program {
    // `ip netns exec NAMESPACE`, to be said again for a successor.
    let prefix = lab.command(Node::Gateway, env!("CARGO_BIN_EXE_portcullis"));
    let words: Vec<_> = prefix.get_args().map(ToOwned::to_owned).collect();
    let program = prefix.get_program().to_owned();
    let command = move |config: &Path| {
        let mut command = Command::new(&program);
        command.args(&words).args(["run", "--config"]);
        command.arg(config).args(flags);
        command
    };
    Program::at(at, upstream.to_string(), ALWAYS, command)
}
