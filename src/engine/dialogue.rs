//! The FIFO of commands that await replies: pipelining, preliminary replies, commands of our own.
//!
//! Invariant: replies leave in the order of the commands, and each command gets exactly one final reply.

use crate::ftp::{Reply, Verb};

/// Why we sent a command of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To ask the upstream for a passive port in the extended form (RFC 2428).
    Epsv,
    /// The same in the form of RFC 959.
    Pasv,
    /// To tell the upstream where we await it.
    Port,
    /// To ask the upstream for TLS.
    Auth,
    /// The same by the name that it had in the drafts.
    AuthSsl,
    /// What has to stand before PROT.
    Pbsz,
    /// To have data connections to the upstream in TLS.
    Prot,
    /// To say REST again, right before the transfer command.
    Rest,
    /// The fence after ABOR: what it answers ends the count of replies.
    Fence,
    /// To learn how the upstream writes paths.
    Syst,
    /// To learn the working directory.
    Pwd,
    /// To name the user, whose USER we answered ourselves.
    LogIn,
    /// To have a user begin where the config or an answer says.
    StartIn,
    /// The final reply of a transfer that the client was answered for already.
    Swallow,
}

/// One entry: something that will be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// A client's command that the upstream answers.
    Client(Verb),
    /// The transfer command that runs; at most one.
    Transfer,
    /// The client's ABOR of a running transfer.
    Abort,
    /// A command of our own.
    Ours(Purpose),
    /// A reply that is known already and waits for its turn.
    Ready(Vec<u8>),
}

/// The FIFO. Its first entry is kept inline, so that sessions that do not pipeline hold no heap for it.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    first: Option<Pending>,
    rest: Vec<Pending>,
}

impl Dialogue {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(super) fn push(&mut self, pending: Pending) {
        if self.first.is_none() {
            self.first = Some(pending);
        } else {
            self.rest.push(pending);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.first.iter().chain(self.rest.iter())
    }

    fn remove(&mut self, index: usize) -> Option<Pending> {
        let Some(behind) = index.checked_sub(1) else {
            let next = (!self.rest.is_empty()).then(|| self.rest.remove(0));
            if self.rest.is_empty() {
                self.rest = Vec::new();
            }
            return std::mem::replace(&mut self.first, next);
        };
        (behind < self.rest.len()).then(|| self.rest.remove(behind))
    }

    /// Tells whether a fence is among the entries: the client lane sends nothing further upstream.
    pub(super) fn has_fence(&self) -> bool {
        self.iter().any(|entry| match entry {
            Pending::Client(verb) => verb.is_fence(),
            Pending::Ours(_) => true,
            Pending::Transfer | Pending::Abort | Pending::Ready(_) => false,
        })
    }

    /// Tells whether the answer to one of these commands of the client's is owed.
    pub(super) fn owes(&self, which: impl Fn(Verb) -> bool) -> bool {
        self.iter().any(|entry| match entry {
            Pending::Client(verb) => which(*verb),
            Pending::Transfer | Pending::Abort | Pending::Ours(_) | Pending::Ready(_) => false,
        })
    }

    /// Tells whether the upstream owes a reply.
    pub(super) fn awaits_upstream(&self) -> bool {
        self.iter().any(|entry| !matches!(entry, Pending::Ready(_)))
    }

    /// Tells whether the upstream owes the running transfer's final reply.
    pub(super) fn owes_transfer(&self) -> bool {
        self.iter().any(|entry| *entry == Pending::Transfer)
    }

    /// Tells whether the upstream owes an answer to QUIT and to nothing else.
    pub(super) fn owes_only_quit(&self) -> bool {
        self.first == Some(Pending::Client(Verb::Quit))
    }

    /// Takes the next reply that is known and whose turn has come.
    pub(super) fn take_ready(&mut self) -> Option<Vec<u8>> {
        if !matches!(self.first, Some(Pending::Ready(_))) {
            return None;
        }
        match self.remove(0) {
            Some(Pending::Ready(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Shows what a preliminary reply belongs to.
    pub(super) fn front(&self) -> Option<&Pending> {
        self.iter()
            .find(|entry| !matches!(entry, Pending::Ready(_)))
    }

    /// Takes the entry that a final reply answers.
    ///
    /// Servers answer in order, but some answer STAT and NOOP while a transfer runs; while one runs, a reply that
    /// no server gives to a transfer command belongs to the command behind it.
    pub(super) fn take_answered(&mut self, reply: &Reply, transfer_began: bool) -> Option<Pending> {
        let owed = |index: &usize| !matches!(self.iter().nth(*index), Some(Pending::Ready(_)));
        let mut indices = (0..self.len()).filter(owed);
        let first = indices.next()?;
        let second = indices.next();
        let runs = matches!(
            self.iter().nth(first),
            Some(Pending::Transfer | Pending::Ours(Purpose::Swallow))
        );
        let index = match second {
            Some(second) if runs && overtakes_transfer(reply.code().get(), transfer_began) => {
                second
            }
            _ => first,
        };
        self.remove(index)
    }

    /// Answers the running transfer ourselves, in its turn; what the upstream still says of it will be swallowed.
    pub(super) fn answer_transfer(&mut self, reply: Vec<u8>) {
        let Some(index) = self.iter().position(|entry| *entry == Pending::Transfer) else {
            return;
        };
        let swallowed = Pending::Ours(Purpose::Swallow);
        match index.checked_sub(1) {
            None => {
                self.first = Some(Pending::Ready(reply));
                self.rest.insert(0, swallowed);
            }
            Some(index) => {
                self.rest.insert(index, Pending::Ready(reply));
                if let Some(entry) = self.rest.get_mut(index + 1) {
                    *entry = swallowed;
                }
            }
        }
    }

    /// Forgets the transfer command, which was never sent after all.
    pub(super) fn forget_transfer(&mut self) {
        let index = self.iter().position(|entry| *entry == Pending::Transfer);
        if let Some(index) = index {
            self.remove(index);
        }
    }

    /// Forgets the client's ABOR, which the upstream left unanswered.
    pub(super) fn forget_abort(&mut self) {
        let index = self.iter().position(|entry| *entry == Pending::Abort);
        if let Some(index) = index {
            self.remove(index);
        }
    }

    /// Forgets everything: the session ends.
    pub(super) fn clear(&mut self) {
        *self = Dialogue::default();
    }
}

/// Codes that NOOP, STAT and QUIT get and a transfer command does not.
fn overtakes_transfer(code: u16, transfer_began: bool) -> bool {
    match code {
        200 | 202 | 211..=215 | 221 => true,
        500..=504 | 530 => transfer_began,
        _ => false,
    }
}
