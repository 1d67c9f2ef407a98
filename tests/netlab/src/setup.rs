//! How each server is configured: its files, its account and the command that starts it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::server::{NOBODY, PASSWORD, PASSWORD_HASH, ServerKind, TlsFiles, USER};
use crate::{Failure, Lab, Node, program};

/// Where `scripts/test` unpacks the servers' packages, below the target directory. They are not installed: Debian's packages
/// of FTP servers exclude each other, and none of them should be started by the machine.
const UNPACKED: &str = "ftp-servers";

/// The ports of the servers' passive data connections, least and most: on the gateway's own host none of them may be in a window,
/// which `firewall: nftables` keeps shut, and some servers take any above 1023.
const PASSIVE: [u16; 2] = [40000, 59999];

/// Where a server is being set up.
pub(crate) struct Place<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) host: Node,
    pub(crate) addresses: [SocketAddr; 2],
    pub(crate) port: u16,
    pub(crate) directory: &'a Path,
    pub(crate) home: &'a Path,
    pub(crate) log: &'a Path,
    pub(crate) tls: Option<&'a TlsFiles>,
}

impl Place<'_> {
    /// Writes the server's files and returns the command that starts it in the foreground.
    pub(crate) fn command(&self, kind: ServerKind) -> Result<Command, Failure> {
        match kind {
            ServerKind::Vsftpd => self.vsftpd(),
            ServerKind::Proftpd => self.proftpd(),
            ServerKind::PureFtpd => self.pure_ftpd(),
            ServerKind::Pyftpdlib => self.pyftpdlib(),
        }
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<PathBuf, Failure> {
        let path = self.directory.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    fn vsftpd(&self) -> Result<Command, Failure> {
        let (home, log) = (self.home.display(), self.log.display());
        let (port, [first, last]) = (self.port, PASSIVE);
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
                 delay_successful_login=0\npasv_min_port={first}\npasv_max_port={last}\n{}",
                empty.display(),
                self.tls.map(vsftpd_tls).unwrap_or_default()
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
        let mut command = self.lab.command(self.host, "sh");
        command
            .current_dir(self.directory)
            .args(["-e", "-c", script, "sh"])
            .arg(find("vsftpd")?)
            .arg(configuration);
        Ok(command)
    }

    fn proftpd(&self) -> Result<Command, Failure> {
        let (home, directory) = (self.home.display(), self.directory.display());
        let (port, [first, last]) = (self.port, PASSIVE);
        let users = format!("{USER}:{PASSWORD_HASH}:{NOBODY}:{NOBODY}::{home}:/bin/sh\n");
        let users = self.write("users", &users, 0o600)?;
        let configuration = self.write(
            "proftpd.conf",
            &format!(
                "ServerName proftpd\nServerType standalone\nDefaultServer on\nUseIPv6 on\nPort {port}\nPassivePorts {first} {last}\n\
                 User nobody\nGroup nogroup\nUmask 022\nAuthOrder mod_auth_file.c\nAuthUserFile {users}\n\
                 RequireValidShell off\nDefaultRoot ~\nMaxInstances 500\nAllowOverwrite on\nAllowStoreRestart on\n\
                 AllowRetrieveRestart on\nUseReverseDNS off\nWtmpLog off\nTransferLog none\n\
                 SystemLog {directory}/system.log\nScoreboardFile {directory}/scoreboard\nPidFile {directory}/pid\n\
                 DelayTable none\nControlsEngine off\n\
                 LogFormat commands \"%{{iso8601}} %a [%P] command: %r -> %s\"\nExtendedLog {log} ALL commands\n{tls}",
                tls = self.proftpd_tls()?,
                users = users.display(),
                log = self.log.display()
            ),
            0o644,
        )?;
        let mut command = self.lab.command(self.host, find("proftpd")?);
        command.arg("-n").arg("-c").arg(configuration);
        Ok(command)
    }

    /// TLS for those who ask for it. Without `NoSessionReuseRequired` data connections have to resume their control connection's session.
    fn proftpd_tls(&self) -> Result<String, Failure> {
        let Some(tls) = self.tls else {
            return Ok(String::new());
        };
        let modules = find("proftpd")?
            .parent()
            .and_then(Path::parent)
            .map(|usr| usr.join("lib/proftpd"))
            .filter(|modules| modules.join("mod_tls.so").is_file())
            .ok_or("ProFTPD has no mod_tls: `scripts/test` unpacks proftpd-mod-crypto")?;
        Ok(format!(
            "ModulePath {}\nLoadModule mod_tls.c\nTLSEngine on\nTLSRequired off\nTLSProtocol TLSv1.2 TLSv1.3\n\
             TLSRSACertificateFile {}\nTLSRSACertificateKeyFile {}\nTLSLog {}/tls.log\n",
            modules.display(),
            tls.chain.display(),
            tls.key.display(),
            self.directory.display()
        ))
    }

    fn pure_ftpd(&self) -> Result<Command, Failure> {
        let port = self.port;
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
        let mut command = self.lab.command(self.host, "sh");
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
        let [first, last] = PASSIVE;
        command.arg("-p").arg(format!("{first}:{last}"));
        command
            .arg("-l")
            .arg(format!("puredb:{}", database.display()));
        command.arg("-g").arg(self.directory.join("pid"));
        if let Some(tls) = self.tls {
            // For those who ask for it.
            let files = format!("{},{}", tls.chain.display(), tls.key.display());
            command.args(["-Y", "1", "-2", &files]);
        }
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
        let mut command = self.lab.command(self.host, program::find("python3")?);
        command.arg("-u").arg(script).arg(self.port.to_string());
        command.args([USER, PASSWORD]).arg(self.home).arg(self.log);
        command.args(self.addresses.map(|address| address.ip().to_string()));
        Ok(command)
    }
}

/// Where the servers' packages are unpacked, if they are.
pub(crate) fn unpacked() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    own.ancestors()
        .map(|directory| directory.join(UNPACKED))
        .find(|path| path.is_dir())
}

/// TLS for those who ask for it, whose data connections have to resume their control connection's session.
fn vsftpd_tls(tls: &TlsFiles) -> String {
    format!(
        "ssl_enable=YES\nforce_local_logins_ssl=NO\nforce_local_data_ssl=NO\nrequire_ssl_reuse=YES\nssl_ciphers=HIGH\n\
         strict_ssl_read_eof=YES\nrsa_cert_file={}\nrsa_private_key_file={}\n",
        tls.chain.display(),
        tls.key.display()
    )
}

/// Finds a server's program among the unpacked packages, or installed.
pub(crate) fn find(name: &str) -> Result<PathBuf, Failure> {
    let unpacked = unpacked();
    let candidates = unpacked.iter().flat_map(|directory| {
        ["usr/sbin", "usr/bin"].map(|place| directory.join(place).join(name))
    });
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .map_or_else(|| program::find(name), Ok)
}
