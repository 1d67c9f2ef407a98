//! One control connection: what is read from it, what waits to be sent on it, and how it is closed.
//!
//! Invariant: an idle connection holds no buffer; what waits is sent in order, and a connection is closed only
//! after it was sent or its time was over. This module must not know what the bytes mean.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead as _, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How long a closed connection may take to drain and to be closed by its peer too.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// More than this may not wait for a side: nothing is read that could add to it.
pub(super) const MOST_WAITING: usize = 64 * 1024;

/// The socket of a control connection.
#[derive(Debug)]
pub(super) enum Wire {
    /// Accepted from a client; readiness includes urgent data.
    Accepted(AsyncFd<std::net::TcpStream>),
    /// Dialled to an upstream.
    Dialled(TcpStream),
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
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Wire::Accepted(socket) => poll_read_accepted(socket, cx, buffer),
            Wire::Dialled(stream) => {
                let mut into = ReadBuf::new(buffer);
                ready!(Pin::new(stream).poll_read(cx, &mut into))?;
                Poll::Ready(Ok(into.filled().len()))
            }
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Accepted(socket) => {
                socket.try_io(Interest::WRITABLE, |mut stream| stream.write(bytes))
            }
            Wire::Dialled(stream) => stream.try_write(bytes),
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

    fn end_output(&self) -> io::Result<()> {
        match self {
            Wire::Accepted(socket) => SockRef::from(socket.get_ref()).shutdown(Shutdown::Write),
            Wire::Dialled(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
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

/// What became of a control connection that was asked to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing waits any more.
    All,
    /// The peer takes no more at the moment.
    Some,
    /// The connection broke; nothing waits any more.
    Broken,
}

/// One control connection.
#[derive(Debug)]
pub(super) struct Control {
    wire: Wire,
    waiting: Vec<u8>,
    sent: usize,
    /// When the peer will have taken nothing for too long; set while something waits.
    stalls_at: Option<Duration>,
    /// The peer's end of file or a failure was seen: nothing is read any more.
    ended: bool,
    closing: Option<Closing>,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    until: Duration,
    output_ended: bool,
}

impl Control {
    pub(super) fn new(wire: Wire) -> Control {
        Control {
            wire,
            waiting: Vec::new(),
            sent: 0,
            stalls_at: None,
            ended: false,
            closing: None,
        }
    }

    /// How many bytes wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() - self.sent
    }

    /// Tells whether the peer may still be read.
    pub(super) fn is_open(&self) -> bool {
        !self.ended && self.closing.is_none()
    }

    /// Notes that the peer is gone; answers whether that is news.
    pub(super) fn end(&mut self) -> bool {
        !std::mem::replace(&mut self.ended, true)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Tells whether the peer is gone and nothing is left to be done for it.
    pub(super) fn is_gone(&self) -> bool {
        self.ended && self.closing.is_none() && self.waiting() == 0
    }

    /// Puts bytes behind those that wait.
    pub(super) fn queue(&mut self, bytes: Vec<u8>) {
        if self.waiting() == 0 {
            self.waiting = bytes;
            self.sent = 0;
        } else {
            self.waiting.extend_from_slice(&bytes);
        }
    }

    /// Sends what waits, as far as the peer takes it. `patience` is how long it may take nothing at all.
    pub(super) fn flush(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        patience: Duration,
    ) -> Flushed {
        while let Some(rest) = self.waiting.get(self.sent..)
            && !rest.is_empty()
        {
            match self.wire.try_write(rest) {
                Ok(written) => {
                    self.sent += written;
                    self.stalls_at = Some(now + patience);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.wire.poll_writable(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return self.broke(),
                        Poll::Pending => {
                            self.stalls_at.get_or_insert(now + patience);
                            self.forget_sent();
                            return Flushed::Some;
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.broke(),
            }
        }
        self.drop_waiting();
        Flushed::All
    }

    fn broke(&mut self) -> Flushed {
        self.drop_waiting();
        Flushed::Broken
    }

    fn drop_waiting(&mut self) {
        self.waiting = Vec::new();
        self.sent = 0;
        self.stalls_at = None;
    }

    /// Keeps the sent part from growing while a slow peer always leaves a rest.
    fn forget_sent(&mut self) {
        if self.sent > MOST_WAITING {
            self.waiting.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Reads what is there; 0 bytes are the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.wire.poll_read(cx, buffer)
    }

    /// Answers once that the peer took nothing for too long.
    pub(super) fn has_stalled(&mut self, now: Duration) -> bool {
        let stalled = self.closing.is_none() && self.stalls_at.is_some_and(|at| at <= now);
        if stalled {
            self.stalls_at = None;
        }
        stalled
    }

    /// Begins to close: what waits is sent first.
    pub(super) fn close(&mut self, now: Duration) {
        self.closing.get_or_insert(Closing {
            until: now + CLOSE_WAIT,
            output_ended: false,
        });
    }

    /// Goes on with closing. Ready when nothing is left to do and the socket may be dropped.
    ///
    /// The peer's own end is awaited, because closing with bytes unread would reset the connection and take our
    /// last reply with it (RFC 1122 section 4.2.2.13).
    pub(super) fn poll_closed(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        buffer: &mut [u8],
    ) -> Poll<()> {
        let Some(closing) = self.closing else {
            return Poll::Pending;
        };
        if closing.until <= now {
            return Poll::Ready(());
        }
        match self.flush(cx, now, CLOSE_WAIT) {
            Flushed::Some => return Poll::Pending,
            Flushed::Broken => return Poll::Ready(()),
            Flushed::All => {}
        }
        if self.ended {
            return Poll::Ready(());
        }
        if !closing.output_ended {
            if self.wire.end_output().is_err() {
                return Poll::Ready(());
            }
            self.closing = Some(Closing {
                output_ended: true,
                ..closing
            });
        }
        loop {
            match ready!(self.wire.poll_read(cx, buffer)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// When this connection next wants to be looked at, whatever happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.closing {
            Some(closing) => Some(closing.until),
            None => self.stalls_at,
        }
    }
}
