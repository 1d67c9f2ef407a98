//! Where clients arrive: listening sockets made or inherited, and the loops that accept from them.
//!
//! Invariant: a kernel that is out of descriptors or memory makes a loop wait, never spin.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::SockRef;
use tokio::io::unix::AsyncFd;

use super::settings::Place;
use super::wire;
use super::worker::Worker;
use crate::config::{Config, ListenAddress};
use crate::pinhole::Sockets;

/// How long nothing is accepted after the kernel had no descriptor or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Between two lines in the log about that, at least.
const EXHAUSTED_QUIET: Duration = Duration::from_secs(10);

/// Why a listener could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error(
        "listener {name}: {at} is in use by another program; stop it, or choose another address with --listen or listeners.{name}.listen"
    )]
    InUse {
        /// The listener's name.
        name: String,
        /// The address.
        at: SocketAddr,
    },
    /// The port needs a privilege that this process lacks.
    #[error(
        "listener {name}: no permission to listen on {at}; run with CAP_NET_BIND_SERVICE (AmbientCapabilities= in a systemd unit), \
         use socket activation, or choose a port above 1023, for example --listen '*:2121'"
    )]
    NoPermission {
        /// The listener's name.
        name: String,
        /// The address.
        at: SocketAddr,
    },
    /// The address is not one of this machine's.
    #[error("listener {name}: {at} is no address of this machine; choose one that it has, or '*'")]
    NotOurs {
        /// The listener's name.
        name: String,
        /// The address.
        at: SocketAddr,
    },
    /// Anything else that the kernel said.
    #[error("listener {name}: cannot listen on {at}: {source}")]
    Kernel {
        /// The listener's name.
        name: String,
        /// The address.
        at: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The service manager handed over a socket whose name is no listener.
    #[error(
        "socket activation: {name:?} is the name of no listener; set FileDescriptorName= to one of: {known}"
    )]
    UnknownName {
        /// What the socket is called.
        name: String,
        /// The listeners there are.
        known: String,
    },
}

/// A listening socket and whose it is.
#[derive(Debug)]
pub struct Bound {
    /// The listener's name.
    pub name: String,
    /// Where it listens.
    pub at: SocketAddr,
    /// The socket.
    pub socket: TcpListener,
}

/// Makes all listening sockets of a config, except those that were inherited.
///
/// # Errors
/// When one cannot be had; none is left open then.
pub fn bind_all(
    config: &Config,
    sockets: &dyn Sockets,
    mut inherited: BTreeMap<String, Vec<TcpListener>>,
) -> Result<Vec<Bound>, ListenError> {
    let mut bound = Vec::new();
    for (name, listener) in &config.listeners {
        let name = name.to_string();
        if let Some(given) = inherited.remove(&name) {
            for socket in given {
                let at = socket
                    .local_addr()
                    .map_err(|error| failed(&name, unknown(), error))?;
                bound.push(adopt(&name, at, socket, config)?);
            }
            continue;
        }
        for address in &listener.listen {
            for socket in bind(&name, *address, sockets)? {
                let at = socket
                    .local_addr()
                    .map_err(|error| failed(&name, unknown(), error))?;
                bound.push(adopt(&name, at, socket, config)?);
            }
        }
    }
    match inherited.into_keys().next() {
        Some(name) => {
            let known: Vec<_> = config.listeners.keys().map(ToString::to_string).collect();
            Err(ListenError::UnknownName {
                name,
                known: known.join(", "),
            })
        }
        None => Ok(bound),
    }
}

fn bind(
    name: &str,
    address: ListenAddress,
    sockets: &dyn Sockets,
) -> Result<Vec<TcpListener>, ListenError> {
    let mut made: Vec<TcpListener> = Vec::new();
    for mut at in address.sockets() {
        // Any free port means the same one for both families.
        if at.port() == 0
            && let Some(first) = made.first()
        {
            at.set_port(first.local_addr().map_or(0, |first| first.port()));
        }
        match sockets.control_listener(at) {
            Ok(socket) => made.push(socket),
            // `*` on a machine without IPv6.
            Err(error)
                if !made.is_empty()
                    && matches!(
                        Errno::from_io_error(&error),
                        Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                    ) =>
            {
                tracing::info!(listener = name, %at, "this machine has no IPv6; listening on IPv4 alone");
            }
            Err(error) => return Err(failed(name, at, error)),
        }
    }
    Ok(made)
}

/// Sets what the accepted sockets shall inherit.
fn adopt(
    name: &str,
    at: SocketAddr,
    socket: TcpListener,
    config: &Config,
) -> Result<Bound, ListenError> {
    let tuned = wire::tune(&SockRef::from(&socket), config.timeouts.keepalive, true);
    tuned
        .and_then(|()| socket.set_nonblocking(true))
        .map_err(|error| failed(name, at, error))?;
    Ok(Bound {
        name: name.to_owned(),
        at,
        socket,
    })
}

fn failed(name: &str, at: SocketAddr, error: io::Error) -> ListenError {
    let name = name.to_owned();
    match Errno::from_io_error(&error) {
        Some(Errno::ADDRINUSE) => ListenError::InUse { name, at },
        Some(Errno::ACCESS | Errno::PERM) => ListenError::NoPermission { name, at },
        Some(Errno::ADDRNOTAVAIL) => ListenError::NotOurs { name, at },
        _ => ListenError::Kernel {
            name,
            at,
            source: error,
        },
    }
}

fn unknown() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

/// Takes the sockets that a service manager handed over, by the names of their listeners (sd_listen_fds(3)).
///
/// A single socket without a name of its own is the only listener's; systemd calls it after its unit.
///
/// # Errors
/// When a descriptor is no listening TCP socket.
pub fn inherited(only_listener: Option<&str>) -> io::Result<BTreeMap<String, Vec<TcpListener>>> {
    // Read before listenfd clears the environment.
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut handed = listenfd::ListenFd::from_env();
    let names: Vec<&str> = names.split(':').collect();
    let mut found: BTreeMap<String, Vec<TcpListener>> = BTreeMap::new();
    for index in 0..handed.len() {
        let Some(socket) = handed.take_tcp_listener(index)? else {
            continue;
        };
        let name = names.get(index).copied().unwrap_or_default();
        let unnamed = matches!(name, "" | "unknown") || name.ends_with(".socket");
        let name = match only_listener {
            Some(only) if unnamed => only,
            _ => name,
        };
        found.entry(name.to_owned()).or_default().push(socket);
    }
    Ok(found)
}

/// Accepts clients for ever.
pub(super) async fn accept_all(
    worker: Rc<Worker>,
    place: Arc<Place>,
    socket: Rc<AsyncFd<TcpListener>>,
) {
    loop {
        let mut readiness = match socket.readable().await {
            Ok(readiness) => readiness,
            // The runtime ends.
            Err(_) => return,
        };
        match accept(socket.get_ref()) {
            Ok(Some((stream, client))) => worker.arrive(&place, stream, client),
            Ok(None) => {}
            Err(Errno::AGAIN) => readiness.clear_ready(),
            Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                if exhaustion_is_news(worker.shared().clock.mono()) {
                    tracing::error!(
                        "clients wait at listener {}: {error}; raise LimitNOFILE or lower limits.sessions",
                        place.name,
                    );
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The client was gone before it was accepted (accept(2) lists what that looks like).
            Err(error) => tracing::debug!(listener = %place.name, %error, "accept"),
        }
    }
}

fn accept(socket: &TcpListener) -> Result<Option<(TcpStream, SocketAddr)>, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (accepted, from) = acceptfrom_with(socket, flags)?;
    let client = from.and_then(|from| SocketAddr::try_from(from).ok());
    Ok(client.map(|client| (accepted.into(), client)))
}

/// Tells at most once per [`EXHAUSTED_QUIET`], over all workers, that it is worth a line.
fn exhaustion_is_news(now: Duration) -> bool {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).max(1);
    let told = TOLD.load(Ordering::Relaxed);
    let quiet = u64::try_from(EXHAUSTED_QUIET.as_millis()).unwrap_or(u64::MAX);
    (told == 0 || now.saturating_sub(told) >= quiet)
        && TOLD
            .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pinhole::OwnSockets;

    fn config(listen: &str) -> Config {
        let text = format!(
            "version: 1\nlisteners:\n  main:\n    listen: [\"{listen}\"]\nupstreams:\n  old:\n    addresses: [\"10.0.0.5:21\"]\ntimeouts: {{keepalive: 77s}}\n"
        );
        Config::parse(&text, "test").expect("a good config").config
    }

    #[test]
    fn accepted_sockets_inherit_nodelay_keepalive_and_urgent_data_inline() {
        let bound = bind_all(&config("127.0.0.1:0"), &OwnSockets::new(), BTreeMap::new());
        let bound = bound.expect("a listener").remove(0);
        let _client = TcpStream::connect(bound.at).expect("connected");
        bound.socket.set_nonblocking(false).expect("set");
        let (stream, _) = accept(&bound.socket)
            .expect("accepted")
            .expect("with an address");
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("told"));
        assert!(socket.keepalive().expect("told"));
        assert!(socket.out_of_band_inline().expect("told"));
        assert_eq!(
            socket.tcp_keepalive_time().expect("told"),
            Duration::from_secs(77)
        );
    }

    #[test]
    fn a_socket_of_the_service_manager_for_an_unknown_listener_is_an_error() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let inherited = BTreeMap::from([("ftp".to_owned(), vec![socket])]);
        let bound = bind_all(&config("127.0.0.1:0"), &OwnSockets::new(), inherited);
        let error = bound.expect_err("an unknown name").to_string();
        assert!(
            error.contains("\"ftp\"") && error.contains("main"),
            "{error}"
        );
    }
}
