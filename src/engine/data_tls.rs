//! Data legs under TLS: how each is to be protected, and what a handshake on it means for its transfer.
//!
//! Towards the client we are the server and towards the upstream the client, whoever dialled. Invariant: no transfer is
//! complete whose legs were not protected as they were to be.

use std::time::Duration;

use super::fault::ClientFault;
use super::legs::{Leg, Relay, Transfer};
use super::pinhole::{CloseReason, TransferId};
use super::security::{established, failed};
use super::session::{Session, Step};
use super::tls::{DataTls, TlsFacts, TlsFailure, TlsFault};
use super::{Manner, Output, Side};

/// How long a 1xx waits for a handshake that the client, or somebody at its address, has begun: longer than most ways there and back.
pub(super) const HANDSHAKE_FIRST: Duration = Duration::from_millis(500);

impl Transfer {
    /// Tells whether the 1xx waits for the client's handshake.
    pub(super) fn holds_for_handshake(&self) -> bool {
        self.preliminary.is_some() && matches!(self.legs.client, Leg::Awaits(_))
    }
}

impl Session {
    /// Tells whether neither data leg is to be in TLS, so that the kernel could carry the bytes.
    pub(super) fn data_in_clear(&self) -> bool {
        !self.security.protects_data(Side::Client) && !self.security.protects_data(Side::Upstream)
    }

    /// Tells how the next data leg of a side is to be protected.
    pub(super) fn data_tls(&self, side: Side) -> DataTls {
        match side {
            _ if !self.security.protects_data(side) => DataTls::Clear,
            Side::Client if self.settings.client_tls.resumed_only => DataTls::Resumed,
            Side::Client | Side::Upstream => DataTls::Tls,
        }
    }

    /// Has the upstream's leg begin TLS, at its 1xx: not before, so that a 550 needs no handshake.
    pub(super) fn start_upstream_data_tls(&mut self, step: &mut Step) {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        // A 1xx may come when all is over.
        let runs = transfer.relay == Relay::Asked;
        if runs && transfer.tls.upstream != DataTls::Clear && !transfer.tls_begun {
            transfer.tls_begun = true;
            step.out.push(Output::StartDataTls {
                transfer: transfer.id,
                side: Side::Upstream,
            });
        }
    }

    pub(super) fn data_tls_established(
        &mut self,
        step: &mut Step,
        id: TransferId,
        side: Side,
        facts: &TlsFacts,
    ) {
        if self.transfer_of(id).is_none() {
            return;
        }
        self.report(step, established(side, Some(id), facts));
        let resumed_only = side == Side::Client && self.settings.client_tls.resumed_only;
        if resumed_only && !facts.resumed {
            return self.data_tls_failed(step, id, side, TlsFault::NotResumed.into());
        }
        let Some(transfer) = self.transfer_of(id) else {
            return;
        };
        transfer.secured[side] = true;
        if resumed_only {
            let marked = transfer.command.as_ref().and_then(|command| command.marked);
            if marked.is_none() || transfer.preliminary.is_some() {
                step.out.push(Output::GiveTickets { transfer: id });
            }
            self.tell_mark(step);
        }
    }

    /// Notes whether somebody's handshake runs who may be the client.
    pub(super) fn data_tls_underway(&mut self, step: &mut Step, id: TransferId, underway: bool) {
        let Some(transfer) = self.transfer_of(id) else {
            return;
        };
        transfer.underway = underway;
        if !underway {
            self.tell_mark(step);
        }
    }

    /// Tells whether the 1xx is to wait for the client's handshake, which runs.
    ///
    /// A client that knows its upload to begin may write it and close before a ticket comes; some need one for each data connection
    /// (OpenSSL). So the ticket goes out first.
    pub(super) fn awaits_handshake(&self) -> bool {
        self.transfer.as_deref().is_some_and(|transfer| {
            transfer.underway
                && transfer.tls.client == DataTls::Resumed
                && !transfer.secured.client
                && matches!(transfer.legs.client, Leg::Awaits(_))
        })
    }

    /// Tells the client the 1xx that waited for its handshake, if one does.
    pub(super) fn tell_mark(&mut self, step: &mut Step) {
        let transfer = self.transfer.as_deref_mut();
        let reply = transfer.filter(|transfer| transfer.holds_for_handshake());
        if let Some(reply) = reply.and_then(|transfer| transfer.preliminary.take()) {
            self.say(step, reply);
        }
    }

    pub(super) fn data_tls_failed(
        &mut self,
        step: &mut Step,
        id: TransferId,
        side: Side,
        why: TlsFailure,
    ) {
        if self.transfer_of(id).is_none() {
            return;
        }
        self.report(step, failed(side, Some(id), why));
        let aborting = self.abort.is_some();
        let Some(transfer) = self.transfer_of(id) else {
            return;
        };
        if transfer.command.is_none() || transfer.ended.is_some() || aborting {
            return;
        }
        transfer.tls_failure = Some(why.why);
        transfer.preliminary = None;
        // Reset, so that nothing that was begun looks complete on the other side.
        self.end_data(step, Manner::Abort);
        match side {
            Side::Client => {
                let reply = ClientFault::DataTls(why.why).reply();
                self.give_up(
                    step,
                    reply,
                    CloseReason::TransferFailed,
                    why.why.to_string(),
                );
            }
            // The upstream's own words about it are better than ours; they may still come.
            Side::Upstream => {}
        }
    }

    fn transfer_of(&mut self, id: TransferId) -> Option<&mut Transfer> {
        self.transfer
            .as_deref_mut()
            .filter(|transfer| transfer.id == id)
    }
}
