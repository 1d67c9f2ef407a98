//! The one place that reads clocks, and hands the readings to the engine as values.
//!
//! Invariant: [`Time::mono`] never goes back, and counts from the start of this gateway, so that a deadline of
//! the engine can be turned into an instant of the runtime.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::engine::{Time, Wall};

/// Reads the monotonic and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting now.
    pub fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Time {
        Time {
            mono: self.mono(),
            wall: wall(),
        }
    }

    /// Reads the monotonic clock alone.
    pub fn mono(&self) -> Duration {
        self.start.elapsed()
    }

    /// Turns a reading of the monotonic clock into the runtime's form; far ahead where the sum does not fit.
    pub fn instant(&self, mono: Duration) -> tokio::time::Instant {
        const FAR: Duration = Duration::from_secs(86_400 * 365);
        let instant = self.start.checked_add(mono);
        tokio::time::Instant::from_std(instant.unwrap_or(self.start + FAR))
    }
}

/// Reads the wall clock; a clock set before 1970 reads as 1970.
pub fn wall() -> Wall {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Wall(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_turns_into_the_instant_at_which_it_was_taken() {
        let clock = Clock::start();
        let before = tokio::time::Instant::now();
        let reading = clock.instant(clock.now().mono);
        let after = tokio::time::Instant::now();
        assert!(before <= reading && reading <= after);
    }

    #[test]
    fn a_deadline_beyond_all_times_is_far_ahead_and_no_panic() {
        let clock = Clock::start();
        assert!(clock.instant(Duration::MAX) > clock.instant(Duration::from_secs(86_400 * 300)));
    }
}
