//! The gateway's half: asks the broker, and hears what happens in the firewall.
//!
//! Invariant: a question is answered, or fails within [`PATIENCE`]; an answer is never taken for another question's. A
//! hole whose opening was not answered is closed before anything else is asked on the same socket. This module must
//! not know why a hole opens.

mod together;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ipnet::IpNet;

use super::broker::Kept;
use super::message::{Answer, Keep, MOST_TOGETHER, Notice, Reason, Report, Request, say_where};
use super::socket::{self, Arrived};
use super::{
    Firewall, FirewallHole, FlowUsage, Granted, Happening, HoleKey, Opening, Settled, Settling,
    Wish, beside, sealed,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many times as long it may take where the broker has to read files.
const TURNS_FOR_FILES: u32 = 5;

/// Asks the broker.
#[derive(Debug)]
pub struct Client {
    /// One for each thread, as far as they go.
    seats: Vec<Mutex<Seat>>,
    events: OwnedFd,
    /// Forwarded holes that somebody may wait for.
    awaited: Mutex<HashMap<HoleKey, Awaited>>,
}

/// One socket for requests.
#[derive(Debug)]
struct Seat {
    socket: OwnedFd,
    number: u32,
    /// Holes of which nobody knows whether they opened.
    doubtful: Vec<HoleKey>,
    /// Messages of several questions whose answers nobody waits for any more.
    unanswered: usize,
}

#[derive(Debug)]
enum Awaited {
    Unused(Option<Waker>),
    Used(SocketAddr),
}

impl Client {
    /// Takes the sockets that the broker handed over.
    ///
    /// # Errors
    /// When there is none for requests, or what the kernel says.
    pub fn new(requests: Vec<OwnedFd>, events: OwnedFd) -> io::Result<Client> {
        if requests.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for socket in &requests {
            socket::set_patience(socket, PATIENCE)?;
        }
        beside::prepare();
        let seats = requests.into_iter().map(|socket| {
            Mutex::new(Seat {
                socket,
                number: 0,
                doubtful: Vec::new(),
                unanswered: 0,
            })
        });
        Ok(Client {
            seats: seats.collect(),
            events,
            awaited: Mutex::default(),
        })
    }

    /// Hears the broker until it is gone; what concerns one hole is kept here, the rest is passed on.
    pub fn listen(&self, mut on: impl FnMut(Notice)) {
        loop {
            let page = match socket::receive(&self.events) {
                Ok(Arrived::Page(page, _)) => page,
                Ok(Arrived::End) => return,
                Ok(Arrived::Scrap) => continue,
                Err(error) => {
                    tracing::error!(%error, "the broker cannot be heard");
                    return;
                }
            };
            match Notice::parse(&page) {
                Ok(Notice::Happened(Happening::Used { key, peer })) => self.note_use(key, peer),
                Ok(notice) => on(notice),
                Err(garbled) => tracing::error!(%garbled, "from the broker"),
            }
        }
    }

    /// Tells the broker something.
    ///
    /// # Errors
    /// When the broker is gone.
    pub fn report(&self, report: Report) -> io::Result<()> {
        socket::send(&self.events, &report.emit(), None)
    }

    /// Has the broker read the config again; answers with the new bundle.
    ///
    /// # Errors
    /// What is wrong with it, in lines for people.
    pub fn reread(&self) -> Result<Vec<u8>, String> {
        let failed = |error: io::Error| format!("the broker did not read the config: {error}");
        let (answer, descriptor) = self.ask(Request::Reread).map_err(failed)?;
        let bytes = descriptor.map_or_else(|| Ok(Vec::new()), sealed::unseal);
        let bytes = bytes.map_err(failed)?;
        match answer {
            Answer::Done => Ok(bytes),
            Answer::Refused(Reason::Config) => Err(String::from_utf8_lossy(&bytes).into_owned()),
            Answer::Refused(reason) => Err(failed(reason.into())),
            Answer::Usage(_) | Answer::Settled(_) | Answer::Opened { .. } => {
                Err(failed(nonsense()))
            }
        }
    }

    /// Gets a socket that is bound to an address and port beside a listener's, to dial from.
    ///
    /// # Errors
    /// When the config does not permit it, or the kernel or the broker does not.
    pub fn dialler(&self, from: SocketAddr) -> io::Result<OwnedFd> {
        match self.ask(Request::Dialler { from })? {
            (Answer::Done, Some(socket)) => Ok(socket),
            (Answer::Refused(reason), _) => Err(reason.into()),
            (Answer::Done | Answer::Usage(_) | Answer::Settled(_) | Answer::Opened { .. }, _) => {
                Err(nonsense())
            }
        }
    }

    /// Has the broker see to the journal's files; answers with the one that was opened.
    ///
    /// # Errors
    /// What the kernel said to the broker, or that it does not answer.
    pub fn keep(&self, wish: Keep) -> io::Result<Option<Kept>> {
        match self.ask(Request::Keep(wish))? {
            (Answer::Opened { torn, shared }, Some(file)) => Ok(Some(Kept { file, torn, shared })),
            (Answer::Done, None) => Ok(None),
            (Answer::Refused(reason), _) => Err(reason.into()),
            (Answer::Done | Answer::Opened { .. } | Answer::Usage(_) | Answer::Settled(_), _) => {
                Err(nonsense())
            }
        }
    }

    fn note_use(&self, key: HoleKey, peer: SocketAddr) {
        let before = match self.awaited().get_mut(&key) {
            Some(awaited) => std::mem::replace(awaited, Awaited::Used(peer)),
            // It was closed meanwhile.
            None => return,
        };
        if let Awaited::Unused(Some(waker)) = before {
            waker.wake();
        }
    }

    fn awaited(&self) -> MutexGuard<'_, HashMap<HoleKey, Awaited>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a hole opens: its use may be told before its opening is answered.
    fn note_opening(&self, hole: &FirewallHole) {
        match hole.opening {
            Opening::Forward { .. } => {
                self.awaited().insert(hole.key, Awaited::Unused(None));
            }
            Opening::Relay { .. } => {}
        }
    }

    fn ask_done(&self, request: Request) -> io::Result<()> {
        match self.ask(request)?.0 {
            Answer::Done => Ok(()),
            Answer::Refused(reason) => Err(reason.into()),
            Answer::Usage(_) | Answer::Settled(_) | Answer::Opened { .. } => Err(nonsense()),
        }
    }

    /// The calling thread's own socket, with nothing in doubt.
    fn seat(&self) -> io::Result<MutexGuard<'_, Seat>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        let mine = MINE.with(|mine| *mine) % self.seats.len();
        let seat = self.seats.get(mine).ok_or_else(nonsense)?;
        let mut seat = seat.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(key) = seat.doubtful.last().copied() {
            seat.ask(Request::Close(key))?;
            seat.doubtful.pop();
        }
        Ok(seat)
    }

    /// Asks on the calling thread's own socket.
    fn ask(&self, request: Request) -> io::Result<(Answer, Option<OwnedFd>)> {
        let mut seat = self.seat()?;
        let asked = seat.ask(request);
        if let (Request::Open(hole), Err(_)) = (request, &asked) {
            seat.doubtful.push(hole.key);
        }
        asked
    }
}

impl Seat {
    fn ask(&mut self, request: Request) -> io::Result<(Answer, Option<OwnedFd>)> {
        self.number = self.number.wrapping_add(1);
        let mut page = request.emit(self.number);
        say_where_from(&mut page);
        socket::send(&self.socket, &page, None).map_err(late)?;
        let mut turns = match request {
            Request::Reread | Request::Keep(_) => TURNS_FOR_FILES,
            Request::Open(_)
            | Request::Renew { .. }
            | Request::Usage(_)
            | Request::Kill(_)
            | Request::Close(_)
            | Request::Settle(_)
            | Request::Ban { .. }
            | Request::Unban(_)
            | Request::Dialler { .. } => 1,
        };
        loop {
            let (page, descriptor) = match socket::receive(&self.socket) {
                Ok(Arrived::Page(page, descriptor)) => (page, descriptor),
                // Late answers to several questions.
                Ok(Arrived::Scrap) if self.unanswered > 0 => {
                    self.unanswered -= 1;
                    continue;
                }
                Ok(Arrived::Scrap) => return Err(nonsense()),
                Ok(Arrived::End) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && turns > 1 => {
                    turns -= 1;
                    continue;
                }
                Err(error) => return Err(late(error)),
            };
            let (number, answer) = Answer::parse(&page).map_err(|_| nonsense())?;
            // The answer to a question that nobody waits for any more is passed over.
            if number == self.number {
                return Ok((answer, descriptor));
            }
        }
    }
}

impl Firewall for Client {
    fn open(&self, hole: &FirewallHole) -> io::Result<()> {
        self.note_opening(hole);
        let opened = self.ask_done(Request::Open(*hole));
        if opened.is_err() {
            self.awaited().remove(&hole.key);
        }
        opened
    }

    fn together(&self, wishes: &[Wish]) -> Vec<io::Result<Granted>> {
        let several = wishes.chunks(MOST_TOGETHER);
        several
            .flat_map(|wishes| self.ask_together(wishes))
            .collect()
    }

    fn renew(&self, key: HoleKey, ttl: Duration) -> io::Result<()> {
        self.ask_done(Request::Renew { key, ttl })
    }

    fn usage(&self, key: HoleKey) -> io::Result<Option<FlowUsage>> {
        match self.ask(Request::Usage(key))?.0 {
            Answer::Usage(usage) => Ok(usage),
            Answer::Refused(reason) => Err(reason.into()),
            Answer::Done | Answer::Settled(_) | Answer::Opened { .. } => Err(nonsense()),
        }
    }

    fn kill(&self, key: HoleKey) -> io::Result<()> {
        self.ask_done(Request::Kill(key))
    }

    fn close(&self, key: HoleKey) -> io::Result<Settled> {
        self.awaited().remove(&key);
        match self.ask(Request::Close(key))?.0 {
            Answer::Settled(settled) => Ok(settled),
            Answer::Refused(reason) => Err(reason.into()),
            Answer::Done | Answer::Usage(_) | Answer::Opened { .. } => Err(nonsense()),
        }
    }

    fn ban(&self, network: IpNet, time: Duration) -> io::Result<()> {
        self.ask_done(Request::Ban { network, ttl: time })
    }

    fn unban(&self, network: IpNet) -> io::Result<()> {
        match self.ask_done(Request::Unban(network)) {
            // Its time was over.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn settle(&self, key: HoleKey) -> io::Result<Settling> {
        let settled = settling(self.ask(Request::Settle(key))?.0);
        if let Ok(Settling::Shut(_)) = settled {
            self.awaited().remove(&key);
        }
        settled
    }

    fn rest(&self) {
        beside::rest();
    }

    fn used(&self, key: HoleKey, cx: &mut Context<'_>) -> Poll<SocketAddr> {
        match self.awaited().get_mut(&key) {
            Some(Awaited::Used(peer)) => Poll::Ready(*peer),
            Some(Awaited::Unused(waker)) => {
                match waker {
                    Some(known) => known.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            // It is closed, or nobody is told when it is used.
            None => Poll::Pending,
        }
    }
}

/// Has the broker come beside a thread that asks often.
fn say_where_from(request: &mut [u8]) {
    if let Some(processor) = beside::stay() {
        say_where(request, processor);
    }
}

fn settling(answer: Answer) -> io::Result<Settling> {
    match answer {
        Answer::Usage(Some(usage)) => Ok(Settling::Runs(usage)),
        Answer::Settled(settled) => Ok(Settling::Shut(settled)),
        Answer::Refused(reason) => Err(reason.into()),
        Answer::Done | Answer::Usage(None) | Answer::Opened { .. } => Err(nonsense()),
    }
}

fn late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the broker answered nonsense")
}
