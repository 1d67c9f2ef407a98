//! Carries one transfer between its two legs, in one direction.
//!
//! Invariant: what was cut off never looks complete: only the source's end of file makes a FIN; every other
//! end resets both legs. Payload against the direction goes nowhere. This module must not know FTP.

use std::future::Future;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::carry::{Against, InHand};
use super::kernel;
use super::meter::Meter;
use crate::engine::{Bounds, Direction, Legs, Manner, Outcome, Side, Usage};

/// Most fetches and sends of one poll, before other tasks get their turn.
const ROUNDS: usize = 8;

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
    legs: Option<(TcpStream, TcpStream)>,
    direction: Direction,
    limits: RelayLimits,
    lingering: bool,
    in_hand: InHand,
    against: Against,
    meter: Option<Box<Meter>>,
    carried: u64,
    moved_at: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    over: Option<Usage>,
}

impl Relay {
    /// Starts carrying; nothing happens until it is polled.
    pub fn start(legs: Legs<TcpStream>, direction: Direction, limits: RelayLimits) -> Relay {
        let Legs { client, upstream } = legs;
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
            meter: None,
            carried: 0,
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
        let Some((from, to)) = &self.legs else {
            return Poll::Pending;
        };
        if self.against.poll_drop(to, cx).is_err() {
            return Poll::Ready(Outcome::Broken { side: !source });
        }
        let mut moved = false;
        for _ in 0..ROUNDS {
            let step = if self.in_hand.is_empty() {
                let allowance = match &mut self.meter {
                    Some(meter) => meter.poll_allowance(cx),
                    None => Poll::Ready(usize::MAX),
                };
                let fetched = match allowance {
                    Poll::Ready(most) => self.in_hand.poll_fetch(from, self.carried, most, cx),
                    Poll::Pending => Poll::Pending,
                };
                match fetched {
                    Poll::Ready(Ok(0)) => {
                        let ended = to_the_end(to);
                        return Poll::Ready(ended.unwrap_or(Outcome::Broken { side: !source }));
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
                        return Poll::Ready(Outcome::Broken { side: source });
                    }
                    Poll::Pending => Poll::Pending,
                }
            } else {
                match self.in_hand.poll_send(to, cx) {
                    Poll::Ready(Ok(sent)) => {
                        self.carried += sent as u64;
                        Poll::Ready(())
                    }
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, "the receiver of a transfer broke");
                        return Poll::Ready(Outcome::Broken { side: !source });
                    }
                    Poll::Pending => Poll::Pending,
                }
            };
            if step.is_pending() {
                if moved {
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
        let (limit, outcome) = if self.lingering {
            (self.limits.linger, Outcome::LingerOver)
        } else {
            (self.limits.stall, Outcome::Stalled)
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
        if let Some((source, receiver)) = self.legs.take() {
            if outcome == Outcome::Complete {
                // The FIN counts as one byte.
                unacknowledged =
                    kernel::unacknowledged(&receiver).map_or(0, |n| n.saturating_sub(1));
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

/// Half-closes the receiver: everything before was handed to its kernel.
fn to_the_end(receiver: &TcpStream) -> std::io::Result<Outcome> {
    SockRef::from(receiver).shutdown(Shutdown::Write)?;
    Ok(Outcome::Complete)
}

/// Closes with a reset, so that nothing looks complete.
fn reset(leg: TcpStream) {
    if let Err(error) = SockRef::from(&leg).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "no reset");
    }
}
