//! Versions and cipher suites of the other leg, offered by OpenSSL as the upstream.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use portcullis::config::Config;
use portcullis::gateway::{Gateway, Overrides};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::PATIENCE;
use crate::suites::OFFERS;

/// An `openssl s_server`, ended with the test.
struct Server {
    child: Child,
    at: SocketAddr,
}

impl Server {
    /// Listens with a key of each kind, and with these arguments.
    fn start(directory: &Path, arguments: &[&str]) -> Server {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www"])
            .args(["-cert", "ec.pem", "-key", "ec.key"])
            .args(["-dcert", "rsa.pem", "-dkey", "rsa.key"])
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let at = lines.find_map(|line| line.strip_prefix("ACCEPT ")?.parse().ok());
        let server = Server {
            child,
            at: at.expect("a port"),
        };
        // What it prints further nobody reads, and it must not wait for that.
        std::thread::spawn(move || lines.for_each(drop));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes an authority and two certificates for `localhost`: `ca.pem`, `ec.pem`, `rsa.pem`, and the keys.
fn issue(directory: &Path) {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let issuer = issuer.expect("a certificate");
    let bits = "rsa_keygen_bits:2048";
    let rsa = Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", bits])
        .output()
        .expect("openssl is installed");
    let rsa = String::from_utf8(rsa.stdout).expect("PEM");
    let ec = KeyPair::generate().expect("a key").serialize_pem();
    let write = |name: &str, text: &str| {
        std::fs::write(directory.join(name), text).expect("written");
    };
    write("ca.pem", &issuer.pem());
    for (name, pem) in [("ec", ec), ("rsa", rsa)] {
        let key = KeyPair::from_pem(&pem).expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        write(&format!("{name}.pem"), &certificate.pem());
        write(&format!("{name}.key"), &pem);
    }
}

/// Waits until the journal says what became of TLS with the upstream: the line.
fn outcome(journal: &Path) -> String {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(journal).unwrap_or_default();
        let told = text.lines().find(|line| {
            line.contains("\"side\":\"upstream\"")
                && (line.contains("tls.established") || line.contains("tls.failed"))
        });
        if let Some(line) = told {
            return line.to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "nothing became of it:\n{text}");
        std::thread::yield_now();
    }
}

#[test]
fn nothing_below_tls_1_2_and_no_weak_suite_is_spoken_with_an_upstream() {
    let directory = tempfile::tempdir().expect("a directory");
    issue(directory.path());
    // This one has a key of the other kind as well.
    let with_rsa = [
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"][..],
            true,
        ),
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384:@SECLEVEL=0"],
            false,
        ),
    ];
    for (number, (arguments, good)) in OFFERS.into_iter().chain(with_rsa).enumerate() {
        let server = Server::start(directory.path(), arguments);
        let journal = directory.path().join(format!("journal-{number}"));
        let text = format!(
            "version: 1\nlisteners: {{main: {{listen: [\"127.0.0.1:0\"]}}}}\nupstreams: {{old: {{addresses: [\"{}\"], tls: {{mode: implicit, ca: {}, server_name: localhost}}}}}}\njournal: {{file: {}}}\ncontrol: {{socket: none}}\npinholes: {{window: 24000-24999, upstream_window: 25000-25999}}\n",
            server.at,
            directory.path().join("ca.pem").display(),
            journal.display(),
        );
        let config = Config::parse(&text, "test").expect("a good config").config;
        let running = Gateway::start(config, Overrides::default()).expect("a gateway");
        let _client = TcpStream::connect(running.addresses()[0].1).expect("a connection");
        let told = outcome(&journal);
        assert_eq!(
            told.contains("tls.established"),
            good,
            "{arguments:?}: {told}"
        );
    }
}
