//! Dials a peer: the upstream's control connection, and every leg that we dial.
//!
//! Invariant: one attempt, from the address that was asked for or not at all. This
//! module must not know names, nor try other addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, Socket};
use tokio::net::{TcpSocket, TcpStream};

use super::sockets::Sockets;
use crate::engine::DialError;

/// Dials `to` from `from` (port 0: any port of that address), for at most `timeout`.
///
/// # Errors
/// Why nothing came up within `timeout`.
pub async fn dial_within(
    sockets: &dyn Sockets,
    from: Option<SocketAddr>,
    to: SocketAddr,
    timeout: Duration,
) -> Result<TcpStream, DialError> {
    tokio::time::timeout(timeout, dial(sockets, from, to))
        .await
        .unwrap_or(Err(DialError::TimedOut))
}

/// Dials `to` from `from` (port 0: any port of that address); whoever polls it bounds its time.
///
/// A data leg's deadline is one of its session's: a timer of its own would cost a call to the kernel per dial.
///
/// A source port that this process may not have, or that is taken, gives way to a random port of the same
/// address; [`Sockets::source_port_fallback`] tells that it happened.
///
/// # Errors
/// Why nothing came up.
pub async fn dial(
    sockets: &dyn Sockets,
    from: Option<SocketAddr>,
    to: SocketAddr,
) -> Result<TcpStream, DialError> {
    connect(sockets, from, to).await.map_err(|error| {
        tracing::debug!(%to, ?from, %error, "dial failed");
        blame(&error)
    })
}

async fn connect(
    sockets: &dyn Sockets,
    from: Option<SocketAddr>,
    to: SocketAddr,
) -> io::Result<TcpStream> {
    let first = match sockets.dialler(from, to) {
        Ok(socket) => connect_from(socket, to).await,
        Err(error) => Err(error),
    };
    match (first, from) {
        (Err(error), Some(from)) if from.port() != 0 && port_is_unusable(&error) => {
            let socket = sockets.dialler(Some(SocketAddr::new(from.ip(), 0)), to)?;
            sockets.source_port_fallback().note();
            connect_from(socket, to).await
        }
        (first, _) => first,
    }
}

async fn connect_from(socket: Socket, to: SocketAddr) -> io::Result<TcpStream> {
    // A dial that is given up may be connected already, without anybody having looked: its end must not look like that
    // of an empty file. So it is a reset until somebody has the connection.
    socket.set_linger(Some(Duration::ZERO))?;
    let connected = TcpSocket::from_std_stream(socket.into())
        .connect(to)
        .await?;
    SockRef::from(&connected).set_linger(None)?;
    Ok(connected)
}

fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

/// Tells whether another source port may help.
fn port_is_unusable(error: &io::Error) -> bool {
    matches!(
        errno(error),
        Some(Errno::ACCESS | Errno::PERM | Errno::ADDRINUSE | Errno::ADDRNOTAVAIL)
    )
}

fn blame(error: &io::Error) -> DialError {
    match errno(error) {
        Some(Errno::CONNREFUSED) => DialError::Refused,
        Some(Errno::TIMEDOUT) => DialError::TimedOut,
        // A firewall of this host that rejects answers EPERM or EACCES to connect().
        Some(
            Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::HOSTDOWN
            | Errno::PERM
            | Errno::ACCESS,
        ) => DialError::Unreachable,
        Some(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) => {
            DialError::LocalAddress
        }
        _ => DialError::Other,
    }
}
