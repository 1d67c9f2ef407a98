//! Every deadline in one table: what it waits for, when it is over, what happens then.
//!
//! Deadlines are computed from the state and never stored, so none can be forgotten or outlive its cause.

use std::time::Duration;

use super::abort::SECOND_FINAL;
use super::data_tls::HANDSHAKE_FIRST;
use super::fault::{ClientFault, OwnFault, UpstreamFault};
use super::forward::BOTH_WAIT;
use super::legs::{Dial, Leg, Relay, Stage, Transfer};
use super::pinhole::CloseReason;
use super::session::{Phase, Session, Step};
use super::tls::TlsFault;
use super::{Event, Outcome, SessionEnd, Side, Wake};

/// What a deadline waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    /// A control connection is being secured.
    Securing(Side),
    Login,
    Idle,
    Line,
    Reply,
    Rate,
    /// Nobody dialled this side's pinhole.
    Unused(Side),
    /// The transfer command was sent, and neither a 1xx nor a connection that the kernel would carry came.
    WaitsForEachOther,
    /// The 1xx waits for the client's handshake.
    Handshake,
    /// The pinhole was used, and no transfer command came.
    NoCommand,
    /// The upstream's port could not be dialled; its own words may still come.
    UpstreamWords,
    /// The data broke; the upstream's final may still come.
    AfterBreak,
    /// The second final after ABOR.
    Abort,
    /// A refused login is told.
    Refusal,
    /// Whoever is asked has not answered, and nothing says why.
    Answer,
    /// The session only waits for a transfer whose legs are not there yet.
    Farewell,
}

impl Deadline {
    fn why(self) -> &'static str {
        match self {
            Deadline::Securing(_) => "TLS",
            Deadline::Login => "login",
            Deadline::Idle => "idle",
            Deadline::Line => "line",
            Deadline::Reply => "reply",
            Deadline::Rate => "rate",
            Deadline::Unused(_) => "unused pinhole",
            Deadline::WaitsForEachOther => "relaying instead",
            Deadline::Handshake => "handshake before the 1xx",
            Deadline::NoCommand => "no transfer command",
            Deadline::UpstreamWords => "upstream's refusal",
            Deadline::AfterBreak => "upstream's final after a break",
            Deadline::Abort => "second final after ABOR",
            Deadline::Refusal => "refused login",
            Deadline::Answer => "answer",
            Deadline::Farewell => "last transfer",
        }
    }
}

impl Session {
    /// Tells when the session next wants to know that time passed, and why.
    pub fn next_wake(&self) -> Option<Wake> {
        let mut next: Option<Wake> = None;
        self.deadlines(|at, deadline| {
            if next.is_none_or(|wake| at < wake.at) {
                next = Some(Wake {
                    at,
                    why: deadline.why(),
                });
            }
        });
        next
    }

    pub(super) fn time_passed(&mut self, step: &mut Step) {
        let mut last = None;
        // Several may be over at once. What expires takes its own cause away, so none comes up twice.
        while let Some(due) = self.earliest_due(step.now.mono)
            && last != Some(due)
        {
            last = Some(due);
            self.expire(step, due.1);
        }
    }

    fn earliest_due(&self, now: Duration) -> Option<(Duration, Deadline)> {
        let mut due: Option<(Duration, Deadline)> = None;
        self.deadlines(|at, deadline| {
            if at <= now && due.is_none_or(|(earliest, _)| at < earliest) {
                due = Some((at, deadline));
            }
        });
        due
    }

    /// The table. A deadline stands here as long as its cause does.
    fn deadlines(&self, mut say: impl FnMut(Duration, Deadline)) {
        if !matches!(
            self.phase,
            Phase::Dialling | Phase::Greeting | Phase::Securing | Phase::Talking
        ) || self.gate.is_some()
        {
            return;
        }
        let timeouts = &self.settings.timeouts;
        if let Some(farewell) = &self.farewell {
            // A relay that carries ends by itself, within the shell's linger time.
            if !self.transfer.as_deref().is_some_and(Transfer::is_joined) {
                say(farewell.since + timeouts.linger, Deadline::Farewell);
            }
            return;
        }
        for side in [Side::Client, Side::Upstream] {
            let answers = side == Side::Upstream && self.phase == Phase::Securing;
            if answers || self.security.is_handshaking(side) {
                say(
                    self.security.since() + timeouts.command,
                    Deadline::Securing(side),
                );
            }
        }
        if !self.logged_in {
            say(self.login_since.mono() + timeouts.login, Deadline::Login);
        } else if self.dialogue.is_empty() && !self.in_transfer() && !self.is_carrying() {
            say(self.last_activity.mono() + timeouts.idle, Deadline::Idle);
        }
        if let Some(due) = self.guard.due() {
            say(due, Deadline::Refusal);
        }
        if let Some(due) = self.answer_due() {
            say(due, Deadline::Answer);
        }
        if let Some(begun) = self.client.begun() {
            say(begun + timeouts.command, Deadline::Line);
        }
        if self.stash.is_none() && self.is_starved() && !self.client_held() {
            say(self.next_token_at(), Deadline::Rate);
        }
        if let Some(abort) = &self.abort
            && let Some(first) = abort.first
            && !abort.fenced
        {
            say(first + SECOND_FINAL, Deadline::Abort);
        }
        let transfer = self.transfer.as_deref();
        if let Some(transfer) = transfer {
            self.transfer_deadlines(transfer, &mut say);
        }
        let data_runs = transfer.is_some_and(|transfer| {
            let marked = transfer
                .command
                .as_ref()
                .is_some_and(|command| command.marked.is_some());
            transfer.relay == Relay::Asked
                && transfer.ended.is_none()
                && (marked || transfer.success.is_some())
        });
        if self.dialogue.awaits_upstream() && !data_runs {
            say(
                self.reply_since.mono() + timeouts.final_reply,
                Deadline::Reply,
            );
        }
    }

    fn transfer_deadlines(&self, transfer: &Transfer, say: &mut impl FnMut(Duration, Deadline)) {
        let timeouts = &self.settings.timeouts;
        if transfer.ended.is_some() || self.abort.is_some() {
            return;
        }
        match &transfer.command {
            None if matches!(transfer.stage, Stage::Offered) => {
                for side in [Side::Client, Side::Upstream] {
                    let Some(opened) = transfer.hole(side).and_then(|hole| hole.opened) else {
                        continue;
                    };
                    match transfer.hole(side).and_then(|hole| hole.used) {
                        None => say(opened.mono + timeouts.ttl, Deadline::Unused(side)),
                        Some(used) => say(used.mono + timeouts.command, Deadline::NoCommand),
                    }
                }
            }
            None => {}
            Some(command) => {
                let unused = |side| {
                    transfer
                        .hole(side)
                        .is_some_and(|hole| hole.opened.is_some() && hole.used.is_none())
                };
                // Some clients dial only after the 1xx, which may be long in coming (tapes): until then the reply's deadline holds.
                if unused(Side::Client)
                    && let Some(marked) = command.marked
                {
                    say(marked + timeouts.ttl, Deadline::Unused(Side::Client));
                }
                if unused(Side::Client) && command.marked.is_none() && transfer.success.is_some() {
                    say(command.began + timeouts.ttl, Deadline::Unused(Side::Client));
                }
                if let (Some(marked), true) = (command.marked, transfer.holds_for_handshake()) {
                    say(marked + HANDSHAKE_FIRST, Deadline::Handshake);
                }
                if transfer.is_deadlocked() {
                    say(command.began + BOTH_WAIT, Deadline::WaitsForEachOther);
                }
                if unused(Side::Upstream) {
                    say(
                        command.began + timeouts.upstream_dial,
                        Deadline::Unused(Side::Upstream),
                    );
                }
            }
        }
        if let Leg::Dials {
            dial: Dial::Failed { at, .. },
            ..
        } = transfer.legs.upstream
        {
            say(at + timeouts.linger, Deadline::UpstreamWords);
        }
        if let Relay::Finished { usage, at } = transfer.relay
            && usage.outcome != Outcome::Complete
        {
            say(at + timeouts.linger, Deadline::AfterBreak);
        }
    }

    fn next_token_at(&self) -> Duration {
        let rate = self.settings.commands_per_second.max(1) as f32;
        // A millisecond more than needed, so that rounding never makes us wake for nothing.
        self.tokens_at.mono()
            + Duration::from_secs_f32((1.0 - self.tokens).max(0.0) / rate)
            + Duration::from_millis(1)
    }

    fn expire(&mut self, step: &mut Step, deadline: Deadline) {
        match deadline {
            Deadline::Securing(side) if self.security.is_handshaking(side) => {
                self.tls_failed(step, side, TlsFault::TimedOut.into());
            }
            Deadline::Login => self.finish(
                step,
                Some(OwnFault::LoginTimeout.reply()),
                SessionEnd::LoginTimeout,
            ),
            Deadline::Idle => self.finish(
                step,
                Some(OwnFault::IdleTimeout.reply()),
                SessionEnd::IdleTimeout,
            ),
            Deadline::Line => self.finish(
                step,
                Some(OwnFault::CommandTimeout.reply()),
                SessionEnd::CommandTimeout,
            ),
            Deadline::Reply | Deadline::Securing(_) => {
                self.leave(
                    step,
                    UpstreamFault::Silent.reply(),
                    SessionEnd::ReplyTimeout,
                );
            }
            // The pump takes the next line by itself now.
            Deadline::Rate => {}
            Deadline::Abort => self.fence(step),
            Deadline::Refusal => self.tell_refusal(step),
            Deadline::Answer => self.answer_overdue(step),
            Deadline::Farewell => self.take_leave(step),
            Deadline::Handshake => self.tell_mark(step),
            Deadline::WaitsForEachOther => self.relay_instead(step),
            Deadline::NoCommand => self.spend(step, CloseReason::NoCommand),
            Deadline::Unused(side) => self.nobody_dialled(step, side),
            Deadline::UpstreamWords => {
                let why = match self
                    .transfer
                    .as_deref()
                    .map(|transfer| &transfer.legs.upstream)
                {
                    Some(Leg::Dials {
                        dial: Dial::Failed { why, .. },
                        ..
                    }) => *why,
                    _ => return,
                };
                let reply = UpstreamFault::DialFailed(why).reply();
                self.give_up(step, reply, CloseReason::TransferFailed, why.to_string());
            }
            Deadline::AfterBreak => {
                let Some(transfer) = self.transfer.as_deref() else {
                    return;
                };
                let fault = match transfer.tls_failure {
                    Some(why) => UpstreamFault::DataTls(why),
                    None => UpstreamFault::SilentAfterData,
                };
                let why = transfer.why_incomplete();
                self.give_up(step, fault.reply(), CloseReason::TransferFailed, why);
            }
        }
    }

    fn nobody_dialled(&mut self, step: &mut Step, side: Side) {
        if !self.in_transfer() {
            return self.spend(step, CloseReason::NeverUsed);
        }
        let why = "nobody dialled in time";
        let reply = match side {
            Side::Client => ClientFault::NobodyDialled.reply(),
            Side::Upstream => UpstreamFault::NobodyDialled.reply(),
        };
        if let Some(transfer) = self.transfer.as_deref() {
            let id = transfer.id;
            self.report(
                step,
                Event::DataFailed {
                    transfer: id,
                    side,
                    why: why.to_owned(),
                },
            );
        }
        self.give_up(step, reply, CloseReason::NeverUsed, why.to_owned());
    }
}
