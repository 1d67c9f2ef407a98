//! The session itself: its state, the dispatch of facts, and the pump that moves both lanes.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::abort::Abort;
use super::dialogue::Dialogue;
use super::fault::{OwnFault, UpstreamFault};
use super::guard::Guard;
use super::known::Known;
use super::lane::Lane;
use super::legs::{Relay, Transfer};
use super::security::Security;
pub(super) use super::state::{EpsvSupport, Farewell, Gate, Login, Phase};
use super::tls::{TlsFault, TlsMode};
use super::{Event, Input, Legs, Output, SessionEnd, SessionFacts, Settings, Side, Time};
use crate::ftp::command::is_tls_client_hello;
use crate::ftp::{Command, ReplyAssembler};

/// Most lines of one reply.
pub(super) const MOST_REPLY_LINES: usize = 20_000;

/// One client's session, as a value.
#[derive(Debug)]
pub struct Session {
    pub(super) facts: SessionFacts,
    pub(super) settings: Arc<Settings>,
    pub(super) phase: Phase,
    pub(super) arrived: Duration,
    /// Our own address on the upstream's control connection, and its own with the port.
    pub(super) gateway: IpAddr,
    pub(super) upstream: SocketAddr,
    /// The kernel can carry this session's data connections.
    pub(super) forwardable: bool,
    /// Where the upstream is reached at no port; see [`Input::UpstreamConnected`].
    pub(super) shut: Option<Legs<RangeInclusive<u16>>>,
    pub(super) user: Option<Arc<str>>,
    /// What USER and PASS said, until the server has answered them.
    pub(super) login: Option<Box<Login>>,
    pub(super) logged_in: bool,
    /// The user is anonymous, and logs in as the config's account.
    pub(super) guest: bool,
    pub(super) guard: Guard,
    /// What the rules are told beyond this.
    pub(super) known: Known,
    /// Bytes of all transfers, both directions together.
    pub(super) carried: u64,
    /// Since when a login is awaited.
    pub(super) login_since: Duration,
    pub(super) epsv_all: bool,
    pub(super) epsv: EpsvSupport,
    /// What the client's last REST said, while no transfer command has used it.
    pub(super) rest: Option<u64>,
    /// Something went to the upstream, or was kept from it, since that REST: it must be said again.
    pub(super) rest_stale: bool,
    /// RNFR was the last command that passed.
    pub(super) renaming: bool,
    pub(super) quitting: bool,
    pub(super) draining: bool,
    /// The upstream's last words, or ours in its place, to be said when the running transfer is over.
    pub(super) farewell: Option<Box<Farewell>>,
    pub(super) security: Security,
    pub(super) client: Lane,
    pub(super) server: Lane,
    pub(super) assembler: ReplyAssembler,
    pub(super) dialogue: Dialogue,
    /// The client's next command, read but not yet allowed to go on.
    pub(super) stash: Option<Box<Command>>,
    pub(super) transfer: Option<Box<Transfer>>,
    pub(super) abort: Option<Box<Abort>>,
    pub(super) gate: Option<Gate>,
    /// Since when the upstream owes what it owes.
    pub(super) reply_since: Duration,
    pub(super) last_activity: Duration,
    pub(super) tokens: f32,
    pub(super) tokens_at: Duration,
    pub(super) next_pinhole: u32,
    pub(super) next_transfer: u32,
    pub(super) commands: u32,
    pub(super) transfers: u32,
    pub(super) pinholes: u32,
}

/// One call of `handle`: the time it was told, and the outputs so far.
pub(super) struct Step {
    pub(super) now: Time,
    pub(super) out: Vec<Output>,
}

impl Session {
    /// Makes a session; its first input is [`Input::ClientArrived`].
    pub fn new(facts: SessionFacts, settings: Arc<Settings>) -> Session {
        let unset = facts.target;
        Session {
            client: Lane::new(settings.line),
            server: Lane::new(settings.reply),
            assembler: ReplyAssembler::new(settings.reply, MOST_REPLY_LINES),
            tokens: burst(&settings),
            facts,
            settings,
            phase: Phase::New,
            arrived: Duration::ZERO,
            gateway: unset.ip(),
            upstream: unset,
            forwardable: false,
            shut: None,
            user: None,
            login: None,
            logged_in: false,
            guest: false,
            guard: Guard::default(),
            known: Known::default(),
            carried: 0,
            login_since: Duration::ZERO,
            epsv_all: false,
            epsv: EpsvSupport::Unknown,
            rest: None,
            rest_stale: false,
            renaming: false,
            quitting: false,
            draining: false,
            farewell: None,
            security: Security::default(),
            dialogue: Dialogue::default(),
            stash: None,
            transfer: None,
            abort: None,
            gate: None,
            reply_since: Duration::ZERO,
            last_activity: Duration::ZERO,
            tokens_at: Duration::ZERO,
            next_pinhole: 1,
            next_transfer: 1,
            commands: 0,
            transfers: 0,
            pinholes: 0,
        }
    }

    /// Takes a fact and returns what is to be done, in order.
    pub fn handle(&mut self, now: Time, input: Input<'_>) -> Vec<Output> {
        let mut step = Step {
            now,
            out: Vec::new(),
        };
        if self.phase == Phase::Over {
            return step.out;
        }
        self.take(&mut step, input);
        self.pump(&mut step);
        step.out
    }

    /// Tells whether bytes from a side are wanted now; if not, stop reading from it.
    pub fn accepts(&self, from: Side) -> bool {
        if self.security.is_handshaking(from) {
            return false;
        }
        match self.phase {
            Phase::New | Phase::Ending(_) | Phase::Over => false,
            Phase::Dialling => from == Side::Client && self.client.accepts(),
            Phase::Greeting | Phase::Securing | Phase::Talking => self.lane(from).accepts(),
        }
    }

    /// Shows what the session was born with.
    pub fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    /// Tells when the client arrived, by the monotonic clock.
    pub fn arrived(&self) -> Duration {
        self.arrived
    }

    /// Tells whether the session is over: nothing is left to be done for it.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Puts new settings in force from the next command on.
    pub fn replace_settings(&mut self, settings: Arc<Settings>) {
        self.settings_replaced(settings);
    }

    fn lane(&self, side: Side) -> &Lane {
        match side {
            Side::Client => &self.client,
            Side::Upstream => &self.server,
        }
    }

    fn lane_mut(&mut self, side: Side) -> &mut Lane {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.server,
        }
    }

    fn take(&mut self, step: &mut Step, input: Input<'_>) {
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
        self.arrived = step.now.mono;
        self.login_since = step.now.mono;
        self.reply_since = step.now.mono;
        self.last_activity = step.now.mono;
        self.tokens_at = step.now.mono;
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
        self.reply_since = step.now.mono;
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

    /// Moves both lanes until neither can go on.
    ///
    /// The client's lane goes first, so that what one line of the upstream sets free is done before its next line: else
    /// it would matter whether both arrived in one chunk.
    fn pump(&mut self, step: &mut Step) {
        while self.is_talkative() && !self.is_waiting() {
            self.flush_ready(step);
            if self.client_step(step) {
                continue;
            }
            if self.upstream_held() {
                break;
            }
            match self.server.next_line() {
                Some(line) => self.upstream_line(step, line),
                None => break,
            }
        }
        if self.is_talkative() && !self.is_waiting() {
            if self.stash.is_none() && !self.client_held() && !self.is_starved() {
                self.client.drained(step.now.mono);
            }
            self.settle(step);
        }
    }

    /// Tells whether a fact is due that the shell tells at once: nothing else is handled before it.
    fn is_waiting(&self) -> bool {
        let relay = self.transfer.as_deref().map(|transfer| transfer.relay);
        self.gate.is_some() || relay == Some(Relay::Ending)
    }

    pub(super) fn is_talkative(&self) -> bool {
        matches!(
            self.phase,
            Phase::Dialling | Phase::Greeting | Phase::Securing | Phase::Talking
        )
    }
}

/// Says how many commands may come at once: four seconds' worth.
pub(super) fn burst(settings: &Settings) -> f32 {
    settings.commands_per_second as f32 * 4.0
}

/// Counts microseconds from one monotonic reading to a later one.
pub(super) fn micros_between(from: Duration, to: Duration) -> u64 {
    u64::try_from(to.saturating_sub(from).as_micros()).unwrap_or(u64::MAX)
}

fn closed_by(side: Side) -> SessionEnd {
    match side {
        Side::Client => SessionEnd::ClientClosed,
        Side::Upstream => SessionEnd::UpstreamClosed,
    }
}
