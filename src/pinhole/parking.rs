//! Which listeners are kept without a hole: bounded, the longest unused one goes first.
//!
//! Invariant: never more than [`PARKED`]. This module must not know sockets.

use std::collections::VecDeque;

/// Most sockets that are kept bound, and shut, for the next pinhole on their port.
pub const PARKED: usize = 64;

/// The keys of what is parked, the longest parked first.
#[derive(Debug)]
pub(super) struct Parking<K> {
    keys: VecDeque<K>,
}

impl<K> Default for Parking<K> {
    fn default() -> Parking<K> {
        Parking {
            keys: VecDeque::new(),
        }
    }
}

impl<K: Copy + PartialEq> Parking<K> {
    /// Parks this one; answers with the one that has to go for it.
    pub(super) fn park(&mut self, key: K) -> Option<K> {
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
}
