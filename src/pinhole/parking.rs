//! Which listeners are kept without a hole: bounded, the longest unused one goes first.
//!
//! Invariant: never more than [`PARKED`]. This module must not know sockets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most sockets that are kept bound, and shut, for the next pinhole on their port.
pub const PARKED: usize = 64;

/// How long nothing is parked after somebody else listened on the port of a parked socket.
const DISTRUST: Duration = Duration::from_secs(60);

/// The keys of what is parked, the longest parked first.
#[derive(Debug)]
pub(super) struct Parking<K> {
    keys: VecDeque<K>,
    closed_until: Option<Instant>,
}

impl<K> Default for Parking<K> {
    fn default() -> Parking<K> {
        Parking {
            keys: VecDeque::new(),
            closed_until: None,
        }
    }
}

impl<K: Copy + PartialEq> Parking<K> {
    /// Parks this one; answers with the one that has to go for it, which may be itself.
    pub(super) fn park(&mut self, key: K) -> Option<K> {
        if let Some(until) = self.closed_until {
            if Instant::now() < until {
                return Some(key);
            }
            self.closed_until = None;
        }
        self.keys.push_back(key);
        if self.keys.len() > PARKED {
            self.keys.pop_front()
        } else {
            None
        }
    }

    /// Takes this one out, if it is parked.
    pub(super) fn leave(&mut self, key: K) {
        if let Some(place) = self.keys.iter().position(|&parked| parked == key) {
            self.keys.remove(place);
        }
    }

    /// Parks nothing for a while.
    pub(super) fn close(&mut self) {
        self.closed_until = Some(Instant::now() + DISTRUST);
    }

    /// Takes all out.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = K> {
        self.keys.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_parked_goes_when_there_are_too_many() {
        let mut parking = Parking::default();
        assert!((0..PARKED).all(|key| parking.park(key).is_none()));
        parking.leave(0);
        assert_eq!(parking.park(0), None);
        assert_eq!(parking.park(PARKED), Some(1));
        assert_eq!(parking.clear().count(), PARKED);
        assert_eq!(parking.clear().count(), 0);
    }

    #[test]
    fn nothing_is_parked_while_it_is_closed() {
        let mut parking = Parking::default();
        parking.close();
        assert_eq!(parking.park(1), Some(1));
        parking.closed_until = Some(Instant::now());
        assert_eq!(parking.park(1), None);
        assert_eq!(parking.clear().count(), 1);
    }
}
