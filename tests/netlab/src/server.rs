//! The FTP servers behind the gateway: each with one account, on IPv4 and IPv6, with a log of the commands it was sent.
//!
//! The account is [`USER`] with [`PASSWORD`] on all of them, without a user being added to the machine: ProFTPD reads an
//! `AuthUserFile`, Pure-FTPd a puredb, pyftpdlib its own table, and vsftpd (which knows only local users and PAM) sees its
//! own `/etc/passwd`, `/etc/shadow` and `/etc/pam.d/vsftpd` inside its mount namespace. So every one checks the password.
//! Limits are generous, home is the root that the client sees, and TLS is there only with [`Server::start_with_tls`].

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::setup::{self, Place};
use crate::{Daemon, Failure, Family, Lab, Node, program};

/// The name of the one account.
pub const USER: &str = "weaver";

/// The password of the one account.
pub const PASSWORD: &str = "open-sesame";

/// [`PASSWORD`] as `crypt` writes it (SHA-512).
pub(crate) const PASSWORD_HASH: &str = "$6$portcullis$91GxA9Bp4QLeX.No2JOZcfFSVxHaGyNeAOIu8TkpoYdPwXyslIyUFO/GcqFf/htdh0nV6Mrbd6VmrQcBJG4aa/";

/// The user and group that own the account's files: `nobody` and `nogroup` on Debian.
pub(crate) const NOBODY: u32 = 65534;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// An FTP server program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerKind {
    /// vsftpd.
    Vsftpd,
    /// ProFTPD.
    Proftpd,
    /// Pure-FTPd.
    PureFtpd,
    /// pyftpdlib, by a small program of ours.
    Pyftpdlib,
}

impl ServerKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vsftpd, Self::Proftpd, Self::PureFtpd, Self::Pyftpdlib];

    /// The server's name, as in the table of cells and in names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vsftpd => "vsftpd",
            Self::Proftpd => "proftpd",
            Self::PureFtpd => "pure-ftpd",
            Self::Pyftpdlib => "pyftpdlib",
        }
    }

    /// The TCP port on which it listens on a machine of its own.
    pub fn port(self) -> u16 {
        match self {
            Self::Vsftpd => 2101,
            Self::Proftpd => 2102,
            Self::PureFtpd => 2103,
            Self::Pyftpdlib => 2104,
        }
    }

    /// The FTP verb in a line of the server's log that shows a command from a client.
    fn verb_in(self, line: &str) -> Option<String> {
        let rest = match self {
            // Sat Nov 21 04:10:08 2026 [pid 9] [weaver] FTP command: Client "::ffff:192.0.2.1", "EPSV"
            Self::Vsftpd => line.split_once("FTP command: ")?.1.split_once(", \"")?.1,
            // The LogFormat of our configuration.
            Self::Proftpd => line.split_once("command: ")?.1,
            // (?@192.0.2.1) [DEBUG] Command [epsv] []
            Self::PureFtpd => line.split_once("Command [")?.1,
            // 192.0.2.1:4000-[weaver] <- EPSV
            Self::Pyftpdlib => line.split_once("<- ")?.1,
        };
        let verb: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        (!verb.is_empty()).then(|| verb.to_ascii_uppercase())
    }
}

/// Where a server on a machine of the laboratory listens: one on the gateway's own is at the gateway's inner address.
pub fn address(host: Node, kind: ServerKind, family: Family) -> SocketAddr {
    match host {
        Node::Gateway => SocketAddr::new(Node::Server.gateway(family), kind.port() + 1000),
        Node::Client | Node::Server | Node::Attacker => {
            SocketAddr::new(host.address(family), kind.port())
        }
    }
}

/// Looks for everything that the servers need on this machine.
///
/// # Errors
/// Says what is missing.
pub fn programs() -> Result<(), Failure> {
    for name in ["ip", "mount", "mknod"] {
        program::find(name)?;
    }
    for name in ["vsftpd", "proftpd", "pure-ftpd", "pure-pw"] {
        setup::find(name)?;
    }
    let python = program::find("python3")?;
    let import = Command::new(&python)
        .args(["-c", "import pyftpdlib"])
        .output();
    if import.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    Err(format!(
        "{} has no pyftpdlib: `scripts/test` installs what the tests need",
        python.display()
    ))
}

/// Finds the directory (`/usr` or like it) that has some files, among the unpacked packages or installed.
pub fn directory_with(files: &[&str]) -> Option<PathBuf> {
    let unpacked = setup::unpacked().map(|directory| directory.join("usr"));
    unpacked
        .into_iter()
        .chain([PathBuf::from("/usr")])
        .find(|directory| files.iter().all(|file| directory.join(file).is_file()))
}

/// A certificate of a server, in PEM, where the server's account can't read it.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and whoever issued it.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    kind: ServerKind,
    host: Node,
    home: PathBuf,
    log: PathBuf,
    daemon: Daemon,
}

impl Server {
    /// Starts a server in the server's namespace and waits until it listens.
    ///
    /// # Errors
    /// Its program is missing, or it does not come up; with what it printed.
    pub fn start(lab: &Lab, kind: ServerKind) -> Result<Self, Failure> {
        Self::start_as(lab, Node::Server, kind, None)
    }

    /// Starts a server on some machine of the laboratory and waits until it listens.
    ///
    /// # Errors
    /// Its program is missing, or it does not come up; with what it printed.
    pub fn start_on(lab: &Lab, host: Node, kind: ServerKind) -> Result<Self, Failure> {
        Self::start_as(lab, host, kind, None)
    }

    /// Starts one in the server's namespace with AUTH TLS; where the server can, data connections have to resume the control
    /// connection's session.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_tls(lab: &Lab, kind: ServerKind, tls: &TlsFiles) -> Result<Self, Failure> {
        Self::start_as(lab, Node::Server, kind, Some(tls))
    }

    fn start_as(
        lab: &Lab,
        host: Node,
        kind: ServerKind,
        tls: Option<&TlsFiles>,
    ) -> Result<Self, Failure> {
        let directory = lab
            .directory()
            .join(format!("{}-at-{}", kind.name(), host.name()));
        let home = directory.join("home");
        let log = directory.join("log");
        let configured = || -> io::Result<()> {
            fs::create_dir_all(&home)?;
            fs::write(&log, "")?;
            fs::set_permissions(&log, fs::Permissions::from_mode(0o666))?;
            chown(&home, Some(NOBODY), Some(NOBODY))
        };
        configured().map_err(|error| format!("{}: {error}", directory.display()))?;
        let addresses = Family::BOTH.map(|family| address(host, kind, family));
        let port = addresses[0].port();
        let place = Place {
            lab,
            host,
            addresses,
            port,
            directory: &directory,
            home: &home,
            log: &log,
            tls,
        };
        let mut command = place.command(kind)?;
        let mut daemon = Daemon::start(kind.name(), &mut command, &directory.join("output"))?;
        daemon.wait_for_ports(&[port], START).map_err(|failure| {
            format!(
                "{failure}\n{}",
                fs::read_to_string(&log).unwrap_or_default()
            )
        })?;
        Ok(Self {
            kind,
            host,
            home,
            log,
            daemon,
        })
    }

    /// Which server this is.
    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// On which machine it runs.
    pub fn host(&self) -> Node {
        self.host
    }

    /// The directory that a client sees as `/`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Gives files below home, made by the test, to the account.
    ///
    /// # Errors
    /// A file system error.
    pub fn give_to_account(&self, path: &Path) -> Result<(), Failure> {
        give(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The length of the server's log now, for [`Self::log_since`].
    pub fn log_length(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |facts| facts.len())
    }

    /// What the server has logged after a length taken before, with what it printed at its start or end.
    pub fn log_since(&self, length: u64) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
    }

    /// The verbs of the commands that the server was sent after that length, in capitals.
    pub fn verbs_since(&self, length: u64) -> Vec<String> {
        self.log_since(length)
            .lines()
            .filter_map(|line| self.kind.verb_in(line))
            .collect()
    }

    /// What the server printed on its standard output and error.
    pub fn printed(&self) -> String {
        self.daemon.printed()
    }
}

fn give(path: &Path) -> io::Result<()> {
    chown(path, Some(NOBODY), Some(NOBODY))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ServerKind;

    #[test]
    fn verbs_are_read_from_each_servers_log() {
        for (kind, line, verb) in [
            (
                ServerKind::Vsftpd,
                r#"[pid 9] [weaver] FTP command: Client "::ffff:192.0.2.1", "EPSV""#,
                Some("EPSV"),
            ),
            (
                ServerKind::Vsftpd,
                r#"[pid 9] [weaver] FTP response: Client "192.0.2.1", "229 EPSV""#,
                None,
            ),
            (
                ServerKind::Proftpd,
                "2026 192.0.2.1 [7] command: RETR a b -> 226",
                Some("RETR"),
            ),
            (
                ServerKind::PureFtpd,
                "<30>pure-ftpd: (?@192.0.2.1) [DEBUG] Command [epsv] []",
                Some("EPSV"),
            ),
            (
                ServerKind::Pyftpdlib,
                "192.0.2.1:4000-[weaver] <- EPRT |1|192.0.2.1|22000|",
                Some("EPRT"),
            ),
            (
                ServerKind::Pyftpdlib,
                "192.0.2.1:4000-[weaver] -> 229 Entering",
                None,
            ),
        ] {
            assert_eq!(kind.verb_in(line).as_deref(), verb, "{line}");
        }
    }
}
