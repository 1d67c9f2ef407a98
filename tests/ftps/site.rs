//! A laboratory with servers that have TLS, and a gateway in front of them with a listener for each way to reach them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_netlab::journal::{self, Record};
use portcullis_netlab::{
    Daemon, Failure, Family, Lab, Node, Server, ServerKind, TlsFiles, program,
};

use crate::cell::{Cell, Firewall, SERVERS};
use crate::client::Run;
use crate::papers::{Flaw, NAME, Papers};
use crate::{journal as evidence, transfers};

/// How long the gateway may take to listen or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// After how many seconds a client is stopped.
const CLIENT_PATIENCE: &str = "120";

/// How much of a text is shown with a failure.
const TAIL: usize = 5000;

/// The leg behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    Clear,
    Tls,
}

impl Upstream {
    pub const ALL: [Self; 2] = [Self::Clear, Self::Tls];

    pub fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Tls => "TLS",
        }
    }
}

/// `tls.resumption` of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    Prefer,
    Require,
}

impl Resumption {
    const ALL: [Self; 2] = [Self::Prefer, Self::Require];

    pub fn name(self) -> &'static str {
        match self {
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }
}

/// One listener of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub server: ServerKind,
    pub upstream: Upstream,
    pub resumption: Resumption,
    pub implicit: bool,
}

impl Listener {
    fn every() -> Vec<Self> {
        let mut all = Vec::new();
        for server in SERVERS {
            for upstream in Upstream::ALL {
                for resumption in Resumption::ALL {
                    all.extend([false, true].map(|implicit| Self {
                        server,
                        upstream,
                        resumption,
                        implicit,
                    }));
                }
            }
        }
        all
    }

    pub fn port(self) -> u16 {
        self.server.port()
            + 10 * u16::from(self.upstream == Upstream::Tls)
            + 20 * u16::from(self.resumption == Resumption::Require)
            + 40 * u16::from(self.implicit)
    }
}

/// Everything that runs.
pub struct Site {
    pub lab: Lab,
    pub papers: Papers,
    servers: Vec<Server>,
    gateway: Daemon,
    journal: PathBuf,
    cells: AtomicUsize,
}

impl Site {
    pub fn new(firewall: Firewall) -> Result<Self, Failure> {
        Self::where_data_comes_from(firewall, "exact")
    }

    /// The same with another `peer` at the listeners that demand resumption.
    pub fn where_data_comes_from(firewall: Firewall, peer: &str) -> Result<Self, Failure> {
        for name in [
            "timeout", "curl", "lftp", "wget", "rclone", "python3", "openssl",
        ] {
            program::find(name)?;
        }
        let lab = Lab::new(&[Node::Client, Node::Server])?;
        let papers = Papers::new(lab.directory())?;
        let files = papers.issue("server", Flaw::None)?;
        let servers = SERVERS
            .into_iter()
            .map(|kind| Server::start_with_tls(&lab, kind, &files))
            .collect::<Result<Vec<_>, _>>()?;
        let own = papers.issue("gateway", Flaw::None)?;
        let directory = lab.directory().join("gateway");
        let journal = directory.join("journal.jsonl");
        let configuration = directory.join("portcullis.yaml");
        let text = yaml(
            firewall,
            peer,
            &papers,
            &own,
            &directory.display().to_string(),
        );
        fs::create_dir_all(&directory)
            .and_then(|()| fs::write(&configuration, text))
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut command = lab.command(Node::Gateway, env!("CARGO_BIN_EXE_portcullis"));
        command.args(["run", "--config"]).arg(&configuration);
        let mut gateway = Daemon::start("portcullis", &mut command, &directory.join("output"))?;
        let ports: Vec<u16> = Listener::every().into_iter().map(Listener::port).collect();
        gateway.wait_for_ports(&ports, PATIENCE)?;
        Ok(Self {
            lab,
            papers,
            servers,
            gateway,
            journal,
            cells: AtomicUsize::new(0),
        })
    }

    pub fn server(&self, kind: ServerKind) -> Result<&Server, Failure> {
        let mut servers = self.servers.iter();
        servers
            .find(|server| server.kind() == kind)
            .ok_or_else(|| format!("{} is not running", kind.name()))
    }

    /// Fifty transfers through the gateway; says in a few words what was seen.
    pub fn try_cell(&self, cell: &Cell) -> Result<String, Failure> {
        let to = Node::Gateway.address(cell.mode.family());
        let to = SocketAddr::new(to, cell.listener().port());
        let before = self.records()?.len();
        self.transfer(Node::Client, cell, to)
            .and_then(|()| {
                let records = self.records_since(before)?;
                evidence::judge(cell, &records)
            })
            .map_err(|failure| {
                let records = fs::read_to_string(&self.journal).unwrap_or_default();
                format!(
                    "{failure}\n--- gateway\n{}\n--- journal\n{}",
                    tail(&self.gateway.printed()),
                    tail(&records)
                )
            })
    }

    /// Lets the client of a cell make its transfers, from any node with any FTPS server, and compares all files.
    pub fn transfer(&self, node: Node, cell: &Cell, to: SocketAddr) -> Result<(), Failure> {
        let number = self.cells.fetch_add(1, Ordering::Relaxed);
        let server = self.server(cell.server)?;
        let directory = format!("cell-{number:03}");
        let here = self.lab.directory().join("client").join(&directory);
        let there = server.home().join(&directory);
        transfers::prepare(&here, number)?;
        fs::create_dir(&there).map_err(|error| format!("{}: {error}", there.display()))?;
        if !cell.client.uploads() {
            transfers::seed(&here, &there)?;
        }
        server.give_to_account(&there)?;
        let run = cell
            .client
            .run(to, cell.mode, cell.version, &self.papers.ca, &directory);
        let logged = server.log_length();
        let result = self.execute(node, &here, &run).and_then(|printed| {
            transfers::compare(&here, &there, number)
                .map_err(|failure| format!("{failure}\n--- client\n{}", tail(&printed)))
        });
        let _ = fs::remove_dir_all(&here);
        let _ = fs::remove_dir_all(&there);
        result.map_err(|failure| {
            format!("{failure}\n--- server\n{}", tail(&server.log_since(logged)))
        })
    }

    fn execute(&self, node: Node, here: &std::path::Path, run: &Run) -> Result<String, Failure> {
        let output = here.join("output");
        let file = File::create(&output).map_err(|error| error.to_string())?;
        let second = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = self.lab.command(node, "timeout");
        command
            .args(["--kill-after=5", CLIENT_PATIENCE])
            .arg(program::find(run.program)?)
            .args(&run.arguments)
            .envs(run.environment.iter().map(|(name, value)| (name, value)))
            .env("HOME", here)
            .env("LC_ALL", "C.UTF-8")
            .current_dir(here)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(second);
        let status = command
            .status()
            .map_err(|error| format!("{command:?}: {error}"))?;
        let printed = fs::read(&output).map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&printed).into_owned();
        if status.success() {
            return Ok(printed);
        }
        Err(format!(
            "{command:?} ended with {status}\n--- client\n{}",
            tail(&printed)
        ))
    }

    /// The journal so far.
    pub fn records(&self) -> Result<Vec<Record>, Failure> {
        let text = fs::read_to_string(&self.journal).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        journal::read(text.get(..whole).unwrap_or_default())
    }

    /// What was written behind so many records, as soon as all sessions that begin there are closed: the gateway writes the last
    /// ones when the client has heard all and may be gone.
    fn records_since(&self, before: usize) -> Result<Vec<Record>, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            let records: Vec<Record> = self.records()?.into_iter().skip(before).collect();
            let sessions = |name: &str| -> BTreeSet<&str> {
                let named = records
                    .iter()
                    .filter(|record| journal::event(record) == name);
                named
                    .filter_map(|record| record.get("session")?.as_str())
                    .collect()
            };
            let (opened, closed) = (sessions("session.opened"), sessions("session.closed"));
            if !opened.is_empty() && opened.is_subset(&closed) {
                return Ok(records);
            }
            if Instant::now() > until {
                return Err(format!(
                    "sessions {opened:?} were opened and {closed:?} closed"
                ));
            }
            // A file can't be awaited.
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the gateway, whose journal must show that every pinhole was closed.
    pub fn finish(self) -> Result<(), Failure> {
        let printed = self.gateway.printed();
        let status = self.gateway.stop(PATIENCE)?;
        if !status.success() {
            return Err(format!("portcullis ended with {status}:\n{printed}"));
        }
        let text = fs::read_to_string(&self.journal).unwrap_or_default();
        journal::balanced_pinholes(&journal::read(&text)?).map(|_| ())
    }
}

/// The configuration, with limits that these tests never reach.
fn yaml(
    firewall: Firewall,
    peer: &str,
    papers: &Papers,
    own: &TlsFiles,
    directory: &str,
) -> String {
    let mut text = String::from("version: 1\nlisteners:\n");
    for listener in Listener::every() {
        let at = Family::BOTH
            .map(|family| SocketAddr::new(Node::Gateway.address(family), listener.port()));
        let mode = if listener.implicit {
            "implicit"
        } else {
            "explicit"
        };
        let peer = match listener.resumption {
            Resumption::Prefer => "exact",
            Resumption::Require => peer,
        };
        let _ = writeln!(
            text,
            "  l{}: {{listen: [\"{}\", \"{}\"], peer: {peer}, upstream: {}-{}, tls: {{mode: {mode}, resumption: {}, \
             certificates: [{{chain: {}, key: {}}}]}}}}",
            listener.port(),
            at[0],
            at[1],
            listener.server.name(),
            listener.upstream.name().to_ascii_lowercase(),
            listener.resumption.name(),
            own.chain.display(),
            own.key.display(),
        );
    }
    text.push_str("upstreams:\n");
    for server in SERVERS {
        let at = SocketAddr::new(Node::Server.address(Family::V4), server.port());
        let name = server.name();
        let _ = writeln!(text, "  {name}-clear: {{addresses: [\"{at}\"]}}");
        let ca = papers.ca.display();
        let _ = writeln!(
            text,
            "  {name}-tls: {{addresses: [\"{at}\"], tls: {{mode: explicit, ca: {ca}, server_name: {NAME}}}}}"
        );
    }
    let pinholes = match firewall {
        Firewall::None => "pinholes: {window: 21000-21015, upstream_window: 22000-22199}\n",
        Firewall::Nftables => {
            "pinholes: {firewall: nftables, window: 21000-21015, upstream_window: 22000-22199}\nprocess: {user: 65534}\n"
        }
    };
    let _ = write!(
        text,
        "{pinholes}journal: {{file: {directory}/journal.jsonl}}\ncontrol: {{socket: {directory}/control.sock}}\n\
         limits: {{connects_per_address: 10000/s, commands: 100000/s, sessions_per_address: 1000}}\n"
    );
    text
}

/// The end of a text.
fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(TAIL);
    let start = (start..text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}
