//! Keeps two threads that wait for each other on one processor.
//!
//! Whoever asks sleeps until it is answered, and the broker sleeps until it is asked. On one processor the one's sleep is the other's
//! turn, some microseconds; with one processor each, either has to wake an idle one, which on a virtual machine can take
//! a hundred (docs/SPEED.md). The kernel prefers the idle one, so both of them give up the others for a while
//! (sched_setaffinity(2)): whoever asks says where it is and stays there, and the broker comes.
//!
//! Invariant: a thread goes nowhere where it might not have gone by itself, and what is set from outside
//! (taskset(1), `CPUAffinity=`) holds.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// How long whoever asks stays at most before the kernel may take it elsewhere.
const WHILE: Duration = Duration::from_millis(10);

/// The calling thread's leave to run on other processors, given up until this is dropped.
#[derive(Debug)]
pub(super) struct Stay {
    processor: usize,
    /// Where it might run before.
    home: CpuSet,
}

impl Stay {
    /// Keeps the calling thread on this processor. None where it runs on one only anyway, or may not run on this one.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn on(processor: usize) -> io::Result<Option<Stay>> {
        let home = sched_getaffinity(None)?;
        if processor >= CpuSet::MAX_CPU || !home.is_set(processor) || home.count() < 2 {
            return Ok(None);
        }
        sched_setaffinity(None, &only(processor))?;
        Ok(Some(Stay { processor, home }))
    }

    /// Where.
    pub(super) fn processor(&self) -> usize {
        self.processor
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        // Somebody else may have said meanwhile where it is to run.
        if sched_getaffinity(None).is_ok_and(|now| now == only(self.processor)) {
            // Without its processors it runs on this one.
            let _ = sched_setaffinity(None, &self.home);
        }
    }
}

fn only(processor: usize) -> CpuSet {
    let mut one = CpuSet::new();
    one.set(processor);
    one
}

/// What one thread has given up for its questions.
struct Asking {
    /// Whether it ever rests: one that does not would stay for ever.
    rests: bool,
    stay: Option<(Stay, Instant)>,
}

thread_local! {
    static ASKING: RefCell<Asking> = const {
        RefCell::new(Asking {
            rests: false,
            stay: None,
        })
    };
}

/// Learns how to tell where a thread runs: that takes system calls which a confined gateway does not have.
pub(super) fn prepare() {
    sched_getcpu();
}

/// Keeps the calling thread where it is, until [`rest`] finds that it has been long enough; answers with where that is. None
/// for a thread that never rested, or has no choice of processors.
pub(super) fn stay() -> Option<usize> {
    ASKING.with_borrow_mut(|asking| {
        if let Some((stay, _)) = &asking.stay {
            return Some(stay.processor());
        }
        let stay = asking.rests.then(|| Stay::on(sched_getcpu()).ok()?)??;
        let processor = stay.processor();
        asking.stay = Some((stay, Instant::now()));
        Some(processor)
    })
}

/// Lets the calling thread go anywhere again, once it has stayed long enough. To be called by a thread before each sleep.
pub(super) fn rest() {
    ASKING.with_borrow_mut(|asking| {
        asking.rests = true;
        asking.stay.take_if(|(_, since)| since.elapsed() > WHILE);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own, which may run on at least two processors or there is nothing to see.
    fn alone(test: impl FnOnce(CpuSet) + Send + 'static) {
        let run = || {
            let home = sched_getaffinity(None).unwrap();
            if home.count() > 1 {
                test(home);
            }
        };
        std::thread::spawn(run).join().unwrap();
    }

    fn two_of(home: &CpuSet) -> (usize, usize) {
        let mut places = (0..CpuSet::MAX_CPU).filter(|place| home.is_set(*place));
        (places.next().unwrap(), places.next().unwrap())
    }

    fn here() -> CpuSet {
        sched_getaffinity(None).unwrap()
    }

    #[test]
    fn a_thread_stays_where_it_is_for_a_while() {
        alone(|home| {
            assert_eq!(stay(), None, "it never rests");
            rest();
            let begun = Instant::now();
            let at = stay().unwrap();
            assert_eq!(here(), only(at));
            assert_eq!(sched_getcpu(), at);
            loop {
                rest();
                if here() == home {
                    break;
                }
                assert_eq!(here(), only(at));
                assert!(begun.elapsed() < Duration::from_secs(20));
            }
            assert!(begun.elapsed() > WHILE);
            rest();
            assert_eq!(here(), home);
        });
    }

    #[test]
    fn it_goes_nowhere_where_it_might_not_have_gone() {
        alone(|home| {
            let (first, second) = two_of(&home);
            let outside = (0..CpuSet::MAX_CPU).find(|place| !home.is_set(*place));
            for place in outside.into_iter().chain([CpuSet::MAX_CPU, usize::MAX]) {
                assert!(Stay::on(place).unwrap().is_none());
                assert_eq!(here(), home);
            }
            sched_setaffinity(None, &only(first)).unwrap();
            for place in [first, second] {
                assert!(Stay::on(place).unwrap().is_none());
                assert_eq!(here(), only(first));
            }
            rest();
            assert_eq!(stay(), None);
        });
    }

    #[test]
    fn what_is_set_from_outside_meanwhile_holds() {
        alone(|home| {
            let (first, second) = two_of(&home);
            let stays = Stay::on(first).unwrap().unwrap();
            sched_setaffinity(None, &only(second)).unwrap();
            drop(stays);
            assert_eq!(here(), only(second));
        });
    }
}
