//! Asks whoever rules name: a program that is started for one question, or a server at a Unix socket.
//!
//! One line goes there, one line comes back. Invariant: no more than [`MOST_AT_ONCE`] are asked at once and none for longer than
//! its time-out; a program that is not done by then is ended with all that it started. This module must not know what is
//! asked.

mod program;
mod socket;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How many are asked at once.
pub const MOST_AT_ONCE: usize = 16;

/// Most questions that wait for their turn.
const MOST_WAITING: usize = 1024;

/// The longest answer that is passed on, in bytes.
pub const LONGEST_LINE: usize = 4096;

/// The longest question, in bytes.
pub const LONGEST_QUESTION: usize = 32 * 1024;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Whoever listens at this Unix socket.
    Socket(String),
    /// This program, with its arguments.
    Program(Vec<String>),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It did not come in time.
    TimedOut,
    /// Too many questions are under way.
    Busy,
    /// What came is not one line.
    Garbage,
    /// What came, or what was to be sent, is too long.
    TooLong,
    /// The program ended with another exit status than 0, or by a signal.
    ExitStatus,
    /// The program can't be started, or nobody listens.
    Unreachable,
    /// Nobody may ask there.
    NotPermitted,
}

/// What [`Exits::ask`] gives: the answer without the end of its line.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Fault>> + Send + 'a>>;

/// Asks whoever rules name.
pub trait Exits: Send + Sync {
    /// Puts a question; `question` is one line with its end.
    fn ask(&self, exit: Exit, question: Vec<u8>, timeout: Duration) -> Asking<'_>;
}

/// Asks from this process, on threads of its own.
#[derive(Debug, Default)]
pub struct OwnExits(Pool);

impl Exits for OwnExits {
    fn ask(&self, exit: Exit, question: Vec<u8>, timeout: Duration) -> Asking<'_> {
        let (answer, answered) = oneshot::channel();
        self.0.put(Job {
            exit,
            question,
            until: Instant::now() + timeout,
            answer: Box::new(|outcome| {
                // Whoever asked may have given up.
                let _ = answer.send(outcome);
            }),
        });
        Box::pin(async move { answered.await.unwrap_or(Err(Fault::Unreachable)) })
    }
}

/// A question on its way.
pub(super) struct Job {
    pub(super) exit: Exit,
    pub(super) question: Vec<u8>,
    pub(super) until: Instant,
    /// Called once.
    pub(super) answer: Box<dyn FnOnce(Result<Vec<u8>, Fault>) + Send>,
}

/// The threads that ask; started as they are needed.
#[derive(Debug, Default)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    work: Mutex<Work>,
    attention: Condvar,
}

#[derive(Default)]
struct Work {
    queue: VecDeque<Job>,
    idle: usize,
    threads: usize,
    ended: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Drop for Pool {
    /// Threads end with what they are doing; what waits is answered by nobody.
    fn drop(&mut self) {
        let mut work = self.0.lock();
        work.ended = true;
        work.queue.clear();
        drop(work);
        self.0.attention.notify_all();
    }
}

impl Pool {
    /// Puts a question, or answers that there is no room for it.
    pub(super) fn put(&self, job: Job) {
        let mut work = self.0.lock();
        if work.queue.len() >= MOST_WAITING {
            drop(work);
            return (job.answer)(Err(Fault::Busy));
        }
        work.queue.push_back(job);
        if work.queue.len() > work.idle && work.threads < MOST_AT_ONCE {
            let shared = Arc::clone(&self.0);
            let thread = std::thread::Builder::new()
                .name(format!("asking-{}", work.threads))
                .spawn(move || shared.ask_for_ever());
            match thread {
                Ok(_) => work.threads += 1,
                // Others may be there; if not, the question ends by its time.
                Err(error) => tracing::error!(%error, "no thread to ask from"),
            }
        }
        drop(work);
        self.0.attention.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_for_ever(&self) {
        while let Some(job) = self.next() {
            let outcome = match Instant::now() < job.until {
                true => ask(&job.exit, &job.question, job.until),
                false => Err(Fault::Busy),
            };
            (job.answer)(outcome);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut work = self.lock();
        work.idle += 1;
        loop {
            let job = work.queue.pop_front();
            if job.is_some() || work.ended {
                work.idle -= 1;
                return job;
            }
            work = self
                .attention
                .wait(work)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn ask(exit: &Exit, question: &[u8], until: Instant) -> Result<Vec<u8>, Fault> {
    if question.len() > LONGEST_QUESTION {
        return Err(Fault::TooLong);
    }
    match exit {
        Exit::Socket(path) => socket::ask(path, question, until),
        Exit::Program(words) => program::ask(words, question, until),
    }
}

/// Takes the end of the line away; what is no line, or more than one, is none.
fn one_line(mut bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    match bytes.as_slice() {
        line if line.len() > LONGEST_LINE => Err(Fault::TooLong),
        line if line.is_empty() || line.contains(&b'\n') => Err(Fault::Garbage),
        _ => Ok(bytes),
    }
}

/// Tells how much time is left; nothing of it is an error.
fn left(until: Instant) -> Result<Duration, Fault> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(Fault::TimedOut),
        false => Ok(left),
    }
}

fn unreachable(exit: &str, error: &io::Error) -> Fault {
    tracing::error!(%error, "{exit} cannot be asked");
    Fault::Unreachable
}

#[cfg(test)]
mod tests;
