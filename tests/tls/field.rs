//! A gateway with TLS in front of a small server in clear.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use portcullis::config::Config;
use portcullis::gateway::{Gateway, Overrides, Running};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::PATIENCE;

pub type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// The gateway, its server, and what both know.
pub struct Field {
    pub at: SocketAddr,
    pub ca: CertificateDer<'static>,
    pub files: Files,
    pub running: Running,
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Field {
    /// Starts a gateway whose listener has this in its `tls`.
    pub fn new(tls: &str) -> Field {
        let (upstream, files) = serve();
        Field::before(tls, "", &format!("addresses: [\"{upstream}\"]"), files)
    }

    /// The same, with these sections more.
    pub fn with(tls: &str, more: &str) -> Field {
        let (upstream, files) = serve();
        let upstream = format!("addresses: [\"{upstream}\"]");
        Field::before(tls, more, &upstream, files)
    }

    /// The same, where the listener has this besides its `tls`.
    pub fn listening(tls: &str, listener: &str) -> Field {
        let (upstream, files) = serve();
        let upstream = format!("addresses: [\"{upstream}\"]");
        Field::made(tls, listener, "", &upstream, files)
    }

    /// Starts a gateway before an upstream of the test's own.
    pub fn before(tls: &str, more: &str, upstream: &str, files: Files) -> Field {
        Field::made(tls, "peer: exact", more, upstream, files)
    }

    fn made(tls: &str, listener: &str, more: &str, upstream: &str, files: Files) -> Field {
        let directory = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        let issuer = issuer.expect("a certificate");
        let ca = issuer.der().clone();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let text = format!(
            "version: 1\nlisteners: {{main: {{listen: [\"127.0.0.1:0\"], tls: {{certificates: [{{chain: {}, key: {}}}], {tls}}}, {listener}}}}}\nupstreams: {{old: {{{upstream}}}}}\njournal: {{file: {}}}\ncontrol: {{socket: none}}\npinholes: {{window: 24000-24999, upstream_window: 25000-25999}}\n{more}\n",
            path("chain.pem"),
            path("key.pem"),
            path("journal"),
        );
        issue(&issuer, &directory, 1);
        let config = || Config::parse(&text, "test").expect("a good config").config;
        let first = config();
        let overrides = Overrides {
            workers: NonZeroUsize::new(1),
            loader: Some(Box::new(move || {
                Ok(Config::parse(&text, "test").expect("a good config").config)
            })),
            ..Overrides::default()
        };
        let running = Gateway::start(first, overrides).expect("a gateway");
        Field {
            at: running.addresses()[0].1,
            ca,
            files,
            running,
            issuer,
            directory,
        }
    }

    /// Puts another certificate into the files, with this serial number.
    pub fn renew(&self, serial: u64) {
        issue(&self.issuer, &self.directory, serial);
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.files.lock().expect("files").get(name).cloned()
    }

    pub fn put(&self, name: &str, content: &[u8]) {
        let mut files = self.files.lock().expect("files");
        files.insert(name.to_owned(), content.to_vec());
    }

    /// Writes something that is no key into the key's file.
    pub fn spoil_key(&self) {
        std::fs::write(self.path("key.pem"), "nothing").expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Answers with all lines of the journal that have this.
    pub fn journal_lines(&self, part: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("journal")).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }

    /// Waits until the journal has a line with all of these.
    pub fn journal_shows(&self, parts: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.path("journal")).unwrap_or_default();
            let found = text
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = found {
                return line.to_owned();
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no line with {parts:?}:\n{text}"
            );
            std::thread::yield_now();
        }
    }
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, directory: &TempDir, serial: u64) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.serial_number = Some(rcgen::SerialNumber::from(serial));
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("chain.pem"), certificate.pem()).expect("written");
    std::fs::write(path("key.pem"), key.serialize_pem()).expect("written");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path("key.pem"), private).expect("set");
}

/// Serves FTP in clear; its threads end with their connections.
fn serve() -> (SocketAddr, Files) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let at = listener.local_addr().expect("an address");
    let files = Files::default();
    let shared = Arc::clone(&files);
    std::thread::spawn(move || {
        for control in listener.incoming().map_while(Result::ok) {
            let files = Arc::clone(&shared);
            std::thread::spawn(move || drop(converse(control, &files)));
        }
    });
    (at, files)
}

fn converse(mut control: TcpStream, files: &Files) -> std::io::Result<()> {
    let mut lines = BufReader::new(control.try_clone()?);
    let mut passive: Option<TcpListener> = None;
    control.write_all(b"220 ready\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let (verb, name) = line
            .trim_end()
            .split_once(' ')
            .unwrap_or((line.trim_end(), ""));
        let reply = match verb {
            "QUIT" => return control.write_all(b"221 bye\r\n"),
            "USER" => "331 password".to_owned(),
            "PASS" => "230 in".to_owned(),
            "EPSV" => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let port = listener.local_addr()?.port();
                passive = Some(listener);
                format!("229 passive (|||{port}|)")
            }
            "STOR" | "RETR" => {
                let Some(listener) = passive.take() else {
                    control.write_all(b"425 no port\r\n")?;
                    continue;
                };
                let (mut data, _) = listener.accept()?;
                control.write_all(b"150 now\r\n")?;
                if verb == "STOR" {
                    let mut content = Vec::new();
                    let whole = data.read_to_end(&mut content);
                    match whole {
                        Ok(_) => {
                            files
                                .lock()
                                .expect("files")
                                .insert(name.to_owned(), content);
                            "226 done".to_owned()
                        }
                        Err(_) => "426 broken".to_owned(),
                    }
                } else {
                    let content = files.lock().expect("files").get(name).cloned();
                    let sent = data.write_all(&content.unwrap_or_default());
                    drop(data);
                    match sent {
                        Ok(()) => "226 done".to_owned(),
                        Err(_) => "426 broken".to_owned(),
                    }
                }
            }
            _ => "200 ok".to_owned(),
        };
        control.write_all(format!("{reply}\r\n").as_bytes())?;
    }
}
