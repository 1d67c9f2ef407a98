//! Where the backend's data connections come from: ports to await the peer at, or an address to dial.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How long a data connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(60);

/// The ports at which passive data connections are awaited.
pub struct PassivePorts {
    range: Option<RangeInclusive<u16>>,
    turn: AtomicUsize,
}

/// What the client negotiated for its next transfer.
pub enum Offer {
    /// Nothing yet.
    Nothing,
    /// PASV or EPSV: we await its dial.
    Awaiting(TcpListener),
    /// PORT or EPRT: we dial this address.
    Dialling(SocketAddr),
}

impl PassivePorts {
    /// Takes ports from the range in turn, or leaves the choice to the kernel.
    pub fn new(range: Option<RangeInclusive<u16>>) -> Self {
        Self {
            range,
            turn: AtomicUsize::new(0),
        }
    }

    /// Listens at the next free port of the given address.
    pub fn listen(&self, ip: IpAddr) -> io::Result<TcpListener> {
        let Some(range) = &self.range else {
            return listen_at(SocketAddr::new(ip, 0));
        };
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in range.clone() {
            let step = self.turn.fetch_add(1, Ordering::Relaxed) % range.len();
            match listen_at(SocketAddr::new(ip, range.start() + step as u16)) {
                Ok(listener) => return Ok(listener),
                Err(e) => refused = e,
            }
        }
        Err(refused)
    }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1)
}

impl Offer {
    /// Makes the data connection that was negotiated; the offer is used up.
    pub async fn connect(&mut self) -> io::Result<TcpStream> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Err(io::ErrorKind::NotConnected.into()),
            Self::Awaiting(listener) => {
                Ok(tokio::time::timeout(PATIENCE, listener.accept()).await??.0)
            }
            Self::Dialling(address) => {
                tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await?
            }
        }
    }
}
