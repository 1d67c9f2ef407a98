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
mod judgement;
mod known;
mod lane;
mod leaving;
mod legs;
mod limit;
mod login;
mod negotiation;
mod opening;
mod pinhole;
mod reason;
mod record;
mod reply;
mod security;
mod session;
mod settings;
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
use std::net::SocketAddr;
use std::ops::{Index, IndexMut, Not, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::policy::Ask;

pub use check::{Check, Checks};
pub use data::{Bounds, DialError, Direction, Manner, Outcome, Pace, Usage, Volume, Wire};
pub use event::Event;
pub use exits::{Account, Answer, Grant, LONGEST_ANSWER, LONGEST_QUESTION, Passwords, QuestionId};
pub use guard::Logins;
pub use guest::Guest;
pub use pinhole::{CloseReason, Pinhole, PinholeId, RefusalReason, TransferId};
pub use reason::{
    AskFault, BanReason, Carried, Refusal, Ruling, SessionEnd, UnbanReason, Violation,
};
pub use record::Record;
pub use session::Session;
pub use settings::{
    DataMode, ForeignAddress, PeerMatch, SessionFacts, Settings, SourcePort, Timeouts,
};
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

/// A fact, told to the session.
#[derive(Debug)]
pub enum Input<'a> {
    /// The client was admitted: the first input of every session.
    ClientArrived,
    /// The upstream's control connection is up.
    UpstreamConnected {
        /// Our own address on it.
        gateway: SocketAddr,
        /// The upstream's address on it.
        upstream: SocketAddr,
        /// Whether the kernel can carry data connections of this session: there is a firewall that does, and neither
        /// peer is an address of this host.
        forwardable: bool,
        /// The windows, where the upstream's address is surely this host's and its firewall keeps every port of a window
        /// shut to whoever no pinhole awaits, the gateway itself too: a server there is reached at none of these ports.
        shut: Option<Legs<RangeInclusive<u16>>>,
    },
    /// No address of the upstream could be dialled.
    UpstreamUnreachable {
        /// Why the last one failed.
        why: DialError,
    },
    /// Bytes arrived on a control connection.
    Received {
        /// From whom.
        from: Side,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A peer ended its control connection, or it broke.
    Closed {
        /// Which peer.
        by: Side,
    },
    /// A peer took none of the bytes that wait for it for `timeouts.send_stall`.
    SendStalled {
        /// Which peer.
        to: Side,
    },
    /// A control connection is in TLS.
    TlsEstablished {
        /// With whom.
        with: Side,
        /// What the handshake gave.
        facts: Box<TlsFacts>,
    },
    /// There is no TLS on a control connection, or no more.
    TlsFailed {
        /// With whom.
        with: Side,
        /// Why.
        why: TlsFailure,
    },
    /// A port is set aside for a pinhole; nothing listens there yet.
    PinholeReserved {
        /// The pinhole.
        id: PinholeId,
        /// Its address and port.
        at: SocketAddr,
    },
    /// The pinhole is open, or is relayed instead of forwarded now.
    PinholeOpened {
        /// The pinhole.
        id: PinholeId,
    },
    /// The pinhole could not be reserved, or could not be opened after that; the shell holds nothing of it.
    PinholeRefused {
        /// The pinhole.
        id: PinholeId,
        /// Why.
        why: RefusalReason,
    },
    /// The awaited peer dialled, and proved to be who it is where [`DataTls::Resumed`] asks for it; the hole is shut
    /// behind it.
    PinholeUsed {
        /// The pinhole.
        id: PinholeId,
        /// Who dialled.
        peer: SocketAddr,
    },
    /// A dialled leg is connected.
    DataDialled {
        /// The data connection.
        transfer: TransferId,
        /// The dialled side.
        side: Side,
    },
    /// A dialled leg failed.
    DataDialFailed {
        /// The data connection.
        transfer: TransferId,
        /// The dialled side.
        side: Side,
        /// Why.
        why: DialError,
    },
    /// Of a pinhole with [`DataTls::Resumed`]: whether somebody's handshake runs there, who has spoken first, which may be the
    /// client's own. Told when it changes, and not when the handshake was the client's own and is over.
    DataTlsUnderway {
        /// The data connection.
        transfer: TransferId,
        /// Whether one runs.
        underway: bool,
    },
    /// A data leg is in TLS. Of a pinhole with [`DataTls::Resumed`] this is told before `PinholeUsed`.
    DataTlsEstablished {
        /// The data connection.
        transfer: TransferId,
        /// The side.
        side: Side,
        /// What the handshake gave.
        facts: Box<TlsFacts>,
    },
    /// A data leg that was to be in TLS is not: nothing was carried.
    DataTlsFailed {
        /// The data connection.
        transfer: TransferId,
        /// The side.
        side: Side,
        /// Why.
        why: TlsFailure,
    },
    /// The relay of a transfer, or its connection in the kernel, ended: by itself or because it was told to.
    DataFinished {
        /// The data connection.
        transfer: TransferId,
        /// What was carried, and how it ended.
        usage: Usage,
    },
    /// Whether one more session of a user may be.
    UserSeated {
        /// It may.
        granted: bool,
    },
    /// The gating record of the last list of outputs was accepted; told in its place among the facts of that list,
    /// before those of the effects that waited for it.
    RecordAccepted,
    /// The gating record of the last list of outputs was not accepted; the rest of that list was dropped.
    RecordRefused,
    /// Somebody answered a question, or did not.
    Answered {
        /// Which one.
        id: QuestionId,
        /// The answer's line without its end, or why there is none.
        answer: Result<Vec<u8>, AskFault>,
    },
    /// Time passed; a deadline of `next_wake` may be over.
    TimePassed,
    /// The gateway drains: finish what runs, begin nothing.
    ShutdownRequested,
    /// An operator ends the session now (`ctl kill`), or the drain deadline is over.
    KillRequested {
        /// Told in the record.
        reason: SessionEnd,
    },
}

/// A request to the shell, to be performed in order.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Dial the upstream's control connection, failing over between its addresses.
    DialUpstream,
    /// Send bytes on a control connection.
    Send {
        /// To whom.
        to: Side,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Begin TLS on a control connection: a barrier. What stands before it leaves in clear, what follows inside TLS; nothing
    /// that came in clear is handed in behind it. Answered by `TlsEstablished` or `TlsFailed`.
    StartTls {
        /// With whom.
        with: Side,
        /// Which end we are.
        role: TlsRole,
    },
    /// Set a port of the window aside; answered by `PinholeReserved` or `PinholeRefused`.
    ReservePinhole {
        /// Its name.
        id: PinholeId,
        /// What it is.
        pinhole: Pinhole,
    },
    /// Open a reserved pinhole; answered by `PinholeOpened` or `PinholeRefused`.
    OpenPinhole {
        /// Its name.
        id: PinholeId,
    },
    /// Nobody came through a pinhole whose connection the kernel was to carry: carry it here, at the same address and
    /// port. Answered by `PinholeOpened` or `PinholeRefused`; by neither if it came after all, which `PinholeUsed` tells.
    RelayInstead {
        /// Its name.
        id: PinholeId,
    },
    /// Shut a pinhole, reserved, open or used: exactly once each. A connection that nobody relays yet is closed.
    ClosePinhole {
        /// Its name.
        id: PinholeId,
        /// Why.
        reason: CloseReason,
    },
    /// Dial a data leg; answered by `DataDialled` or `DataDialFailed`.
    DialData {
        /// The data connection.
        transfer: TransferId,
        /// The side to dial.
        side: Side,
        /// Where to.
        to: SocketAddr,
        /// Our address to dial from: the peer must see the address of its control connection.
        from: SocketAddr,
    },
    /// Carry bytes in this direction as soon as both legs are there, and in TLS where they are to be; payload against it
    /// goes nowhere. The client's handshake may begin now, the upstream's waits for `StartDataTls`. Where the kernel
    /// carries them: watch that they move, and tell when they are over.
    StartRelay {
        /// The data connection.
        transfer: TransferId,
        /// The direction.
        direction: Direction,
        /// How each leg is protected.
        tls: Legs<DataTls>,
        /// What may be carried; nothing bounds what the kernel carries.
        bounds: Bounds,
    },
    /// Begin TLS on a data leg as soon as it is connected; answered by `DataTlsEstablished` or `DataTlsFailed`.
    StartDataTls {
        /// The data connection.
        transfer: TransferId,
        /// The side.
        side: Side,
    },
    /// The client was not told yet that its transfer begins: what TLS keeps back until the first data (tickets) may leave now, before
    /// what follows in this list.
    GiveTickets {
        /// The data connection.
        transfer: TransferId,
    },
    /// End a transfer's legs. If `StartRelay` was asked for and `DataFinished` was not told yet, `Abort` and `Drop` are
    /// answered with `DataFinished` at once, also when the relay never began; otherwise nothing answers.
    EndData {
        /// The data connection.
        transfer: TransferId,
        /// How.
        manner: Manner,
    },
    /// Leave the upstream at once and dial another one, of the session's listener. Answered as `DialUpstream` is.
    MoveUpstream {
        /// Its name.
        to: Arc<str>,
    },
    /// Ask whoever a rule names; answered by `Answered`, at the latest when its time-out is over.
    Ask {
        /// The question's number.
        id: QuestionId,
        /// Who is asked, and how long the answer may be in coming.
        ask: Arc<Ask>,
        /// The question: one line, with its end.
        question: Vec<u8>,
    },
    /// Write a record. If it gates an effect ([`Record::gates_effect`]) answer with `RecordAccepted` and go on, or
    /// drop the rest of the list and answer with `RecordRefused`.
    Write(Box<Record>),
    /// Count this session as one of a user's, instead of whoever's it was before. Answered by `UserSeated` at once.
    SeatUser {
        /// The user's name, escaped.
        user: Arc<str>,
    },
    /// Close a control connection after what waits for it was sent.
    Close {
        /// Whose.
        side: Side,
    },
}

/// When the session next wants to be told that time passed, and why: a deadline travels with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// Monotonic time of [`Time::mono`].
    pub at: Duration,
    /// The deadline's name, for traces.
    pub why: &'static str,
}
