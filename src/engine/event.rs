//! What happens in a session, as events with their facts; `catalogue` says what each means.

mod facts;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;

use super::pinhole::{CloseReason, PinholeId, RefusalReason, TransferId};
use super::reason::{AskFault, BanReason, Refusal, Ruling, SessionEnd, UnbanReason, Violation};
use super::tls::{TlsFault, TlsVersion};
use super::{Check, Side, Volume, Wall};
use crate::policy::Moment;

pub use facts::{HoleFacts, TransferFacts};

/// What happened; the catalogue has the stable id of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Event {
    /// A client arrived and was admitted.
    SessionOpened {
        /// The client's address and port.
        from: SocketAddr,
        /// The address that the client dialled.
        target: SocketAddr,
        /// The listener's name.
        listener: Arc<str>,
        /// The upstream's name.
        upstream: Arc<str>,
    },
    /// The upstream's control connection is up.
    UpstreamConnected {
        /// The upstream's address and port.
        upstream: SocketAddr,
        /// Our own address towards it.
        gateway: SocketAddr,
    },
    /// The upstream could not be dialled; the client got 421.
    UpstreamUnreachable {
        /// Why, in words.
        why: String,
    },
    /// A control connection or a data leg is in TLS.
    TlsEstablished {
        /// With whom.
        side: Side,
        /// The data connection; none for the control connection.
        transfer: Option<TransferId>,
        /// The version.
        tls: TlsVersion,
        /// The cipher suite.
        cipher: &'static str,
        /// Whether an earlier session was resumed.
        resumed: bool,
        /// The host name that was asked for, escaped.
        sni: Option<String>,
        /// The subject of the client's certificate, escaped.
        certificate: Option<String>,
    },
    /// There is no TLS where it was begun or is required.
    TlsFailed {
        /// With whom.
        side: Side,
        /// The data connection; none for the control connection.
        transfer: Option<TransferId>,
        /// Why, as a stable word.
        why: TlsFault,
        /// The alert that ended the handshake.
        alert: Option<&'static str>,
    },
    /// The upstream refused TLS, or refused it for data, by a reply, and the policy lets the session go on in clear.
    TlsDeclined {
        /// Our command that was refused.
        command: &'static str,
        /// The server's reply code.
        code: u16,
    },
    /// The server accepted the user.
    LoginSucceeded {
        /// The e-mail address that an anonymous user gave as password (escaped), if the config wants it.
        email: Option<String>,
    },
    /// A login was refused, by the server or by a rule.
    LoginFailed {
        /// The server's reply code, or ours.
        code: u16,
    },
    /// An address failed to log in too often, or an operator banned it: it is turned away for a time.
    AddressBanned {
        /// Who.
        from: IpNet,
        /// Why, as a stable word.
        reason: BanReason,
        /// How many refused logins led to it; none when an operator ordered it.
        failures: Option<u32>,
        /// When it ends.
        until: Wall,
        /// Whether the kernel drops its packets.
        in_kernel: bool,
    },
    /// A ban is over.
    AddressUnbanned {
        /// Who was banned.
        from: IpNet,
        /// Why, as a stable word.
        reason: UnbanReason,
        /// How many of its connections the gateway itself turned away meanwhile.
        turned_away: u64,
    },
    /// A rule turned a client away; there is no session, and no upstream was dialled.
    ConnectionDenied {
        /// The client's address and port.
        from: SocketAddr,
        /// The address that the client dialled.
        target: SocketAddr,
        /// The listener's name.
        listener: Arc<str>,
        /// The upstream's name.
        upstream: Arc<str>,
        /// The rule that decided.
        #[serde(flatten)]
        rule: Ruling,
        /// The code of the reply that the client got.
        code: u16,
    },
    /// A rule denied a command; the server never saw it.
    CommandDenied {
        /// The command, escaped, passwords masked.
        command: String,
        /// At which moment.
        moment: Moment,
        /// The rule that decided.
        #[serde(flatten)]
        rule: Ruling,
        /// The code of the reply that the client got.
        code: u16,
    },
    /// Whoever a rule asks has answered.
    AskAnswered {
        /// The command, escaped, passwords masked.
        command: String,
        /// At which moment.
        moment: Moment,
        /// The rule that asked.
        #[serde(flatten)]
        rule: Ruling,
        /// The answer, as a stable word.
        answer: &'static str,
        /// The upstream that was granted.
        upstream: Option<Arc<str>>,
        /// The account that was granted (escaped).
        login_as: Option<String>,
        /// The start directory that was granted (escaped).
        start_in: Option<String>,
        /// How long it took, in microseconds.
        micros: u64,
    },
    /// Whoever a rule asks gave no answer that could be used.
    AskFailed {
        /// The command, escaped, passwords masked.
        command: String,
        /// At which moment.
        moment: Moment,
        /// The rule that asked.
        #[serde(flatten)]
        rule: Ruling,
        /// Why, as a stable word.
        why: AskFault,
        /// How long it took, in microseconds.
        micros: u64,
    },
    /// A rule that only observes matched; nothing was refused or changed by it.
    RuleObserved {
        /// The command, escaped, passwords masked; none when a client arrived.
        command: Option<String>,
        /// At which moment.
        moment: Moment,
        /// The rule.
        #[serde(flatten)]
        rule: Ruling,
        /// What it would have done, as a stable word.
        would: &'static str,
    },
    /// A check of the engine's own that only observes would have refused a command.
    CheckObserved {
        /// The command, escaped, passwords masked.
        command: String,
        /// The check.
        check: Check,
        /// The code of the reply that the client would have got.
        code: u16,
    },
    /// The engine itself refused a command; the server never saw it.
    CommandRefused {
        /// The command, escaped, passwords masked.
        command: String,
        /// Why, as a stable word.
        why: Refusal,
        /// The code of the reply that the client got.
        code: u16,
    },
    /// A client named a foreign address or a port below 1024 in PORT or EPRT (RFC 2577).
    AddressBounce {
        /// The address that was asked for.
        address: SocketAddr,
        /// The verb that carried it.
        command: &'static str,
    },
    /// A server announced a foreign address; only its port was used, or it was refused.
    AddressForeign {
        /// The address that was announced.
        address: SocketAddr,
        /// Whether the announcement was refused.
        refused: bool,
    },
    /// A server announced something that is no usable address or port.
    AddressMalformed {
        /// The server's line, escaped.
        reply: String,
    },
    /// A peer on the gateway's own host named a port of a window, at which the firewall lets nobody in to it.
    AddressShut {
        /// Which peer.
        side: Side,
        /// Where the gateway would have dialled.
        address: SocketAddr,
        /// The window: its first and its last port.
        window: String,
    },
    /// A client spoke another protocol, or one that was not configured here.
    ProtocolForeign {
        /// What it looked like.
        protocol: &'static str,
    },
    /// A peer broke the protocol in a way that ends the session or was repaired.
    ProtocolViolation {
        /// Who did it.
        side: Side,
        /// What it was, as a stable word.
        what: Violation,
    },
    /// A pinhole is about to open: who may use it and where it leads.
    PinholeOpened {
        /// The pinhole.
        #[serde(flatten)]
        hole: HoleFacts,
        /// How long it waits for its peer, in seconds.
        ttl: u64,
    },
    /// No pinhole could be opened; nothing was announced.
    PinholeRefused {
        /// The side whose peer would have dialled.
        side: Side,
        /// Who would have dialled.
        from: IpNet,
        /// Why not.
        why: RefusalReason,
    },
    /// The first and only connection came in.
    PinholeUsed {
        /// Its number within the session.
        pinhole: PinholeId,
        /// The side whose peer dialled.
        side: Side,
        /// Who dialled.
        peer: SocketAddr,
        /// Where.
        at: SocketAddr,
    },
    /// A pinhole is shut: the whole of its life in one line.
    PinholeClosed {
        /// The pinhole.
        #[serde(flatten)]
        hole: HoleFacts,
        /// When it opened.
        opened: Wall,
        /// When it was first used.
        used: Option<Wall>,
        /// How much was carried.
        #[serde(flatten)]
        volume: Volume,
        /// Why it was shut.
        reason: CloseReason,
    },
    /// Somebody who was not awaited reached a listener of the window and was turned away.
    PinholeIntruder {
        /// Who.
        from: SocketAddr,
        /// Where.
        at: SocketAddr,
    },
    /// A leg that we are about to dial: no pinhole, still shown.
    DataDialled {
        /// The data connection.
        transfer: TransferId,
        /// The side that is dialled.
        side: Side,
        /// Where to.
        to: SocketAddr,
    },
    /// A leg that we dialled did not come up, or nobody dialled one that we awaited.
    DataFailed {
        /// The data connection.
        transfer: TransferId,
        /// The side.
        side: Side,
        /// Why, in words.
        why: String,
    },
    /// A transfer ended well.
    TransferCompleted {
        /// The transfer.
        #[serde(flatten)]
        transfer: TransferFacts,
        /// Bytes handed to the receiver's kernel that it had not acknowledged at the end; none of what the kernel forwarded.
        #[serde(skip_serializing_if = "Option::is_none")]
        unacknowledged: Option<u64>,
    },
    /// A transfer failed.
    TransferFailed {
        /// The transfer.
        #[serde(flatten)]
        transfer: TransferFacts,
        /// The final reply's code, when there was one.
        code: Option<u16>,
        /// Why, in words.
        why: String,
    },
    /// A session is over.
    SessionClosed {
        /// Why.
        reason: SessionEnd,
        /// How long it lasted, in microseconds.
        micros: u64,
        /// Commands that the client sent.
        commands: u64,
        /// Transfers that ended well.
        transfers: u32,
        /// Pinholes that were opened.
        pinholes: u32,
    },
    /// A bound was full; somebody was turned away.
    LimitReached {
        /// Which bound: its key in the config.
        limit: &'static str,
    },
    /// A private address was announced to a client with a public one.
    AddressMisleading {
        /// The address that the client was told.
        announced: IpAddr,
        /// The listener's name.
        listener: Arc<str>,
    },
    /// A certificate of ours ends soon.
    CertificateExpiring {
        /// Its file.
        file: String,
        /// Whole days that are left.
        days: u64,
    },
    /// The gateway is up.
    GatewayStarted {
        /// The program's version.
        version: &'static str,
        /// Digest of the config in force.
        config: String,
        /// Digest of the rules in force.
        rules: String,
    },
    /// A new config is in force.
    GatewayReloaded {
        /// Digest of the config in force.
        config: String,
        /// Digest of the rules in force.
        rules: String,
    },
    /// The gateway could not read its config or rules again; the old ones stay in force.
    ReloadRefused {
        /// Why, in words.
        why: String,
    },
    /// The gateway takes no new sessions and drains.
    GatewayStopping {
        /// Sessions that still run.
        sessions: u64,
    },
    /// Records that no effect waited for were lost while the journal could not be written.
    JournalGap {
        /// How many.
        lost: u64,
    },
}
