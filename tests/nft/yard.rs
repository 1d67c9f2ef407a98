//! The namespaces, the layout and the dials of these tests.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use portcullis::nft::kernel::{Generation, Kernel, Layout};
use portcullis::nft::{FirewallHole, Happening, HoleKey, Opening};
use portcullis_netlab::{Family, Lab, Node, program};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How long something that must happen may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long is waited for what must not happen: a SYN is sent again after one second, and then after two more.
pub const SILENCE: Duration = Duration::from_millis(1500);

/// How long a packet that the kernel does not show may be on its way, as the kernel half sees it.
pub const LONGEST_WAY: Duration = Duration::from_millis(50);

pub const MARK: u32 = 0x0100_0000;
pub const GATEWAY: Generation = Generation(7);
pub const TTL: Duration = Duration::from_secs(30);

pub fn layout() -> Layout {
    Layout {
        table: "portcullis".to_owned(),
        client_window: 21000..=21015,
        upstream_window: 22000..=22999,
        listeners: BTreeSet::from([21, 990]),
        mark: MARK,
        group: 4000,
        size: 65536,
    }
}

/// Makes the namespaces, with a gateway that forwards.
pub fn lab() -> Lab {
    let lab = Lab::new(&[Node::Client, Node::Server, Node::Attacker]).unwrap();
    sh(
        &lab,
        Node::Gateway,
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
    );
    lab
}

/// Runs a test in the gateway's namespace: what fails there fails the test.
pub fn at_gateway(lab: &Lab, work: impl FnOnce() + Send) {
    lab.inside(Node::Gateway, work).unwrap();
}

pub fn install() -> Kernel {
    let kernel = Kernel::install(&layout()).unwrap();
    portcullis::nft::kernel::count_connections().unwrap();
    kernel
}

/// Runs shell commands in a node and returns what they print.
pub fn sh(lab: &Lab, node: Node, script: &str) -> String {
    let mut command = lab.command(node, "sh");
    command.args(["-e", "-c", script]);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{script}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `nft` in the gateway's namespace.
pub fn nft(lab: &Lab, arguments: &str) -> String {
    program::find("nft").unwrap();
    sh(lab, Node::Gateway, &format!("nft {arguments}"))
}

/// A listener in a node.
pub fn listen(lab: &Lab, node: Node, at: SocketAddr) -> TcpListener {
    lab.inside(node, || TcpListener::bind(at)).unwrap().unwrap()
}

/// Dials from a node, from a port of its own choice or a given one.
pub fn dial(
    lab: &Lab,
    node: Node,
    port: u16,
    to: SocketAddr,
    patience: Duration,
) -> io::Result<TcpStream> {
    lab.inside(node, || connect(port, to, patience)).unwrap()
}

/// Dials from the namespace of this thread.
pub fn connect(port: u16, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if port != 0 {
        socket.set_reuse_address(true)?;
        let any: IpAddr = match to {
            SocketAddr::V4(_) => IpAddr::from([0; 4]),
            SocketAddr::V6(_) => IpAddr::from([0; 16]),
        };
        socket.bind(&SockAddr::from(SocketAddr::new(any, port)))?;
    }
    socket.connect_timeout(&SockAddr::from(to), patience)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// The next connection of a listener, which must come.
pub fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    wait_for(listener, PATIENCE).expect("nobody dialled");
    let (stream, from) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    (stream, from)
}

/// Tells whether a connection comes to a listener in time.
pub fn wait_for(listener: &TcpListener, patience: Duration) -> Option<()> {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    let patience = Timespec::try_from(patience).unwrap();
    (poll(&mut polled, Some(&patience)).unwrap() > 0).then_some(())
}

/// Waits until the kernel half tells something that is looked for.
pub fn expect<T>(kernel: &mut Kernel, mut find: impl FnMut(&Happening) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut out = Vec::new();
        kernel.happenings(&mut out).unwrap();
        if let Some(found) = out.iter().find_map(&mut find) {
            return found;
        }
        let left = deadline
            .checked_duration_since(Instant::now())
            .expect("it did not happen");
        let due = kernel.next_wake();
        let due = due.map(|at| at.saturating_duration_since(Instant::now()));
        await_descriptors(kernel, due.map_or(left, |due| due.min(left)));
    }
}

/// Waits until one of the descriptors is ready.
pub fn await_descriptors(kernel: &Kernel, patience: Duration) {
    let descriptors = kernel.descriptors();
    let mut polled: Vec<PollFd<'_>> = descriptors
        .iter()
        .map(|descriptor| PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN))
        .collect();
    poll(&mut polled, Some(&Timespec::try_from(patience).unwrap())).unwrap();
}

pub fn expect_used(kernel: &mut Kernel, hole: u64) -> SocketAddr {
    expect(kernel, |happening| match happening {
        Happening::Used { key, peer } if *key == HoleKey(hole) => Some(*peer),
        Happening::Used { .. } | Happening::Knocked { .. } | Happening::Restored => None,
    })
}

/// The address as one of IPv4, for segments that no socket sends.
pub fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => unreachable!("such segments are of IPv4"),
    }
}

/// Everything that has been told so far.
pub fn told(kernel: &mut Kernel) -> Vec<Happening> {
    let mut out = Vec::new();
    kernel.happenings(&mut out).unwrap();
    out
}

/// A passive pinhole: the client dials the gateway, and gets the server.
pub fn passive(key: u64, family: Family, port: u16, to: SocketAddr) -> FirewallHole {
    FirewallHole {
        key: HoleKey(key),
        opening: Opening::Forward {
            peer: Node::Client.address(family),
            at: SocketAddr::new(Node::Gateway.address(family), port),
            to,
            source: Some(SocketAddr::new(Node::Server.gateway(family), 0)),
        },
        ttl: TTL,
    }
}

pub fn at(hole: &FirewallHole) -> SocketAddr {
    match hole.opening {
        Opening::Forward { at, .. } | Opening::Relay { at, .. } => at,
    }
}

/// The names of the table's elements that are there, without the listeners'.
pub fn elements(lab: &Lab) -> Vec<String> {
    let listed = nft(lab, "list table inet portcullis");
    let mut set = "";
    let mut inside = false;
    let mut found = Vec::new();
    for line in listed.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix("set ")
            .or_else(|| line.strip_prefix("map "))
        {
            set = name.trim_end_matches(" {");
        }
        inside |= line.starts_with("elements");
        if inside && set != "listeners" {
            found.push(format!("{set}: {line}"));
        }
        inside &= !line.ends_with('}');
    }
    found
}
