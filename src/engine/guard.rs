//! What guards a session's login: how many were refused, a refusal that is not told yet, a probe's records.
//!
//! Invariant: while a refusal is held back nothing of the client's is looked at, and nothing of the upstream's passes it. A
//! session whose login went well holds nothing here.

use std::num::NonZeroU8;
use std::time::Duration;

use super::fault::OwnFault;
use super::session::{Gate, Session, Step};
use super::{Event, Output, Record, SessionEnd};
use crate::ftp::{Command, Reply, Verb};

/// Most records that are kept of a probe; more is no probe.
const MOST_UNSEEN: usize = 16;

/// How a session's logins are guarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logins {
    /// How many may be refused before the session ends.
    pub tries: Option<NonZeroU8>,
    /// How long after its command a refusal is told, at the earliest.
    pub delay: Duration,
    /// Whether the shell is asked if one more session of a user may be.
    pub counts_users: bool,
}

/// All of it, if there is any.
#[derive(Debug, Default)]
pub(super) struct Guard(Option<Box<Guarded>>);

#[derive(Debug, Default)]
struct Guarded {
    /// Logins that were refused since the last one that was not.
    refused: u8,
    held: Option<Held>,
    /// The verb and the reply of a login that waits for the shell's word.
    welcome: Option<(Verb, Reply)>,
    /// What was not recorded, as long as this may be a probe.
    unseen: Option<Vec<Record>>,
}

/// A refusal that is not told yet.
#[derive(Debug)]
struct Held {
    due: Duration,
    reply: Reply,
    /// It ends the session.
    last: bool,
}

impl Guard {
    fn existing(&mut self) -> Option<&mut Guarded> {
        self.0.as_deref_mut()
    }

    fn state(&mut self) -> &mut Guarded {
        self.0.get_or_insert_default()
    }

    /// Tells when the refusal is due that is held back.
    pub(super) fn due(&self) -> Option<Duration> {
        self.0.as_deref()?.held.as_ref().map(|held| held.due)
    }

    /// Tells whether the session is a probe so far: nothing of it was recorded.
    pub(super) fn is_unseen(&self) -> bool {
        self.0
            .as_deref()
            .is_some_and(|state| state.unseen.is_some())
    }

    /// Begins to keep records back.
    pub(super) fn hide(&mut self) {
        self.state().unseen = Some(Vec::new());
    }

    /// Keeps a record back if all are kept back; else gives it again.
    pub(super) fn keep_back(&mut self, record: Record) -> Option<Record> {
        match self.existing().and_then(|state| state.unseen.as_mut()) {
            Some(unseen) => {
                unseen.push(record);
                None
            }
            None => Some(record),
        }
    }

    /// Forgets all that is held back: the session ends, or the login went well.
    pub(super) fn clear(&mut self) {
        match self.existing().and_then(|state| state.unseen.take()) {
            Some(unseen) => self.state().unseen = Some(unseen),
            None => self.0 = None,
        }
    }
}

impl Session {
    /// Holds a refusal back until its time, which is counted from the command that it answers.
    pub(super) fn hold_refusal(&mut self, step: &mut Step, asked: Duration, reply: Reply) {
        let Logins { tries, delay, .. } = self.settings.logins;
        let state = self.guard.state();
        state.refused = state.refused.saturating_add(1);
        let last = tries.is_some_and(|tries| state.refused >= tries.get());
        let reply = match last {
            true => OwnFault::TooManyTries.reply(),
            false => reply,
        };
        let due = asked + delay;
        state.held = Some(Held { due, reply, last });
        if due <= step.now.mono {
            self.tell_refusal(step);
        }
    }

    /// Tells the client what was held back.
    pub(super) fn tell_refusal(&mut self, step: &mut Step) {
        let held = self.guard.existing().and_then(|state| state.held.take());
        match held {
            Some(Held {
                reply, last: true, ..
            }) => {
                self.finish(step, Some(reply), SessionEnd::TooManyTries);
            }
            Some(Held { reply, .. }) => self.say(step, reply),
            None => {}
        }
    }

    /// Asks the shell whether one more session of this user may be, if that is asked at all; tells whether it was.
    pub(super) fn ask_for_a_seat(&mut self, step: &mut Step, verb: Verb, reply: &Reply) -> bool {
        let code = reply.code().get();
        let lets_in = match verb {
            Verb::User => matches!(code, 230 | 232),
            Verb::Pass | Verb::Acct => reply.is_success(),
            _ => false,
        };
        if !lets_in || !self.settings.logins.counts_users || self.logged_in {
            return false;
        }
        let Some(login) = self.login.as_deref() else {
            return false;
        };
        let user = std::sync::Arc::clone(&login.user);
        self.guard.state().welcome = Some((verb, reply.clone()));
        self.gate = Some(Gate::Seat);
        step.out.push(Output::SeatUser { user });
        true
    }

    /// Handles the shell's word about one more session of this user.
    pub(super) fn user_seated(&mut self, step: &mut Step, granted: bool) {
        if self.gate != Some(Gate::Seat) {
            return;
        }
        self.gate = None;
        let welcome = self.guard.existing().and_then(|state| state.welcome.take());
        let Some((verb, reply)) = welcome else { return };
        if granted {
            return self.client_command_answered(step, verb, reply);
        }
        let limit = "limits.sessions_per_user";
        self.report(step, Event::LimitReached { limit });
        let words = OwnFault::TooManyOfUser.reply();
        self.finish(step, Some(words), SessionEnd::TooManyOfUser);
    }

    /// Tells whether a command makes a client of what may have been a probe until now.
    pub(super) fn must_show_itself(&self, command: &Command) -> bool {
        let harmless = matches!(
            command.verb,
            Verb::Quit
                | Verb::Noop
                | Verb::Feat
                | Verb::Syst
                | Verb::Help
                | Verb::Auth
                | Verb::Pbsz
                | Verb::Prot
        );
        self.guard.is_unseen() && !harmless
    }

    /// Tells whether more was kept back than a health check gives cause for.
    pub(super) fn has_kept_enough(&self) -> bool {
        let kept = |state: &Guarded| state.unseen.as_ref().map_or(0, Vec::len);
        self.guard.0.as_deref().map_or(0, kept) >= MOST_UNSEEN
    }

    /// Writes the first record that was kept back; the others wait until it is accepted.
    pub(super) fn show_itself(&mut self, step: &mut Step) {
        let Some(unseen) = self
            .guard
            .existing()
            .and_then(|state| state.unseen.as_mut())
        else {
            return;
        };
        if unseen.is_empty() {
            self.guard.state().unseen = None;
            return;
        }
        let first = unseen.remove(0);
        self.gate = Some(Gate::Shown);
        step.out.push(Output::Write(Box::new(first)));
    }

    /// Writes the other records that were kept back.
    pub(super) fn shown(&mut self, step: &mut Step) {
        let unseen = self.guard.existing().and_then(|state| state.unseen.take());
        for record in unseen.into_iter().flatten() {
            step.out.push(Output::Write(Box::new(record)));
        }
    }

    /// What was a probe so far can't be recorded: it is none of ours.
    pub(super) fn show_refused(&mut self) {
        if let Some(state) = self.guard.existing() {
            state.unseen = None;
        }
    }
}
