//! The helper's own half: takes questions, resolves names on a few threads, answers.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::message::{Answer, BUFFER, MOST_ADDRESSES, Outcome, Question, Told};
use crate::sandbox::{self, Account};

/// Names that are resolved at once; a gateway has few upstreams.
const THREADS: usize = 8;

/// Most names that wait or are being resolved.
const MOST_NAMES: usize = 64;

/// Most questions for one name that wait for it.
const MOST_QUESTIONS: usize = 1024;

/// Finds addresses.
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Why a helper ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It could not be confined, so it did nothing.
    #[error(transparent)]
    Confining(#[from] sandbox::Error),
    /// Its lines broke.
    #[error("the helper's line: {0}")]
    Line(#[from] io::Error),
}

/// Confines this process and serves on standard input and output until nobody can ask any more.
///
/// # Errors
/// When it can't be confined, or what the kernel says.
pub fn run(account: Account) -> Result<(), Failed> {
    let report = sandbox::confine_helper(account)?;
    tracing::info!("{report}");
    let line = |end: std::os::fd::BorrowedFd<'static>| rustix::io::fcntl_dupfd_cloexec(end, 3);
    let (asked, telling) = (
        line(rustix::stdio::stdin()).map_err(io::Error::from)?,
        line(rustix::stdio::stdout()).map_err(io::Error::from)?,
    );
    Ok(serve(asked, Some(telling), Arc::new(look_up))?)
}

fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    (name, 0).to_socket_addrs().map(super::distinct)
}

/// Answers questions until nobody can ask any more.
///
/// # Errors
/// What the kernel says.
pub fn serve(asked: OwnedFd, telling: Option<OwnedFd>, lookup: Arc<Lookup>) -> io::Result<()> {
    let desk = Arc::new(Desk {
        asked,
        telling,
        lookup,
        work: Mutex::default(),
        attention: Condvar::new(),
    });
    for number in 0..THREADS {
        let desk = Arc::clone(&desk);
        std::thread::Builder::new()
            .name(format!("names-{number}"))
            .spawn(move || desk.resolve_for_ever())?;
    }
    let mut buffer = [0; BUFFER];
    loop {
        let (_, length) = retry_on_intr(|| recv(&desk.asked, &mut buffer, RecvFlags::empty()))?;
        if length == 0 {
            // The threads that are left end with the process.
            return Ok(());
        }
        match buffer.get(..length).and_then(Question::read) {
            Some(question) => desk.take(question),
            None => tracing::warn!("a question that is none was ignored"),
        }
    }
}

/// Where questions wait.
struct Desk {
    asked: OwnedFd,
    telling: Option<OwnedFd>,
    lookup: Arc<Lookup>,
    work: Mutex<Work>,
    attention: Condvar,
}

#[derive(Default)]
struct Work {
    /// Who asked for each name that waits or is being resolved: however many ask, it is resolved once.
    names: HashMap<String, Vec<u64>>,
    queue: VecDeque<String>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, Question { id, name }: Question) {
        let mut work = self.lock();
        let names = work.names.len();
        match work.names.get_mut(&name) {
            Some(ids) if ids.len() < MOST_QUESTIONS => ids.push(id),
            None if names < MOST_NAMES => {
                work.names.insert(name.clone(), vec![id]);
                work.queue.push_back(name);
                self.attention.notify_one();
            }
            Some(_) | None => {
                drop(work);
                self.answer(id, Outcome::Busy);
            }
        }
    }

    fn resolve_for_ever(&self) {
        loop {
            let name = {
                let mut work = self.lock();
                loop {
                    match work.queue.pop_front() {
                        Some(name) => break name,
                        None => {
                            work = self
                                .attention
                                .wait(work)
                                .unwrap_or_else(PoisonError::into_inner);
                        }
                    }
                }
            };
            let outcome = match (self.lookup)(&name) {
                Ok(mut addresses) if !addresses.is_empty() => {
                    addresses.truncate(MOST_ADDRESSES);
                    self.tell(&name, &addresses);
                    Outcome::Found(addresses)
                }
                Ok(_) => Outcome::Unknown,
                Err(error) => {
                    tracing::debug!(name, %error, "a name could not be resolved");
                    Outcome::Unknown
                }
            };
            let ids = self.lock().names.remove(&name).unwrap_or_default();
            for id in ids {
                self.answer(id, outcome.clone());
            }
        }
    }

    /// The broker hears of it first: it must know the addresses when the gateway comes with one of them.
    fn tell(&self, name: &str, addresses: &[IpAddr]) {
        let Some(line) = &self.telling else { return };
        let told = Told {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
        };
        if let Err(error) = say(line, &told.write()) {
            tracing::warn!(name, %error, "the broker could not be told the addresses of a name");
        }
    }

    fn answer(&self, id: u64, outcome: Outcome) {
        let answer = Answer { id, outcome };
        if let Err(error) = say(&self.asked, &answer.write()) {
            tracing::debug!(%error, "an answer was lost; whoever asked gives up in time");
        }
    }
}

/// Sends a packet; never waits for a reader.
fn say(line: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    retry_on_intr(|| send(line.as_fd(), bytes, flags))?;
    Ok(())
}
