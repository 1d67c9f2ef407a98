//! A netlink socket: requests with their answers.
//!
//! Invariant: a request is over when its call returns; what could not be read of its answers is not there for the next one.
//! This module must not know what the messages mean.

mod each;
mod ear;

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use mnl::{Bus, Socket};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::RecvFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::error::{Error, Refusal};
use super::message::{Answer, INTERRUPTED, Message, Saying, Subsystem, answers};

pub(super) use ear::Ear;

/// The kernel answers before `send` returns; a request that is unanswered after this will never be. Sessions wait meanwhile, ten
/// times as long at most.
const PATIENCE: Duration = Duration::from_millis(200);

/// One read: dumps come in pages of up to 32 KiB.
const ROOM: usize = 64 << 10;

/// Most messages that are cleared away at once: more than a socket holds.
const UNREAD: usize = 4096;

/// How often a dump that was disturbed is begun anew.
const DUMPS: usize = 10;

// linux/netlink.h
const NLMSG_MIN_TYPE: u16 = 0x10;
const BATCH_BEGIN: u16 = NLMSG_MIN_TYPE;
const BATCH_END: u16 = NLMSG_MIN_TYPE + 1;

/// A netlink socket for requests.
pub(super) struct Channel {
    socket: Socket,
    sequence: u32,
    /// Whether answers to the last request may be unread: reading them failed.
    unread: bool,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, form: &mut fmt::Formatter<'_>) -> fmt::Result {
        form.debug_struct("Channel")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Channel {
    /// Opens a socket to netfilter.
    pub(super) fn open() -> Result<Channel, Error> {
        Ok(Channel {
            socket: open(0)?,
            sequence: 0,
            unread: false,
            outgoing: Vec::with_capacity(4096),
            incoming: vec![0; ROOM],
        })
    }

    /// Sends messages as one batch, of which the kernel does all or nothing.
    pub(super) fn batch(
        &mut self,
        doing: &'static str,
        mut messages: Vec<Message>,
    ) -> Result<(), Error> {
        // Only the last is acknowledged; errors come for any. The end of a batch is acknowledged by newer kernels only.
        let Some(last) = messages.pop() else {
            return Ok(());
        };
        messages.push(last.acknowledged());
        self.outgoing.clear();
        let resource = Subsystem::Tables as u16;
        let mut begin = Message::new(BATCH_BEGIN, 0, 0, resource, |_| {});
        let mut end = Message::new(BATCH_END, 0, 0, resource, |_| {});
        // A batch that is refused as a whole is refused in its beginning's name.
        self.sequence = self.sequence.wrapping_add(1);
        let first = self.sequence;
        self.outgoing.extend_from_slice(begin.numbered(first));
        for message in &mut messages {
            self.sequence = self.sequence.wrapping_add(1);
            self.outgoing
                .extend_from_slice(message.numbered(self.sequence));
        }
        self.outgoing.extend_from_slice(end.numbered(first));
        self.send(doing)?;
        self.wait(doing, first..=self.sequence)
    }

    /// Sends bytes that are a batch already, each message of which is acknowledged, `last` being the last one's number.
    pub(super) fn finished_batch(
        &mut self,
        doing: &'static str,
        bytes: &[u8],
        last: u32,
    ) -> Result<(), Error> {
        self.outgoing.clear();
        self.outgoing.extend_from_slice(bytes);
        self.send(doing)?;
        self.wait(doing, 0..=last)
    }

    /// Sends one message and waits for its acknowledgement.
    pub(super) fn tell(&mut self, doing: &'static str, message: Message) -> Result<(), Error> {
        self.begin(doing, message.acknowledged())?;
        self.wait(doing, self.sequence..=self.sequence)
    }

    /// Asks for one thing; none if it is not there (ENOENT). What is there is the whole answer: an acknowledgement behind it
    /// would be one more message to make and to read.
    pub(super) fn ask<T>(
        &mut self,
        doing: &'static str,
        message: Message,
        mut read: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.begin(doing, message)?;
        let mut found = None;
        let sequence = self.sequence;
        let ended = self.collect(doing, &(sequence..=sequence), |answer| {
            let Saying::Told(attributes) = answer.saying() else {
                return false;
            };
            found = found.take().or_else(|| read(attributes));
            true
        });
        match ended {
            Err(Error::Kernel(Refusal {
                errno: Errno::NOENT,
                ..
            })) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(found),
        }
    }

    /// Asks for everything of a kind; begun anew when it changed meanwhile.
    pub(super) fn dump<T>(
        &mut self,
        doing: &'static str,
        message: &Message,
        mut read: impl FnMut(&[u8], &mut Vec<T>),
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMPS {
            let (mut found, mut disturbed) = (Vec::new(), false);
            self.begin(doing, message.clone())?;
            let sequence = self.sequence;
            let ended = self.collect(doing, &(sequence..=sequence), |answer| {
                disturbed |= answer.flags & INTERRUPTED != 0;
                if let Saying::Told(attributes) = answer.saying() {
                    read(attributes, &mut found);
                }
                false
            });
            match ended {
                Ok(()) if !disturbed => return Ok(found),
                // EINTR: the answer to a dump that a commit overtook.
                Ok(()) => {}
                Err(Error::Kernel(refusal)) if refusal.errno == Errno::INTR => {}
                Err(error) => return Err(error),
            }
        }
        Err(refused(doing, Errno::INTR, None))
    }

    fn begin(&mut self, doing: &'static str, mut message: Message) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        self.outgoing.clear();
        self.outgoing
            .extend_from_slice(message.numbered(self.sequence));
        self.send(doing)
    }

    fn send(&mut self, doing: &'static str) -> Result<(), Error> {
        if self.unread {
            self.clear_away();
        }
        self.unread = true;
        let sent = self.socket.send(&self.outgoing);
        sent.map(drop)
            .map_err(|error| refused(doing, errno_of(&error), None))
    }

    /// Drops what nobody has read: where it fills the socket, the kernel drops the answer to the next request instead.
    fn clear_away(&mut self) {
        let socket = descriptor(&self.socket);
        for _ in 0..UNREAD {
            match rustix::net::recv(socket, &mut self.incoming[..], RecvFlags::DONTWAIT) {
                // netlink(7): something was dropped already.
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                // There is nothing more; what else is wrong, the request will meet.
                Err(_) => return,
            }
        }
    }

    fn wait(&mut self, doing: &'static str, asked: RangeInclusive<u32>) -> Result<(), Error> {
        self.collect(doing, &asked, |_| false)
    }

    /// Reads until the answer to the last that was `asked` is complete, of which `each` tells for what is no acknowledgement.
    /// The first refusal decides, but the others are read too.
    fn collect(
        &mut self,
        doing: &'static str,
        asked: &RangeInclusive<u32>,
        each: impl FnMut(&Answer<'_>) -> bool,
    ) -> Result<(), Error> {
        let mut refusal = None;
        let read = self.read_answers(doing, asked, &mut refusal, each);
        self.unread = read.is_err();
        if refusal.is_some() {
            set_patience(&self.socket, PATIENCE)?;
        }
        refusal.map_or(read, Err)
    }

    fn read_answers(
        &mut self,
        doing: &'static str,
        asked: &RangeInclusive<u32>,
        refusal: &mut Option<Error>,
        mut each: impl FnMut(&Answer<'_>) -> bool,
    ) -> Result<(), Error> {
        loop {
            let length = match self.socket.recv_raw(&mut self.incoming) {
                Ok(length) => length,
                // A refused batch need not acknowledge its last message.
                Err(error) if errno_of(&error) == Errno::AGAIN && refusal.is_some() => {
                    return Ok(());
                }
                Err(error) => return Err(refused(doing, errno_of(&error), None)),
            };
            let bytes = self.incoming.get(..length).unwrap_or_default();
            let mut over = false;
            // What was asked before and could not be read then is nobody's any more.
            for answer in answers(bytes).filter(|answer| is_within(asked, answer.sequence)) {
                let is_last = answer.sequence == *asked.end();
                match answer.saying() {
                    Saying::Acknowledged | Saying::Done => over |= is_last,
                    Saying::Refused(code, words) => {
                        let errno = Errno::from_raw_os_error(code);
                        refusal.get_or_insert_with(|| refused(doing, errno, words));
                        over |= is_last;
                    }
                    Saying::Told(_) if is_last => over |= each(&answer),
                    Saying::Told(_) => {}
                }
            }
            if over {
                return Ok(());
            }
            if refusal.is_some() {
                // All that the kernel has to say is queued by now.
                set_patience(&self.socket, Duration::from_millis(1))?;
            }
        }
    }
}

/// Tells whether a number is among those that were asked, which may have begun anew at 0.
fn is_within(asked: &RangeInclusive<u32>, sequence: u32) -> bool {
    sequence.wrapping_sub(*asked.start()) <= asked.end().wrapping_sub(*asked.start())
}

fn open(groups: u32) -> Result<Socket, Error> {
    let doing = "opening a netlink socket to the firewall";
    let socket =
        Socket::open(Bus::Netfilter).map_err(|error| refused(doing, errno_of(&error), None))?;
    // libmnl leaves it open over exec, and the gateway is started by exec: it must not have it.
    fcntl_setfd(descriptor(&socket), FdFlags::CLOEXEC)
        .map_err(|errno| refused(doing, errno, None))?;
    let bound = socket.bind(groups, 0);
    bound.map_err(|error| refused(doing, errno_of(&error), None))?;
    set_patience(&socket, PATIENCE)?;
    // A program that this one starts must not get it: it would keep the kernel's log, and the power over the firewall.
    fcntl_setfd(descriptor(&socket), FdFlags::CLOEXEC)
        .map_err(|errno| refused(doing, errno, None))?;
    Ok(socket)
}

fn set_patience(socket: &Socket, patience: Duration) -> Result<(), Error> {
    set_socket_timeout(descriptor(socket), Timeout::Recv, Some(patience))
        .map_err(|errno| refused("preparing a netlink socket", errno, None))
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// An error that nobody has looked at yet.
pub(super) fn refused(doing: &'static str, errno: Errno, words: Option<String>) -> Error {
    Error::Kernel(Refusal {
        doing,
        errno,
        words,
    })
}

#[expect(
    unsafe_code,
    reason = "mnl's socket gives its descriptor as a bare number"
)]
fn descriptor(socket: &Socket) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open as long as the socket lives, and the result borrows the socket.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Message, Subsystem};
    use super::{Channel, Error, is_within};

    /// Without the right to ask, the kernel's answer is that.
    #[test]
    fn what_could_not_be_read_leaves_room_for_the_next_answer() {
        const GET_GENERATION: u8 = 16; // NFT_MSG_GETGEN
        let kind = Subsystem::Tables.kind(GET_GENERATION);
        let question = Message::new(kind, 0, 0, 0, |_| {});
        let mut channel = Channel::open().expect("a socket");
        for _ in 0..5000 {
            channel
                .begin("asking what nobody reads", question.clone())
                .expect("sent");
        }
        match channel.ask("asking", question, |_| Some(())) {
            Ok(Some(())) => {}
            Err(Error::Kernel(refusal)) => {
                assert_eq!(refusal.errno, rustix::io::Errno::PERM, "{refusal:?}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_to_earlier_questions_are_not_taken_for_this_ones() {
        for (first, last, sequence, within) in [
            (5, 8, 4, false),
            (5, 8, 5, true),
            (5, 8, 8, true),
            (5, 8, 9, false),
            (7, 7, 7, true),
            (7, 7, 6, false),
            (u32::MAX, 1, u32::MAX, true),
            (u32::MAX, 1, 0, true),
            (u32::MAX, 1, 2, false),
            (u32::MAX, 1, u32::MAX - 1, false),
        ] {
            assert_eq!(is_within(&(first..=last), sequence), within, "{sequence}");
        }
    }
}
