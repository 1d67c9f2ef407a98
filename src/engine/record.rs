//! The journal's events as data: what happened, as values, before anything is text.
//!
//! Event ids and field names are stable: auditors build on them. The shell adds the sequence
//! number. Text that came from a peer is escaped before it gets here; passwords never get here.

use std::net::IpAddr;
use std::sync::Arc;

use super::event::Event;
use super::{SessionId, Wall};

/// One event of a session on its way to the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it happened.
    pub at: Wall,
    /// The session it belongs to; none for events of the gateway itself.
    pub session: Option<SessionId>,
    /// The client's address, where there is a client.
    pub client: Option<IpAddr>,
    /// The user name as the client gave it (escaped), once it did.
    pub user: Option<Arc<str>>,
    /// What happened.
    pub event: Event,
}

impl Record {
    /// Tells whether an effect waits for this record: if it can't be accepted, the effect must not happen.
    pub fn gates_effect(&self) -> bool {
        match self.event {
            Event::SessionOpened { .. }
            | Event::PinholeOpened { .. }
            | Event::DataDialled { .. } => true,
            Event::UpstreamConnected { .. }
            | Event::UpstreamUnreachable { .. }
            | Event::TlsEstablished { .. }
            | Event::TlsFailed { .. }
            | Event::TlsDeclined { .. }
            | Event::LoginSucceeded { .. }
            | Event::LoginFailed { .. }
            | Event::AddressBanned { .. }
            | Event::AddressUnbanned { .. }
            | Event::ConnectionDenied { .. }
            | Event::CommandDenied { .. }
            | Event::AskAnswered { .. }
            | Event::AskFailed { .. }
            | Event::RuleObserved { .. }
            | Event::CheckObserved { .. }
            | Event::CommandRefused { .. }
            | Event::AddressBounce { .. }
            | Event::AddressForeign { .. }
            | Event::AddressMalformed { .. }
            | Event::AddressShut { .. }
            | Event::ProtocolForeign { .. }
            | Event::ProtocolViolation { .. }
            | Event::PinholeRefused { .. }
            | Event::PinholeUsed { .. }
            | Event::PinholeClosed { .. }
            | Event::PinholeIntruder { .. }
            | Event::DataFailed { .. }
            | Event::TransferCompleted { .. }
            | Event::TransferFailed { .. }
            | Event::SessionClosed { .. }
            | Event::LimitReached { .. }
            | Event::AddressMisleading { .. }
            | Event::CertificateExpiring { .. }
            | Event::GatewayStarted { .. }
            | Event::GatewayReloaded { .. }
            | Event::ReloadRefused { .. }
            | Event::GatewayStopping { .. }
            | Event::JournalGap { .. } => false,
        }
    }
}
