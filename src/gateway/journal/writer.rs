//! The order of lines, and what happens to them when they can't be written.
//!
//! Everything here runs under the journal's lock. Lines leave in the order of their numbers: what waits goes
//! first, then the report of what was lost, then the new line.

mod batch;
mod change;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::engine::{Event, Record, Wall};

use super::keeper::Keeper;
use super::line::{Line, Privacy};
use super::sink::Sink;
use super::{JournalSettings, JournalState};
use change::Rotation;

/// Most lines that wait.
const WAITING_LINES: usize = 4096;
/// Most bytes that wait.
const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// How long a reader may stand still before records are refused.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The journal's state behind its lock.
#[derive(Debug)]
pub(super) struct Writer {
    settings: JournalSettings,
    keeper: Arc<dyn Keeper>,
    sink: Arc<Sink>,
    /// Bytes in the file.
    size: u64,
    /// Whether the file ends in the middle of a line.
    torn: bool,
    /// The last number given.
    seq: u64,
    records: u64,
    lost: u64,
    /// Of those, the ones that no `journal.gap` has told yet.
    untold: u64,
    /// Whether an outage or a loss is to be recorded.
    gap_due: bool,
    waiting: VecDeque<Box<[u8]>>,
    waiting_bytes: usize,
    /// Bytes of the first waiting line that the reader has already.
    begun: usize,
    health: Health,
    outages: Outages,
    /// The line of the gap's record; kept for its buffer.
    gap: Line,
    /// Several lines on their way out together; kept for its buffer.
    joined: Vec<u8>,
    rotation: Rotation,
    /// Whether the journal's thread has something to do that it does not know of.
    calls: bool,
    stopping: bool,
}

/// Whether lines get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// They do.
    Fine,
    /// The reader is slow: it has not taken all there is.
    Slow {
        /// When it last took something.
        since: Instant,
    },
    /// The reader took nothing for too long.
    Stuck,
    /// The kernel refuses.
    Broken,
}

/// What the journal's thread tells the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Outages {
    /// How many there were.
    pub count: u64,
    /// What the last one was, in words.
    pub error: String,
    /// Whether opening the file anew may end it.
    pub reopen: bool,
}

/// What became of one attempt to write a line.
enum Put {
    Whole,
    /// The reader is slow; this many bytes went out.
    Part(usize),
    Failed {
        error: io::Error,
        /// Bytes that went out.
        done: usize,
        /// Whether the file ends in the middle of a line now.
        torn: bool,
    },
}

impl Writer {
    /// Opens the target.
    pub(super) fn open(settings: JournalSettings, keeper: Arc<dyn Keeper>) -> io::Result<Self> {
        let opened = keeper.open(&settings)?;
        let torn = opened.torn;
        let sink = Sink::new(opened)?;
        Ok(Writer {
            keeper,
            size: sink.length(),
            torn,
            sink: Arc::new(sink),
            settings,
            seq: 0,
            records: 0,
            lost: 0,
            untold: 0,
            gap_due: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            begun: 0,
            health: Health::Fine,
            outages: Outages::default(),
            gap: Line::new(),
            joined: Vec::new(),
            rotation: Rotation::default(),
            calls: false,
            stopping: false,
        })
    }

    /// Writes what waits; tells whether nothing waits any more and the target takes lines.
    pub(super) fn catch_up(&mut self) -> bool {
        if self.health == Health::Fine && self.waiting.is_empty() && !self.gap_due {
            return true;
        }
        while let Some(line) = self.waiting.pop_front() {
            match self.put(line.get(self.begun..).unwrap_or_default()) {
                Put::Whole => {
                    self.waiting_bytes -= line.len();
                    self.begun = 0;
                    self.records += 1;
                }
                Put::Part(count) => {
                    self.begun += count;
                    self.waiting.push_front(line);
                    self.slowed();
                    return false;
                }
                Put::Failed { error, .. } => {
                    // Whoever reads next has not seen the beginning.
                    self.begun = 0;
                    self.waiting.push_front(line);
                    self.broke(&error);
                    return false;
                }
            }
        }
        if self.gap_due && !self.tell_gap() {
            return false;
        }
        self.health = Health::Fine;
        true
    }

    /// Writes the record of an outage or of losses; tells whether it got through.
    fn tell_gap(&mut self) -> bool {
        let record = Record {
            at: now(),
            session: None,
            client: None,
            user: None,
            event: Event::JournalGap { lost: self.untold },
        };
        let mut line = std::mem::take(&mut self.gap);
        line.render(&record, Privacy::NOTHING_TO_HIDE);
        line.number(self.seq + 1);
        let through = match self.put(line.bytes()) {
            Put::Whole => {
                self.seq += 1;
                self.records += 1;
                true
            }
            Put::Part(0) => {
                self.slowed();
                false
            }
            Put::Part(begun) => {
                self.slowed();
                self.seq += 1;
                self.keep(line.bytes());
                self.begun = begun;
                self.gap_due = false;
                self.untold = 0;
                false
            }
            Put::Failed { error, torn, .. } => {
                self.seq += u64::from(torn);
                self.broke(&error);
                false
            }
        };
        if through {
            self.gap_due = false;
            self.untold = 0;
        }
        self.gap = line;
        through
    }

    /// Writes a line, or the rest of one, as far as that goes without waiting for a reader.
    fn put(&mut self, bytes: &[u8]) -> Put {
        let file = self.sink.is_file();
        if file {
            self.rotate_before(bytes.len());
            if self.torn {
                match self.sink.write(b"\n") {
                    Ok(count) => self.size += count as u64,
                    Err(error) => {
                        return Put::Failed {
                            error,
                            done: 0,
                            torn: false,
                        };
                    }
                }
                self.torn = false;
            }
        }
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match self.sink.write(rest) {
                Ok(count) => {
                    done += count;
                    self.size += count as u64;
                    if let Health::Slow { since } = &mut self.health {
                        *since = Instant::now();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !file => {
                    return Put::Part(done);
                }
                Err(error) => {
                    let ends_whole = bytes.get(..done).is_none_or(|out| out.ends_with(b"\n"));
                    self.torn = file && done > 0 && !ends_whole;
                    if self.torn && done + 1 == bytes.len() {
                        // All of it stands there; its line feed comes before the next line.
                        return Put::Whole;
                    }
                    return Put::Failed {
                        error,
                        done,
                        torn: self.torn,
                    };
                }
            }
        }
        Put::Whole
    }

    fn keep(&mut self, line: &[u8]) {
        self.waiting_bytes += line.len();
        self.waiting.push_back(line.into());
    }

    fn slowed(&mut self) {
        match self.health {
            Health::Fine | Health::Broken => {
                self.calls = true;
                self.health = Health::Slow {
                    since: Instant::now(),
                };
            }
            Health::Slow { .. } | Health::Stuck => {}
        }
    }

    fn broke(&mut self, error: &io::Error) {
        if self.health != Health::Broken {
            self.down(Health::Broken, error.to_string());
        }
        self.outages.reopen = !matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::BrokenPipe
        );
    }

    fn down(&mut self, health: Health, error: String) {
        self.health = health;
        self.gap_due = true;
        self.calls = true;
        self.outages.count += 1;
        self.outages.error = error;
    }

    /// Gives the health, a reader's standstill considered.
    pub(super) fn health(&mut self) -> Health {
        if let Health::Slow { since } = self.health
            && since.elapsed() >= PATIENCE
        {
            self.down(Health::Stuck, "its reader takes nothing".into());
        }
        self.health
    }
}

/// What the journal's owner and its thread ask for.
impl Writer {
    /// Tells whether the journal's thread is to be woken, once for each cause.
    pub(super) fn calls(&mut self) -> bool {
        std::mem::take(&mut self.calls)
    }

    /// Gives the state for `ctl status`.
    pub(super) fn state(&mut self) -> JournalState {
        JournalState {
            accepting: match self.health() {
                Health::Fine | Health::Slow { .. } => true,
                Health::Stuck | Health::Broken => false,
            },
            lost: self.lost,
            records: self.records,
            waiting: self.waiting.len(),
        }
    }

    /// Gives what there is to tell about outages.
    pub(super) fn outages(&self) -> &Outages {
        &self.outages
    }

    /// Gives the target, to wait on without the lock.
    pub(super) fn sink(&self) -> Arc<Sink> {
        Arc::clone(&self.sink)
    }

    /// Gives the settings in force.
    pub(super) fn settings(&self) -> &JournalSettings {
        &self.settings
    }

    /// Gives who keeps the files.
    pub(super) fn keeper(&self) -> Arc<dyn Keeper> {
        Arc::clone(&self.keeper)
    }

    /// Gives what rotation has to tell, once.
    pub(super) fn take_rotated(&mut self) -> (bool, Option<String>) {
        (
            std::mem::take(&mut self.rotation.done),
            self.rotation.error.take(),
        )
    }

    /// Tells the journal's thread to end.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Tells whether the journal's thread is to end.
    pub(super) fn stopping(&self) -> bool {
        self.stopping
    }
}

/// Reads the wall clock.
pub(super) fn now() -> Wall {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Wall(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
