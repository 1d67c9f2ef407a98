//! Somebody at the client's own address who dials every port of the window, as fast as they can, and speaks TLS well.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use portcullis_netlab::{Failure, Family, Node, segment};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::papers::NAME;
use crate::site::Site;

/// The window of the gateway.
const WINDOW: std::ops::RangeInclusive<u16> = 21000..=21015;

/// How many of them dial at the same time.
const THIEVES: usize = 4;

/// How long whoever begins connections without finishing them leaves the window alone: a pinhole is open longer.
const PAUSE: Duration = Duration::from_millis(2);

/// How long a thief tries one port: where the kernel drops what comes, it is not told that nobody is awaited.
const GLANCE: Duration = Duration::from_millis(5);

/// How long a thief waits for bytes: longer than the gateway lets anybody wait.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the thieves saw.
#[derive(Debug, Default)]
pub struct Loot {
    /// Connections that were accepted.
    pub dialled: AtomicUsize,
    /// Handshakes that the gateway finished with them.
    pub protected: AtomicUsize,
    /// Bytes of a file, or of whatever else came in TLS.
    pub bytes: AtomicUsize,
    /// First segments of connections that nobody meant to finish.
    pub begun: AtomicUsize,
}

/// Does something while thieves are at work at the client's address.
pub fn while_thieves_dial<T>(site: &Site, work: impl FnOnce() -> T) -> Result<(T, Loot), Failure> {
    let config = config(&site.papers.ca)?;
    let (over, loot) = (AtomicBool::new(false), Loot::default());
    let result = thread::scope(|scope| {
        let thieves: Vec<_> = (0..THIEVES)
            .map(|first| {
                let (config, over, loot) = (&config, &over, &loot);
                scope.spawn(move || {
                    site.lab.inside(Node::Client, || {
                        while !over.load(Ordering::Relaxed) {
                            for port in WINDOW.skip(first).step_by(THIEVES) {
                                steal(config, port, loot);
                            }
                        }
                    })
                })
            })
            .collect();
        let beginner = scope.spawn(|| {
            site.lab
                .inside(Node::Client, || begin_everywhere(&over, &loot))
        });
        let result = work();
        over.store(true, Ordering::Relaxed);
        for thief in thieves {
            thief.join().map_err(|_| "a thief panicked".to_owned())??;
        }
        let begun = beginner
            .join()
            .map_err(|_| "a thief panicked".to_owned())??;
        begun.map_err(|error| format!("sending segments: {error}"))?;
        Ok::<T, Failure>(result)
    })?;
    Ok((result, loot))
}

/// TLS 1.2, which has a ticket before the first byte: the second attempt resumes what the first was given.
fn config(ca: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(ca).map_err(|error| error.to_string())?;
    roots.add(certificate).map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(
        builder.with_root_certificates(roots).with_no_client_auth(),
    ))
}

/// Sends a SYN to each port of the window every now and then. The answer finds no socket, and the client's kernel resets it: no
/// program of the gateway's machine ever hears of these.
fn begin_everywhere(over: &AtomicBool, loot: &Loot) -> io::Result<()> {
    let (IpAddr::V4(client), IpAddr::V4(gateway)) = (
        Node::Client.address(Family::V4),
        Node::Gateway.address(Family::V4),
    ) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let socket = segment::raw_socket()?;
    // Below the ports from which programs dial.
    for (number, source) in (0..).zip((1024..32_000).cycle()) {
        if over.load(Ordering::Relaxed) {
            break;
        }
        for port in WINDOW {
            let (from, to) = (
                SocketAddrV4::new(client, source),
                SocketAddrV4::new(gateway, port),
            );
            let syn = segment::segment(from, to, number, segment::SYN);
            segment::send(&socket, &syn, to)?;
            loot.begun.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn steal(config: &Arc<ClientConfig>, port: u16, loot: &Loot) {
    let at = SocketAddr::new(Node::Gateway.address(Family::V4), port);
    // Nobody is awaited there: refused, or the packet is dropped.
    let Ok(socket) = TcpStream::connect_timeout(&at, GLANCE) else {
        return;
    };
    loot.dialled.fetch_add(1, Ordering::Relaxed);
    let taken = || -> Option<usize> {
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let name = ServerName::try_from(NAME).ok()?;
        let connection = ClientConnection::new(Arc::clone(config), name).ok()?;
        let mut data = StreamOwned::new(connection, socket);
        while data.conn.is_handshaking() {
            data.conn.complete_io(&mut data.sock).ok()?;
        }
        loot.protected.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::new();
        // How it ends does not matter, but what came before.
        let _ended = data.read_to_end(&mut bytes);
        Some(bytes.len())
    };
    loot.bytes
        .fetch_add(taken().unwrap_or(0), Ordering::Relaxed);
}
