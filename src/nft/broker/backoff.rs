//! How long to wait before a process is started anew.

use std::time::Duration;

/// After the second death in a row.
const FIRST: Duration = Duration::from_millis(100);

/// Never longer.
const LONGEST: Duration = Duration::from_secs(10);

/// Counts deaths in a row.
#[derive(Debug)]
pub struct Backoff {
    long_life: Duration,
    in_a_row: u32,
}

impl Backoff {
    /// Begins; a process that lives as long as `long_life` did not die of its start.
    #[must_use]
    pub fn new(long_life: Duration) -> Backoff {
        Backoff {
            long_life,
            in_a_row: 0,
        }
    }

    /// Counts a death after this long a life; answers with how long to wait: at first not at all.
    pub fn after(&mut self, life: Duration) -> Duration {
        if life >= self.long_life {
            self.in_a_row = 0;
        }
        let before = self.in_a_row;
        self.in_a_row = before.saturating_add(1);
        match before.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => FIRST
                .saturating_mul(2_u32.saturating_pow(doublings))
                .min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_costs_nothing_and_others_ever_more() {
        let long_life = Duration::from_secs(60);
        let mut backoff = Backoff::new(long_life);
        let short = Duration::from_secs(1);
        let waits: Vec<u128> = (0..10).map(|_| backoff.after(short).as_millis()).collect();
        assert_eq!(
            waits,
            [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        assert_eq!(backoff.after(long_life), Duration::ZERO);
        assert_eq!(backoff.after(short), FIRST);
    }
}
