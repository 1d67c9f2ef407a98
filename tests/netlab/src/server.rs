//! The FTP servers behind the gateway: each with one account, on IPv4 and IPv6, with a log of the commands it was sent.
//!
//! The account is [`USER`] with [`PASSWORD`] on all of them, without a user being added to the machine: ProFTPD reads an
//! `AuthUserFile`, Pure-FTPd a puredb, pyftpdlib its own table, and vsftpd (which knows only local users and PAM) sees its
//! own `/etc/passwd`, `/etc/shadow` and `/etc/pam.d/vsftpd` inside its mount namespace. So every one checks the password.
//! Limits are generous, home is the root that the client sees, and nothing is encrypted.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::{Daemon, Failure, Family, Lab, Node, program};

/// The name of the one account.
pub const USER: &str = "weaver";

/// The password of the one account.
pub const PASSWORD: &str = "open-sesame";

/// [`PASSWORD`] as `crypt` writes it (SHA-512).
const PASSWORD_HASH: &str = "$6$portcullis$91GxA9Bp4QLeX.No2JOZcfFSVxHaGyNeAOIu8TkpoYdPwXyslIyUFO/GcqFf/htdh0nV6Mrbd6VmrQcBJG4aa/";

/// The user and group that own the account's files: `nobody` and `nogroup` on Debian.
const NOBODY: u32 = 65534;

/// Where `scripts/test` unpacks the servers' packages, below the target directory. They are not installed: Debian's packages
/// of FTP servers exclude each other, and none of them should be started by the machine.
const UNPACKED: &str = "ftp-servers";

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

    /// The TCP port on which it listens in the server's namespace.
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

/// Looks for everything that the servers need on this machine.
///
/// # Errors
/// Says what is missing.
pub fn programs() -> Result<(), Failure> {
    for name in ["ip", "mount", "mknod"] {
        program::find(name)?;
    }
    for name in ["vsftpd", "proftpd", "pure-ftpd", "pure-pw"] {
        find(name)?;
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

/// A running server.
#[derive(Debug)]
pub struct Server {
    kind: ServerKind,
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
        let directory = lab.directory().join(kind.name());
        let home = directory.join("home");
        let log = directory.join("log");
        let configured = || -> io::Result<()> {
            fs::create_dir_all(&home)?;
            fs::write(&log, "")?;
            fs::set_permissions(&log, fs::Permissions::from_mode(0o666))?;
            chown(&home, Some(NOBODY), Some(NOBODY))
        };
        configured().map_err(|error| format!("{}: {error}", directory.display()))?;
        let place = Place {
            lab,
            directory: &directory,
            home: &home,
            log: &log,
        };
        let mut command = match kind {
            ServerKind::Vsftpd => place.vsftpd()?,
            ServerKind::Proftpd => place.proftpd()?,
            ServerKind::PureFtpd => place.pure_ftpd()?,
            ServerKind::Pyftpdlib => place.pyftpdlib()?,
        };
        let mut daemon = Daemon::start(kind.name(), &mut command, &directory.join("output"))?;
        daemon
            .wait_for_ports(&[kind.port()], START)
            .map_err(|failure| {
                format!(
                    "{failure}\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                )
            })?;
        Ok(Self {
            kind,
            home,
            log,
            daemon,
        })
    }

    /// Which server this is.
    pub fn kind(&self) -> ServerKind {
        self.kind
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

/// Finds a server's program among the unpacked packages, or installed.
fn find(name: &str) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let unpacked = own
        .ancestors()
        .map(|directory| directory.join(UNPACKED))
        .find(|path| path.is_dir());
    let candidates = unpacked.iter().flat_map(|directory| {
        ["usr/sbin", "usr/bin"].map(|place| directory.join(place).join(name))
    });
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .map_or_else(|| program::find(name), Ok)
}

/// Where a server is being set up.
struct Place<'a> {
    lab: &'a Lab,
    directory: &'a Path,
    home: &'a Path,
    log: &'a Path,
}

impl Place<'_> {
    fn write(&self, name: &str, text: &str, mode: u32) -> Result<PathBuf, Failure> {
        let path = self.directory.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    fn vsftpd(&self) -> Result<Command, Failure> {
        let (home, log) = (self.home.display(), self.log.display());
        let port = ServerKind::Vsftpd.port();
        let empty = self.directory.join("empty");
        fs::create_dir_all(&empty).map_err(|error| error.to_string())?;
        let configuration = self.write(
            "vsftpd.conf",
            &format!(
                "background=NO\nlisten=NO\nlisten_ipv6=YES\nlisten_port={port}\nanonymous_enable=NO\nlocal_enable=YES\n\
                 write_enable=YES\nlocal_umask=022\nchroot_local_user=YES\nallow_writeable_chroot=YES\n\
                 nopriv_user=nobody\nsecure_chroot_dir={}\npam_service_name=vsftpd\nseccomp_sandbox=NO\n\
                 isolate_network=NO\nxferlog_enable=YES\nxferlog_std_format=NO\nlog_ftp_protocol=YES\n\
                 vsftpd_log_file={log}\nmax_clients=0\nmax_per_ip=0\nutf8_filesystem=YES\ndelay_failed_login=0\n\
                 delay_successful_login=0\n",
                empty.display()
            ),
            0o644,
        )?;
        let passwd = format!(
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65533:65533:nobody:/nonexistent:/bin/sh\n\
             {USER}:x:{NOBODY}:{NOBODY}:{USER}:{home}:/bin/sh\n"
        );
        self.write("passwd", &passwd, 0o644)?;
        self.write(
            "shadow",
            &format!("root:*:19000::::::\n{USER}:{PASSWORD_HASH}:19000::::::\n"),
            0o600,
        )?;
        let pam = self.directory.join("pam.d");
        fs::create_dir_all(&pam).map_err(|error| format!("{}: {error}", pam.display()))?;
        self.write(
            "pam.d/vsftpd",
            "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n",
            0o644,
        )?;
        // `ip netns exec` has given us a mount namespace of our own, so these are seen by this server alone.
        let script = "mount --bind passwd /etc/passwd; mount --bind shadow /etc/shadow; mount --bind pam.d /etc/pam.d
                      exec \"$@\"";
        let mut command = self.lab.command(Node::Server, "sh");
        command
            .current_dir(self.directory)
            .args(["-e", "-c", script, "sh"])
            .arg(find("vsftpd")?)
            .arg(configuration);
        Ok(command)
    }

    fn proftpd(&self) -> Result<Command, Failure> {
        let (home, directory) = (self.home.display(), self.directory.display());
        let port = ServerKind::Proftpd.port();
        let users = format!("{USER}:{PASSWORD_HASH}:{NOBODY}:{NOBODY}::{home}:/bin/sh\n");
        let users = self.write("users", &users, 0o600)?;
        let configuration = self.write(
            "proftpd.conf",
            &format!(
                "ServerName proftpd\nServerType standalone\nDefaultServer on\nUseIPv6 on\nPort {port}\n\
                 User nobody\nGroup nogroup\nUmask 022\nAuthOrder mod_auth_file.c\nAuthUserFile {users}\n\
                 RequireValidShell off\nDefaultRoot ~\nMaxInstances 500\nAllowOverwrite on\nAllowStoreRestart on\n\
                 AllowRetrieveRestart on\nUseReverseDNS off\nWtmpLog off\nTransferLog none\n\
                 SystemLog {directory}/system.log\nScoreboardFile {directory}/scoreboard\nPidFile {directory}/pid\n\
                 DelayTable none\nControlsEngine off\n\
                 LogFormat commands \"%{{iso8601}} %a [%P] command: %r -> %s\"\nExtendedLog {log} ALL commands\n",
                users = users.display(),
                log = self.log.display()
            ),
            0o644,
        )?;
        let mut command = self.lab.command(Node::Server, find("proftpd")?);
        command.arg("-n").arg("-c").arg(configuration);
        Ok(command)
    }

    fn pure_ftpd(&self) -> Result<Command, Failure> {
        let port = ServerKind::PureFtpd.port();
        let (passwords, database) = (
            self.directory.join("passwords"),
            self.directory.join("puredb"),
        );
        let home = self.home.display();
        let line = format!("{USER}:{PASSWORD_HASH}:{NOBODY}:{NOBODY}::{home}::::::::::::\n");
        self.write("passwords", &line, 0o600)?;
        // `pure-pw useradd` would hash the password so that every login takes seconds.
        let made = Command::new(find("pure-pw")?)
            .arg("mkdb")
            .arg(&database)
            .arg("-f")
            .arg(&passwords)
            .output();
        let made = made.map_err(|error| format!("pure-pw: {error}"))?;
        if !made.status.success() || !database.is_file() {
            return Err(format!(
                "pure-pw mkdb: {}",
                String::from_utf8_lossy(&made.stderr)
            ));
        }
        self.listen_to_syslog()?;
        // Pure-FTPd logs to syslog alone: in its own mount namespace /dev holds only what it needs (its files
        // may be below /dev/shm), and our socket as /dev/log.
        let script = "mkdir dev; mount -t tmpfs none dev
                      mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/full c 1 7
                      mknod -m 666 dev/random c 1 8; mknod -m 666 dev/urandom c 1 9
                      mkdir dev/shm; mount --rbind /dev/shm dev/shm
                      touch dev/log; mount --bind syslog dev/log; mount --rbind dev /dev
                      exec \"$@\"";
        let mut command = self.lab.command(Node::Server, "sh");
        command
            .current_dir(self.directory)
            .args(["-e", "-c", script, "sh"])
            .arg(find("pure-ftpd")?);
        // No anonymous users, no names looked up, everybody in a chroot, 500 clients, listings of 20,000 lines, the commands
        // in the log. And -b, as many run it for old clients: it makes the server refuse EPSV over IPv4 (500), though FEAT names it.
        command.args([
            "-E", "-H", "-A", "-c", "500", "-L", "20000:8", "-u", "1", "-U", "133:022", "-d", "-Z",
            "-b",
        ]);
        command.arg("-S").arg(port.to_string());
        command
            .arg("-l")
            .arg(format!("puredb:{}", database.display()));
        command.arg("-g").arg(self.directory.join("pid"));
        Ok(command)
    }

    /// Makes the socket `syslog` and a thread that appends to the log what arrives there, for as long as the test runs.
    fn listen_to_syslog(&self) -> Result<(), Failure> {
        let path = self.directory.join("syslog");
        let socket =
            UnixDatagram::bind(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let log = OpenOptions::new().append(true).open(self.log);
        let mut log = log.map_err(|error| format!("{}: {error}", self.log.display()))?;
        thread::spawn(move || {
            let mut message = vec![0; 65536];
            while let Ok(length) = socket.recv(&mut message) {
                let text = message.get(..length).unwrap_or_default();
                if log
                    .write_all(text.trim_ascii_end())
                    .and_then(|()| log.write_all(b"\n"))
                    .is_err()
                {
                    break;
                }
            }
        });
        Ok(())
    }

    fn pyftpdlib(&self) -> Result<Command, Failure> {
        let script = self.write("server.py", include_str!("pyftpdlib_server.py"), 0o644)?;
        let mut command = self.lab.command(Node::Server, program::find("python3")?);
        command
            .arg("-u")
            .arg(script)
            .arg(ServerKind::Pyftpdlib.port().to_string());
        command.args([USER, PASSWORD]).arg(self.home).arg(self.log);
        command.args(Family::BOTH.map(|family| Node::Server.address(family).to_string()));
        Ok(command)
    }
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
