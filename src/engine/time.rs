//! Time as values: readings of the clocks, handed in.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// A wall-clock reading: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wall(pub u64);

impl fmt::Display for Wall {
    /// Writes UTC as RFC 3339 with microseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_microsecond(micros) {
            Ok(time) => write!(f, "{time:.6}"),
            Err(_) => write!(f, "{:.6}", jiff::Timestamp::MAX),
        }
    }
}

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A reading of both clocks, handed in; the engine never reads one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Monotonic time since an arbitrary start.
    pub mono: Duration,
    /// Wall-clock time, for records only.
    pub wall: Wall,
}

/// A reading of the monotonic clock as a session keeps it: half the size of a [`Duration`], also as an option.
///
/// In nanoseconds, one more than there are; 584 years after its start the clock stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    /// The clock's start.
    pub(super) const START: Moment = Moment(NonZeroU64::MIN);

    pub(super) fn at(mono: Duration) -> Moment {
        let nanos = u64::try_from(mono.as_nanos()).unwrap_or(u64::MAX);
        Moment(NonZeroU64::MIN.saturating_add(nanos))
    }

    pub(super) fn mono(self) -> Duration {
        Duration::from_nanos(self.0.get() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_reading_it_was_made_of() {
        let readings = [0, 1, 999_999_999, 1_000_000_001, u64::MAX - 1].map(Duration::from_nanos);
        for reading in readings {
            assert_eq!(Moment::at(reading).mono(), reading);
        }
        assert_eq!(Moment::START, Moment::at(Duration::ZERO));
        let last = Moment::at(Duration::MAX).mono();
        assert_eq!(last, Duration::from_nanos(u64::MAX - 1));
    }
}
