//! What a session is told: facts.

use std::net::SocketAddr;

use super::{
    AskFault, DialError, PinholeId, QuestionId, RefusalReason, SessionEnd, Shut, Side, TlsFacts,
    TlsFailure, TransferId, Usage,
};

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
        /// Where a peer is reached at no port of a window; none where both are reached at every port.
        shut: Option<Shut>,
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
