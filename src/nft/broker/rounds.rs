//! The broker's loop: waits for whatever comes first, and sees to it.

use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::backoff::Backoff;
use super::beside::Beside;
use super::caller::Caller;
use super::gateway::Gateway;
use super::{Desk, Hands, News, Office};
use crate::nft::Happening;
use crate::nft::message::{Answer, Notice, Report, Request, Together, emit_together, said_where};
use crate::nft::socket::{self, Arrived};
use crate::sandbox::ending;

/// What the program is told from outside; each can be read when its signal has come.
#[derive(Debug)]
pub struct Signals {
    /// To end: TERM and INT.
    pub terminate: UnixStream,
    /// To read the config again: HUP.
    pub hang_up: UnixStream,
}

/// How long the gateway may take for what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To be ready after its start.
    pub start: Duration,
    /// To end after it was told to drain.
    pub drain: Duration,
    /// To end after it was told to end at once.
    pub end: Duration,
    /// To live, so that its death is not laid to its start.
    pub long_life: Duration,
}

/// The broker, with the gateway that it looks after.
#[derive(Debug)]
pub struct Broker<H, O> {
    desk: Desk<H, O>,
    signals: Signals,
    patience: Patience,
    gateway: Option<Gateway>,
    backoff: Backoff,
    /// When the next gateway starts, while there is none.
    start_at: Instant,
    /// Whether any gateway was ever ready: one that never was is not started anew.
    was_ready: bool,
    stopping: bool,
    happened: Vec<Happening>,
    beside: Beside,
}

impl<H: Hands, O: Office> Broker<H, O> {
    /// Makes a broker that has not started its gateway yet.
    pub fn new(desk: Desk<H, O>, signals: Signals, patience: Patience) -> Broker<H, O> {
        Broker {
            desk,
            signals,
            patience,
            gateway: None,
            backoff: Backoff::new(patience.long_life),
            start_at: Instant::now(),
            was_ready: false,
            stopping: false,
            happened: Vec::new(),
            beside: Beside::default(),
        }
    }

    /// Looks after gateways until the last has ended; answers with its exit code.
    ///
    /// # Errors
    /// When the kernel does not let us wait, or the first gateway cannot be started.
    pub fn run(mut self) -> io::Result<u8> {
        loop {
            let now = Instant::now();
            if self.gateway.is_none() {
                if self.stopping {
                    return Ok(0);
                }
                if now >= self.start_at {
                    self.start()?;
                }
            }
            self.keep_deadline(now);
            for caller in self.wait()? {
                if caller.may_start_the_helper() {
                    self.beside.leave();
                }
                match caller {
                    Caller::Terminate => self.terminate(),
                    Caller::HangUp => self.hang_up(),
                    Caller::Hands(ready) => self.hear(ready),
                    Caller::Office => self.learn(),
                    Caller::Events => self.read_reports(),
                    Caller::Request(index) => self.serve(index),
                    Caller::Process => {
                        if let Some(code) = self.bury()? {
                            return Ok(code);
                        }
                    }
                }
            }
            self.flush();
        }
    }

    fn start(&mut self) -> io::Result<()> {
        self.beside.leave();
        let bans = self.desk.standing_bans();
        self.desk.office.learn_bans(bans);
        match self.desk.office.start().and_then(Gateway::new) {
            Ok(mut gateway) => {
                gateway.until = Some(gateway.since + self.patience.start);
                self.gateway = Some(gateway);
                Ok(())
            }
            Err(error) if self.was_ready => {
                tracing::error!(%error, "the gateway cannot be started; trying again");
                self.start_at = Instant::now() + self.backoff.after(Duration::ZERO);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Ends by force a gateway that did not do in time what it was told.
    fn keep_deadline(&mut self, now: Instant) {
        if let Some(gateway) = &mut self.gateway
            && gateway.until.is_some_and(|until| until <= now)
        {
            gateway.cut_off("it did not do in time what it was told");
        }
    }

    /// Waits, and answers with who has something: the firewall before requests, so that what happened first is
    /// known when a hole is closed.
    fn wait(&self) -> io::Result<Vec<Caller>> {
        let input = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let mut callers = vec![Caller::Terminate, Caller::HangUp];
        let mut polled = vec![
            input(self.signals.terminate.as_fd()),
            input(self.signals.hang_up.as_fd()),
        ];
        let now = Instant::now();
        let mut rested = None;
        for (place, descriptor) in self.desk.hands.descriptors().into_iter().enumerate() {
            match self.desk.hands.rests(place).filter(|until| now < *until) {
                Some(until) => rested = earlier(rested, Some(until)),
                None => {
                    callers.push(Caller::Hands(Some(place)));
                    polled.push(input(descriptor));
                }
            }
        }
        for descriptor in self.desk.office.descriptors() {
            callers.push(Caller::Office);
            polled.push(input(descriptor));
        }
        let firewall = self.desk.hands.next_wake();
        let office = self.desk.office.next_wake();
        let mut wake = earlier(earlier(firewall, office), rested);
        match &self.gateway {
            Some(gateway) => {
                for (caller, descriptor, flags) in gateway.polled() {
                    callers.push(caller);
                    polled.push(PollFd::from_borrowed_fd(descriptor, flags));
                }
                wake = earlier(wake, gateway.until);
            }
            None => wake = earlier(wake, Some(self.start_at)),
        }
        let left = wake.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, left.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
        let called = callers.into_iter().zip(&polled);
        let mut called: Vec<Caller> = called
            .filter(|(_, polled)| !polled.revents().is_empty())
            .map(|(caller, _)| caller)
            .collect();
        for (due, caller) in [(office, Caller::Office), (firewall, Caller::Hands(None))] {
            if due.is_some_and(|at| at <= Instant::now()) {
                called.insert(0, caller);
            }
        }
        called.dedup();
        Ok(called)
    }

    fn terminate(&mut self) {
        drain_pipe(&mut self.signals.terminate);
        let twice = std::mem::replace(&mut self.stopping, true);
        let patience = self.patience;
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let (notice, patience) = if twice {
            tracing::warn!("told to stop twice: ending at once");
            (Notice::End, patience.end)
        } else {
            tracing::info!("told to stop by a signal");
            (Notice::Drain, patience.drain)
        };
        gateway.tell(notice);
        gateway.until = Some(Instant::now() + patience);
    }

    fn hang_up(&mut self) {
        drain_pipe(&mut self.signals.hang_up);
        self.reload();
    }

    fn reload(&mut self) {
        match &mut self.gateway {
            // It asks for the config, and puts it in force.
            Some(gateway) => gateway.tell(Notice::Reload),
            None => {
                // The next gateway begins with it.
                match self.desk.replace_envelope() {
                    Ok(_) => self.desk.settle(true),
                    Err(why) => tracing::error!(
                        "the config was not reloaded, the old one stays in force:\n{why}"
                    ),
                }
            }
        }
    }

    /// Passes on what happened in the firewall.
    fn hear(&mut self, ready: Option<usize>) {
        self.happened.clear();
        if let Err(error) = self.desk.hands.happenings(ready, &mut self.happened) {
            tracing::error!(%error, "the kernel does not tell everything that happens in the firewall");
        }
        for happening in self.happened.drain(..) {
            let Some(gateway) = &mut self.gateway else {
                continue;
            };
            // Nobody waits to hear of a knock.
            if matches!(happening, Happening::Knocked { .. }) && !gateway.waiting.is_empty() {
                continue;
            }
            if let Some(happening) = self.desk.translate(happening) {
                gateway.tell(Notice::Happened(happening));
            }
        }
    }

    /// Takes what names mean: before a gateway that has just learnt it asks for a hole. Sees to renewed files.
    fn learn(&mut self) {
        for (name, addresses) in self.desk.office.resolved() {
            self.desk.learn(&name, &addresses);
        }
        if self.desk.office.renewed() {
            self.reload();
        }
    }

    fn serve(&mut self, index: usize) {
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let Some(socket) = gateway.staff.requests.get(index) else {
            return;
        };
        let mut room = [0; _];
        let message = match socket::try_receive_together(socket, &mut room) {
            Ok(Some(message)) => message,
            // It is ending; its process says how.
            Ok(None) => return gateway.forget_requests(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return,
                io::ErrorKind::InvalidData => {
                    return gateway.cut_off("it sent a request of a wrong length");
                }
                _ => return gateway.cut_off(&format!("its requests cannot be read: {error}")),
            },
        };
        let Ok(Together { first, requests }) = Together::parse(message) else {
            return gateway.cut_off("it sent a request that says nothing");
        };
        if let Some(processor) = said_where(message) {
            self.beside.hear(processor);
        }
        let sent = match requests.as_slice() {
            [request] => {
                let request = *request;
                if request == Request::Reread {
                    // The config may name the first one whom a helper is to ask.
                    self.beside.leave();
                    self.desk.office.tell(News::Reloading);
                }
                let (answer, descriptor) = self.desk.serve(request);
                if request == Request::Reread && descriptor.is_none() {
                    self.desk.office.tell(News::Ready);
                }
                let descriptor = descriptor.as_ref().map(AsFd::as_fd);
                socket::try_send(socket, &answer.emit(first), descriptor)
            }
            several => {
                let answers = self.desk.serve_together(several);
                let pages = emit_together(first, &answers, Answer::emit);
                socket::try_send_together(socket, &pages)
            }
        };
        // Whoever waits for an answer before it asks again has room for one.
        if let Err(error) = sent
            && error.kind() == io::ErrorKind::WouldBlock
        {
            gateway.cut_off("it asks and takes no answers");
        }
    }

    fn read_reports(&mut self) {
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let page = match socket::try_receive(&gateway.staff.events) {
            Ok(Arrived::Page(page, _)) => page,
            Ok(Arrived::Scrap) => return gateway.cut_off("it sent a report of a wrong length"),
            Ok(Arrived::End) => return gateway.forget_requests(),
            Err(_) => return,
        };
        let Ok(report) = Report::parse(&page) else {
            return gateway.cut_off("it sent a report that says nothing");
        };
        match report {
            Report::Ready => {
                gateway.ready = true;
                if !self.stopping {
                    gateway.until = None;
                }
                self.was_ready = true;
                self.desk.office.tell(News::Ready);
            }
            Report::Reloaded { in_force } => {
                self.desk.settle(in_force);
                self.desk.office.tell(News::Ready);
            }
            Report::Stopping => {
                gateway.stopping = true;
                self.desk.office.tell(News::Stopping);
            }
        }
    }

    /// Sees to a gateway that is gone; answers with the exit code if it was the last.
    fn bury(&mut self) -> io::Result<Option<u8>> {
        let Some(mut gateway) = self.gateway.take() else {
            return Ok(None);
        };
        let status = gateway.staff.child.wait()?;
        self.desk.clear();
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let announced = gateway.stopping && code == Some(0);
        if self.stopping || announced || !self.was_ready {
            if code != Some(0) {
                tracing::error!("the gateway is gone: {}", ending(status));
            }
            return Ok(Some(code.unwrap_or(1)));
        }
        let wait = self.backoff.after(gateway.since.elapsed());
        tracing::error!(
            "the gateway is gone: {}; it is started anew in {} ms",
            ending(status),
            wait.as_millis()
        );
        self.start_at = Instant::now() + wait;
        self.desk.office.tell(News::Restarting);
        Ok(None)
    }

    fn flush(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.flush();
        }
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// Empties the pipe of a signal: many of one kind are one.
fn drain_pipe(pipe: &mut UnixStream) {
    let mut bytes = [0; 64];
    while matches!(pipe.read(&mut bytes), Ok(1..)) {}
}
