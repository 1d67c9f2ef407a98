//! What the beginning and the end of one thing tell alike.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::super::{Carried, PinholeId, Side, TransferId, Volume};

/// A pinhole: who may use it, where it is, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HoleFacts {
    /// Its number within the session.
    pub pinhole: PinholeId,
    /// The data connection it is for.
    pub transfer: TransferId,
    /// The side whose peer may dial.
    pub side: Side,
    /// Who may dial.
    pub from: IpNet,
    /// Where it is open.
    pub at: SocketAddr,
    /// Where the other leg leads, when known.
    pub leads_to: Option<SocketAddr>,
    /// The client's verb that caused it.
    pub command: &'static str,
    /// How the bytes are carried.
    pub carried: Carried,
}

/// A transfer that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferFacts {
    /// The data connection.
    pub transfer: TransferId,
    /// The client's verb.
    pub command: &'static str,
    /// Its argument, escaped.
    pub path: String,
    /// How much was carried.
    #[serde(flatten)]
    pub volume: Volume,
    /// From the transfer command to its end, in microseconds.
    pub micros: u64,
}
