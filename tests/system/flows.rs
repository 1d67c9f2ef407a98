//! Plain TCP connections, with and without a pinhole of the gateway's own table.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use portcullis::nft::kernel::{Generation, Kernel, Layout};
use portcullis::nft::{Admits, FirewallHole, HoleKey, Opening};

use portcullis_netlab::{Family, Node};

use crate::site::Site;

/// A port of the window that leads to the server, one that is listened on here, and one at which nobody is awaited.
const FORWARDED: u16 = 21_003;
const RELAYED: u16 = 21_004;
const SHUT: u16 = 21_005;
const CONTROL: u16 = 21;
const SERVERS: u16 = 5000;

/// How long a connection that must not come up is waited for; what is dropped gives no other sign.
const IN_VAIN: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);

/// The gateway's own table, and pinholes in it, one for each connection that is tried.
pub struct Pinholes {
    kernel: RefCell<Kernel>,
    next: Cell<u64>,
}

/// What gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    pub control: bool,
    pub forwarded: bool,
    pub relayed: bool,
    /// A port of the window without a pinhole.
    pub shut: bool,
    /// What no pinhole let in, forwarded from the client's network to the server.
    pub routed: bool,
    /// What the gateway dials itself.
    pub dialled: bool,
}

impl Through {
    /// What a firewall with our line lets through.
    pub const WANTED: Self = Self {
        control: true,
        forwarded: true,
        relayed: true,
        shut: false,
        routed: false,
        dialled: true,
    };
}

/// Installs the gateway's table, answers on every port, and does a test's work on the gateway: a kernel's sockets stay in
/// the thread and in the namespace that they were made in.
pub fn with_pinholes(site: &Site, work: impl FnOnce(&Pinholes) + Send) {
    let layout = Layout {
        table: "portcullis".to_owned(),
        client_window: 21_000..=21_015,
        upstream_window: 22_000..=22_999,
        listeners: BTreeSet::from([CONTROL]),
        mark: 0x1000,
        group: 2100,
        size: 1024,
    };
    for (node, port) in [
        (Node::Gateway, CONTROL),
        (Node::Gateway, RELAYED),
        (Node::Gateway, SHUT),
        (Node::Server, SERVERS),
        (Node::Server, CONTROL),
    ] {
        let any: SocketAddr = SocketAddr::new(IpAddr::from([0u16; 8]), port);
        let listener = site
            .lab
            .inside(node, || TcpListener::bind(any).expect("a listener"))
            .expect("inside");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
    }
    // Only for the packets that no pinhole let in: the server would answer them past nobody.
    for (family, network, via) in [
        ("-4", "198.51.100.0/24", "192.0.2.1"),
        ("-6", "2001:db8:1::/64", "2001:db8:2::1"),
    ] {
        route(site, Node::Server, family, network, via);
    }
    for (family, network, via) in [
        ("-4", "192.0.2.0/24", "198.51.100.1"),
        ("-6", "2001:db8:2::/64", "2001:db8:1::1"),
    ] {
        route(site, Node::Client, family, network, via);
    }
    let working = || {
        let pinholes = Pinholes {
            kernel: RefCell::new(Kernel::install(&layout).expect("a table")),
            next: Cell::new(1),
        };
        work(&pinholes);
    };
    site.lab.inside(Node::Gateway, working).expect("inside");
}

fn route(site: &Site, node: Node, family: &str, network: &str, via: &str) {
    let output = site
        .lab
        .command(node, "ip")
        .args([family, "route", "add", network, "via", via])
        .output()
        .expect("ip");
    assert!(output.status.success(), "{output:?}");
}

fn echo(mut stream: TcpStream) {
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        if stream.write_all(&byte).is_err() {
            return;
        }
    }
}

/// Tries everything over one family; what is expected to get through is waited for longer.
pub fn try_all(site: &Site, pinholes: &Pinholes, family: Family, expected: Through) -> Through {
    let gateway = Node::Gateway.address(family);
    let server = Node::Server.address(family);
    let client = Node::Client.address(family);
    let reaches = |to: IpAddr, port: u16, expected: bool| {
        let patience = if expected { PATIENCE } else { IN_VAIN };
        site.lab
            .inside(Node::Client, || {
                exchange(SocketAddr::new(to, port), patience)
            })
            .expect("inside")
    };
    let forward = Opening::Forward {
        peer: client,
        at: SocketAddr::new(gateway, FORWARDED),
        to: SocketAddr::new(server, SERVERS),
        source: Some(SocketAddr::new(Node::Server.gateway(family), 0)),
    };
    let relay = Opening::Relay {
        peer: client.into(),
        at: SocketAddr::new(gateway, RELAYED),
        admits: Admits::One,
    };
    Through {
        control: reaches(gateway, CONTROL, expected.control),
        forwarded: pinholes.with(forward, || reaches(gateway, FORWARDED, expected.forwarded)),
        relayed: pinholes.with(relay, || reaches(gateway, RELAYED, expected.relayed)),
        shut: reaches(gateway, SHUT, expected.shut),
        routed: reaches(server, SERVERS, expected.routed),
        dialled: dials(site, SocketAddr::new(server, CONTROL), expected.dialled),
    }
}

impl Pinholes {
    /// Does something while a pinhole is open, and expects that it is used if and only if the connection came up.
    fn with(&self, opening: Opening, dial: impl FnOnce() -> bool) -> bool {
        let hole = FirewallHole {
            key: HoleKey(self.next.replace(self.next.get() + 1)),
            opening,
            ttl: Duration::from_secs(60),
        };
        let mut kernel = self.kernel.borrow_mut();
        kernel.open(Generation(1), &hole).expect("a pinhole");
        let came = dial();
        let settled = kernel.close(hole.key).expect("a pinhole that stood");
        assert_eq!(settled.used(), came, "{opening:?}");
        came
    }
}

/// Tells whether the gateway's user gets a byte there and back.
fn dials(site: &Site, to: SocketAddr, expected: bool) -> bool {
    let patience = if expected { PATIENCE } else { IN_VAIN };
    let script = format!(
        "exec 3<>/dev/tcp/{}/{}; printf f >&3; head -c 1 <&3",
        to.ip(),
        to.port()
    );
    let output = site
        .lab
        .command(Node::Gateway, "setpriv")
        .args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "timeout",
        ])
        .arg(patience.as_secs_f32().to_string())
        .args(["bash", "-c", &script])
        .output()
        .expect("setpriv");
    output.stdout == b"f"
}

/// Tells whether three bytes get there and back, one by one.
fn exchange(to: SocketAddr, patience: Duration) -> bool {
    let talk = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&to, patience)?;
        stream.set_read_timeout(Some(patience))?;
        for sent in *b"ftp" {
            stream.write_all(&[sent])?;
            let mut got = [0];
            stream.read_exact(&mut got)?;
            assert_eq!(got, [sent]);
        }
        Ok(())
    };
    talk().is_ok()
}
