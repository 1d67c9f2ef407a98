//! The journal: one line of JSON per record, in the order in which records are accepted.
//!
//! A record that gates an effect is accepted only when its whole line was written by the calling thread;
//! on a pipe, terminal or socket, when it was written or stands in a bounded queue before a reader that moved
//! within the last two seconds. Otherwise it is refused, and its effect must not happen. Other records wait in
//! the queue while the journal is down and are counted when they are lost; `journal.gap` tells how many.
//!
//! `seq` counts from 1 in each process, and `gateway.started` marks where one begins. Order in the file is the
//! order of `seq`; a number that is missing belongs to a record that was lost or torn. No call here waits for
//! a reader, and nothing is told to the log by the calling thread: the journal's own thread does that, ends
//! outages, has old files deleted and looks after free space. Files are opened, put aside and deleted by a
//! [keeper](keeper::Keeper).

mod body;
pub mod keeper;
mod line;
#[cfg(test)]
mod page;
mod rotation;
#[cfg(test)]
mod samples;
mod sink;
mod text;
mod upkeep;
mod writer;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::Record;

use keeper::{Keeper, OwnKeeper};
use line::{Line, Privacy};
use writer::Writer;

pub use rotation::{rotated_at, siblings};
pub use text::misleads;

/// What the journal is told by the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// Where lines go.
    pub target: Target,
    /// The mode of files that the journal makes, whatever the umask is.
    pub mode: u32,
    /// The size in bytes at which a file is put aside; never when there is none.
    pub rotate_size: Option<u64>,
    /// How long files that were put aside are kept; for ever when there is none.
    pub keep: Option<Duration>,
    /// The share of free space, in percent, below which the log warns; never when there is none.
    pub warn_free: Option<u8>,
    /// Whether the password of anonymous users, by custom an e-mail address, is kept.
    pub anonymous_email: bool,
    /// How addresses on the client's side are shown.
    pub addresses: Addresses,
}

/// Where the journal's lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, or a named pipe that somebody reads.
    File(PathBuf),
}

/// `journal.addresses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// As they are.
    Full,
    /// Cut to their /24 (IPv4) or /64 (IPv6), without ports.
    Prefix,
}

/// A record that gates an effect was not accepted: its effect must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be written")]
pub struct Refused;

/// How the journal fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalState {
    /// Whether a record that gates an effect would be accepted now, as far as is known.
    pub accepting: bool,
    /// Records that were lost since the start.
    pub lost: u64,
    /// Records that were written since the start.
    pub records: u64,
    /// Records that wait in memory.
    pub waiting: usize,
}

/// The journal; shared by all threads.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    writer: Mutex<Writer>,
    /// Told to the journal's own thread when it has work.
    attention: Condvar,
    anonymous_email: AtomicBool,
    cut_addresses: AtomicBool,
}

/// Most lines that a thread holds back.
const MOST_HELD: usize = 32;

/// The lines of one thread that leave together; their buffers serve many records.
struct Batch {
    lines: Vec<Line>,
    /// How many of them are rendered and not written yet.
    held: usize,
    /// Whether this thread flushes before it sleeps, so that lines may be held back at all.
    flushes: bool,
}

thread_local! {
    static BATCH: RefCell<Batch> = const {
        RefCell::new(Batch { lines: Vec::new(), held: 0, flushes: false })
    };
}

impl Journal {
    /// Opens the journal and starts its thread; both end when the last handle is dropped, after at most two
    /// seconds for what still waits.
    ///
    /// # Errors
    /// When the target cannot be opened or the thread cannot be started.
    pub fn open(settings: JournalSettings) -> io::Result<Arc<Self>> {
        Journal::kept_by(Arc::new(OwnKeeper), settings)
    }

    /// As [`Journal::open`], with somebody else to look after the files.
    ///
    /// # Errors
    /// When the target cannot be opened or the thread cannot be started.
    pub fn kept_by(keeper: Arc<dyn Keeper>, settings: JournalSettings) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            anonymous_email: AtomicBool::new(settings.anonymous_email),
            cut_addresses: AtomicBool::new(settings.addresses == Addresses::Prefix),
            writer: Mutex::new(Writer::open(settings, keeper)?),
            attention: Condvar::new(),
        });
        let thread = std::thread::Builder::new().name("journal".into()).spawn({
            let shared = Arc::clone(&shared);
            move || upkeep::run(&shared)
        })?;
        Ok(Arc::new(Journal {
            shared,
            thread: Some(thread),
        }))
    }

    /// Writes a record; never waits for a reader.
    ///
    /// On a thread that has called [`Journal::hold_back`], records that gate no effect leave with the next one that
    /// does, or at the next [`Journal::flush`]: one call to the kernel for several lines.
    ///
    /// # Errors
    /// [`Refused`] when the record gates an effect and could not be accepted; other records are never refused.
    pub fn write(&self, record: &Record) -> Result<(), Refused> {
        BATCH.with_borrow_mut(|batch| {
            if batch.held == batch.lines.len() {
                batch.lines.push(Line::new());
            }
            if let Some(line) = batch.lines.get_mut(batch.held) {
                line.render(record, self.shared.privacy());
            }
            batch.held += 1;
            let gates_effect = record.gates_effect();
            if gates_effect || !batch.flushes || batch.held >= MOST_HELD {
                self.accept(batch, gates_effect)
            } else {
                Ok(())
            }
        })
    }

    /// Lets the calling thread hold lines back; it must call [`Journal::flush`] before it sleeps and before it ends.
    pub fn hold_back(&self) {
        BATCH.with_borrow_mut(|batch| batch.flushes = true);
    }

    /// Writes what the calling thread holds back.
    pub fn flush(&self) {
        BATCH.with_borrow_mut(|batch| {
            if batch.held > 0 {
                // None of them gates an effect, so none is refused.
                let _ = self.accept(batch, false);
            }
        });
    }

    fn accept(&self, batch: &mut Batch, last_gates_effect: bool) -> Result<(), Refused> {
        let held = std::mem::take(&mut batch.held);
        let lines = batch.lines.get_mut(..held).unwrap_or_default();
        let mut writer = self.shared.lock();
        let accepted = writer.accept(lines, last_gates_effect);
        if writer.calls() {
            self.shared.attention.notify_one();
        }
        accepted
    }

    /// Opens the file anew, after something else has moved it away; if that fails, goes on with the old one.
    pub fn reopen(&self) {
        let reopened = self.shared.lock().reopen();
        match reopened {
            Ok(()) => tracing::info!("the journal was reopened"),
            Err(error) => {
                tracing::error!(
                    "the journal could not be reopened, the old file is still used: {error}"
                );
            }
        }
    }

    /// Takes new settings; a new target is opened first.
    ///
    /// # Errors
    /// When a new target cannot be opened; then everything stays as it was.
    pub fn replace_settings(&self, settings: JournalSettings) -> io::Result<()> {
        let (email, addresses) = (settings.anonymous_email, settings.addresses);
        self.shared.lock().replace_settings(settings)?;
        self.shared.anonymous_email.store(email, Ordering::Relaxed);
        self.shared
            .cut_addresses
            .store(addresses == Addresses::Prefix, Ordering::Relaxed);
        self.shared.attention.notify_one();
        Ok(())
    }

    /// Tells how the journal fares.
    pub fn state(&self) -> JournalState {
        self.shared.lock().state()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().stop();
        self.shared.attention.notify_one();
        if let Some(thread) = self.thread.take() {
            // Its panic, if it had one, was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Takes the lock; a thread that panicked while it held it left nothing half done that matters more than
    /// the journal itself.
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn privacy(&self) -> Privacy {
        Privacy {
            anonymous_email: self.anonymous_email.load(Ordering::Relaxed),
            addresses: if self.cut_addresses.load(Ordering::Relaxed) {
                Addresses::Prefix
            } else {
                Addresses::Full
            },
        }
    }
}
/// Writes a time as the journal does: RFC 3339, in UTC, with microseconds.
pub(super) fn time(time: crate::engine::Wall) -> String {
    let mut buffer = Vec::new();
    text::time(&mut buffer, time);
    String::from_utf8_lossy(&buffer).into_owned()
}
