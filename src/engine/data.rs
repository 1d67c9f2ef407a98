//! A data connection's bytes as values: their direction, their account, how they end, why a dial fails.

use std::fmt;
use std::time::Duration;

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

/// What a relay may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// How fast.
    pub pace: Option<Pace>,
    /// How many bytes; one more ends it as [`Outcome::Exceeded`].
    pub bytes: Option<u64>,
}

/// How fast bytes may flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes per second; at least one.
    pub rate: u64,
    /// No byte flows before this time, by [`super::Time::mono`]: what flowed before it is paid for until then.
    pub from: Duration,
}

/// What a relay or the kernel carried, and how it ended.
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
    /// What the kernel counted of a forwarded connection, which has no bytes above; none where it could not be asked.
    pub wire: Option<Wire>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Usage {
    /// Gives the account of a data connection on which nothing was carried.
    pub fn nothing(outcome: Outcome) -> Usage {
        Usage {
            bytes_up: 0,
            bytes_down: 0,
            wrong_direction: 0,
            unacknowledged: 0,
            wire: None,
            outcome,
        }
    }
}

/// What a forwarded connection carried, as the kernel counts: whole packets, with headers and retransmissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Bytes from the client to the upstream.
    pub bytes_up: u64,
    /// Bytes from the upstream to the client.
    pub bytes_down: u64,
    /// Packets from the client to the upstream.
    pub packets_up: u64,
    /// Packets from the upstream to the client.
    pub packets_down: u64,
}

/// How much a data connection carried, as a record tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Volume {
    /// Payload that this process carried.
    Payload {
        /// Bytes from the client to the upstream.
        bytes_up: u64,
        /// Bytes from the upstream to the client.
        bytes_down: u64,
    },
    /// Packets that the kernel carried.
    Packets {
        /// Bytes from the client to the upstream, with headers.
        wire_bytes_up: u64,
        /// Bytes from the upstream to the client, with headers.
        wire_bytes_down: u64,
        /// Packets from the client to the upstream.
        packets_up: u64,
        /// Packets from the upstream to the client.
        packets_down: u64,
    },
    /// The kernel carried it and did not tell how much.
    Untold {},
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
    /// There was more than [`Bounds::bytes`]; what was within them was delivered, and then both legs were reset.
    Exceeded,
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
