//! The gateway as its broker has it: a process, and the sockets to it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Staff;
use super::caller::Caller;
use crate::nft::message::{Notice, Page};
use crate::nft::socket;

/// Most notices that wait for a gateway; one that takes none of so many is stuck.
const MOST_WAITING: usize = 16_384;

/// A gateway that runs.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) staff: Staff,
    process: OwnedFd,
    pub(super) since: Instant,
    pub(super) ready: bool,
    /// It said that it takes no new sessions.
    pub(super) stopping: bool,
    /// Notices that found no room yet.
    pub(super) waiting: VecDeque<Page>,
    /// When it is ended by force.
    pub(super) until: Option<Instant>,
}

impl Gateway {
    pub(super) fn new(mut staff: Staff) -> io::Result<Gateway> {
        let pid = i32::try_from(staff.child.id()).ok().and_then(Pid::from_raw);
        let opened = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let process = match opened {
            Some(Ok(process)) => process,
            failed => {
                // Nobody could tell when it ends.
                let _ = staff.child.kill();
                let _ = staff.child.wait();
                return Err(match failed {
                    Some(Err(errno)) => errno.into(),
                    Some(Ok(_)) | None => io::ErrorKind::InvalidData.into(),
                });
            }
        };
        Ok(Gateway {
            staff,
            process,
            since: Instant::now(),
            ready: false,
            stopping: false,
            waiting: VecDeque::new(),
            until: None,
        })
    }

    pub(super) fn polled(&self) -> impl Iterator<Item = (Caller, BorrowedFd<'_>, PollFlags)> {
        let events = if self.waiting.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        };
        let requests = self.staff.requests.iter().enumerate();
        let requests =
            requests.map(|(index, socket)| (Caller::Request(index), socket.as_fd(), PollFlags::IN));
        // After its death the sockets say no more than the process does.
        let alive = !self.staff.requests.is_empty();
        let events = alive.then(|| (Caller::Events, self.staff.events.as_fd(), events));
        std::iter::once((Caller::Process, self.process.as_fd(), PollFlags::IN))
            .chain(events)
            .chain(requests)
    }

    /// Tells it something, now or when it has room.
    pub(super) fn tell(&mut self, notice: Notice) {
        if self.waiting.len() >= MOST_WAITING {
            return self.cut_off("it takes no notices");
        }
        self.waiting.push_back(notice.emit());
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while let Some(page) = self.waiting.front() {
            match socket::try_send(&self.staff.events, page, None) {
                Ok(()) => {
                    self.waiting.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It is ending; its process says how.
                Err(_) => self.waiting.clear(),
            }
        }
    }

    /// Ends it by force; its process tells when that is done.
    pub(super) fn cut_off(&mut self, why: &str) {
        tracing::error!("the gateway is ended: {why}");
        self.forget_requests();
        self.until = None;
        if let Err(error) = pidfd_send_signal(&self.process, Signal::KILL) {
            tracing::debug!(%error, "it is gone already");
        }
    }

    /// Takes nothing more from it.
    pub(super) fn forget_requests(&mut self) {
        self.staff.requests.clear();
        self.waiting.clear();
    }
}

impl Drop for Gateway {
    /// A broker that fails leaves no gateway behind that nobody looks after.
    fn drop(&mut self) {
        if let Ok(None) = self.staff.child.try_wait() {
            let _ = self.staff.child.kill();
            let _ = self.staff.child.wait();
        }
    }
}
