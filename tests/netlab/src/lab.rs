//! Network namespaces in a star: the gateway in the middle, every other node joined to it alone.
//!
//! The gateway does not forward packets unless a test says so (`firewall::forward_packets`), and no node but the attacker
//! has a route beyond its own link. So a byte that travels from the client to the server went through the gateway's
//! process, or was forwarded with both addresses translated.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Failure, program};

/// What every namespace and run directory is called by; the process id follows.
const PREFIX: &str = "pc-";

/// Free space below which a tmpfs is not used for the files of a run: the big transfers need two copies and some air.
const ROOM: u64 = 4 << 30;

/// Where `ip netns` keeps the named namespaces.
const NAMESPACES: &str = "/run/netns";

/// Counts the laboratories of this process, which may run beside each other.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Ends everything in the namespaces named after the directory, then removes all of them. It runs as soon as its standard
/// input closes: when the laboratory is dropped, or when the process that made it is gone, killed or not.
const REMOVE_WHEN_ABANDONED: &str = r#"
    trap '' INT TERM HUP
    cat >/dev/null
    directory=$1; shift
    for namespace in "$@"; do
        for pid in $(ip netns pids "$namespace" 2>/dev/null); do kill -9 "$pid" 2>/dev/null; done
        ip netns del "$namespace" 2>/dev/null
    done
    rm -rf "$directory"
"#;

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The name that people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// A machine of the laboratory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// Where clients run.
    Client,
    /// Where Portcullis runs; joined to all others.
    Gateway,
    /// Where the FTP servers run.
    Server,
    /// Somebody else, who can reach all addresses of the gateway.
    Attacker,
}

impl Node {
    /// The name, as in those of namespaces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Server => "server",
            Self::Attacker => "attacker",
        }
    }

    /// The node's own address. The gateway's is the one that its clients dial.
    pub fn address(self, family: Family) -> IpAddr {
        match self {
            Self::Gateway => Self::Client.gateway(family),
            Self::Client | Self::Server | Self::Attacker => self.on_link(family, 7),
        }
    }

    /// The gateway's address on the link to this node.
    pub fn gateway(self, family: Family) -> IpAddr {
        self.on_link(family, 1)
    }

    /// An address of the link between this node and the gateway: documentation ranges (RFC 5737, RFC 3849).
    fn on_link(self, family: Family, host: u8) -> IpAddr {
        let (network, subnet) = match self {
            Self::Client | Self::Gateway => ([198, 51, 100], 1),
            Self::Server => ([192, 0, 2], 2),
            Self::Attacker => ([203, 0, 113], 3),
        };
        match family {
            Family::V4 => Ipv4Addr::new(network[0], network[1], network[2], host).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, 0, host.into()).into(),
        }
    }
}

/// The namespaces of one run, with a directory for its files.
#[derive(Debug)]
pub struct Lab {
    number: u32,
    directory: PathBuf,
    /// Closed when the laboratory is dropped, or by the kernel when this process ends.
    lifeline: Option<ChildStdin>,
    remover: Child,
}

impl Lab {
    /// Makes the namespaces of the gateway and of the nodes around it.
    ///
    /// # Errors
    /// This is not root, a program is missing, or the kernel refuses a namespace or an address.
    pub fn new(around: &[Node]) -> Result<Self, Failure> {
        if !rustix::process::geteuid().is_root() {
            return Err("these tests make network namespaces, which needs root: run them as root, or leave them out with \
                        `scripts/test --fast`"
                .to_owned());
        }
        sweep();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = roomy_place().join(format!("{PREFIX}{}-{number}", process::id()));
        let nodes: Vec<Node> = [Node::Gateway].iter().chain(around).copied().collect();
        let mut remover = Command::new(program::find("sh")?)
            .args(["-c", REMOVE_WHEN_ABANDONED, "sh"])
            .arg(&directory)
            .args(nodes.iter().map(|node| namespace(number, *node)))
            // A group of its own: an interrupt typed at the terminal must not reach it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("sh: {error}"))?;
        let lifeline = remover.stdin.take();
        let lab = Self {
            number,
            directory,
            lifeline,
            remover,
        };
        lab.create_directory()?;
        for node in &nodes {
            lab.create_namespace(*node)?;
        }
        for node in around {
            lab.join(*node)?;
        }
        Ok(lab)
    }

    /// The directory for the files of this run, readable by every user.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A command that will run inside a node.
    pub fn command(&self, node: Node, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &namespace(self.number, node)])
            .arg(program);
        command
    }

    /// Runs a function on a thread of its own inside a node's network, and returns what it returns.
    ///
    /// # Errors
    /// The thread could not enter the namespace.
    pub fn inside<T: Send>(
        &self,
        node: Node,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, Failure> {
        let path = Path::new(NAMESPACES).join(namespace(self.number, node));
        let entered = || -> io::Result<T> {
            let file = File::open(&path)?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(entered).join())
            .map_err(|_| format!("a thread inside {} panicked", node.name()))?
            .map_err(|error| format!("entering {}: {error}", path.display()))
    }

    fn create_directory(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.directory)
            .and_then(|()| fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o755)))
            .map_err(|error| format!("{}: {error}", self.directory.display()))
    }

    fn create_namespace(&self, node: Node) -> Result<(), Failure> {
        let name = namespace(self.number, node);
        program::run("ip", ["netns", "add", &name])?;
        program::run("ip", ["-n", &name, "link", "set", "lo", "up"])?;
        // Nothing is forwarded, whatever the machine's defaults are; no address waits for duplicate detection.
        let settings = "echo 0 >/proc/sys/net/ipv4/ip_forward
                        echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
                        echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6
                        echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6";
        program::run("ip", ["netns", "exec", &name, "sh", "-e", "-c", settings])?;
        Ok(())
    }

    fn join(&self, node: Node) -> Result<(), Failure> {
        let (near, far) = (
            namespace(self.number, Node::Gateway),
            namespace(self.number, node),
        );
        let (to_node, to_gateway) = (node.name(), "gateway");
        program::run(
            "ip",
            [
                "link", "add", to_node, "netns", &near, "type", "veth", "peer", "name", to_gateway,
                "netns", &far,
            ],
        )?;
        for (name, interface, family, address) in [
            (&near, to_node, Family::V4, node.gateway(Family::V4)),
            (&near, to_node, Family::V6, node.gateway(Family::V6)),
            (&far, to_gateway, Family::V4, node.address(Family::V4)),
            (&far, to_gateway, Family::V6, node.address(Family::V6)),
        ] {
            let (text, flags): (String, &[&str]) = match family {
                Family::V4 => (format!("{address}/24"), &[]),
                Family::V6 => (format!("{address}/64"), &["nodad"]),
            };
            let arguments = ["-n", name, "address", "add", &text, "dev", interface];
            program::run("ip", arguments.iter().chain(flags))?;
        }
        program::run("ip", ["-n", &near, "link", "set", to_node, "up"])?;
        program::run("ip", ["-n", &far, "link", "set", to_gateway, "up"])?;
        if node == Node::Attacker {
            for family in Family::BOTH {
                let via = node.gateway(family).to_string();
                program::run("ip", ["-n", &far, "route", "add", "default", "via", &via])?;
            }
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.remover.wait();
    }
}

fn namespace(number: u32, node: Node) -> String {
    format!("{PREFIX}{}-{number}-{}", process::id(), node.name())
}

/// A tmpfs with room for the big transfers, or else the directory for temporary files.
fn roomy_place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let free = rustix::fs::statvfs(&memory).map_or(0, |facts| facts.f_bavail * facts.f_frsize);
    let available = fs::read_to_string("/proc/meminfo")
        .ok()
        .as_deref()
        .and_then(available_memory)
        .unwrap_or(0);
    if free.min(available) >= ROOM {
        memory
    } else {
        std::env::temp_dir()
    }
}

/// `MemAvailable` of `/proc/meminfo`, in bytes: a tmpfs promises more than the machine has.
fn available_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// Removes what runs of processes that are gone have left behind (a remover can be killed too).
fn sweep() {
    for name in names_in(Path::new(NAMESPACES)) {
        if is_abandoned(&name) {
            let inside = program::run("ip", ["netns", "pids", &name]).unwrap_or_default();
            for pid in inside.split_whitespace() {
                let _ = program::run("kill", ["-9", pid]);
            }
            let _ = program::run("ip", ["netns", "del", &name]);
        }
    }
    for place in [PathBuf::from("/dev/shm"), std::env::temp_dir()] {
        for name in names_in(&place) {
            if is_abandoned(&name) {
                let _ = fs::remove_dir_all(place.join(name));
            }
        }
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Tells whether a name is ours (`pc-PID-...`) and its process is gone.
fn is_abandoned(name: &str) -> bool {
    let pid = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next())
        .and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

#[cfg(test)]
mod tests {
    use super::{Family, Node, available_memory, is_abandoned};

    #[test]
    fn only_names_of_dead_processes_are_abandoned() {
        let own = std::process::id();
        assert!(!is_abandoned(&format!("pc-{own}-1-client")));
        // Above the kernel's greatest process id (2^22).
        assert!(is_abandoned("pc-4194400-1-client"));
        assert!(!is_abandoned("pc-lab-1"));
        assert!(!is_abandoned("somebody-elses"));
    }

    #[test]
    fn the_gateway_is_dialled_on_the_clients_link() {
        assert_eq!(
            Node::Gateway.address(Family::V4).to_string(),
            "198.51.100.1"
        );
        assert_eq!(
            Node::Server.gateway(Family::V6).to_string(),
            "2001:db8:2::1"
        );
        assert_eq!(
            Node::Attacker.address(Family::V4).to_string(),
            "203.0.113.7"
        );
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        assert_eq!(
            available_memory("MemTotal: 9 kB\nMemAvailable:   2 kB\n"),
            Some(2048)
        );
        assert_eq!(available_memory("MemTotal: 9 kB\n"), None);
    }
}
