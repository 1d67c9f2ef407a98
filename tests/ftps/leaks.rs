//! Where TLS is required upstream, nothing but AUTH leaves in clear: judged on a capture in the server's network.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{Daemon, Family, Lab, Node, ServerKind, TlsFiles};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::capture::{Capture, Stream};
use crate::cell::{Cell, Firewall};
use crate::client::{Client, Mode, Version};
use crate::papers::{Flaw, NAME, Papers};
use crate::site::{Site, Upstream};

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The first word of a session with TLS, and the only one in clear.
const AUTH: &[u8] = b"AUTH TLS\r\n";

/// What the server is sent.
fn sent(streams: &[Stream]) -> impl Iterator<Item = &Stream> {
    let gateway = Node::Server.gateway(Family::V4);
    streams
        .iter()
        .filter(move |stream| stream.from.ip() == gateway && !stream.bytes.is_empty())
}

#[test]
fn nothing_but_auth_leaves_in_clear_where_tls_is_required_upstream() {
    let site = Site::new(Firewall::None).expect("a site");
    let capture = Capture::begin(&site.lab).expect("a capture");
    for (client, mode) in [
        (Client::Lftp, Mode::Pasv),
        (Client::FtplibResuming, Mode::Port),
    ] {
        let cell = Cell {
            firewall: Firewall::None,
            client,
            version: Version::V1_3,
            mode,
            server: ServerKind::Vsftpd,
            upstream: Upstream::Tls,
        };
        site.try_cell(&cell).expect("fifty transfers");
    }
    let streams = capture.end().expect("no hole");
    let control = ServerKind::Vsftpd.port();
    let (mut sessions, mut data) = (0, 0);
    for stream in sent(&streams) {
        if stream.to.port() == control {
            stream.is_tls_behind(AUTH).expect("AUTH and TLS");
            sessions += 1;
        } else {
            stream.is_tls_alone().expect("TLS");
            data += 1;
        }
    }
    // Uploads, and what TLS itself says with downloads.
    assert!(
        sessions >= 2 && data >= 100,
        "{sessions} sessions, {data} data connections"
    );
    let secrets = [USER, PASSWORD, "STOR", "file-"];
    for stream in &streams {
        for secret in secrets {
            let found = stream
                .bytes
                .windows(secret.len())
                .any(|bytes| bytes == secret.as_bytes());
            assert!(
                !found,
                "{secret} in clear from {} to {}",
                stream.from, stream.to
            );
        }
    }
}

/// How a server fails us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    RefusesAuth,
    HasExpired,
    HasAnotherName,
}

#[test]
fn a_server_without_good_tls_gets_nothing_of_the_client_who_gets_421() {
    let lab = Lab::new(&[Node::Client, Node::Server]).expect("a laboratory");
    let papers = Papers::new(lab.directory()).expect("papers");
    for (number, failing) in [
        Failing::RefusesAuth,
        Failing::HasExpired,
        Failing::HasAnotherName,
    ]
    .into_iter()
    .enumerate()
    {
        let flaw = match failing {
            Failing::RefusesAuth => Flaw::None,
            Failing::HasExpired => Flaw::Expired,
            Failing::HasAnotherName => Flaw::OtherName,
        };
        let files = papers
            .issue(&format!("failing-{number}"), flaw)
            .expect("a certificate");
        let port = 2300 + u16::try_from(number).expect("a small number");
        let at = SocketAddr::new(Node::Server.address(Family::V4), port);
        let listener = lab
            .inside(Node::Server, || TcpListener::bind(at))
            .expect("inside")
            .expect("a listener");
        let server = thread::spawn(move || serve(&listener, failing, &files));
        let capture = Capture::begin(&lab).expect("a capture");
        let gateway = SocketAddr::new(Node::Gateway.address(Family::V4), port);
        let daemon = gateway_to(&lab, &papers, gateway, at);
        let heard = lab.inside(Node::Client, || {
            let mut client = TcpStream::connect(gateway).expect("a connection");
            client.set_read_timeout(Some(PATIENCE)).expect("set");
            // Said before anybody asked: it must wait, and then go nowhere.
            let said = format!("USER {USER}\r\nPASS {PASSWORD}\r\n");
            client.write_all(said.as_bytes()).expect("sent");
            let mut heard = Vec::new();
            let mut bytes = [0; 512];
            // The end may be a reset: what we said was never read.
            while let Ok(got @ 1..) = client.read(&mut bytes) {
                heard.extend_from_slice(bytes.get(..got).unwrap_or_default());
            }
            String::from_utf8_lossy(&heard).into_owned()
        });
        let heard = heard.expect("inside");
        server.join().expect("a server that ended");
        let streams = capture.end().expect("no hole");
        println!("{failing:?}: the client heard {heard:?}");
        assert!(
            heard.starts_with("421 "),
            "{failing:?}: {heard:?}\n{}",
            daemon.printed()
        );
        let mut seen = 0;
        for stream in sent(&streams) {
            stream
                .is_tls_behind(AUTH)
                .expect("AUTH, and at most a handshake");
            for secret in [USER, PASSWORD] {
                let found = stream
                    .bytes
                    .windows(secret.len())
                    .any(|bytes| bytes == secret.as_bytes());
                assert!(!found, "{failing:?}: {secret} left");
            }
            seen += 1;
        }
        let journal = lab
            .directory()
            .join(format!("gateway-{port}/journal.jsonl"));
        let journal = fs::read_to_string(journal).unwrap_or_default();
        assert_eq!(
            seen,
            1,
            "{failing:?}: one connection that says something
{journal}
{}",
            daemon.printed()
        );
        daemon.stop(PATIENCE).expect("an end");
    }
}

/// A gateway in clear towards clients, whose upstream must have TLS.
fn gateway_to(lab: &Lab, papers: &Papers, at: SocketAddr, upstream: SocketAddr) -> Daemon {
    let directory = lab.directory().join(format!("gateway-{}", at.port()));
    fs::create_dir_all(&directory).expect("a directory");
    let (ca, place) = (papers.ca.display(), directory.display());
    let text = format!(
        "version: 1\nlisteners: {{main: {{listen: [\"{at}\"]}}}}\n\
         upstreams: {{old: {{addresses: [\"{upstream}\"], tls: {{mode: explicit, ca: {ca}, server_name: {NAME}}}}}}}\n\
         journal: {{file: {place}/journal.jsonl}}\ncontrol: {{socket: none}}\n"
    );
    let configuration = directory.join("portcullis.yaml");
    fs::write(&configuration, text).expect("written");
    let mut command = lab.command(Node::Gateway, env!("CARGO_BIN_EXE_portcullis"));
    command.args(["run", "--config"]).arg(&configuration);
    let mut daemon =
        Daemon::start("portcullis", &mut command, &directory.join("output")).expect("a gateway");
    daemon
        .wait_for_ports(&[at.port()], PATIENCE)
        .expect("a port");
    daemon
}

/// Serves one client until it goes. The gateway's look at whether the server is there says nothing, and does not count.
fn serve(listener: &TcpListener, failing: Failing, files: &TlsFiles) {
    let mut control = loop {
        let (mut control, _) = listener.accept().expect("a client");
        control.set_read_timeout(Some(PATIENCE)).expect("set");
        if control.write_all(b"220 ready\r\n").is_ok() && says_a_line(&mut control) {
            break control;
        }
    };
    match failing {
        Failing::RefusesAuth => {
            control.write_all(b"534 no TLS here\r\n").expect("sent");
        }
        Failing::HasExpired | Failing::HasAnotherName => {
            control.write_all(b"234 go on\r\n").expect("sent");
            let mut tls = ServerConnection::new(config(files)).expect("TLS");
            // It fails: the gateway does not like the certificate.
            while tls.is_handshaking() && tls.complete_io(&mut control).is_ok() {}
        }
    }
    // Whatever more comes is in the capture.
    let _ended = control.read_to_end(&mut Vec::new());
}

fn says_a_line(control: &mut TcpStream) -> bool {
    let mut byte = [0];
    while byte != *b"\n" {
        if !matches!(control.read(&mut byte), Ok(1)) {
            return false;
        }
    }
    true
}

fn config(files: &TlsFiles) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&files.chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .expect("a chain");
    let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    Arc::new(config.expect("a pair"))
}
