//! A pinhole as a value: what is asked for, who may use it, and why it ended.
//!
//! The engine only ever names pinholes and legs; making them real is the shell's work.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Serialize;

use super::tls::DataTls;
use super::{Carried, Side};

/// Numbers a pinhole within its session, from 1; `session.n` names it for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PinholeId(pub u32);

impl fmt::Display for PinholeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers a negotiated data connection within its session, from 1: both of its legs carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TransferId(pub u32);

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Permission for exactly one data connection: an awaiting leg made real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinhole {
    /// The data connection whose leg awaits here.
    pub transfer: TransferId,
    /// The side whose peer may dial; it also chooses the window.
    pub side: Side,
    /// The addresses that may dial: the control connection's peer, or its prefix when the listener says so.
    pub from: IpNet,
    /// Our address at which the peer will dial; the port comes from the window.
    pub at: IpAddr,
    /// Where the other leg dials, when it is known already.
    pub leads_to: Option<SocketAddr>,
    /// How it will be protected, as it looks now. With [`DataTls::Resumed`] the hole stays open until a connection has
    /// resumed the TLS session of the control connection; whoever does not is turned away.
    pub tls: DataTls,
    /// Who carries the connection; the kernel only where it is known where it leads.
    pub carried: Carried,
    /// Of a forwarded connection: what `leads_to` sees as its source, our address there (port 0: any); none for the peer's own.
    pub source: Option<SocketAddr>,
}

/// Why a pinhole could not be reserved or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// Every port of the window already awaits this peer, or is held by another program.
    NoPort {
        /// Ports of the window that are taken for this peer.
        in_use: u16,
    },
    /// The kernel refused; the shell's log has its reason.
    Kernel,
    /// The process is out of descriptors or over a bound of its own.
    Resources,
}

/// Why a pinhole was closed: exactly one per pinhole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// Its transfer is over and went well.
    Completed,
    /// Its transfer is over and failed; `transfer.failed` says how.
    TransferFailed,
    /// The upstream or a rule refused the transfer command.
    TransferRefused,
    /// Nobody dialled before its time to live was over.
    NeverUsed,
    /// The peer dialled, but no transfer command came in time.
    NoCommand,
    /// A later PASV, EPSV, PORT or EPRT took its place.
    Replaced,
    /// REIN, AUTH, HOST or PROT reset what was negotiated.
    Reset,
    /// The other leg could not be negotiated, or could not be told to its peer.
    NegotiationFailed,
    /// The journal did not accept its record.
    RecordRefused,
    /// The window or the kernel refused after the record was written.
    OpenRefused,
    /// The client sent ABOR.
    Aborted,
    /// The session ended.
    SessionClosed,
}
