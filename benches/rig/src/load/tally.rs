//! Counting what succeeded, how long it took, and what failed.

use std::time::Duration;

use super::client::Failure;
use super::job::Outcome;

/// A growing count.
#[derive(Debug, Default)]
pub struct Tally {
    seconds: f64,
    bytes: u64,
    microseconds: Vec<f32>,
    failed: u64,
    wrong_bytes: u64,
    first_failure: Option<String>,
}

impl Tally {
    /// Counts one operation, its payload in bytes and its duration; says whether it succeeded.
    pub fn count(&mut self, result: Result<(), Failure>, bytes: u64, took: Duration) -> bool {
        match result {
            Ok(()) => {
                self.bytes += bytes;
                self.microseconds.push(took.as_secs_f32() * 1e6);
                true
            }
            Err(failure) => {
                self.failed += 1;
                self.wrong_bytes += u64::from(failure.is_wrong_byte());
                self.first_failure
                    .get_or_insert_with(|| failure.to_string());
                false
            }
        }
    }

    /// Notes when the work ended; of several, the latest counts.
    pub fn end(&mut self, took: Duration) {
        self.seconds = self.seconds.max(took.as_secs_f64());
    }

    /// Adds another count of the same time.
    pub fn add(&mut self, other: Self) {
        self.seconds = self.seconds.max(other.seconds);
        self.bytes += other.bytes;
        self.microseconds.extend(other.microseconds);
        self.failed += other.failed;
        self.wrong_bytes += other.wrong_bytes;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }

    /// Closes the count.
    pub fn outcome(mut self) -> Outcome {
        self.microseconds.sort_unstable_by(f32::total_cmp);
        Outcome {
            seconds: self.seconds,
            operations: self.microseconds.len() as u64,
            bytes: self.bytes,
            p50: self.percentile(50),
            p99: self.percentile(99),
            failed: self.failed,
            wrong_bytes: self.wrong_bytes,
            first_failure: self.first_failure,
        }
    }

    /// The nearest-rank percentile of the sorted durations.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.microseconds.len() * percent).div_ceil(100);
        self.microseconds
            .get(rank.saturating_sub(1))
            .copied()
            .map_or(0.0, f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut tally = Tally::default();
        for millis in (1..=200).rev() {
            assert!(tally.count(Ok(()), 10, Duration::from_millis(millis)));
        }
        let outcome = tally.outcome();
        assert_eq!((outcome.operations, outcome.bytes), (200, 2_000));
        assert!((outcome.p50 - 100_000.0).abs() < 1.0 && (outcome.p99 - 198_000.0).abs() < 1.0);
        assert_eq!(Tally::default().outcome(), Outcome::default());
    }

    #[test]
    fn failures_are_counted_and_the_first_is_kept() {
        let failure = |reply: &str| Failure::Reply {
            during: "STOR f".into(),
            reply: reply.into(),
        };
        let mut tally = Tally::default();
        assert!(!tally.count(
            Err(failure("451 wrong byte at offset 7.")),
            10,
            Duration::ZERO
        ));
        assert!(!tally.count(Err(failure("550 no")), 10, Duration::ZERO));
        let outcome = tally.outcome();
        assert_eq!(
            (
                outcome.failed,
                outcome.wrong_bytes,
                outcome.bytes,
                outcome.operations
            ),
            (2, 1, 0, 0)
        );
        assert!(
            outcome
                .first_failure
                .is_some_and(|text| text.contains("offset 7"))
        );
    }
}
