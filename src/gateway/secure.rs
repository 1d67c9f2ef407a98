//! TLS of one session: made when it is first asked for, and the source of all channels of that session.
//!
//! Invariant: control connection and data connections of a side share what they resume by; a session that began TLS
//! under one config keeps it. This module must not know when TLS is due.

use std::sync::Arc;

use crate::config::Host;
use crate::engine::{Side, TlsFailure, TlsFault, TlsRole};
use crate::tls::{Acceptor, Channel, ClientSession, Connector, ServerSession};

/// What a listener's sessions get their TLS from.
#[derive(Clone, Debug, Default)]
pub(super) struct Material {
    pub(super) acceptor: Option<Arc<Acceptor>>,
    pub(super) connector: Option<Arc<Connector>>,
    /// Whether data that ends without close_notify is complete.
    pub(super) ends_silently: bool,
}

/// A session's TLS with both peers; sessions in clear have none.
#[derive(Debug, Default)]
pub(super) struct Secure {
    client: Option<ServerSession>,
    upstream: Option<ClientSession>,
    /// What the upstream was dialled as: its certificate has to say the same.
    pub(super) dialled: Option<Host>,
    ends_silently: bool,
}

impl Secure {
    /// Begins TLS on a control connection.
    pub(super) fn control(
        &mut self,
        role: TlsRole,
        material: &Material,
    ) -> Result<Channel, TlsFailure> {
        self.ends_silently = material.ends_silently;
        let made = match role {
            TlsRole::Server => {
                let acceptor = material.acceptor.as_ref().ok_or_else(unprepared)?;
                let session = self.client.insert(acceptor.session());
                session.control()
            }
            TlsRole::Client { short_of_tickets } => {
                let connector = material.connector.as_ref().ok_or_else(unprepared)?;
                let dialled = self.dialled.as_ref();
                let session = dialled.and_then(|host| match short_of_tickets {
                    false => connector.session(host),
                    true => connector.lasting_session(host),
                });
                let session = self.upstream.insert(session.ok_or_else(unprepared)?);
                session.control()
            }
        };
        made.map_err(|error| broken(&error))
    }

    /// Begins TLS on a data connection.
    pub(super) fn data(&self, side: Side) -> Result<Box<Channel>, TlsFailure> {
        let made = match side {
            Side::Client => self.client.as_ref().map(ServerSession::data),
            Side::Upstream => {
                let session = self.upstream.as_ref();
                session.map(|session| session.data(self.ends_silently))
            }
        };
        let made = made.ok_or_else(unprepared)?;
        made.map(Box::new).map_err(|error| broken(&error))
    }
}

/// The engine asks for TLS only where the config has it, and for data only behind the control connection's.
fn unprepared() -> TlsFailure {
    tracing::error!("TLS was asked for and is not prepared; please report this");
    TlsFault::Other.into()
}

fn broken(error: &rustls::Error) -> TlsFailure {
    tracing::error!(%error, "no TLS");
    TlsFault::Other.into()
}
