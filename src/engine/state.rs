//! The parts of a session's state that are values of their own.

use std::sync::Arc;
use std::time::Duration;

use super::{SessionEnd, Side};
use crate::ftp::Reply;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Made, not told of its client yet.
    New,
    /// The upstream is being dialled.
    Dialling,
    /// The upstream is connected and owes its greeting.
    Greeting,
    /// The upstream has greeted and is being secured; the client does not know of it yet.
    Securing,
    /// Commands and replies pass.
    Talking,
    /// Everything was said; a relay is still being torn down.
    Ending(SessionEnd),
    /// Nothing is left to do.
    Over,
}

/// What a gating record, written and not yet accepted, holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// The dial of the upstream.
    Session,
    /// The opening of this side's pinhole.
    Pinhole(Side),
    /// The transfer command and the dial of the upstream's data port.
    Launch,
    /// The dial of the client's data port.
    ClientDial,
    /// The dial of the upstream's data port, when the transfer command was sent before.
    LateDial,
    /// A login, for the shell's word whether one more session of the user may be; no record is written for it.
    Seat,
    /// All records of what may have been a probe.
    Shown,
}

/// The last words of a session that only waits for its running transfer.
#[derive(Debug)]
pub(super) struct Farewell {
    pub(super) words: Reply,
    pub(super) reason: SessionEnd,
    pub(super) since: Duration,
}

/// What is known of the upstream's EPSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EpsvSupport {
    Unknown,
    Known,
    Missing,
}

/// A login that the server has not accepted yet.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) user: Arc<str>,
    /// The name as it was sent, where it was escaped.
    pub(super) raw: Option<Box<[u8]>>,
    /// The password of an anonymous user, where the config wants it recorded.
    pub(super) email: Option<String>,
    /// When the last command of it came.
    pub(super) asked: Duration,
    /// The gateway answers it in its own words.
    pub(super) worded: bool,
    pub(super) named: Named,
}

/// Who has seen the name of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The upstream has.
    Upstream,
    /// The upstream has, and wants ACCT now.
    AskedForAccount,
    /// We alone; it goes up with its PASS.
    Here,
    /// We alone, and a rule refuses it.
    Refused,
    /// Nobody cares any more: it was refused, and the client was told.
    Over,
}
