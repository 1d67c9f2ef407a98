//! The gateways that are measured: how each is set up, and what it cannot do.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::load::job::Mode;
use crate::network::{GATEWAY, SERVER};
use crate::plan::{Kind, Test};

/// Port of every control connection.
const PORT: u16 = 21;

/// Passive ports of the backend, the same behind each gateway: HAProxy forwards them port for port, and a kernel that
/// has to find a free port among thousands at rest (TIME_WAIT) would be what is measured.
const PASSIVE_PORTS: &str = "30000-31999";

/// A gateway, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize)]
pub enum Peer {
    /// The kernel routes; nothing knows FTP.
    #[value(name = "direct")]
    #[serde(rename = "direct")]
    Direct,
    /// HAProxy in TCP mode with splice, port for port.
    #[value(name = "haproxy")]
    #[serde(rename = "haproxy")]
    Haproxy,
    /// SUSE ftp-proxy.
    #[value(name = "ftp-proxy")]
    #[serde(rename = "ftp-proxy")]
    FtpProxy,
    /// ProFTPD with mod_proxy.
    #[value(name = "mod_proxy")]
    #[serde(rename = "mod_proxy")]
    ModProxy,
    /// Ours.
    #[value(name = "portcullis")]
    #[serde(rename = "portcullis")]
    Portcullis,
}

/// What must run for a peer.
#[derive(Debug)]
pub struct Setup {
    /// Program and arguments of the gateway, if there is one.
    pub gateway: Option<(PathBuf, Vec<OsString>)>,
    /// Arguments of the backend.
    pub backend: Vec<OsString>,
    /// Where clients go.
    pub target: SocketAddr,
}

/// How much of a test a peer can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// All.
    Whole,
    /// With fewer sessions, for the reason given.
    Fewer(usize, &'static str),
    /// Nothing, for the reason given.
    Nothing(&'static str),
}

impl Peer {
    /// Returns its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Haproxy => "haproxy",
            Self::FtpProxy => "ftp-proxy",
            Self::ModProxy => "mod_proxy",
            Self::Portcullis => "portcullis",
        }
    }

    /// Says whether a failure of its is a failure of the run: the product's, or the rig's own.
    pub fn must_succeed(self) -> bool {
        matches!(self, Self::Direct | Self::Portcullis)
    }

    /// Says whether its files belong in memory: mod_proxy waits for the disk three times per login, and what is measured
    /// here is gateways.
    pub fn wants_files_in_memory(self) -> bool {
        self == Self::ModProxy
    }

    /// Says how much of a test it can do.
    pub fn ability(self, test: Test, passive: Mode) -> Ability {
        let at_rest = matches!(test.kind, Kind::Rest { .. });
        let active = matches!(test.kind, Kind::Files { active: true, .. });
        let extended = passive == Mode::ExtendedPassive;
        match self {
            Self::Direct if at_rest => Ability::Nothing("no gateway"),
            Self::Haproxy if active => Ability::Nothing("the server would dial past it"),
            Self::FtpProxy if extended && !active => Ability::Nothing("knows no EPSV"),
            Self::FtpProxy if test.kind.sessions() > 512 => match test.kind {
                Kind::Rest { idle: 1_000 } => Ability::Fewer(500, "512 clients are its maximum"),
                _ => Ability::Nothing("512 clients are its maximum"),
            },
            Self::ModProxy if test.kind.sessions() > 1_600 => {
                Ability::Nothing("a process of 1 MiB per session")
            }
            Self::Direct | Self::Haproxy | Self::FtpProxy | Self::ModProxy | Self::Portcullis => {
                Ability::Whole
            }
        }
    }

    /// Writes its configuration into a directory; the error says what is missing.
    pub fn set_up(self, directory: &Path, portcullis: &Path) -> anyhow::Result<Setup> {
        let at = |ip: Ipv4Addr| SocketAddr::from((ip, PORT));
        let mut backend: Vec<OsString> = [
            "backend",
            "--listen",
            &at(SERVER).to_string(),
            "--ports",
            PASSIVE_PORTS,
        ]
        .map(OsString::from)
        .into();
        let gateway = match self {
            Self::Direct => {
                return Ok(Setup {
                    gateway: None,
                    backend,
                    target: at(SERVER),
                });
            }
            Self::Haproxy => {
                backend.extend(["--announce".into(), GATEWAY.to_string().into()]);
                let file = write(directory, "haproxy.cfg", &haproxy())?;
                (
                    installed("haproxy")?,
                    vec!["-db".into(), "-f".into(), file.into()],
                )
            }
            Self::FtpProxy => {
                // It drops its privilege before it opens its log.
                fs::set_permissions(directory, fs::Permissions::from_mode(0o777))?;
                let file = write(directory, "ftp-proxy.conf", &ftp_proxy(directory))?;
                (
                    installed("ftp-proxy")?,
                    vec!["-d".into(), "-n".into(), "-f".into(), file.into()],
                )
            }
            Self::ModProxy => {
                if !Path::new("/usr/lib/proftpd/mod_proxy.so").exists() {
                    bail!("mod_proxy is not installed (package proftpd-mod-proxy)");
                }
                let file = write(directory, "proftpd.conf", &proftpd(directory))?;
                // Debian's mod_proxy needs a library that it does not name, and that only mod_tls would bring.
                let program = installed("proftpd")?.into_os_string();
                let arguments = [
                    "LD_PRELOAD=libssl.so.3".into(),
                    program,
                    "-n".into(),
                    "-q".into(),
                    "-c".into(),
                    file.into(),
                ];
                (PathBuf::from("/usr/bin/env"), arguments.into())
            }
            Self::Portcullis => {
                if !portcullis.exists() {
                    bail!("{} does not exist", portcullis.display());
                }
                let file = write(directory, "portcullis.yaml", &ours(directory))?;
                (
                    portcullis.to_owned(),
                    vec!["run".into(), "--config".into(), file.into()],
                )
            }
        };
        Ok(Setup {
            gateway: Some(gateway),
            backend,
            target: at(GATEWAY),
        })
    }
}

fn installed(program: &str) -> anyhow::Result<PathBuf> {
    ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.exists())
        .with_context(|| format!("{program} is not installed"))
}

fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A server without a port means: the port that the client dialled.
fn haproxy() -> String {
    format!(
        "global
    nbthread 2
    maxconn 9000
    no strict-limits
defaults
    mode tcp
    option splice-auto
    option splice-request
    option splice-response
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen ftp
    bind {GATEWAY}:{PORT}
    bind {GATEWAY}:{PASSIVE_PORTS}
    server backend {SERVER}
"
    )
}

fn ftp_proxy(directory: &Path) -> String {
    format!(
        "[-Global-]
ServerType standalone
Listen {GATEWAY}
Port {PORT}
DestinationAddress {SERVER}
DestinationPort {PORT}
DestinationTransferMode client
MaxClients 512
ForkLimit 1000000
User nobody
Group nogroup
LogDestination {log}
PidFile {pid}
",
        log = directory.join("ftp-proxy.log").display(),
        pid = directory.join("ftp-proxy.pid").display(),
    )
}

/// Without `ProxyTLSEngine off` each login reads all the system's certificates: ten times its CPU.
fn proftpd(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "ModulePath /usr/lib/proftpd
LoadModule mod_proxy.c
ServerName bench
ServerType standalone
DefaultServer on
DefaultAddress {GATEWAY}
SocketBindTight on
Port {PORT}
User nobody
Group nogroup
UseIPv6 off
UseReverseDNS off
MaxInstances 4000
TimeoutIdle 3600
DelayEngine off
RequireValidShell off
WtmpLog off
TransferLog none
SystemLog {directory}/proftpd.log
PidFile {directory}/proftpd.pid
ScoreboardFile {directory}/proftpd.scoreboard
ProxyEngine on
ProxyTLSEngine off
ProxyRole reverse
ProxyTables {directory}/mod_proxy
ProxyReverseServers ftp://{SERVER}:{PORT}
"
    )
}

/// Journal to a file, as in production; limits above what the tests need.
fn ours(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "version: 1
listeners:
  bench: {{listen: [\"{GATEWAY}:{PORT}\"], upstream: backend}}
upstreams:
  backend: {{addresses: [\"{SERVER}:{PORT}\"]}}
pinholes: {{window: 21000-21015}}
limits: {{sessions: 9000, sessions_per_address: 9000, connects_per_address: 100000/s, commands: 1000000/s}}
journal: {{file: \"{directory}/journal.jsonl\"}}
control: {{socket: \"{directory}/control.sock\"}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::TESTS;

    #[test]
    fn limits_of_the_peers_are_known_beforehand() {
        let ability = |peer: Peer, name: &str| {
            let test = TESTS
                .into_iter()
                .find(|test| test.name == name)
                .expect("a test");
            peer.ability(test, Mode::Passive)
        };
        assert!(matches!(
            ability(Peer::Haproxy, "files-active-1"),
            Ability::Nothing(_)
        ));
        assert!(matches!(
            ability(Peer::FtpProxy, "idle-1000"),
            Ability::Fewer(500, _)
        ));
        assert!(matches!(
            ability(Peer::FtpProxy, "burst-1500"),
            Ability::Nothing(_)
        ));
        assert_eq!(ability(Peer::ModProxy, "burst-1500"), Ability::Whole);
        assert!(
            TESTS
                .iter()
                .all(|test| ability(Peer::Portcullis, test.name) == Ability::Whole)
        );
    }
}
