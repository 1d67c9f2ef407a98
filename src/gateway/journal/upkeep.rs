//! The journal's own thread: ends outages, tells the log, deletes old files, looks after free space.
//!
//! It alone talks to the log, because a log that goes to the same stuck reader must not hold up a worker.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Shared;
use super::writer::{Health, Outages, PATIENCE};

/// Between two looks at free space.
const LOOK: Duration = Duration::from_secs(60);
/// Between two attempts to write after the kernel refused.
const RETRY: Duration = Duration::from_secs(1);
/// Longest wait for a reader without a look at anything else.
const READER: Duration = Duration::from_millis(250);
/// Between two outages that the log is told of, and until it is told again of one that lasts.
const OUTAGE_PAUSE: Duration = Duration::from_secs(10);
const OUTAGE_LASTS: Duration = Duration::from_secs(60);
/// Between two warnings of little space, and between two deletions without a rotation.
const HOUR: Duration = Duration::from_secs(3600);

/// Runs until the journal is dropped.
pub(super) fn run(shared: &Shared) {
    let mut log = Log::default();
    let mut chores = Chores::default();
    let mut last_try = Instant::now();
    loop {
        let mut writer = shared.lock();
        if writer.stopping() {
            drop(writer);
            return farewell(shared, &mut log);
        }
        match writer.health() {
            Health::Fine => {}
            Health::Slow { .. } | Health::Stuck => {
                writer.catch_up();
            }
            Health::Broken if last_try.elapsed() >= RETRY => {
                last_try = Instant::now();
                if !writer.catch_up() && writer.outages().reopen {
                    // The log was told of the outage itself; this is only another way out.
                    let _ = writer.reopen();
                }
            }
            Health::Broken => {}
        }
        let health = writer.health();
        let (outages, lost) = (writer.outages().clone(), writer.state().lost);
        let (rotated, rotation_error) = writer.take_rotated();
        let (settings, sink) = (writer.settings().clone(), writer.sink());
        let keeper = writer.keeper();
        drop(writer);

        log.tell(health, &outages, lost);
        if let Some(error) = rotation_error {
            tracing::error!("the journal's file could not be put aside, it grows on: {error}");
        }
        if (rotated || chores.deletion_due())
            && let Err(error) = keeper.expire(&settings)
        {
            tracing::error!("old journal files could not be deleted: {error}");
        }
        if let Some(percent) = settings.warn_free
            && chores.look_due()
        {
            chores.look(percent, sink.free_percent());
        }

        match health {
            Health::Slow { .. } | Health::Stuck => {
                sink.wait(READER);
            }
            Health::Fine | Health::Broken => {
                let mut writer = shared.lock();
                // What changed while the lock was open has not been looked at yet.
                if writer.stopping() || writer.calls() {
                    continue;
                }
                let pause = if health == Health::Fine { LOOK } else { RETRY };
                let _ = shared
                    .attention
                    .wait_timeout(writer, pause)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Gives a slow reader a last chance.
fn farewell(shared: &Shared, log: &mut Log) {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut writer = shared.lock();
        if writer.catch_up() {
            return;
        }
        let (sink, health) = (writer.sink(), writer.health());
        let (outages, state) = (writer.outages().clone(), writer.state());
        drop(writer);
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || health == Health::Broken {
            log.tell(health, &outages, state.lost);
            let lost = state.lost + state.waiting as u64;
            tracing::error!("the journal ends while it cannot be written: {lost} records are lost");
            return;
        }
        sink.wait(left.min(READER));
    }
}

/// What the log was told of outages.
#[derive(Debug, Default)]
struct Log {
    outages: u64,
    down: bool,
    at: Option<Instant>,
}

impl Log {
    fn tell(&mut self, health: Health, outages: &Outages, lost: u64) {
        let down = match health {
            Health::Fine | Health::Slow { .. } => false,
            Health::Stuck | Health::Broken => true,
        };
        let quiet = |pause| self.at.is_some_and(|at| at.elapsed() < pause);
        if outages.count > self.outages && !quiet(OUTAGE_PAUSE) || down && !quiet(OUTAGE_LASTS) {
            tracing::error!(
                lost,
                "the journal cannot be written ({}): no pinhole opens until it can, clients get 451",
                outages.error
            );
            self.outages = outages.count;
            self.down = true;
            self.at = Some(Instant::now());
        }
        if !down && self.down {
            tracing::warn!(lost, "the journal is written again");
            self.down = false;
        }
    }
}

/// What is done now and then.
#[derive(Debug, Default)]
struct Chores {
    deleted: Option<Instant>,
    looked: Option<Instant>,
    warned: Option<Instant>,
}

impl Chores {
    fn deletion_due(&mut self) -> bool {
        due(&mut self.deleted, HOUR)
    }

    fn look_due(&mut self) -> bool {
        due(&mut self.looked, LOOK)
    }

    fn look(&mut self, percent: u8, free: Option<u64>) {
        match free {
            Some(free) if free < u64::from(percent) => {
                if due(&mut self.warned, HOUR) {
                    tracing::warn!(
                        "the journal's file system has {free} % free, less than the {percent} % of `journal.warn_free`; \
                         when it is full no pinhole opens"
                    );
                }
            }
            Some(_) | None => self.warned = None,
        }
    }
}

/// Tells whether `last` is as long ago as `pause`, and then sets it to now.
fn due(last: &mut Option<Instant>, pause: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= pause);
    if due {
        *last = Some(Instant::now());
    }
    due
}
