//! Where every socket of the program comes from: one trait, so that a privileged parent can make them later.
//!
//! Invariant: what comes out is close-on-exec, non-blocking, bound to one concrete address family
//! (`IPV6_V6ONLY`), and does nothing yet. This module must not know what the sockets are for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

use super::kernel;

/// How many connections may wait to be accepted by a control listener.
const CONTROL_BACKLOG: i32 = 1024;

/// Makes all sockets of the program.
pub trait Sockets: Send + Sync {
    /// Makes a listening socket for control connections, non-blocking.
    ///
    /// # Errors
    /// Whatever the kernel says to `socket`, `bind` or `listen`.
    fn control_listener(&self, at: SocketAddr) -> io::Result<TcpListener>;

    /// Makes a socket for a pinhole: bound, but not listening, so nothing is open yet.
    ///
    /// # Errors
    /// `AddrInUse` when another program holds the port; else whatever the kernel says.
    fn pinhole(&self, at: SocketAddr) -> io::Result<Socket>;

    /// Makes a socket from which `to` can be dialled: bound to `from` when given (port 0 = any), non-blocking, not connected.
    ///
    /// # Errors
    /// Whatever the kernel says to `socket` or `bind`.
    fn dialler(&self, from: Option<SocketAddr>, to: SocketAddr) -> io::Result<Socket>;

    /// Shows whether dials ever had to leave the source port that was asked for.
    fn source_port_fallback(&self) -> &SourcePortFallback;
}

/// Remembers that a source port could not be used and a random one was taken.
#[derive(Debug, Default)]
pub struct SourcePortFallback {
    happened: AtomicBool,
    told: AtomicBool,
}

impl SourcePortFallback {
    /// Notes that it happened.
    pub fn note(&self) {
        self.happened.store(true, Ordering::Relaxed);
    }

    /// Tells whether it ever happened.
    pub fn happened(&self) -> bool {
        self.happened.load(Ordering::Relaxed)
    }

    /// Tells it once: true at the first call after it happened, false ever after.
    pub fn is_news(&self) -> bool {
        self.happened() && !self.told.swap(true, Ordering::Relaxed)
    }
}

/// Makes sockets in this process, with its own rights.
#[derive(Debug)]
pub struct OwnSockets {
    fallback: SourcePortFallback,
    right: Right,
}

/// The right to share ports, which one gateway of a network namespace has.
#[derive(Debug)]
enum Right {
    /// Ours, as long as this socket is.
    Held(#[expect(dead_code, reason = "held, never used")] UnixDatagram),
    /// The broker holds it for its gateway.
    Lent,
    /// Another gateway's.
    None,
}

impl OwnSockets {
    /// Creates the maker.
    pub fn new() -> OwnSockets {
        OwnSockets {
            fallback: SourcePortFallback::default(),
            right: claim_shared_ports().map_or(Right::None, Right::Held),
        }
    }

    /// Creates the maker of a process whose broker has the right to share ports, or has it not.
    pub fn with_right(lent: bool) -> OwnSockets {
        OwnSockets {
            fallback: SourcePortFallback::default(),
            right: if lent { Right::Lent } else { Right::None },
        }
    }

    /// Tells whether ports are shared.
    pub fn shares_ports(&self) -> bool {
        match self.right {
            Right::Held(_) | Right::Lent => true,
            Right::None => false,
        }
    }

    /// Lets a busy port be bound without a look at its thousands of TIME_WAITs at each bind() and listen(): that was
    /// 38 % of the gateway's CPU with 1 KiB files, and 100 us for each dial from port 20.
    ///
    /// The kernel then lets sockets of one user share a port if all of them ask for it. Two gateways must not, as
    /// each would get some of the other's connections; so only one per network namespace asks, and the others see
    /// its ports as taken.
    fn share_port(&self, socket: &Socket) -> io::Result<()> {
        socket.set_reuse_address(true)?;
        if self.shares_ports() {
            socket.set_reuse_port(true)?;
        }
        Ok(())
    }
}

impl Default for OwnSockets {
    fn default() -> OwnSockets {
        OwnSockets::new()
    }
}

/// Takes the one name by which gateways of a network namespace know of each other; it is gone with its socket.
fn claim_shared_ports() -> Option<UnixDatagram> {
    let name = UnixAddress::from_abstract_name(b"portcullis/shared-ports").ok()?;
    UnixDatagram::bind_addr(&name).ok()
}

impl Sockets for OwnSockets {
    fn control_listener(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let socket = stream_socket(at)?;
        socket.set_reuse_address(true)?;
        socket.bind(&at.into())?;
        socket.listen(CONTROL_BACKLOG)?;
        Ok(socket.into())
    }

    fn pinhole(&self, at: SocketAddr) -> io::Result<Socket> {
        let socket = stream_socket(at)?;
        // Connections of earlier pinholes live on with this port, some in TIME_WAIT. A listener of another
        // program still makes bind() fail, which is what passes its port over.
        self.share_port(&socket)?;
        socket.bind(&at.into())?;
        Ok(socket)
    }

    fn dialler(&self, from: Option<SocketAddr>, to: SocketAddr) -> io::Result<Socket> {
        let socket = stream_socket(to)?;
        if let Some(from) = from {
            if from.port() == 0 {
                // The kernel then chooses a port that is free for this destination, at connect(): else every
                // dial would take a port of its own, and uploads leave 60 s of TIME_WAIT on each.
                kernel::bind_address_only(&socket)?;
            } else {
                self.share_port(&socket)?;
            }
            socket.bind(&from.into())?;
        }
        Ok(socket)
    }

    fn source_port_fallback(&self) -> &SourcePortFallback {
        &self.fallback
    }
}

/// Makes a TCP socket of the address's family: close-on-exec, non-blocking, IPv6 only where it is IPv6.
fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
