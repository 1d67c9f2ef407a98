//! Carries one transfer between its two legs, in one direction.
//!
//! Invariant: what was cut off never looks complete: only the source's end of file makes a FIN; every other
//! end resets both legs. Payload against the direction goes nowhere. This module must not know FTP.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::time::{Instant, Sleep, sleep_until};

use super::carry::{Against, InHand};
use super::kernel;
use super::meter::Meter;
use super::stream::Stream;
use crate::engine::{Bounds, Direction, Legs, Manner, Outcome, Side, Usage};

/// Most fetches and sends of one poll, before other tasks get their turn.
const ROUNDS: usize = 8;

/// How long a server that got everything may take to end its TLS: until then it may send tickets, without which the next
/// data connection could not resume; and closing with such bytes unread would be a reset.
const LAST_TICKETS: Duration = Duration::from_secs(2);

/// How long a relay may stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Without a byte moved, while it runs.
    pub stall: Duration,
    /// Without a byte moved, after [`Manner::Linger`].
    pub linger: Duration,
}

/// One running transfer; a future, polled in the session's own task.
///
/// Dropping it before it is over resets both legs.
#[derive(Debug)]
#[must_use]
pub struct Relay {
    legs: Option<(Stream, Stream)>,
    direction: Direction,
    limits: RelayLimits,
    lingering: bool,
    in_hand: InHand,
    against: Against,
    stage: Stage,
    meter: Option<Box<Meter>>,
    carried: u64,
    /// How many bytes of records the receiver's kernel had taken when this was last looked at.
    sealed_moved: u64,
    moved_at: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    over: Option<Usage>,
}

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The source may have more.
    Carrying,
    /// All of it was sent; the end is to be told.
    Ending,
    /// The end was told; the receiver's own end is awaited for a moment.
    Parting,
}

impl Relay {
    /// Starts carrying; nothing happens until it is polled.
    pub fn start<S: Into<Stream>>(
        legs: Legs<S>,
        direction: Direction,
        limits: RelayLimits,
    ) -> Relay {
        let (client, upstream) = (legs.client.into(), legs.upstream.into());
        let (source, receiver) = match direction.source() {
            Side::Client => (client, upstream),
            Side::Upstream => (upstream, client),
        };
        Relay {
            legs: Some((source, receiver)),
            direction,
            limits,
            lingering: false,
            in_hand: InHand::default(),
            against: Against::default(),
            stage: Stage::Carrying,
            meter: None,
            carried: 0,
            sealed_moved: 0,
            moved_at: Instant::now(),
            alarm: None,
            over: None,
        }
    }

    /// Holds it to these bounds; `now` is the time by their clock.
    pub fn within(mut self, bounds: Bounds, now: Duration) -> Relay {
        self.meter = Meter::new(bounds, now).map(Box::new);
        self
    }

    /// Lets the tickets leave that wait for the first data to the client.
    pub fn give_tickets(&mut self, cx: &mut Context<'_>) {
        if let Some((source, receiver)) = &mut self.legs {
            match self.direction.source() {
                Side::Client => source.give_tickets(cx),
                Side::Upstream => receiver.give_tickets(cx),
            }
        }
    }

    /// Tells how many bytes were handed to the receiver's kernel.
    pub fn progress(&self) -> u64 {
        self.carried
    }

    /// Tells how many bytes came against the direction and were dropped.
    pub fn wrong_direction(&self) -> u64 {
        self.against.dropped()
    }

    /// Tells whether it holds a buffer or a pipe now.
    #[cfg(test)]
    pub(super) fn holds_anything(&self) -> bool {
        !self.in_hand.is_empty()
    }

    /// Ends it: resets both legs now, or makes the linger limit count from now on. To be polled afterwards.
    pub fn end(&mut self, manner: Manner) {
        match manner {
            Manner::Abort => {
                if self.over.is_none() {
                    self.finish(Outcome::Aborted);
                }
            }
            Manner::Drop => {
                if self.over.is_none() {
                    self.legs = None;
                    self.finish(Outcome::Aborted);
                }
            }
            Manner::Linger => {
                self.lingering = true;
                self.moved_at = Instant::now();
                self.alarm = None;
            }
        }
    }

    /// Carries on, and resolves with what was carried when it is over; then the legs are gone.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Usage> {
        if let Some(usage) = self.over {
            return Poll::Ready(usage);
        }
        let outcome = match self.poll_carry(cx) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => ready!(self.poll_alarm(cx)),
        };
        Poll::Ready(self.finish(outcome))
    }

    fn poll_carry(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let source = self.direction.source();
        let Some((from, to)) = &mut self.legs else {
            return Poll::Pending;
        };
        if let Err(error) = self.against.poll_drop(to, cx) {
            // Whoever got everything may break off as it likes.
            if self.stage == Stage::Parting {
                return Poll::Ready(Outcome::Complete);
            }
            tracing::debug!(%error, "the receiver of a transfer broke");
            return Poll::Ready(Outcome::Broken { side: !source });
        }
        let mut moved = false;
        for _ in 0..ROUNDS {
            let may_fetch = self.in_hand.is_empty() || self.in_hand.may_wait();
            let step = match (self.stage, may_fetch) {
                (Stage::Carrying, true) => {
                    let allowance = match &mut self.meter {
                        Some(meter) => meter.poll_allowance(cx),
                        None => Poll::Ready(usize::MAX),
                    };
                    let fetched = match allowance {
                        Poll::Ready(most) => {
                            self.in_hand.poll_fetch(from, to, self.carried, most, cx)
                        }
                        Poll::Pending => Poll::Pending,
                    };
                    match fetched {
                        Poll::Ready(Ok(0)) => {
                            self.stage = Stage::Ending;
                            Poll::Ready(())
                        }
                        Poll::Ready(Ok(bytes)) => {
                            let meter = self.meter.as_deref_mut();
                            if !meter.is_none_or(|meter| meter.fetched(Instant::now(), bytes)) {
                                return Poll::Ready(Outcome::Exceeded);
                            }
                            Poll::Ready(())
                        }
                        Poll::Ready(Err(error)) => {
                            tracing::debug!(%error, "the source of a transfer broke");
                            return Poll::Ready(broken_source(&error, source));
                        }
                        Poll::Pending if self.in_hand.may_wait() => {
                            self.in_hand.wait_no_more();
                            Poll::Ready(())
                        }
                        Poll::Pending => Poll::Pending,
                    }
                }
                (Stage::Carrying, false) => match self.in_hand.poll_send(to, cx) {
                    Poll::Ready(Ok(sent)) => {
                        self.carried += sent as u64;
                        Poll::Ready(())
                    }
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, "the receiver of a transfer broke");
                        return Poll::Ready(Outcome::Broken { side: !source });
                    }
                    Poll::Pending => Poll::Pending,
                },
                (Stage::Ending, _) => match to.poll_end(cx) {
                    Poll::Ready(Ok(())) if to.collects_tickets() && !self.against.ended() => {
                        self.stage = Stage::Parting;
                        self.alarm = None;
                        self.moved_at = Instant::now();
                        // What it sent in the meantime is looked at once more, to be woken by the rest.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) => return Poll::Ready(Outcome::Complete),
                    Poll::Ready(Err(_)) => {
                        return Poll::Ready(Outcome::Broken { side: !source });
                    }
                    Poll::Pending => Poll::Pending,
                },
                (Stage::Parting, _) if self.against.ended() => {
                    return Poll::Ready(Outcome::Complete);
                }
                (Stage::Parting, _) => return Poll::Pending,
            };
            if step.is_pending() {
                // A part of the records may have gone.
                let sealed_moved = to.moved();
                if moved || sealed_moved != self.sealed_moved {
                    self.sealed_moved = sealed_moved;
                    self.moved_at = Instant::now();
                }
                return Poll::Pending;
            }
            moved = true;
        }
        self.moved_at = Instant::now();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Resolves when nothing moved for too long. The timer is set again only when it fires, not at each move.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let (limit, outcome) = match self.stage {
            Stage::Parting => (LAST_TICKETS.min(self.limits.linger), Outcome::Complete),
            Stage::Carrying | Stage::Ending if self.lingering => {
                (self.limits.linger, Outcome::LingerOver)
            }
            Stage::Carrying | Stage::Ending => (self.limits.stall, Outcome::Stalled),
        };
        let deadline = self.moved_at + limit;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(outcome);
            }
            alarm.as_mut().reset(deadline);
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Usage {
        let mut unacknowledged = 0;
        if let Some((mut source, receiver)) = self.legs.take() {
            if outcome == Outcome::Complete {
                // RFC 8446 section 6.1: each side says it. A source that takes no more bytes does without.
                if source.is_protected() {
                    let mut cx = Context::from_waker(Waker::noop());
                    let _said = source.poll_end(&mut cx);
                }
                // The FIN counts as one byte.
                unacknowledged =
                    kernel::unacknowledged(receiver.socket()).map_or(0, |n| n.saturating_sub(1));
                self.against.part(receiver);
            } else {
                reset(source);
                reset(receiver);
            }
        }
        self.in_hand = InHand::default();
        self.alarm = None;
        let (bytes_up, bytes_down) = match self.direction {
            Direction::Download => (0, self.carried),
            Direction::Upload => (self.carried, 0),
        };
        let usage = Usage {
            bytes_up,
            bytes_down,
            wrong_direction: self.against.dropped(),
            unacknowledged,
            wire: None,
            outcome,
        };
        self.over = Some(usage);
        usage
    }
}

impl Future for Relay {
    type Output = Usage;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Usage> {
        self.poll_finish(cx)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.over.is_none() {
            self.finish(Outcome::Aborted);
        }
    }
}

/// What it means that the source can't be read.
fn broken_source(error: &io::Error, source: Side) -> Outcome {
    match error.kind() {
        // Only TLS says so: the connection ended, and what it carried did not.
        io::ErrorKind::UnexpectedEof => Outcome::Truncated { side: source },
        _ => Outcome::Broken { side: source },
    }
}

/// Closes with a reset, so that nothing looks complete.
fn reset(leg: Stream) {
    if let Err(error) = SockRef::from(leg.socket()).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "no reset");
    }
}
