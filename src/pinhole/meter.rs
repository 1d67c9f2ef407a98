//! Holds a relay to its bounds: how fast bytes may be fetched, and how many.
//!
//! A rate is a schedule: each fetch moves the time of the next by what it fetched. A twentieth of a second's worth is fetched
//! at a time; who was kept from its schedule, by a slow peer or a late timer, may make up a fifth of a second. Invariant:
//! over any time no more is fetched than the rate gives for that time and a quarter of a second; a relay that waits for its schedule
//! sleeps.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::engine::Bounds;

/// How many fetches a second is cut into.
const FETCHES_PER_SECOND: u64 = 20;
/// Most bytes of one fetch.
const MOST: u64 = 1024 * 1024;
/// How far behind its schedule a relay may be to make up for it.
const LAG: Duration = Duration::from_millis(200);

/// What a relay may still fetch.
#[derive(Debug)]
pub(super) struct Meter {
    rate: Option<u64>,
    /// When the next bytes may be fetched.
    due: Instant,
    left: Option<u64>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Meter {
    /// Makes the meter of these bounds; none where nothing is bounded. `now` is the time by the clock of the bounds.
    pub(super) fn new(bounds: Bounds, now: Duration) -> Option<Meter> {
        let Bounds { pace, bytes } = bounds;
        if pace.is_none() && bytes.is_none() {
            return None;
        }
        let waits = pace.map_or(Duration::ZERO, |pace| pace.from.saturating_sub(now));
        Some(Meter {
            rate: pace.map(|pace| pace.rate.max(1)),
            due: Instant::now() + waits,
            left: bytes,
            alarm: None,
        })
    }

    /// Resolves with how many bytes may be fetched now.
    pub(super) fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            match self.allowance(Instant::now()) {
                Ok(most) => return Poll::Ready(most),
                Err(due) => ready!(self.poll_alarm(cx, due)),
            }
        }
    }

    /// Tells how many bytes may be fetched at this time, or when any may. When no byte is left, one may, to see whether
    /// there is one.
    pub(super) fn allowance(&self, now: Instant) -> Result<usize, Instant> {
        let most = match self.rate {
            None => MOST,
            Some(_) if now < self.due => return Err(self.due),
            Some(rate) => (rate / FETCHES_PER_SECOND).clamp(1, MOST),
        };
        let most = self.left.map_or(most, |left| most.min(left)).max(1);
        Ok(usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        alarm.as_mut().poll(cx)
    }

    /// Counts what was fetched at this time; tells whether that is within the bounds.
    pub(super) fn fetched(&mut self, now: Instant, bytes: usize) -> bool {
        let bytes = bytes as u64;
        if let Some(rate) = self.rate {
            let earliest = now.checked_sub(LAG).unwrap_or(now);
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
            let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            self.due = self.due.max(earliest) + takes;
        }
        match &mut self.left {
            None => true,
            Some(left) => {
                let within = bytes <= *left;
                *left = left.saturating_sub(bytes);
                within
            }
        }
    }
}
