//! The bytes of a relay on their way: fetched from one leg, in hand, sent to the other; and those that came
//! against the direction.
//!
//! Invariant: nothing is held while nothing is in hand, and nothing is fetched before all in hand is sent.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::buffer::Buffer;
use super::splice::Pipe;
use super::stream::Stream;
use crate::tls::Channel;

/// Most that is copied at once where nothing is in TLS.
const COPIED: usize = 64 * 1024;
/// From so many bytes on, a transfer is worth a pipe: what one read may fetch is copied, more is spliced.
const SPLICE_AFTER: u64 = COPIED as u64;
/// Most bytes against the direction that are read before the kernel's window stops their sender.
const AGAINST_AT_MOST: u64 = 1024 * 1024;
/// Fewer bytes than this, once sealed, wait for what can leave with them.
const SEALED_TOGETHER: usize = 16 * 1024;
/// How long a misbehaving receiver is listened to after the end, so that what was sent to it is not lost.
const LINGERING_CLOSE: Duration = Duration::from_secs(5);
/// Most receivers that are listened to so; any more are just closed.
const LINGERERS: usize = 64;

static LINGERING: AtomicUsize = AtomicUsize::new(0);

/// What was fetched and is not sent yet.
#[derive(Debug, Default)]
pub(super) enum InHand {
    /// Nothing.
    #[default]
    Nothing,
    /// `buffer[start..end]`.
    Copied {
        buffer: Buffer,
        start: usize,
        end: usize,
        /// Fetched while records waited for it.
        joins: bool,
    },
    /// All that is in the pipe.
    Piped(Pipe),
    /// Nothing of ours: records that the receiver's TLS holds until its kernel takes them.
    Sealed {
        /// What the source has next may leave with them.
        may_wait: bool,
    },
}

impl InHand {
    /// Tells whether everything was sent.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, InHand::Nothing)
    }

    /// Tells whether there is so little to send that the source is to be asked first whether it has more, or has ended: that
    /// then leaves in the same call and segment. Asked once, so that nothing waits for what is not there.
    pub(super) fn may_wait(&self) -> bool {
        matches!(self, InHand::Sealed { may_wait: true })
    }

    /// Makes what is sealed leave with the next call, since the source has nothing that could join it.
    pub(super) fn wait_no_more(&mut self) {
        if let InHand::Sealed { may_wait } = self {
            *may_wait = false;
        }
    }

    /// Fetches what the source has, up to `most` bytes; 0 at its end. Nothing may be in hand that is not sealed.
    ///
    /// # Errors
    /// `UnexpectedEof` where TLS ended without close_notify; else the kernel's, or `InvalidData`.
    pub(super) fn poll_fetch(
        &mut self,
        source: &mut Stream,
        receiver: &Stream,
        carried: u64,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Stream { socket, tls } = source;
        if let Some(tls) = tls {
            let mut buffer = Buffer::take();
            let most = most.min(buffer.len());
            let room = buffer.get_mut(..most).unwrap_or_default();
            let end = ready!(tls.poll_read(cx, socket, room))?;
            self.hold(buffer, end);
            return Poll::Ready(Ok(end));
        }
        let source = &*socket;
        // A pipe for a few bytes is not worth it.
        let may_splice = receiver.tls.is_none() && carried >= SPLICE_AFTER && most >= COPIED;
        loop {
            ready!(source.poll_read_ready(cx))?;
            let fetched = match may_splice.then(Pipe::take).flatten() {
                Some(mut pipe) => {
                    let fetched = source.try_io(Interest::READABLE, || pipe.fill(source, most));
                    if matches!(fetched, Ok(1..)) {
                        *self = InHand::Piped(pipe);
                    }
                    fetched
                }
                None if receiver.tls.is_some() => self.copy_from(source, most),
                None => self.copy_from(source, most.min(COPIED)),
            };
            match fetched {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                fetched => return Poll::Ready(fetched),
            }
        }
    }

    fn copy_from(&mut self, source: &TcpStream, most: usize) -> io::Result<usize> {
        let mut buffer = Buffer::take();
        let most = most.min(buffer.len());
        let mut partial = None;
        let fetched = source.try_io(Interest::READABLE, || {
            let room = buffer.get_mut(..most).unwrap_or_default();
            let (_, end) = recv(source, room, RecvFlags::empty())?;
            if (1..most).contains(&end) {
                // The queue is empty now, so the next byte is a new event: say so, to save the call that finds out.
                partial = Some(end);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(end)
        });
        let end = match partial {
            Some(end) => end,
            None => fetched?,
        };
        self.hold(buffer, end);
        Ok(end)
    }

    fn hold(&mut self, buffer: Buffer, end: usize) {
        if end > 0 {
            let joins = matches!(self, InHand::Sealed { .. });
            *self = InHand::Copied {
                buffer,
                start: 0,
                end,
                joins,
            };
        }
    }

    /// Sends of what is in hand as much as the receiver takes; what its TLS takes counts as sent.
    pub(super) fn poll_send(
        &mut self,
        receiver: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Stream { socket, tls } = receiver;
        if let Some(tls) = tls {
            return self.poll_send_sealed(tls, socket, cx);
        }
        let receiver = &*socket;
        loop {
            ready!(receiver.poll_write_ready(cx))?;
            let sent = receiver.try_io(Interest::WRITABLE, || match self {
                InHand::Nothing | InHand::Sealed { .. } => Ok(0),
                InHand::Copied {
                    buffer, start, end, ..
                } => {
                    let bytes = buffer.get(*start..*end).unwrap_or_default();
                    let sent = send(receiver, bytes, SendFlags::NOSIGNAL)?;
                    *start += sent;
                    Ok(sent)
                }
                InHand::Piped(pipe) => pipe.drain(receiver),
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => {
                    self.let_go_when_empty();
                    return Poll::Ready(sent);
                }
            }
        }
    }

    /// Seals all that is in hand, and gives the buffer back; sends what was sealed before.
    fn poll_send_sealed(
        &mut self,
        tls: &mut Channel,
        socket: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            InHand::Copied {
                buffer,
                start,
                end,
                joins,
            } => {
                if *start > 0 {
                    // TLS took no more before.
                    ready!(tls.poll_flush(cx, socket))?;
                }
                let bytes = buffer.get(*start..*end).unwrap_or_default();
                let sealed = tls.seal(bytes)?;
                *start += sealed;
                if start >= end {
                    let may_wait = !*joins && *end < SEALED_TOGETHER;
                    *self = InHand::Sealed { may_wait };
                }
                Poll::Ready(Ok(sealed))
            }
            InHand::Nothing | InHand::Piped(_) | InHand::Sealed { .. } => {
                ready!(tls.poll_flush(cx, socket))?;
                *self = InHand::Nothing;
                Poll::Ready(Ok(0))
            }
        }
    }

    fn let_go_when_empty(&mut self) {
        let empty = match self {
            InHand::Nothing | InHand::Sealed { .. } => true,
            InHand::Copied { start, end, .. } => start >= end,
            InHand::Piped(pipe) => pipe.filled() == 0,
        };
        if empty {
            *self = InHand::Nothing;
        }
    }
}

/// What the receiver sent, against the direction: read, counted and dropped.
#[derive(Debug, Default)]
pub(super) struct Against {
    dropped: u64,
    ended: bool,
}

impl Against {
    /// Tells how many bytes were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Tells whether nothing more can come.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Drops what came, up to a bound; its end of file means nothing.
    pub(super) fn poll_drop(
        &mut self,
        receiver: &mut Stream,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        let Stream { socket, tls } = receiver;
        match tls {
            Some(tls) => self.poll_drop_opened(tls, socket, cx),
            None => self.poll_drop_clear(socket, cx),
        }
    }

    /// Drops what came in TLS. Reading it is what takes in the tickets that a server sends.
    fn poll_drop_opened(
        &mut self,
        tls: &mut Channel,
        socket: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        while !self.ended && self.dropped < AGAINST_AT_MOST {
            let mut buffer = Buffer::take();
            match tls.poll_read(cx, socket, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(got)) => self.dropped += got as u64,
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.ended = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn poll_drop_clear(&mut self, receiver: &TcpStream, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.ended && self.dropped < AGAINST_AT_MOST {
            match receiver.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => break,
            }
            let mut buffer = Buffer::take();
            let got = receiver.try_io(Interest::READABLE, || {
                // With TRUNC the kernel does not even copy them (tcp(7)).
                let (_, got) = recv(receiver, &mut *buffer, RecvFlags::TRUNC)?;
                Ok(got)
            });
            match got {
                Ok(0) => self.ended = true,
                Ok(got) => self.dropped += got as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Closes a receiver that got everything.
    ///
    /// Closing while unread bytes wait, or before more come, is a reset that destroys what it has not read
    /// yet: one that sent against the direction is listened to a little longer.
    pub(super) fn part(&mut self, receiver: Stream) {
        let Stream { socket, tls } = receiver;
        let receiver = socket;
        // What came just now is not an event yet.
        let mut buffer = Buffer::take();
        // What TLS says at its end is no payload.
        let dropped_before = self.dropped;
        while !self.ended && self.dropped < AGAINST_AT_MOST {
            match recv(&receiver, &mut *buffer, RecvFlags::TRUNC) {
                Ok((_, 0)) => self.ended = true,
                Ok((_, got)) => self.dropped += got as u64,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let listen = self.dropped > 0 && !self.ended;
        if tls.is_some() {
            self.dropped = dropped_before;
        }
        if !listen {
            return;
        }
        if LINGERING.fetch_add(1, Ordering::Relaxed) >= LINGERERS {
            LINGERING.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        tokio::spawn(async move {
            let mut rest = Against::default();
            let drained = poll_fn(|cx| match rest.poll_drop_clear(&receiver, cx) {
                Ok(()) if !rest.ended && rest.dropped < AGAINST_AT_MOST => Poll::Pending,
                Ok(()) | Err(_) => Poll::Ready(()),
            });
            let _over = tokio::time::timeout(LINGERING_CLOSE, drained).await;
            LINGERING.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
