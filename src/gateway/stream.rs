//! One control connection: what is read from it, what waits to be sent on it, and how it is closed.
//!
//! Invariant: an idle connection holds no buffer; what waits is sent in order, and a connection is closed only
//! after it was sent or its time was over. This module must not know what the bytes mean.

mod closing;

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::wire::{Behind, Wire};
use crate::engine::{TlsFacts, TlsFailure};
use crate::tls::Channel;

/// How long a closed connection may take to drain and to be closed by its peer too.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// More than this may not wait for a side: nothing is read that could add to it.
pub(super) const MOST_WAITING: usize = 64 * 1024;

/// More than this is not held back for the sake of fewer calls.
const MOST_HELD: usize = 1024;

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

/// One control connection. What is rare is boxed: thousands of these do nothing.
#[derive(Debug)]
pub(super) struct Control {
    wire: Wire,
    tls: Option<Box<Tls>>,
    rest: Option<Box<Rest>>,
    closing: Option<Box<Closing>>,
    /// The peer's end of file or a failure was seen: nothing is read any more.
    ended: bool,
    /// Sending failed: nothing is sent any more. What the peer sent before may still be there to be read.
    mute: bool,
}

/// TLS of a control connection.
#[derive(Debug)]
struct Tls {
    channel: Channel,
    stage: Stage,
}

/// How far TLS has come.
#[derive(Debug)]
enum Stage {
    /// What is to be sent meanwhile waits, since it may leave only inside TLS.
    Handshaking {
        later: Vec<u8>,
    },
    Up,
    /// Nothing leaves any more, and never in clear.
    Failed,
}

/// What the peer has not taken yet.
#[derive(Debug)]
struct Rest {
    bytes: Vec<u8>,
    sent: usize,
    /// When the peer will have taken nothing for too long; told once.
    stalls_at: Option<Duration>,
}

#[derive(Debug)]
struct Closing {
    until: Duration,
    output_ended: bool,
}

impl Control {
    pub(super) fn new(wire: Wire) -> Control {
        Control {
            wire,
            tls: None,
            rest: None,
            closing: None,
            ended: false,
            mute: false,
        }
    }

    /// How many bytes wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        let rest = self.rest.as_deref();
        rest.map_or(0, |rest| rest.bytes.len() - rest.sent)
    }

    /// Tells whether something waits to be sent, be it only inside TLS.
    pub(super) fn is_sending(&self) -> bool {
        self.rest.is_some()
    }

    /// Begins TLS behind all that was sent so far.
    pub(super) fn secure(&mut self, channel: Channel) {
        let later = Vec::new();
        self.tls = Some(Box::new(Tls {
            channel,
            stage: Stage::Handshaking { later },
        }));
    }

    /// Tells whether a handshake runs.
    pub(super) fn is_handshaking(&self) -> bool {
        let stage = self.tls.as_ref().map(|tls| &tls.stage);
        matches!(stage, Some(Stage::Handshaking { .. }))
    }

    /// Goes on with the handshake; ready once, when it is over.
    pub(super) fn poll_secured(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        patience: Duration,
    ) -> Poll<Result<Box<TlsFacts>, TlsFailure>> {
        // What was said in clear before comes first.
        if self.rest.is_some() && self.flush(cx, now, patience) == Flushed::Some {
            return Poll::Pending;
        }
        let Some(tls) = &mut self.tls else {
            return Poll::Pending;
        };
        let Stage::Handshaking { later } = &mut tls.stage else {
            return Poll::Pending;
        };
        let over = ready!(tls.channel.poll_handshake(cx, &mut self.wire));
        let later = std::mem::take(later);
        if over.is_err() {
            tls.stage = Stage::Failed;
        } else {
            tls.stage = Stage::Up;
            if !later.is_empty() {
                // A failure is seen again by whoever sends or reads next.
                let _sent = self.send(cx, later, now, patience);
            }
        }
        Poll::Ready(over)
    }

    /// Tells whether the peer may still be read.
    pub(super) fn is_open(&self) -> bool {
        !self.ended && self.closing.is_none()
    }

    /// Notes that nothing more will come from the peer.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Tells whether the peer is gone for both directions.
    pub(super) fn is_broken(&self) -> bool {
        self.ended && self.mute
    }

    /// Notes that the connection is of no use any more in either direction.
    pub(super) fn break_off(&mut self) {
        self.ended = true;
        self.mute = true;
        self.rest = None;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Tells whether the peer is gone and nothing is left to be done for it.
    pub(super) fn is_gone(&self) -> bool {
        self.ended && self.closing.is_none() && self.rest.is_none()
    }

    /// Sends bytes behind those that wait. `patience` is how long the peer may take nothing at all.
    pub(super) fn send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: Vec<u8>,
        now: Duration,
        patience: Duration,
    ) -> Flushed {
        if self.mute {
            return Flushed::All;
        }
        match self.tls.as_mut().map(|tls| &mut tls.stage) {
            Some(Stage::Handshaking { later }) => {
                later.extend_from_slice(&bytes);
                return Flushed::All;
            }
            Some(Stage::Failed) => return Flushed::All,
            Some(Stage::Up) | None => {}
        }
        if let Some(rest) = &mut self.rest {
            rest.bytes.extend_from_slice(&bytes);
            return self.flush(cx, now, patience);
        }
        let mut sent = 0;
        match write(
            &mut self.wire,
            &mut self.tls,
            cx,
            &bytes,
            &mut sent,
            Behind::Unknown,
        ) {
            Poll::Ready(Ok(())) => Flushed::All,
            Poll::Ready(Err(_)) => self.broke(),
            Poll::Pending => {
                let stalls_at = Some(now + patience);
                self.rest = Some(Box::new(Rest {
                    bytes,
                    sent,
                    stalls_at,
                }));
                Flushed::Some
            }
        }
    }

    /// Leaves bytes for the next [`Self::flush`], behind those that wait. Gives them back where nothing can wait like that.
    pub(super) fn hold(
        &mut self,
        bytes: Vec<u8>,
        now: Duration,
        patience: Duration,
    ) -> Result<(), Vec<u8>> {
        let clear_or_up = self
            .tls
            .as_deref()
            .is_none_or(|tls| matches!(tls.stage, Stage::Up));
        if self.mute || !clear_or_up || self.waiting() + bytes.len() > MOST_HELD {
            return Err(bytes);
        }
        match &mut self.rest {
            Some(rest) => rest.bytes.extend_from_slice(&bytes),
            None => {
                self.rest = Some(Box::new(Rest {
                    bytes,
                    sent: 0,
                    stalls_at: Some(now + patience),
                }));
            }
        }
        Ok(())
    }

    /// Sends what waits, as far as the peer takes it.
    pub(super) fn flush(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        patience: Duration,
    ) -> Flushed {
        self.flush_before(cx, now, patience, Behind::Unknown)
    }

    fn flush_before(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        patience: Duration,
        behind: Behind,
    ) -> Flushed {
        let Some(rest) = &mut self.rest else {
            return Flushed::All;
        };
        let before = rest.sent;
        match write(
            &mut self.wire,
            &mut self.tls,
            cx,
            &rest.bytes,
            &mut rest.sent,
            behind,
        ) {
            Poll::Ready(Ok(())) => {
                self.rest = None;
                Flushed::All
            }
            Poll::Ready(Err(_)) => self.broke(),
            Poll::Pending => {
                if rest.sent > before {
                    rest.stalls_at = Some(now + patience);
                }
                // The sent part must not grow while a slow peer always leaves a rest.
                if rest.sent > MOST_WAITING {
                    rest.bytes.drain(..rest.sent);
                    rest.sent = 0;
                }
                Flushed::Some
            }
        }
    }

    fn broke(&mut self) -> Flushed {
        self.mute = true;
        self.rest = None;
        Flushed::Broken
    }

    /// Reads what is there; 0 bytes are the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.tls.as_deref_mut() {
            Some(Tls { channel, .. }) => channel.poll_read(cx, &mut self.wire, buffer),
            None => self.wire.poll_read(cx, buffer),
        }
    }

    /// Answers once that the peer took nothing for too long.
    pub(super) fn has_stalled(&mut self, now: Duration) -> bool {
        let Some(rest) = self.rest.as_deref_mut().filter(|_| self.closing.is_none()) else {
            return false;
        };
        rest.stalls_at.take_if(|at| *at <= now).is_some()
    }

    /// When this connection next wants to be looked at, whatever happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match (&self.closing, &self.rest) {
            (Some(closing), _) => Some(closing.until),
            (None, Some(rest)) => rest.stalls_at,
            (None, None) => None,
        }
    }
}

/// Writes in clear, or inside TLS once that is up; what was said before the handshake leaves in clear.
fn write(
    wire: &mut Wire,
    tls: &mut Option<Box<Tls>>,
    cx: &mut Context<'_>,
    bytes: &[u8],
    sent: &mut usize,
    behind: Behind,
) -> Poll<io::Result<()>> {
    match tls.as_deref_mut() {
        Some(Tls {
            channel,
            stage: Stage::Up,
        }) => channel.poll_write(cx, wire, bytes, sent),
        Some(Tls {
            stage: Stage::Handshaking { .. } | Stage::Failed,
            ..
        })
        | None => wire.poll_write(cx, bytes, sent, behind),
    }
}
