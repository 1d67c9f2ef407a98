//! Plain TCP connections, marked by a small table of the test's own as the gateway's table marks them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

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

/// The layout of the gateway's table as far as it marks and translates.
const MARKING: &str = "
    nft -f - <<'RULES'
table inet portcullis {
    comment \"made by Portcullis; for a test\"
    chain prerouting {
        type nat hook prerouting priority dstnat - 5; policy accept;
        ip saddr 198.51.100.7 tcp dport 21003 ct mark set ct mark or 0x1000 dnat ip to 192.0.2.7:5000
        ip6 saddr 2001:db8:1::7 tcp dport 21003 ct mark set ct mark or 0x1000 dnat ip6 to [2001:db8:2::7]:5000
        tcp dport 21004 ct mark set ct mark or 0x1000
    }
    chain postrouting {
        type nat hook postrouting priority srcnat - 5; policy accept;
        ct mark and 0x1000 == 0x1000 ip daddr 192.0.2.7 snat ip to 192.0.2.1
        ct mark and 0x1000 == 0x1000 ip6 daddr 2001:db8:2::7 snat ip6 to 2001:db8:2::1
    }
}
RULES
";

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

/// Marks connections, and answers on every port.
pub fn prepare(site: &Site) {
    site.run(MARKING);
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
pub fn try_all(site: &Site, family: Family, expected: Through) -> Through {
    let gateway = Node::Gateway.address(family);
    let server = Node::Server.address(family);
    let reaches = |from: Node, to: IpAddr, port: u16, expected: bool| {
        let patience = if expected { PATIENCE } else { IN_VAIN };
        site.lab
            .inside(from, || exchange(SocketAddr::new(to, port), patience))
            .expect("inside")
    };
    Through {
        control: reaches(Node::Client, gateway, CONTROL, expected.control),
        forwarded: reaches(Node::Client, gateway, FORWARDED, expected.forwarded),
        relayed: reaches(Node::Client, gateway, RELAYED, expected.relayed),
        shut: reaches(Node::Client, gateway, SHUT, expected.shut),
        routed: reaches(Node::Client, server, SERVERS, expected.routed),
        dialled: dials(site, SocketAddr::new(server, CONTROL), expected.dialled),
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
