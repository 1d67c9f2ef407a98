//! The session state machine: facts in, requests out, no I/O.
//!
//! [`Session::handle`] takes one [`Input`] (a fact) and returns [`Output`]s (requests) in the order in
//! which they must happen; here the order across kinds is the meaning: the record before its effect, the
//! hole before its announcement. Nothing is queued inside, so there is no drain to forget. The only
//! asynchrony is a held lane: while a pinhole is being opened or a leg dialled, that lane takes no next
//! line. TLS is one more such barrier: `StartTls` holds a lane until the handshake is over.
//!
//! This module must not know sockets, files, clocks, threads, randomness or a runtime.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod abort;
pub mod catalogue;
mod check;
mod command;
mod data;
mod data_tls;
mod dialogue;
mod ending;
mod event;
mod exits;
mod fault;
mod forward;
mod guard;
mod guest;
mod hiding;
mod input;
mod judgement;
mod known;
mod lane;
mod leaving;
mod legs;
mod limit;
mod login;
mod negotiation;
mod opening;
mod output;
mod pinhole;
mod reason;
mod record;
mod reply;
mod security;
mod session;
mod settings;
mod shut;
mod speaking;
mod state;
mod summary;
mod time;
mod timer;
mod tls;
mod transfer;
mod upstream_tls;
mod whereabouts;

use std::fmt;
use std::ops::{Index, IndexMut, Not};
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use check::{Check, Checks};
pub use data::{Bounds, DialError, Direction, Manner, Outcome, Pace, Usage, Volume, Wire};
pub use event::{Event, HoleFacts, TransferFacts};
pub use exits::{Account, Answer, Grant, LONGEST_ANSWER, LONGEST_QUESTION, Passwords, QuestionId};
pub use guard::Logins;
pub use guest::Guest;
pub use input::Input;
pub use output::Output;
pub use pinhole::{CloseReason, Pinhole, PinholeId, RefusalReason, TransferId};
pub use reason::{
    AskFault, BanReason, Carried, Refusal, Ruling, SessionEnd, UnbanReason, Violation,
};
pub use record::Record;
pub use session::Session;
pub use settings::{
    DataMode, ForeignAddress, PeerMatch, SessionFacts, Settings, SourcePort, Timeouts,
};
pub use shut::Shut;
pub use summary::Summary;
pub use time::{Time, Wall};
pub use tls::{
    ClientCertificate, ClientTls, DataTls, TlsFacts, TlsFailure, TlsFault, TlsMode, TlsPolicy,
    TlsRequire, TlsRole, TlsVersion, UpstreamTls,
};

/// One of the two peers of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who dialled us.
    Client,
    /// The FTP server that we dial.
    Upstream,
}

impl Not for Side {
    type Output = Side;

    fn not(self) -> Side {
        match self {
            Side::Client => Side::Upstream,
            Side::Upstream => Side::Client,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Client => "client",
            Side::Upstream => "upstream",
        })
    }
}

/// A value for each side's leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Legs<T> {
    /// The client's.
    pub client: T,
    /// The upstream's.
    pub upstream: T,
}

impl<T> Index<Side> for Legs<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.client,
            Side::Upstream => &self.upstream,
        }
    }
}

impl<T> IndexMut<Side> for Legs<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }
}

/// A session's name: 12 base32 characters (RFC 4648, lower case), time and randomness, made by the shell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 12]);

impl SessionId {
    /// Shows the name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("????????????")
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// When the session next wants to be told that time passed, and why: a deadline travels with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// Monotonic time of [`Time::mono`].
    pub at: Duration,
    /// The deadline's name, for traces.
    pub why: &'static str,
}
