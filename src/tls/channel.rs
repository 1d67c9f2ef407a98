//! TLS over a connection that somebody else owns: the handshake, reading, writing, the end.
//!
//! What arrives is fetched through a buffer of the thread; between two calls a channel holds only what TLS itself keeps:
//! keys, half a record, and what its peer has not taken.
//!
//! Invariant: bytes are handed out only after they were authenticated; an end without close_notify is never taken for
//! one with it, unless the channel was told to. This module must not know what the bytes mean.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{Connection, HandshakeKind, ProtocolVersion};

use super::accept::Names;
use super::failure::{alert_in, failure};
use super::habit::Habit;
use super::identity;
use super::memory::Probation;
use super::transport::{Outlet, Transport};
use crate::config::UserFrom;
use crate::engine::{TlsFacts, TlsFailure, TlsFault, TlsVersion};

/// Most that is fetched at once, and most that is sealed before it is sent.
const FETCH: usize = 256 * 1024;
/// As much as TLS takes at a time.
const BITE: usize = 4 * 1024;
/// What of a record may have been there before: opened together with what is fetched, it has to fit too.
const RECORD: usize = 17 * 1024;

thread_local! {
    static FETCHED: RefCell<Box<[u8]>> = RefCell::new(vec![0; FETCH].into_boxed_slice());
}

/// Which part we play.
#[derive(Debug)]
pub(super) enum Part {
    Server {
        names: Arc<Names>,
        user_from: Option<UserFrom>,
        /// Of a data connection.
        probation: Option<Arc<Probation>>,
    },
    Client {
        name: Option<Box<str>>,
        /// Where only TLS 1.2 is offered because of it.
        habit: Option<Arc<Habit>>,
    },
}

/// One TLS connection, without its socket.
#[derive(Debug)]
pub struct Channel {
    connection: Connection,
    part: Part,
    ends_silently: bool,
    ending: bool,
    /// The peer's first bytes came.
    begun: bool,
    /// What waits to be sent behind the handshake need not wait for data.
    gives_tickets: bool,
    moved: u64,
}

impl Channel {
    pub(super) fn new(mut connection: Connection, part: Part, ends_silently: bool) -> Channel {
        connection.set_buffer_limit(Some(FETCH));
        Channel {
            connection,
            part,
            ends_silently,
            ending: false,
            begun: false,
            gives_tickets: false,
            moved: 0,
        }
    }

    /// Tells how many bytes of records were handed to the kernel.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Tells whether the peer has begun the handshake.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Lets tickets leave that else wait for the first data: the peer is going to read before it ends.
    pub fn give_tickets(&mut self, cx: &mut Context<'_>, io: &mut impl Transport) {
        self.gives_tickets = true;
        // What the kernel does not take now leaves with whatever is sent next.
        let _sent = self.poll_flush(cx, io);
    }

    /// Tells whether we are the client, who needs the tickets that the peer may send at any time.
    #[must_use]
    pub fn collects_tickets(&self) -> bool {
        matches!(self.part, Part::Client { .. })
    }

    /// Goes on with the handshake; ready when it is over and all of it is sent.
    pub fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut impl Transport,
    ) -> Poll<Result<Box<TlsFacts>, TlsFailure>> {
        loop {
            let sent = self.keeps_tickets() || ready!(self.poll_flush(cx, io)).is_ok();
            // What could not be sent any more behind it (tickets) is no reason not to read what the peer sent before.
            if !sent && self.connection.is_handshaking() {
                return Poll::Ready(Err(TlsFault::HungUp.into()));
            }
            if !self.connection.is_handshaking() {
                let facts = self.facts();
                if let (Part::Server { probation, .. }, Ok(facts)) = (&self.part, &facts)
                    && let Some(probation) = probation.as_ref().filter(|_| facts.resumed)
                {
                    probation.pass();
                }
                return Poll::Ready(facts.map(Box::new));
            }
            let fed = FETCHED.with_borrow_mut(|buffer| {
                let bite = buffer.get_mut(..BITE).unwrap_or_default();
                match io.poll_receive(cx, bite) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Failed::hung_up())),
                    Poll::Ready(Ok(got)) => {
                        Poll::Ready(self.feed_handshake(bite.get(..got).unwrap_or_default()))
                    }
                }
            });
            if let Err(failed) = ready!(fed) {
                // Whoever hung up, or takes nothing, does without the alert.
                let _said = io.poll_transmit(cx, &[IoSlice::new(&failed.last_words)]);
                return Poll::Ready(Err(failed.why));
            }
        }
    }

    /// Tells whether only tickets wait to be sent, which leave with the first data or at the end.
    ///
    /// A client that uploads may never read, and close when it has written all: the kernel answers unread bytes with a
    /// reset, and throws away what it has not sent (RFC 1122 section 4.2.2.13). Behind the client's end they do no harm.
    fn keeps_tickets(&self) -> bool {
        let is_data = matches!(
            self.part,
            Part::Server {
                probation: Some(_),
                ..
            }
        );
        // In TLS 1.2 the server's own last words end the handshake; in 1.3 the client's do.
        let is_new = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        is_data && is_new && !self.gives_tickets && !self.connection.is_handshaking()
    }

    fn feed_handshake(&mut self, mut bytes: &[u8]) -> Result<(), Failed> {
        self.begun = true;
        while !bytes.is_empty() {
            // A peer that has said close_notify in the middle of it is gone too.
            if !matches!(self.connection.read_tls(&mut bytes), Ok(1..)) {
                return Err(Failed::hung_up());
            }
            if let Err(error) = self.connection.process_new_packets() {
                tracing::debug!(%error, "a TLS handshake failed");
                return Err(self.failed(&error));
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &rustls::Error) -> Failed {
        let mut last_words = Vec::new();
        while self.connection.wants_write() && self.connection.write_tls(&mut last_words).is_ok() {}
        let mut why = failure(error, alert_in(&last_words));
        if let Part::Client {
            habit: Some(habit), ..
        } = &self.part
        {
            habit.old_was_refused();
        }
        if let (Part::Server { names, .. }, rustls::Error::General(_)) = (&self.part, error)
            && names.contradicted()
        {
            why.why = TlsFault::ServerName;
        }
        Failed { why, last_words }
    }

    /// Says what the handshake gave.
    fn facts(&self) -> Result<TlsFacts, TlsFailure> {
        let version = match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
            Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
            _ => return Err(TlsFault::OldVersion.into()),
        };
        let suite = self.connection.negotiated_cipher_suite();
        let (sni, certificate) = match (&self.part, &self.connection) {
            (Part::Server { user_from, .. }, Connection::Server(server)) => {
                let leaf = self.connection.peer_certificates().and_then(<[_]>::first);
                let certificate = leaf.and_then(|leaf| identity::of(leaf, *user_from));
                (server.server_name().map(Box::from), certificate)
            }
            (Part::Client { name, .. }, _) => (name.clone(), None),
            (Part::Server { .. }, Connection::Client(_)) => (None, None),
        };
        Ok(TlsFacts {
            version,
            cipher: suite
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
            sni,
            certificate,
        })
    }

    /// Reads what the peer sent; 0 bytes are its end. `into` should hold much more than a record.
    ///
    /// # Errors
    /// `UnexpectedEof` where the connection ended without close_notify, unless that counts as an end here;
    /// `InvalidData` for what is no good TLS; else the kernel's.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut impl Transport,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // Answers of TLS itself: a key update, an alert. A peer that has gone may have sent all of its data before.
        if !self.keeps_tickets() {
            let _sent = self.poll_flush(cx, io);
        }
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error)
                    if error.kind() == io::ErrorKind::UnexpectedEof && self.ends_silently =>
                {
                    return Poll::Ready(Ok(0));
                }
                read => return Poll::Ready(read),
            }
            let opened = FETCHED.with_borrow_mut(|buffer| {
                let most = into.len().saturating_sub(RECORD).clamp(BITE, buffer.len());
                let buffer = buffer.get_mut(..most).unwrap_or_default();
                let got = ready!(io.poll_receive(cx, buffer))?;
                Poll::Ready(self.open(buffer.get(..got).unwrap_or_default(), into))
            });
            match ready!(opened) {
                Ok(0) => {}
                Ok(read) => return Poll::Ready(Ok(read)),
                Err(error) => {
                    // The alert that says so; a peer that takes nothing does without.
                    let _said = self.poll_flush(cx, io);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// Opens records; no bytes are the end of the connection. Answers with how much of `into` was filled.
    fn open(&mut self, mut records: &[u8], into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            let taken = self.connection.read_tls(&mut records)?;
            let opened = self.connection.process_new_packets();
            opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let free = into.get_mut(filled..).unwrap_or_default();
            if !free.is_empty() {
                match self.connection.reader().read(free) {
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // It is told when what came before it was taken.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                    Err(error) => return Err(error),
                }
            }
            // Behind a close_notify nothing is taken.
            if taken == 0 || records.is_empty() {
                return Ok(filled);
            }
        }
    }

    /// Writes from `taken` on, which moves with what TLS took. Ready when all is written.
    ///
    /// # Errors
    /// The kernel's.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut impl Transport,
        bytes: &[u8],
        taken: &mut usize,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(cx, io))?;
            let Some(rest) = bytes.get(*taken..).filter(|rest| !rest.is_empty()) else {
                return Poll::Ready(Ok(()));
            };
            match self.connection.writer().write(rest)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                took => *taken += took,
            }
        }
    }

    /// Makes records of as many bytes as TLS holds at once; `poll_flush` sends them. With nothing left to flush that is
    /// 256 KiB.
    ///
    /// # Errors
    /// When TLS takes nothing.
    pub fn seal(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.connection.writer().write(bytes)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            taken => Ok(taken),
        }
    }

    /// Writes what TLS has to send.
    ///
    /// # Errors
    /// The kernel's.
    pub fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut impl Transport,
    ) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Outlet { io, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(moved) => self.moved += moved as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says close_notify behind all that was written; ready when it is sent.
    ///
    /// # Errors
    /// The kernel's.
    pub fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut impl Transport,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.ending, true) {
            self.connection.send_close_notify();
        }
        self.poll_flush(cx, io)
    }
}

/// A handshake that failed, and what is left to say.
struct Failed {
    why: TlsFailure,
    last_words: Vec<u8>,
}

impl Failed {
    fn hung_up() -> Failed {
        Failed {
            why: TlsFault::HungUp.into(),
            last_words: Vec::new(),
        }
    }
}
