//! The helper's own half: takes questions, resolves names on a few threads, answers.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::exits::{Fault, Job, Pool};
use super::message::{
    Answer, Asked, AskedFor, BUFFER, MOST_ADDRESSES, Order, Outcome, Permitted, Question, Told,
};
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
        exits: Pool::default(),
    });
    for number in 0..THREADS {
        let desk = Arc::clone(&desk);
        std::thread::Builder::new()
            .name(format!("names-{number}"))
            .spawn(move || desk.resolve_for_ever())?;
    }
    let mut buffer = vec![0; BUFFER];
    let mut permitted = Permitted::default();
    let mut refused: u64 = 0;
    let mut orders = desk.telling.is_some();
    loop {
        if desk.wait(orders)? {
            orders = desk.hear_orders(&mut permitted);
        }
        let received = retry_on_intr(|| recv(&desk.asked, &mut *buffer, RecvFlags::DONTWAIT));
        let (_, length) = match received {
            Err(Errno::AGAIN) => continue,
            received => received?,
        };
        if length == 0 {
            // The threads that are left end with the process.
            return Ok(());
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        if let Some(question) = Question::read(bytes) {
            desk.take(question);
        } else if let Some(asked_for) = AskedFor::read(bytes) {
            // The broker says who may be asked before the gateway learns of it: what it has said by now counts.
            orders &= desk.hear_orders(&mut permitted);
            if permitted.contains(&asked_for.exit) {
                desk.ask(asked_for);
                continue;
            }
            refused += 1;
            // Ever more rarely, so that a gateway cannot fill the log.
            if refused.is_power_of_two() {
                let exit = &asked_for.exit;
                tracing::error!(
                    refused,
                    ?exit,
                    "the gateway wants somebody asked whom no rule names"
                );
            }
            desk.answered(asked_for.id, Err(Fault::NotPermitted));
        } else {
            tracing::warn!("a question that is none was ignored");
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
    exits: Pool,
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

    /// Waits for a question or the broker's orders; answers whether there are some of these.
    fn wait(&self, orders: bool) -> io::Result<bool> {
        let mut polled = vec![PollFd::new(&self.asked, PollFlags::IN)];
        let telling = self.telling.as_ref().filter(|_| orders);
        polled.extend(telling.map(|line| PollFd::new(line, PollFlags::IN)));
        retry_on_intr(|| poll(&mut polled, None))?;
        Ok(polled.get(1).is_some_and(|line| !line.revents().is_empty()))
    }

    /// Takes what the broker has said, without waiting; answers whether it may say more.
    fn hear_orders(&self, permitted: &mut Permitted) -> bool {
        let Some(line) = &self.telling else {
            return false;
        };
        let mut buffer = vec![0; BUFFER];
        loop {
            match retry_on_intr(|| recv(line, &mut *buffer, RecvFlags::DONTWAIT)) {
                Ok((_, length @ 1..)) => match buffer.get(..length).and_then(Order::read) {
                    Some(order) => permitted.take(order),
                    None => tracing::error!("the broker said what cannot be understood"),
                },
                Err(Errno::AGAIN) => return true,
                // The broker is gone: what it said last holds for the gateway that is left.
                Ok(_) | Err(_) => return false,
            }
        }
    }

    fn ask(self: &Arc<Self>, asked_for: AskedFor) {
        let AskedFor {
            id,
            timeout,
            exit,
            question,
        } = asked_for;
        let desk = Arc::clone(self);
        self.exits.put(Job {
            exit,
            question,
            until: Instant::now() + timeout,
            answer: Box::new(move |outcome| desk.answered(id, outcome)),
        });
    }

    fn answered(&self, id: u64, outcome: Result<Vec<u8>, Fault>) {
        let asked = Asked { id, outcome };
        if let Err(error) = say(&self.asked, &asked.write()) {
            tracing::debug!(%error, "an answer was lost; whoever asked gives up in time");
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
