//! The engine's own checks that an operator may have observed before they bite.
//!
//! Invariant: a check is here only if what it lets pass can't be taken for something else on the way: no second command
//! in a line, no data connection to a host that is not the client.

use std::fmt;

use super::Event;
use super::fault::ClientFault;
use super::session::{Session, Step};
use crate::ftp::{Command, Verb};

/// The shipped rule that unknown verbs meet.
const NO_UNKNOWN_VERBS: &str = "everything-but-dangerous/no-unknown-verbs";

/// A check of a client's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// A line ends in CR LF.
    BareLf,
    /// A verb is one that somebody knows; the check is the shipped rule's.
    UnknownVerb,
    /// PORT and EPRT name the client; observed, the client is dialled whatever they name.
    ForeignAddress,
    /// PORT and EPRT name a port from 1024 on.
    LowPort,
    /// TYPE, STRU and ALLO have an argument that RFC 959 knows.
    Argument,
    /// After EPSV ALL nothing but EPSV comes.
    EpsvAll,
}

/// Some of these checks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks(u8);

impl Checks {
    /// Tells whether a check is one of them.
    #[must_use]
    pub fn contains(self, check: Check) -> bool {
        self.0 & Checks::bit(check) != 0
    }

    fn bit(check: Check) -> u8 {
        1 << match check {
            Check::BareLf => 0,
            Check::UnknownVerb => 1,
            Check::ForeignAddress => 2,
            Check::LowPort => 3,
            Check::Argument => 4,
            Check::EpsvAll => 5,
        }
    }
}

impl FromIterator<Check> for Checks {
    fn from_iter<I: IntoIterator<Item = Check>>(checks: I) -> Checks {
        Checks(
            checks
                .into_iter()
                .fold(0, |bits, check| bits | Checks::bit(check)),
        )
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checks({:#b})", self.0)
    }
}

impl serde::Serialize for Check {
    /// Writes the journal's word.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Names the check behind an objection, if it is one that may be observed.
pub(super) fn behind(command: &Command, fault: ClientFault) -> Option<Check> {
    match fault {
        ClientFault::BadArgument
            if matches!(command.verb, Verb::Type | Verb::Stru | Verb::Allo) =>
        {
            Some(Check::Argument)
        }
        ClientFault::EpsvAll => Some(Check::EpsvAll),
        _ => None,
    }
}

/// Names the check behind a rule.
pub(super) fn behind_rule(command: &Command, rule: &str) -> Option<Check> {
    (command.verb == Verb::Unknown && rule == NO_UNKNOWN_VERBS).then_some(Check::UnknownVerb)
}

impl Session {
    /// Tells whether a check only observes here; then it is recorded that it would have refused.
    pub(super) fn only_observes(
        &mut self,
        step: &mut Step,
        check: Check,
        command: impl FnOnce() -> String,
        code: u16,
    ) -> bool {
        let observes = self.settings.observe.contains(check);
        if observes {
            let command = command();
            self.report(
                step,
                Event::CheckObserved {
                    command,
                    check,
                    code,
                },
            );
        }
        observes
    }
}
