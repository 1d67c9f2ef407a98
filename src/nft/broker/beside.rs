//! Keeps the broker beside whoever asks it most.

use crate::nft::beside::Stay;

/// After so many questions it is seen who asks most. Going elsewhere is as dear as some of them.
const QUESTIONS: u32 = 16;

/// Three quarters of the questions must come from one processor; otherwise whoever asks from there would gain less than all the others
/// lose. Counted as those from there less those from elsewhere.
const MOST: u32 = QUESTIONS / 2;

/// Where the broker stays.
#[derive(Debug, Default)]
pub(super) struct Beside {
    stay: Option<Stay>,
    /// Where most of the questions since the last decision may have come from: the one that a majority vote of Boyer and Moore leaves.
    favoured: usize,
    /// Questions from there, less those from elsewhere.
    ahead: u32,
    /// Questions since the last decision.
    heard: u32,
}

impl Beside {
    /// Learns where somebody asks from.
    pub(super) fn hear(&mut self, processor: usize) {
        if self.ahead == 0 {
            self.favoured = processor;
        }
        if self.favoured == processor {
            self.ahead += 1;
        } else {
            self.ahead -= 1;
        }
        self.heard += 1;
        if self.heard == QUESTIONS {
            self.decide();
        }
    }

    fn decide(&mut self) {
        let favoured = (self.ahead >= MOST).then_some(self.favoured);
        (self.ahead, self.heard) = (0, 0);
        if self.stay.as_ref().map(Stay::processor) != favoured {
            self.leave();
            self.stay = favoured.and_then(|processor| Stay::on(processor).ok()?);
        }
    }

    /// May run anywhere again: before it starts a process, which runs where its parent may.
    pub(super) fn leave(&mut self) {
        self.stay = None;
    }
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::*;

    /// The processors where the calling thread may run.
    fn places() -> Vec<usize> {
        let home = sched_getaffinity(None).unwrap();
        let all = 0..CpuSet::MAX_CPU;
        all.filter(|place| home.is_set(*place)).collect()
    }

    #[test]
    fn it_follows_whoever_asks_most() {
        let run = || {
            let all = places();
            let [one, other, ..] = all[..] else {
                return;
            };
            let mut beside = Beside::default();
            let mut hears = |of_one: u32| {
                for number in 0..QUESTIONS {
                    beside.hear(if number % 4 < of_one { one } else { other });
                }
                places()
            };
            assert_eq!(hears(4), [one]);
            // Others who ask now and then do not make it go.
            assert_eq!(hears(3), [one]);
            assert_eq!(hears(0), [other]);
            // With nobody who asks most it is nobody's.
            assert_eq!(hears(2), all);
            assert_eq!(hears(1), [other]);
            beside.leave();
            assert_eq!(places(), all);
        };
        std::thread::spawn(run).join().unwrap();
    }

    #[test]
    fn nobody_leads_it_where_it_may_not_go() {
        let run = || {
            let all = places();
            let mut beside = Beside::default();
            for nowhere in [CpuSet::MAX_CPU - 1, usize::MAX] {
                for _ in 0..QUESTIONS {
                    beside.hear(nowhere);
                    assert_eq!(places(), all);
                }
            }
        };
        std::thread::spawn(run).join().unwrap();
    }
}
