//! The sockets of control connections: what is read and written without a call too many, and how they are set.
//!
//! Invariant: urgent data never hides what is behind it, and a short read costs no second one. This module must not
//! know what the bytes mean.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{SendFlags, send};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead as _, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::Transport;

/// The socket of a control connection.
#[derive(Debug)]
pub(super) enum Wire {
    /// Accepted from a client; readiness includes urgent data.
    Accepted(AsyncFd<std::net::TcpStream>),
    /// Dialled to an upstream.
    Dialled(TcpStream),
}

/// What follows what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// Whatever it is, the peer waits for these bytes.
    Unknown,
    /// The end of the output, at once: the kernel may put both into one segment.
    End,
}

impl Wire {
    /// Takes over an accepted, non-blocking socket on this thread's runtime.
    pub(super) fn accepted(stream: std::net::TcpStream) -> io::Result<Wire> {
        // Urgent data stops a read in front of its mark (tcp(7)), which looks like a drained socket; with its
        // own readiness we know better and read on.
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        register(stream, interest).map(Wire::Accepted)
    }

    /// Reads what is there; 0 bytes are the end of file.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Wire::Accepted(socket) => poll_read_accepted(socket, cx, buffer),
            Wire::Dialled(stream) => {
                let mut into = ReadBuf::new(buffer);
                ready!(Pin::new(stream).poll_read(cx, &mut into))?;
                Poll::Ready(Ok(into.filled().len()))
            }
        }
    }

    fn try_write(&mut self, bytes: &[u8], behind: Behind) -> io::Result<usize> {
        let flags = match behind {
            Behind::Unknown => SendFlags::NOSIGNAL,
            Behind::End => SendFlags::NOSIGNAL | SendFlags::MORE,
        };
        match self {
            Wire::Accepted(socket) => {
                socket.try_io(Interest::WRITABLE, |stream| Ok(send(stream, bytes, flags)?))
            }
            Wire::Dialled(stream) => {
                stream.try_io(Interest::WRITABLE, || Ok(send(&*stream, bytes, flags)?))
            }
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Wire::Accepted(socket) => {
                ready!(socket.poll_write_ready(cx))?.retain_ready();
                Poll::Ready(Ok(()))
            }
            Wire::Dialled(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Writes from `sent` on, which moves with it. Ready when all is written.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        sent: &mut usize,
        behind: Behind,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = bytes.get(*sent..)
            && !rest.is_empty()
        {
            match self.try_write(rest, behind) {
                Ok(written) => *sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_writable(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn try_write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Wire::Accepted(socket) => socket.try_io(Interest::WRITABLE, |mut stream| {
                stream.write_vectored(parts)
            }),
            Wire::Dialled(stream) => stream.try_write_vectored(parts),
        }
    }

    pub(super) fn end_output(&self) -> io::Result<()> {
        match self {
            Wire::Accepted(socket) => SockRef::from(socket.get_ref()).shutdown(Shutdown::Write),
            Wire::Dialled(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
        }
    }
}

impl Transport for Wire {
    fn poll_receive(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read(cx, into)
    }

    fn poll_transmit(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write_vectored(from) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_writable(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

/// Hands a descriptor to this thread's runtime.
pub(super) fn register<T: std::os::fd::AsRawFd + std::os::fd::AsFd>(
    owner: T,
    interest: Interest,
) -> io::Result<AsyncFd<T>> {
    #[expect(
        unsafe_code,
        reason = "the runtime's registration wants a promise about the descriptor"
    )]
    // SAFETY: every `T` used here (std's TcpListener and TcpStream) owns its descriptor, answers with the same one
    // as long as it lives, and is owned by what is returned.
    let registered = unsafe { AsyncFd::register_with_interest(owner, interest) };
    registered.map_err(io::Error::from)
}

fn poll_read_accepted(
    socket: &AsyncFd<std::net::TcpStream>,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        let mut readiness = ready!(socket.poll_read_ready(cx))?;
        match socket.get_ref().read(buffer) {
            Ok(read) => {
                // A short read has drained the socket, unless it stopped in front of urgent data: no second
                // read is needed to learn it.
                if 0 < read && read < buffer.len() && !is_urgent(socket) {
                    readiness.clear_ready();
                }
                return Poll::Ready(Ok(read));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                forget_urgent(socket);
                readiness.clear_ready();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// Tells from the last readiness, without a call to the kernel, whether urgent data came.
fn is_urgent(socket: &AsyncFd<std::net::TcpStream>) -> bool {
    socket.try_io(Interest::PRIORITY, |_| Ok(())).is_ok()
}

fn forget_urgent(socket: &AsyncFd<std::net::TcpStream>) {
    let nothing: io::Result<()> =
        socket.try_io(
            Interest::PRIORITY,
            |_| Err(io::ErrorKind::WouldBlock.into()),
        );
    drop(nothing);
}

/// Sets what every control connection has; on a listening socket the accepted ones inherit it (tcp(7), Linux).
///
/// # Errors
/// What the kernel says; it refuses none of these on a TCP socket.
pub(super) fn tune(socket: &SockRef<'_>, keepalive: Duration, urgent: bool) -> io::Result<()> {
    // Replies are small and the peer waits for each: Nagle's algorithm would hold the second of two.
    socket.set_tcp_nodelay(true)?;
    if urgent {
        socket.set_out_of_band_inline(true)?;
    }
    let probes = TcpKeepalive::new()
        .with_time(keepalive)
        .with_interval(keepalive);
    socket.set_tcp_keepalive(&probes)
}
