//! Keeps the broker beside whoever asks it most.

use crate::nft::beside::Stay;

/// How many questions of others make it follow them: going elsewhere is as dear as a few questions from there.
const MOST: u32 = 16;

/// What is held against the next one who asks from elsewhere, when it has just come.
const FIRST: u32 = 4;

/// Where the broker stays.
#[derive(Debug, Default)]
pub(super) struct Beside {
    stay: Option<Stay>,
    /// Questions from here, less those from elsewhere.
    held: u32,
}

impl Beside {
    /// Learns where somebody asks from.
    pub(super) fn hear(&mut self, processor: usize) {
        let here = self.stay.as_ref().map(Stay::processor);
        if here == Some(processor) {
            self.held = MOST.min(self.held + 1);
        } else if self.held > 0 {
            self.held -= 1;
        } else {
            self.leave();
            // Where it may not go, it need not try again for a while.
            let stay = Stay::on(processor).ok().flatten();
            self.held = if stay.is_some() { FIRST } else { MOST };
            self.stay = stay;
        }
    }

    /// May run anywhere again: before it starts a process, which runs where its parent may.
    pub(super) fn leave(&mut self) {
        self.stay = None;
        self.held = 0;
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
            beside.hear(one);
            assert_eq!(places(), [one]);
            // Others who ask now and then do not make it go, nor does one who asks as often.
            for _ in 0..3 * MOST {
                beside.hear(other);
                beside.hear(one);
                assert_eq!(places(), [one]);
            }
            for _ in 0..=MOST {
                beside.hear(other);
            }
            assert_eq!(places(), [other]);
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
            for _ in 0..3 * MOST {
                beside.hear(CpuSet::MAX_CPU - 1);
                beside.hear(usize::MAX);
                assert_eq!(places(), all);
            }
        };
        std::thread::spawn(run).join().unwrap();
    }
}
