//! The session itself: its state, and the pump that moves both lanes.

mod facts;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::abort::Abort;
use super::dialogue::Dialogue;
use super::guard::Guard;
use super::known::Known;
use super::lane::Lane;
use super::legs::{Relay, Transfer};
use super::security::Security;
pub(super) use super::state::{EpsvSupport, Farewell, Gate, Login, Phase};
use super::time::Moment;
use super::{Input, Output, SessionFacts, Settings, Shut, Side, Time};
use crate::ftp::{Command, ReplyAssembler};

/// Most lines of one reply.
pub(super) const MOST_REPLY_LINES: usize = 20_000;

/// One client's session, as a value.
#[derive(Debug)]
pub struct Session {
    pub(super) facts: SessionFacts,
    pub(super) settings: Arc<Settings>,
    pub(super) phase: Phase,
    pub(super) arrived: Moment,
    /// Our own address on the upstream's control connection, and its own with the port.
    pub(super) gateway: IpAddr,
    pub(super) upstream: SocketAddr,
    /// The kernel can carry this session's data connections.
    pub(super) forwardable: bool,
    /// Where a peer on this host is reached at no port.
    pub(super) shut: Option<Shut>,
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
    pub(super) login_since: Moment,
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
    pub(super) reply_since: Moment,
    pub(super) last_activity: Moment,
    pub(super) tokens: f32,
    pub(super) tokens_at: Moment,
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

impl Step {
    /// The time it was told, as a session keeps it.
    pub(super) fn moment(&self) -> Moment {
        Moment::at(self.now.mono)
    }
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
            arrived: Moment::START,
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
            login_since: Moment::START,
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
            reply_since: Moment::START,
            last_activity: Moment::START,
            tokens_at: Moment::START,
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
        self.arrived.mono()
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
