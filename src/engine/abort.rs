//! ABOR of a running transfer: counting replies where servers differ (RFC 959 section 4.1.3).
//!
//! Servers answer 426+226, 226+225, 426+225, or once. The client gets exactly two finals, one for the transfer and one
//! for ABOR. When both came, or two seconds after the first, a NOOP of ours is the fence: what it answers ends the
//! count; missing finals are made, surplus ones dropped.

use std::time::Duration;

use super::dialogue::{Pending, Purpose};
use super::ending::outcome_words;
use super::legs::{Ended, Relay};
use super::pinhole::CloseReason;
use super::session::{Session, Step};
use super::{Event, Manner, Side, Violation};
use crate::ftp::{Command, Reply, Verb};

/// How long the second final may be late after the first.
pub(super) const SECOND_FINAL: Duration = Duration::from_secs(2);

/// The count of replies after ABOR.
#[derive(Debug)]
pub(super) struct Abort {
    /// When the first final came.
    pub(super) first: Option<Duration>,
    /// The fence was sent.
    pub(super) fenced: bool,
    /// ABOR itself was answered.
    answered: bool,
}

impl Session {
    /// Passes ABOR on, and ends the data legs so that both peers notice.
    pub(super) fn abort_transfer(&mut self, step: &mut Step, command: Command) {
        let resuming = self.running_verb().is_none();
        if resuming {
            // The transfer command has not been sent, so this ABOR is one like any other.
            self.ask(step, command.into_emitted(), Pending::Client(Verb::Abor));
            return;
        }
        self.abort = Some(Box::new(Abort {
            first: None,
            fenced: false,
            answered: false,
        }));
        self.ask(step, command.into_emitted(), Pending::Abort);
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        transfer.preliminary = None;
        let success = transfer.success.take();
        if transfer.relay == Relay::Asked {
            self.end_data(step, Manner::Abort);
        }
        if let Some(reply) = success {
            // The upstream's final had come before: only ABOR's own is still owed.
            self.aborted_transfer_answered(step, reply);
        }
    }

    /// The first of the two finals: the transfer's.
    pub(super) fn aborted_transfer_answered(&mut self, step: &mut Step, reply: Reply) {
        if let Some(abort) = self.abort.as_mut() {
            abort.first.get_or_insert(step.now.mono);
        }
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        let usage = match transfer.relay {
            Relay::Finished { usage, .. } => Some(usage),
            Relay::Asked | Relay::Ending | Relay::NotAsked => None,
        };
        let complete = transfer.is_complete();
        let reply = if reply.is_success() && !complete {
            Reply::new(426, "The transfer was aborted.")
        } else {
            reply
        };
        let why = usage
            .map_or("it was aborted", |usage| outcome_words(usage.outcome))
            .to_owned();
        let reason = if reply.is_success() {
            CloseReason::Completed
        } else {
            CloseReason::Aborted
        };
        let code = reply.code().get();
        transfer.ended = Some(Ended { reason, code, why });
        self.say(step, reply);
        if !self.is_carrying() {
            self.close_transfer(step);
        }
    }

    /// The second final: ABOR's own. The fence follows it.
    pub(super) fn abort_answered(&mut self, step: &mut Step, reply: Reply) {
        if let Some(abort) = self.abort.as_mut() {
            abort.answered = true;
        }
        self.say(step, reply);
        self.fence(step);
    }

    /// Sends the NOOP whose answer ends the count.
    pub(super) fn fence(&mut self, step: &mut Step) {
        let Some(abort) = self.abort.as_mut() else {
            return;
        };
        if !abort.fenced {
            abort.fenced = true;
            self.ask(
                step,
                Command::new(Verb::Noop, None).into_emitted(),
                Pending::Ours(Purpose::Fence),
            );
        }
    }

    /// While the fence is out, tells by its code whether a reply is one too many, and then drops it.
    pub(super) fn surplus_after_abort(&mut self, step: &mut Step, reply: &Reply) -> bool {
        let Some(abort) = self.abort.as_ref() else {
            return false;
        };
        if !abort.fenced {
            return false;
        }
        let code = reply.code().get();
        let ends_a_transfer = matches!(code, 225 | 226 | 250 | 425 | 426 | 450..=452 | 550..=553);
        if abort.answered {
            // A server that refused ABOR at once still owes the transfer's final.
            let surplus = ends_a_transfer && !self.dialogue.owes_transfer();
            if surplus {
                self.report(
                    step,
                    Event::ProtocolViolation {
                        side: Side::Upstream,
                        what: Violation::SurplusReply,
                    },
                );
            }
            return surplus;
        }
        if code == 200 && matches!(self.dialogue.front(), Some(Pending::Abort)) {
            // The fence was answered and ABOR was not: its final is made up for.
            self.dialogue.forget_abort();
            self.report(
                step,
                Event::ProtocolViolation {
                    side: Side::Upstream,
                    what: Violation::MissingReply,
                },
            );
            self.say(step, Reply::new(226, "Abort done."));
        }
        false
    }

    pub(super) fn fence_answered(&mut self) {
        self.abort = None;
    }
}
