//! What a session wants done: requests to the shell.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{
    Bounds, CloseReason, DataTls, Direction, Legs, Manner, Pinhole, PinholeId, QuestionId, Record,
    Side, TlsRole, TransferId,
};
use crate::policy::Ask;

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
