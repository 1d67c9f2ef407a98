//! Tells of strangers at the window, in bounded numbers.
//!
//! Invariant: however many knock, at most [`BURST`] are told at once and [`PER_SECOND`] in the long run; the
//! others are counted. This module must not know the journal.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Reports in the long run, per second.
const PER_SECOND: f64 = 10.0;
/// Reports at once after a quiet time.
const BURST: f64 = 20.0;

/// Somebody who was not awaited reached a listener of the window and was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intruder {
    /// Who.
    pub from: SocketAddr,
    /// Where.
    pub at: SocketAddr,
    /// How many others, since the last one that was told, were counted only.
    pub untold: u64,
}

/// Passes reports on, a bounded number of them.
pub(super) struct Intruders {
    told: Box<dyn Fn(Intruder) + Send + Sync>,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
    untold: u64,
}

impl Intruders {
    pub(super) fn new(told: Box<dyn Fn(Intruder) + Send + Sync>) -> Intruders {
        Intruders {
            told,
            bucket: Mutex::new(Bucket {
                tokens: BURST,
                filled: Instant::now(),
                untold: 0,
            }),
        }
    }

    pub(super) fn report(&self, intruders: &[SocketAddr], at: SocketAddr) {
        if intruders.is_empty() {
            return;
        }
        let now = Instant::now();
        for &from in intruders {
            let allowed = {
                let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
                bucket.take(now)
            };
            if let Some(untold) = allowed {
                (self.told)(Intruder { from, at, untold });
            }
        }
    }
}

impl Bucket {
    /// Takes a token, and gives the number of reports that got none since the last one that did.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * PER_SECOND).min(BURST);
        self.filled = now;
        if self.tokens < 1.0 {
            self.untold += 1;
            return None;
        }
        self.tokens -= 1.0;
        Some(std::mem::take(&mut self.untold))
    }
}

impl fmt::Debug for Intruders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intruders").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_of_intruders_is_counted_and_a_bounded_part_of_it_is_told() {
        let start = Instant::now();
        let mut bucket = Bucket {
            tokens: BURST,
            filled: start,
            untold: 0,
        };
        let told = (0..1000).filter_map(|_| bucket.take(start)).count();
        assert_eq!(told, 20);
        assert_eq!(bucket.take(start + Duration::from_secs(1)), Some(980));
        assert_eq!(bucket.take(start + Duration::from_secs(1)), Some(0));
    }
}
