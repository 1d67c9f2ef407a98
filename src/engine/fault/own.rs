//! What a client is told when it is our fault, or our decision.

use super::super::pinhole::RefusalReason;
use crate::ftp::Reply;

/// Faults of our own, and ends that we decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum OwnFault {
    NoPinhole(RefusalReason),
    JournalDown,
    JournalDownAtStart,
    LoginTimeout,
    IdleTimeout,
    CommandTimeout,
    Shutdown,
    Killed,
    TooManyTries,
    TooManyOfUser,
    Banned,
    TooManyOfAddress,
    CannotAsk,
}

impl OwnFault {
    pub(in super::super) fn reply(self) -> Reply {
        match self {
            OwnFault::NoPinhole(RefusalReason::NoPort { in_use }) => Reply::new(
                425,
                format!("No data port free for your address ({in_use} in use); try again."),
            ),
            OwnFault::NoPinhole(RefusalReason::Kernel | RefusalReason::Resources) => Reply::new(
                425,
                "No data port can be opened at the moment; try again later.",
            ),
            OwnFault::JournalDown => Reply::new(
                451,
                "The gateway can't write its journal, so it opens no data connection; try again later.",
            ),
            OwnFault::JournalDownAtStart => Reply::new(
                421,
                "The gateway can't write its journal, so it takes no sessions; try again later.",
            ),
            OwnFault::CannotAsk => Reply::new(
                451,
                "Whoever decides about this can't be asked; try again later.",
            ),
            OwnFault::LoginTimeout => Reply::new(421, "No login in time; closing."),
            OwnFault::IdleTimeout => Reply::new(421, "Idle for too long; closing."),
            OwnFault::CommandTimeout => {
                Reply::new(421, "The command was not finished in time; closing.")
            }
            OwnFault::Shutdown => {
                Reply::new(421, "The gateway is shutting down; try again in a moment.")
            }
            OwnFault::TooManyTries => Reply::new(421, "Too many refused logins; closing."),
            OwnFault::TooManyOfUser => Reply::new(
                421,
                "Too many sessions of this user; close one and try again.",
            ),
            OwnFault::TooManyOfAddress => Reply::new(
                421,
                "Too many sessions from your address; close one and try again.",
            ),
            OwnFault::Banned => Reply::new(
                421,
                "Your address is banned for a time (too many refused logins, or an operator's order); try again later.",
            ),
            OwnFault::Killed => Reply::new(421, "The session was ended by the administrator."),
        }
    }
}
