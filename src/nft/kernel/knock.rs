//! Knocks at shut ports, told once and then counted: a scan is one thing and not a thousand.
//!
//! This module must not read clocks or packets.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::nft::Happening;
use crate::nft::packet::Dial;

/// How long a knock of the same peer at the same port is only counted.
const QUIET: Duration = Duration::from_secs(10);

/// How many peers and ports are remembered; beyond that knocks are told one by one, as far as the rule's limit lets them.
const REMEMBERED: usize = 4096;

/// Who knocked lately, and how often since it was told.
#[derive(Debug, Default)]
pub(super) struct Knocks {
    lately: HashMap<(IpAddr, SocketAddr), (Instant, u32)>,
}

impl Knocks {
    /// Returns what is to be told of a knock, if anything.
    pub(super) fn heard(&mut self, now: Instant, dial: Dial) -> Option<Happening> {
        let key = (dial.from.ip(), dial.to);
        let mut more = 0;
        if let Some((told, count)) = self.lately.get_mut(&key) {
            if now.duration_since(*told) < QUIET {
                *count = count.saturating_add(1);
                return None;
            }
            more = *count;
        } else if self.lately.len() >= REMEMBERED {
            self.lately
                .retain(|_, (told, _)| now.duration_since(*told) < QUIET);
        }
        if self.lately.len() < REMEMBERED {
            self.lately.insert(key, (now, 0));
        }
        Some(Happening::Knocked {
            from: dial.from,
            at: dial.to,
            more,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use super::{Dial, Happening, Knocks, QUIET, REMEMBERED};

    fn dial(port: u16, at: u16) -> Dial {
        Dial {
            from: SocketAddr::from(([192, 0, 2, 9], port)),
            to: SocketAddr::from(([192, 0, 2, 1], at)),
        }
    }

    fn more(happening: Option<Happening>) -> Option<u32> {
        match happening? {
            Happening::Knocked { more, .. } => Some(more),
            Happening::Used { .. } | Happening::Restored => None,
        }
    }

    #[test]
    fn a_knock_is_told_once_and_the_rest_counted() {
        let (mut knocks, now) = (Knocks::default(), Instant::now());
        assert_eq!(more(knocks.heard(now, dial(1000, 21000))), Some(0));
        for port in 1001..1006 {
            assert_eq!(knocks.heard(now, dial(port, 21000)), None);
        }
        assert_eq!(more(knocks.heard(now, dial(1000, 21001))), Some(0));
        let later = now + QUIET;
        assert_eq!(more(knocks.heard(later, dial(1000, 21000))), Some(5));
        assert_eq!(
            knocks.heard(later + Duration::from_secs(1), dial(1000, 21000)),
            None
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut knocks, now) = (Knocks::default(), Instant::now());
        for at in 0..=u16::MAX {
            assert!(knocks.heard(now, dial(1000, at)).is_some());
        }
        assert_eq!(knocks.lately.len(), REMEMBERED);
        knocks.heard(now + QUIET, dial(1000, 65535));
        assert_eq!(knocks.lately.len(), 1);
    }
}
