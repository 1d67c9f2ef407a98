//! A `portcullis run` in the gateway's namespace, configured by a file as an administrator would.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::{Daemon, Failure, Family, Firewall, Lab, Node, ServerKind, firewall, journal, server};

/// How long the gateway may take to listen.
const START: Duration = Duration::from_secs(20);

/// How long it may take to end after SIGTERM when nothing is being transferred.
const STOP: Duration = Duration::from_secs(20);

/// The ports in which pinholes for clients open.
pub const WINDOW: std::ops::RangeInclusive<u16> = 21000..=21015;

/// The ports in which pinholes for upstreams open.
pub const UPSTREAM_WINDOW: std::ops::RangeInclusive<u16> = 22000..=22199;

/// How the gateway speaks to an upstream: `upstreams.<name>.data_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataMode {
    /// As the client does.
    AsClient,
    /// The gateway dials the upstream.
    Passive,
    /// The upstream dials the gateway.
    Active,
}

impl DataMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AsClient, Self::Passive, Self::Active];

    /// The value in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsClient => "as_client",
            Self::Passive => "passive",
            Self::Active => "active",
        }
    }
}

/// One listener of the gateway with the upstream behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// The server behind it.
    pub server: ServerKind,
    /// The machine on which the server runs: one of its own, or the gateway's.
    pub host: Node,
    /// The family in which the gateway reaches the server.
    pub upstream: Family,
    /// The mode in which it speaks to the server.
    pub data_mode: DataMode,
}

impl Listener {
    /// One listener per server, family and data mode.
    pub fn every(servers: &[(ServerKind, Node)]) -> Vec<Self> {
        let mut all = Vec::new();
        for (server, host) in servers {
            for upstream in Family::BOTH {
                all.extend(DataMode::ALL.map(|data_mode| Self {
                    server: *server,
                    host: *host,
                    upstream,
                    data_mode,
                }));
            }
        }
        all
    }

    /// The port on which clients reach it.
    pub fn port(self) -> u16 {
        let mode: u16 = match self.data_mode {
            DataMode::AsClient => 0,
            DataMode::Passive => 20,
            DataMode::Active => 40,
        };
        let family: u16 = match self.upstream {
            Family::V4 => 0,
            Family::V6 => 10,
        };
        let host: u16 = match self.host {
            Node::Gateway => 100,
            Node::Server | Node::Client | Node::Attacker => 0,
        };
        self.server.port() + mode + family + host
    }

    /// Its name in the configuration, and so in the journal.
    pub fn name(self) -> String {
        let family = self.upstream.name().to_ascii_lowercase();
        format!(
            "{}-{}-{family}-{}",
            self.server.name(),
            self.host.name(),
            self.data_mode.name().replace('_', "-")
        )
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    journal: PathBuf,
    daemon: Daemon,
}

impl Gateway {
    /// Starts the program with a listener for each of `listeners` and waits until all are open. With nftables the machine
    /// gets the operator's table first, and forwards packets.
    ///
    /// # Errors
    /// It ended or does not listen; with what it printed.
    pub fn start(
        lab: &Lab,
        portcullis: &Path,
        listeners: &[Listener],
        firewall: Firewall,
    ) -> Result<Self, Failure> {
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.port()).collect();
        match firewall {
            Firewall::None => {}
            Firewall::Nftables => {
                firewall::forward_packets(lab)?;
                firewall::drop_by_default(lab, &ports)?;
            }
        }
        Self::run(lab, portcullis, &yaml(listeners, firewall), &ports)
    }

    /// Starts the program with a configuration (but for journal and control socket, which are added) and waits until
    /// all of its ports are open.
    ///
    /// # Errors
    /// It ended or does not listen; with what it printed.
    pub fn run(lab: &Lab, portcullis: &Path, yaml: &str, ports: &[u16]) -> Result<Self, Failure> {
        let directory = lab.directory().join("gateway");
        let journal = directory.join("journal.jsonl");
        let configuration = directory.join("portcullis.yaml");
        let yaml = format!(
            "{yaml}journal: {{file: {}}}\ncontrol: {{socket: {}}}\n",
            journal.display(),
            directory.join("control.sock").display()
        );
        fs::create_dir_all(&directory)
            .and_then(|()| fs::write(&configuration, yaml))
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut command = lab.command(Node::Gateway, portcullis);
        command.args(["run", "--config"]).arg(&configuration);
        let mut daemon = Daemon::start("portcullis", &mut command, &directory.join("output"))?;
        daemon.wait_for_ports(ports, START)?;
        Ok(Self { journal, daemon })
    }

    /// What the program printed so far.
    pub fn printed(&self) -> String {
        self.daemon.printed()
    }

    /// The journal so far, as text.
    pub fn journal_text(&self) -> String {
        fs::read_to_string(&self.journal).unwrap_or_default()
    }

    /// The journal so far, as records.
    ///
    /// # Errors
    /// A line of it is no JSON object.
    pub fn journal(&self) -> Result<Vec<journal::Record>, Failure> {
        self.journal_since(0)
    }

    /// The length of the journal's whole lines now, for [`Self::journal_since`]: the kernel shows a file's growth while a
    /// write of several pages is under way.
    ///
    /// # Errors
    /// The file can't be read, or no line ends in the last MiB of it.
    pub fn journal_length(&self) -> Result<u64, Failure> {
        const BACK: u64 = 1024 * 1024;
        let mut text = Vec::new();
        let read = File::open(&self.journal).and_then(|mut file| {
            let from = file.metadata()?.len().saturating_sub(BACK);
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut text)?;
            Ok(from)
        });
        let from = read.map_err(|error| format!("{}: {error}", self.journal.display()))?;
        match text.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => Ok(from + last as u64 + 1),
            None if from == 0 => Ok(0),
            None => Err(format!("{}: no line ends", self.journal.display())),
        }
    }

    /// What was written whole to the journal after a length taken before.
    ///
    /// # Errors
    /// A line of it is no JSON object.
    pub fn journal_since(&self, length: u64) -> Result<Vec<journal::Record>, Failure> {
        let mut text = Vec::new();
        let read = File::open(&self.journal).and_then(|mut file| {
            file.seek(SeekFrom::Start(length))?;
            file.read_to_end(&mut text)
        });
        read.map_err(|error| format!("{}: {error}", self.journal.display()))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        journal::read(&String::from_utf8_lossy(
            text.get(..whole).unwrap_or_default(),
        ))
    }

    /// Ends the program with SIGTERM; the journal is complete then.
    ///
    /// # Errors
    /// It did not end in time, or not with exit code 0.
    pub fn stop(self) -> Result<Vec<journal::Record>, Failure> {
        let Self { journal, daemon } = self;
        let printed = daemon.printed();
        let status: ExitStatus = daemon.stop(STOP)?;
        if !status.success() {
            return Err(format!(
                "portcullis ended with {status} after SIGTERM:\n{printed}"
            ));
        }
        journal::read(&fs::read_to_string(&journal).unwrap_or_default())
    }
}

/// The configuration file, with limits that these tests never reach.
fn yaml(listeners: &[Listener], firewall: Firewall) -> String {
    let mut text = String::from("version: 1\nlisteners:\n");
    for listener in listeners {
        let listen = Family::BOTH
            .map(|family| SocketAddr::new(Node::Gateway.address(family), listener.port()));
        let name = listener.name();
        let _ = writeln!(
            text,
            "  {name}: {{listen: [\"{}\", \"{}\"], upstream: {name}}}",
            listen[0], listen[1]
        );
    }
    text.push_str("upstreams:\n");
    for listener in listeners {
        let server = server::address(listener.host, listener.server, listener.upstream);
        let (name, mode) = (listener.name(), listener.data_mode.name());
        let _ = writeln!(
            text,
            "  {name}: {{addresses: [\"{server}\"], data_mode: {mode}}}"
        );
    }
    let _ = write!(
        text,
        "pinholes: {{window: {}-{}, upstream_window: {}-{}, firewall: {}}}\n\
         limits: {{connects_per_address: 10000/s, commands: 100000/s, sessions_per_address: 1000}}\n",
        WINDOW.start(),
        WINDOW.end(),
        UPSTREAM_WINDOW.start(),
        UPSTREAM_WINDOW.end(),
        firewall.name(),
    );
    if firewall == Firewall::Nftables {
        let _ = writeln!(text, "process: {{user: {}}}", firewall::ACCOUNT);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Listener, Node, ServerKind};

    #[test]
    fn every_listener_has_a_port_and_a_name_of_its_own() {
        let hosts = [Node::Server, Node::Gateway];
        let servers: Vec<(ServerKind, Node)> = hosts
            .iter()
            .flat_map(|host| ServerKind::ALL.map(|kind| (kind, *host)))
            .collect();
        let all = Listener::every(&servers);
        let ports: HashSet<u16> = all.iter().map(|listener| listener.port()).collect();
        let names: HashSet<String> = all.iter().map(|listener| listener.name()).collect();
        assert_eq!((all.len(), ports.len(), names.len()), (48, 48, 48));
    }
}
