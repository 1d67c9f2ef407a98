//! What the load is told to do, and what it tells of it: values that travel between the two processes as JSON lines.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One measurement's work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Where the gateway (or, without one, the server) listens.
    pub target: SocketAddr,
    /// How data connections are negotiated.
    pub mode: Mode,
    /// What is done once all is ready.
    pub work: Work,
    /// Sessions that are open and idle meanwhile.
    pub idle: usize,
    /// Client addresses that sessions are spread over; 0 is the one that the kernel chooses.
    pub addresses: usize,
    /// Longest time for one operation, in seconds.
    pub patience: u64,
    /// How often a login may be tried while preparing: mod_proxy drops one now and then.
    pub tries: u32,
    /// The certificate (PEM) that the gateway must show; none for clear text.
    pub certificate: Option<PathBuf>,
}

/// How a client asks for data connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// PASV.
    Passive,
    /// EPSV.
    ExtendedPassive,
    /// PORT.
    Active,
}

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Each of `sessions` moves one file of `bytes`, all at once.
    Bulk {
        /// Uploads instead of downloads.
        upload: bool,
        /// Sessions, each with one transfer.
        sessions: usize,
        /// Length of each file in bytes.
        bytes: u64,
    },
    /// Each of `sessions` fetches files of `bytes`, one after another, for `millis`.
    Files {
        /// Sessions at once.
        sessions: usize,
        /// Length of each file in bytes.
        bytes: u64,
        /// Duration in milliseconds.
        millis: u64,
    },
    /// Each of `sessions` sends NOOP and awaits the reply, for `millis`.
    Noop {
        /// Sessions at once.
        sessions: usize,
        /// Duration in milliseconds.
        millis: u64,
    },
    /// `at_once` clients connect, log in and quit, again and again, for `millis`.
    Logins {
        /// Clients at once.
        at_once: usize,
        /// Duration in milliseconds.
        millis: u64,
    },
    /// The idle sessions are asked whether they still live, once each.
    Rest,
}

impl Work {
    /// Sessions that are logged in before the work begins.
    pub fn sessions(self) -> usize {
        match self {
            Self::Bulk { sessions, .. }
            | Self::Files { sessions, .. }
            | Self::Noop { sessions, .. } => sessions,
            Self::Logins { .. } | Self::Rest => 0,
        }
    }
}

/// What the load tells, in this order; after each but the last it awaits a line.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// A first session logged in and left: the target serves.
    Reached,
    /// All sessions are open.
    Ready,
    /// The work is over.
    Done(Outcome),
    /// Preparing failed; nothing was measured.
    Failed {
        /// What failed, in words.
        why: String,
        /// Whether it was a wrong byte.
        wrong_byte: bool,
    },
}

/// What the work came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Wall time in seconds.
    pub seconds: f64,
    /// Operations that succeeded.
    pub operations: u64,
    /// Payload of those, in bytes.
    pub bytes: u64,
    /// Median time of one operation in microseconds; 0 without any.
    pub p50: f64,
    /// The time that 99 % of the operations stayed below, in microseconds; 0 without any.
    pub p99: f64,
    /// Operations that failed, wrong bytes included.
    pub failed: u64,
    /// Transfers that carried a wrong byte.
    pub wrong_bytes: u64,
    /// The first failure in words.
    pub first_failure: Option<String>,
}
