//! A data connection's bytes as values: their direction, their account, how they end, why a dial fails.

use std::fmt;

use serde::Serialize;

use super::Side;

/// The direction of a transfer: payload flows this way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the upstream to the client: RETR, LIST, NLST, MLSD.
    Download,
    /// From the client to the upstream: STOR, STOU, APPE.
    Upload,
}

impl Direction {
    /// Tells where the payload comes from.
    pub fn source(self) -> Side {
        match self {
            Direction::Download => Side::Upstream,
            Direction::Upload => Side::Client,
        }
    }
}

/// How a transfer's legs are to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Reset both legs now: nothing that was cut off may look complete.
    Abort,
    /// Close both legs quietly: nothing was under way.
    Drop,
    /// Deliver what still comes; when nothing moves for `timeouts.linger`, end as [`Outcome::LingerOver`].
    Linger,
}

/// What a relay carried, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes from the client to the upstream.
    pub bytes_up: u64,
    /// Bytes from the upstream to the client.
    pub bytes_down: u64,
    /// Bytes that came against the direction and were dropped.
    pub wrong_direction: u64,
    /// Bytes in the receiver's send queue that it had not acknowledged at the end.
    pub unacknowledged: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The source's end of file was reached, all bytes and the FIN were handed to the receiver's kernel.
    Complete,
    /// A leg broke: reset, or unreachable in the middle.
    Broken {
        /// Which.
        side: Side,
    },
    /// A leg in TLS ended without close_notify, so that its end may not be its peer's.
    Truncated {
        /// Which.
        side: Side,
    },
    /// No byte moved for `timeouts.stall`.
    Stalled,
    /// No byte moved for `timeouts.linger` after the end was announced.
    LingerOver,
    /// It was told to abort.
    Aborted,
}

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DialError {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// No route, or a firewall said no.
    Unreachable,
    /// The name could not be resolved.
    NoSuchName,
    /// Our own address or port could not be used.
    LocalAddress,
    /// The upstream is at its `max_sessions`.
    Busy,
    /// Anything else; the shell's log has the reason.
    Other,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DialError::Refused => "connection refused",
            DialError::TimedOut => "no answer in time",
            DialError::Unreachable => "no route to it",
            DialError::NoSuchName => "its name cannot be resolved",
            DialError::LocalAddress => "the local address or port cannot be used",
            DialError::Busy => "it has its maximum of sessions",
            DialError::Other => "the connection failed",
        })
    }
}
