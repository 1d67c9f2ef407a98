//! A data connection as a value: its stage, its two legs, what runs on it.
//!
//! Invariant: at most one per session; each of its pinholes is closed exactly once, with its record.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::limit::Bound;
use super::pinhole::{CloseReason, PinholeId, TransferId};
use super::tls::{DataTls, TlsFault};
use super::{Carried, DialError, Direction, Legs, Outcome, Side, Time, Usage};
use crate::ftp::{Command, Reply, TransferDirection, Verb};

/// How far a data connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// The upstream was asked for its part.
    Asked,
    /// This side's pinhole is being opened.
    Opening(Side),
    /// The client was told; a transfer command may come.
    Offered,
    /// REST is said again before this transfer command.
    Resuming(Box<Command>),
    /// The transfer command was sent.
    Running,
}

/// One side's half.
#[derive(Debug)]
pub(super) enum Leg {
    /// It awaits its peer's dial; the hole is there once it was asked for.
    Awaits(Option<Hole>),
    /// It dials its peer; the address is there once it is known.
    Dials { to: Option<SocketAddr>, dial: Dial },
}

/// How far a dial has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dial {
    Idle,
    Begun,
    Up,
    Failed { why: DialError, at: Duration },
}

/// A pinhole of ours, from its request to its record.
#[derive(Debug)]
pub(super) struct Hole {
    pub(super) id: PinholeId,
    pub(super) from: IpNet,
    pub(super) at: Option<SocketAddr>,
    pub(super) leads_to: Option<SocketAddr>,
    /// When its record was accepted; before that there is nothing to close in the journal.
    pub(super) opened: Option<Time>,
    pub(super) used: Option<Time>,
}

/// The transfer command that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) verb: Verb,
    pub(super) path: Box<str>,
    pub(super) began: Duration,
    /// When the upstream's first 1xx came.
    pub(super) marked: Option<Duration>,
}

/// What the relay is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relay {
    NotAsked,
    Asked,
    /// It was told to end at once: nothing else is handled before its account comes.
    Ending,
    Finished {
        usage: Usage,
        at: Duration,
    },
}

/// A negotiated data connection.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) id: TransferId,
    /// The client's verb that set it up.
    pub(super) ask: Verb,
    pub(super) stage: Stage,
    pub(super) legs: Legs<Leg>,
    pub(super) carried: Carried,
    /// It was to be forwarded; that it be relayed instead was asked for.
    pub(super) taken_back: bool,
    pub(super) command: Option<Running>,
    pub(super) relay: Relay,
    /// What it may carry.
    pub(super) bound: Bound,
    /// How each leg is to be protected, from the transfer command on.
    pub(super) tls: Legs<DataTls>,
    /// The legs that are in TLS.
    pub(super) secured: Legs<bool>,
    /// The upstream's leg was told to begin TLS.
    pub(super) tls_begun: bool,
    /// Why a leg is not in TLS.
    pub(super) tls_failure: Option<TlsFault>,
    /// Somebody's handshake runs at a pinhole that is only for whoever resumes.
    pub(super) underway: bool,
    /// The 1xx that waits for the client's data port to be dialled, or for the client's handshake that runs.
    pub(super) preliminary: Option<Reply>,
    /// The upstream's 2xx that waits for the data.
    pub(super) success: Option<Reply>,
    /// The client has its final answer; how the holes are to be recorded.
    pub(super) ended: Option<Ended>,
}

/// How a transfer ended, once the client was told.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) reason: CloseReason,
    pub(super) code: u16,
    pub(super) why: String,
}

impl Transfer {
    pub(super) fn hole(&self, side: Side) -> Option<&Hole> {
        match &self.legs[side] {
            Leg::Awaits(hole) => hole.as_ref(),
            Leg::Dials { .. } => None,
        }
    }

    pub(super) fn hole_mut(&mut self, side: Side) -> Option<&mut Hole> {
        match &mut self.legs[side] {
            Leg::Awaits(hole) => hole.as_mut(),
            Leg::Dials { .. } => None,
        }
    }

    /// Tells whether both legs are connected, so that bytes can flow. The kernel dials by itself.
    pub(super) fn is_joined(&self) -> bool {
        let up = |leg: &Leg| match leg {
            Leg::Awaits(hole) => hole.as_ref().is_some_and(|hole| hole.used.is_some()),
            Leg::Dials { dial, .. } => *dial == Dial::Up || self.carried == Carried::Forwarded,
        };
        up(&self.legs.client) && up(&self.legs.upstream)
    }

    pub(super) fn direction(&self) -> Option<Direction> {
        self.command
            .as_ref()
            .and_then(|command| command.verb.direction())
            .map(Direction::from)
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match self.relay {
            Relay::Finished { usage, .. } => Some(usage),
            Relay::NotAsked | Relay::Asked | Relay::Ending => None,
        }
    }

    /// Tells whether all bytes were carried, under the protection that they were to have.
    pub(super) fn is_complete(&self) -> bool {
        let clear = |side| self.tls[side] == DataTls::Clear;
        let protected = |side| clear(side) || self.secured[side];
        protected(Side::Client)
            && protected(Side::Upstream)
            && self
                .usage()
                .is_some_and(|usage| usage.outcome == Outcome::Complete)
    }
}

impl From<TransferDirection> for Direction {
    fn from(direction: TransferDirection) -> Direction {
        match direction {
            TransferDirection::Download => Direction::Download,
            TransferDirection::Upload => Direction::Upload,
        }
    }
}
