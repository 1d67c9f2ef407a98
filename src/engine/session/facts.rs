//! The dispatch of facts: what each of them is to a session.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::fault::{OwnFault, UpstreamFault};
use super::super::tls::{TlsFault, TlsMode};
use super::super::{Event, Input, Output, SessionEnd, Side};
use super::{Gate, Phase, Session, Step};
use crate::ftp::command::is_tls_client_hello;

impl Session {
    /// Takes a fact; what it sets free is done by whoever moves the lanes.
    pub(super) fn take(&mut self, step: &mut Step, input: Input<'_>) {
        match input {
            Input::ClientArrived => self.arrive(step),
            Input::UpstreamConnected {
                gateway,
                upstream,
                forwardable,
                shut,
            } => {
                self.forwardable = forwardable;
                self.shut = shut;
                self.upstream_connected(step, gateway, upstream)
            }
            Input::UpstreamUnreachable { why } => {
                self.report(
                    step,
                    Event::UpstreamUnreachable {
                        why: why.to_string(),
                    },
                );
                self.finish(
                    step,
                    Some(UpstreamFault::Unreachable.reply()),
                    SessionEnd::UpstreamUnreachable,
                );
            }
            Input::Received { from, bytes } => self.received(step, from, bytes),
            Input::Closed { by } => self.closed(step, by),
            Input::SendStalled { to: _ } => self.finish(step, None, SessionEnd::SendStalled),
            Input::TlsEstablished { with, facts } => self.tls_established(step, with, *facts),
            Input::TlsFailed { with, why } => self.tls_failed(step, with, why),
            Input::PinholeReserved { id, at } => self.pinhole_reserved(step, id, at),
            Input::PinholeOpened { id } => self.pinhole_opened(step, id),
            Input::PinholeRefused { id, why } => self.pinhole_refused(step, id, why),
            Input::PinholeUsed { id, peer } => self.pinhole_used(step, id, peer),
            Input::DataDialled { transfer, side } => self.data_dialled(step, transfer, side),
            Input::DataDialFailed {
                transfer,
                side,
                why,
            } => self.data_dial_failed(step, transfer, side, why),
            Input::DataTlsUnderway { transfer, underway } => {
                self.data_tls_underway(step, transfer, underway);
            }
            Input::DataTlsEstablished {
                transfer,
                side,
                facts,
            } => self.data_tls_established(step, transfer, side, &facts),
            Input::DataTlsFailed {
                transfer,
                side,
                why,
            } => self.data_tls_failed(step, transfer, side, why),
            Input::DataFinished { transfer, usage } => self.data_finished(step, transfer, usage),
            Input::UserSeated { granted } => self.user_seated(step, granted),
            Input::Answered { id, answer } => {
                self.answered(step, id, answer.as_deref().map_err(|why| *why))
            }
            Input::RecordAccepted => self.record_accepted(step),
            Input::RecordRefused => self.record_refused(step),
            Input::TimePassed => self.time_passed(step),
            Input::ShutdownRequested => self.draining = true,
            Input::KillRequested { reason } => {
                let reply = OwnFault::ordered(reason).reply();
                self.finish(step, Some(reply), reason);
            }
        }
    }

    fn arrive(&mut self, step: &mut Step) {
        if self.phase != Phase::New {
            return;
        }
        self.arrived = step.moment();
        self.login_since = step.moment();
        self.reply_since = step.moment();
        self.last_activity = step.moment();
        self.tokens_at = step.moment();
        if self.facts.may_be_probe {
            self.guard.hide();
        }
        if !self.may_arrive(step) {
            return;
        }
        self.phase = Phase::Dialling;
        let implicit = self.settings.client_tls.mode == TlsMode::Implicit;
        if implicit {
            self.arrive_in_tls(step.now.mono);
        }
        self.gate(
            step,
            Gate::Session,
            Event::SessionOpened {
                from: self.facts.client,
                target: self.facts.target,
                listener: Arc::clone(&self.settings.listener),
                upstream: Arc::clone(&self.settings.upstream),
            },
        );
        if implicit {
            // The upstream is dialled when the client has shown that it speaks TLS.
            self.start_tls(step, Side::Client);
        } else {
            step.out.push(Output::DialUpstream);
        }
    }

    fn upstream_connected(&mut self, step: &mut Step, gateway: SocketAddr, upstream: SocketAddr) {
        if self.phase != Phase::Dialling {
            return;
        }
        self.gateway = gateway.ip();
        self.upstream = upstream;
        self.phase = Phase::Greeting;
        self.reply_since = step.moment();
        self.report(step, Event::UpstreamConnected { upstream, gateway });
        if self.settings.upstream_tls.mode == TlsMode::Implicit {
            self.start_tls(step, Side::Upstream);
        }
    }

    fn received(&mut self, step: &mut Step, from: Side, bytes: &[u8]) {
        if matches!(self.phase, Phase::Ending(_)) {
            return;
        }
        if self.security.is_handshaking(from) {
            return self.said_in_clear(step, from);
        }
        // A ClientHello may hold no LF at all, so it is told by the first byte of the session.
        if from == Side::Client
            && self.commands == 0
            && self.client.is_fresh()
            && bytes.first().copied().is_some_and(is_tls_client_hello)
        {
            self.foreign(step, "tls");
            return;
        }
        self.lane_mut(from).push(bytes);
    }

    fn closed(&mut self, step: &mut Step, by: Side) {
        if self.security.is_handshaking(by) {
            return self.tls_failed(step, by, TlsFault::HungUp.into());
        }
        if self.lane(by).is_closed() {
            // Told a second time: even writing fails, nobody is there for the rest.
            self.finish(step, None, closed_by(by));
        }
        self.lane_mut(by).close();
    }
}

fn closed_by(side: Side) -> SessionEnd {
    match side {
        Side::Client => SessionEnd::ClientClosed,
        Side::Upstream => SessionEnd::UpstreamClosed,
    }
}
