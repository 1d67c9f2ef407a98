//! What a session is told about its place: the parts of the config that the engine decides by, as values.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::SessionId;
use super::check::Checks;
use super::exits::Passwords;
use super::guard::Logins;
use super::guest::Guest;
use super::tls::{ClientTls, UpstreamTls};
use crate::policy::{Grammar, RuleSet};

/// What one session is born with.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// Its name.
    pub id: SessionId,
    /// The client's address and port.
    pub client: SocketAddr,
    /// The address and port that the client dialled.
    pub target: SocketAddr,
    /// The address that 227 announces to this client.
    pub advertised: IpAddr,
    /// Whether it may be a health check: nothing of it is recorded before it does more than such do.
    pub may_be_probe: bool,
}

/// What all sessions of a listener share; replaced as a whole at a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// How data connections towards the upstream are set up.
    pub data_mode: DataMode,
    /// The port that client legs are dialled from.
    pub data_source_port: SourcePort,
    /// Who counts as the client when it dials a pinhole.
    pub peer: PeerMatch,
    /// What PORT and EPRT naming another host get.
    pub client_foreign_address: ForeignAddress,
    /// What a 227 naming another host gets.
    pub upstream_foreign_address: ForeignAddress,
    /// Whether a client's line may end in a bare LF.
    pub accept_bare_lf: bool,
    /// Longest line in bytes.
    pub line: usize,
    /// Longest reply in bytes.
    pub reply: usize,
    /// Most commands in flight.
    pub pipeline: usize,
    /// Commands per second, as a token bucket of four seconds' worth; a completed transfer gives back what it took.
    pub commands_per_second: u32,
    /// How the upstream writes paths; none to go by its answer to SYST.
    pub paths: Option<Grammar>,
    /// The checks that only record what they would have refused.
    pub observe: Checks,
    /// As whom anonymous users log in, if not as themselves.
    pub guest: Option<Arc<Guest>>,
    /// Whether the e-mail address that anonymous users give as password is journalled.
    pub anonymous_email: bool,
    /// What clients are offered and asked for.
    pub client_tls: ClientTls,
    /// What is asked of the upstream.
    pub upstream_tls: UpstreamTls,
    /// How logins are guarded.
    pub logins: Logins,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// What is allowed.
    pub rules: Arc<RuleSet>,
    /// The same for the config's other upstreams, where a rule asks somebody who may choose one.
    pub elsewhere: BTreeMap<Arc<str>, Arc<Settings>>,
    /// The passwords of accounts that whoever is asked may grant.
    pub passwords: Arc<Passwords>,
}

/// `upstreams.<name>.data_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataMode {
    /// Passive when the client is passive, active when it is active.
    AsClient,
    /// The upstream awaits, we dial.
    Passive,
    /// We await, the upstream dials.
    Active,
}

/// `listeners.<name>.data_source_port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePort {
    /// The control port minus one (RFC 959 section 3.2): 21 gives 20.
    ControlMinusOne,
    /// Whatever the kernel gives.
    Random,
}

/// `listeners.<name>.peer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerMatch {
    /// The control connection's address alone.
    Exact,
    /// Its /24 (IPv4) or /64 (IPv6).
    Prefix,
    /// Any, where the data connection has to resume the control connection's TLS session; else as `Exact`.
    Any,
}

/// What a negotiated address gets that is not the control connection's peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForeignAddress {
    /// It is refused.
    Refuse,
    /// The control connection's peer is used with the port.
    Ignore,
    /// It is used when one of these networks holds it, else refused.
    Allow(Vec<IpNet>),
}

/// The deadlines that the engine keeps; the others are the shell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From arrival to a successful login.
    pub login: Duration,
    /// Without a command and without a transfer.
    pub idle: Duration,
    /// For the rest of a line that was begun; for a transfer command after a pinhole was used; for the handshake of a
    /// control connection.
    pub command: Duration,
    /// For the upstream's dial in active mode, after the transfer command.
    pub upstream_dial: Duration,
    /// For the upstream's final reply to a command, or after the data.
    pub final_reply: Duration,
    /// For the rest of the data after the end was announced.
    pub linger: Duration,
    /// For a pinhole that nobody uses.
    pub ttl: Duration,
}
