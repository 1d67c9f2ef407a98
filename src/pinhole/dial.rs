//! Dials a peer: the upstream's control connection, and every leg that we dial.
//!
//! Invariant: one attempt, from the address that was asked for or not at all. This
//! module must not know names, nor try other addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;

use super::sockets::Sockets;
use crate::engine::DialError;

/// What is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialled {
    Control,
    Data,
}

/// Dials a control connection at `to` from `from` (port 0: any port of that address), for at most `timeout`.
///
/// # Errors
/// Why nothing came up within `timeout`.
pub async fn dial_within(
    sockets: &dyn Sockets,
    from: Option<SocketAddr>,
    to: SocketAddr,
    timeout: Duration,
) -> Result<TcpStream, DialError> {
    tokio::time::timeout(timeout, attempt(sockets, from, to, Dialled::Control))
        .await
        .unwrap_or(Err(DialError::TimedOut))
}

/// Dials a data leg at `to` from `from` (port 0: any port of that address); whoever polls it bounds its time.
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
    attempt(sockets, from, to, Dialled::Data).await
}

async fn attempt(
    sockets: &dyn Sockets,
    from: Option<SocketAddr>,
    to: SocketAddr,
    what: Dialled,
) -> Result<TcpStream, DialError> {
    connect(sockets, from, to, what).await.map_err(|error| {
        tracing::debug!(%to, ?from, %error, "dial failed");
        blame(&error)
    })
}

async fn connect(
    sockets: &dyn Sockets,
    from: Option<SocketAddr>,
    to: SocketAddr,
    what: Dialled,
) -> io::Result<TcpStream> {
    let first = match sockets.dialler(from, to) {
        Ok(socket) => connect_from(socket, to, what).await,
        Err(error) => Err(error),
    };
    match (first, from) {
        (Err(error), Some(from)) if from.port() != 0 && port_is_unusable(&error) => {
            let socket = sockets.dialler(Some(SocketAddr::new(from.ip(), 0)), to)?;
            sockets.source_port_fallback().note();
            connect_from(socket, to, what).await
        }
        (first, _) => first,
    }
}

async fn connect_from(socket: Socket, to: SocketAddr, what: Dialled) -> io::Result<TcpStream> {
    // Registered before it is connected: nothing that can fail lies between the connection and its guard. The runtime
    // hears nothing of the time before, since it does not look before this is first awaited.
    let attempt = Attempt {
        stream: Some(TcpStream::from_std(socket.into())?),
        what,
    };
    match attempt.socket()?.connect(&to.into()) {
        Err(error) if errno(&error) != Some(Errno::INPROGRESS) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    attempt.came_up().await
}

/// A dial that nobody has the connection of yet.
///
/// One that is given up may be connected already, without anybody having looked. That of data must not end like an empty
/// file: so it is a reset. For a control connection that is all the same.
struct Attempt {
    stream: Option<TcpStream>,
    what: Dialled,
}

impl Attempt {
    fn stream(&self) -> io::Result<&TcpStream> {
        self.stream
            .as_ref()
            .ok_or(io::ErrorKind::NotConnected.into())
    }

    fn socket(&self) -> io::Result<SockRef<'_>> {
        self.stream().map(SockRef::from)
    }

    async fn came_up(mut self) -> io::Result<TcpStream> {
        self.stream()?.writable().await?;
        match self.stream()?.take_error()? {
            Some(error) => Err(error),
            None => self.stream.take().ok_or(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.what == Dialled::Data
            && let Some(stream) = &self.stream
            && let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO))
        {
            tracing::debug!(%error, "no reset");
        }
    }
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
