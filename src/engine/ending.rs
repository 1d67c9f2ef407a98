//! A transfer ends: which of data and reply is believed, what the client is told, what is closed and recorded.

use super::command::TRANSFER_REFUND;
use super::fault::UpstreamFault;
use super::legs::{Ended, Leg, Relay, Transfer};
use super::pinhole::{CloseReason, TransferId};
use super::session::{Phase, Session, Step, burst, micros_between};
use super::time::Moment;
use super::{
    Carried, Direction, Event, HoleFacts, Legs, Manner, Outcome, Output, Side, TransferFacts,
    Usage, Violation,
};
use crate::ftp::Reply;

impl Session {
    /// Answers the client for a transfer that fails on our side; what the upstream still says of it is swallowed.
    pub(super) fn give_up(
        &mut self,
        step: &mut Step,
        reply: Reply,
        reason: CloseReason,
        why: String,
    ) {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        if transfer.ended.is_some() {
            return;
        }
        transfer.ended = Some(Ended {
            reason,
            code: reply.code().get(),
            why,
        });
        transfer.preliminary = None;
        if transfer.success.take().is_some() {
            self.say(step, reply);
        } else {
            self.dialogue.answer_transfer(reply.into_emitted());
            self.flush_ready(step);
        }
        self.end_data(step, Manner::Drop);
    }

    /// Ends the legs; without a relay nothing will answer, so the transfer is over at once.
    pub(super) fn end_data(&mut self, step: &mut Step, manner: Manner) {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        match transfer.relay {
            Relay::Asked => {
                if manner != Manner::Linger {
                    transfer.relay = Relay::Ending;
                }
                step.out.push(Output::EndData {
                    transfer: transfer.id,
                    manner,
                });
            }
            Relay::NotAsked | Relay::Finished { .. } if transfer.ended.is_some() => {
                self.close_transfer(step);
            }
            Relay::NotAsked | Relay::Ending | Relay::Finished { .. } => {}
        }
    }

    /// Lets a running transfer deliver what it has, within the linger time.
    pub(super) fn linger(&mut self, step: &mut Step) {
        self.end_data(step, Manner::Linger);
    }

    /// Handles the upstream's final reply to the transfer command.
    pub(super) fn transfer_answered(&mut self, step: &mut Step, reply: Reply) {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        let code = reply.code().get();
        if !reply.is_success() {
            let marked = transfer
                .command
                .as_ref()
                .is_some_and(|command| command.marked.is_some());
            let (reason, manner) = match marked {
                true => (CloseReason::TransferFailed, Manner::Abort),
                false => (CloseReason::TransferRefused, Manner::Drop),
            };
            transfer.preliminary = None;
            // What we ended ourselves the server only confirms.
            let cut_off = transfer.usage().map(|usage| usage.outcome);
            let why = match cut_off {
                Some(outcome @ (Outcome::Stalled | Outcome::LingerOver | Outcome::Exceeded)) => {
                    outcome_words(outcome)
                }
                Some(
                    Outcome::Complete
                    | Outcome::Broken { .. }
                    | Outcome::Truncated { .. }
                    | Outcome::Aborted,
                )
                | None => "the server said so",
            };
            transfer.ended = Some(Ended {
                reason,
                code,
                why: why.to_owned(),
            });
            self.say(step, reply);
            self.end_data(step, manner);
            return;
        }
        match transfer.relay {
            Relay::Finished { .. } => self.confirm(step, reply),
            Relay::Asked | Relay::Ending if transfer.carried == Carried::Forwarded => {
                self.forwarded_answered(step, reply);
            }
            Relay::Asked | Relay::Ending | Relay::NotAsked => {
                transfer.success = Some(reply);
                self.linger(step);
                self.start_upstream_data_tls(step);
                // Some servers say 226 without a 1xx; an active client is dialled all the same.
                self.dial_client(step);
            }
        }
    }

    /// Both the data and the upstream's 2xx are there: says which of them is to be believed.
    fn confirm(&mut self, step: &mut Step, reply: Reply) {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        let complete = transfer.is_complete();
        let (reply, ended) = if complete {
            let code = reply.code().get();
            (
                reply,
                Ended {
                    reason: CloseReason::Completed,
                    code,
                    why: String::new(),
                },
            )
        } else {
            let why = transfer.why_incomplete();
            let reply = match transfer.is_exceeded() {
                true => transfer.exceeded_reply(),
                false => transfer.incomplete().reply(),
            };
            let code = reply.code().get();
            (
                reply,
                Ended {
                    reason: CloseReason::TransferFailed,
                    code,
                    why,
                },
            )
        };
        transfer.ended = Some(ended);
        if complete {
            self.tokens = (self.tokens + TRANSFER_REFUND).min(burst(&self.settings));
        }
        self.say(step, reply);
        self.close_transfer(step);
    }

    pub(super) fn data_finished(&mut self, step: &mut Step, id: TransferId, usage: Usage) {
        let now = step.now.mono;
        let Some(transfer) = self
            .transfer
            .as_deref_mut()
            .filter(|transfer| transfer.id == id)
        else {
            return;
        };
        transfer.relay = Relay::Finished { usage, at: now };
        self.count_carried(usage);
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        let against = transfer.carried_against(usage);
        let source = transfer.direction().map(Direction::source);
        if let Some(ended) = transfer.ended.as_mut()
            && ended.reason == CloseReason::Completed
            && usage.outcome != Outcome::Complete
        {
            // The client was answered before the data was over, and then it was cut off after all.
            ended.reason = CloseReason::TransferFailed;
            outcome_words(usage.outcome).clone_into(&mut ended.why);
        }
        let ended = transfer.ended.is_some();
        let success = transfer.success.take();
        self.reply_since = Moment::at(now);
        if against && let Some(source) = source {
            self.report(
                step,
                Event::ProtocolViolation {
                    side: !source,
                    what: Violation::WrongDirection,
                },
            );
        }
        if let Phase::Ending(_) = self.phase {
            self.conclude(step);
        } else if ended {
            self.close_transfer(step);
        } else {
            self.data_over(step, success);
        }
        self.take_leave(step);
    }

    /// The data is over and the client has no answer yet.
    fn data_over(&mut self, step: &mut Step, success: Option<Reply>) {
        let exceeded = self.transfer.as_deref().filter(|one| one.is_exceeded());
        let cut = exceeded.map(Transfer::exceeded_reply);
        if cut.is_some() {
            self.report_exceeded(step);
        }
        match (success, cut) {
            (Some(reply), _) => self.confirm(step, reply),
            (None, Some(words)) if self.abort.is_none() => {
                let why = outcome_words(Outcome::Exceeded).to_owned();
                self.give_up(step, words, CloseReason::TransferFailed, why);
            }
            (None, Some(_) | None) => {}
        }
    }

    /// Uses up what was negotiated, without a transfer.
    pub(super) fn spend(&mut self, step: &mut Step, reason: CloseReason) {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        transfer.ended = Some(Ended {
            reason,
            code: 0,
            why: String::new(),
        });
        self.close_transfer(step);
    }

    /// Begins the end of what runs when the session ends; tells whether a `DataFinished` will still come.
    pub(super) fn tear_down(&mut self, step: &mut Step) -> bool {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return false;
        };
        transfer.success = None;
        transfer.preliminary = None;
        if transfer.ended.is_none() {
            let why = "the session ended".to_owned();
            transfer.ended = Some(Ended {
                reason: CloseReason::SessionClosed,
                code: 0,
                why,
            });
        }
        let carrying = matches!(transfer.relay, Relay::Asked | Relay::Ending);
        if transfer.relay == Relay::Asked {
            transfer.relay = Relay::Ending;
            step.out.push(Output::EndData {
                transfer: transfer.id,
                manner: Manner::Abort,
            });
        }
        carrying
    }

    /// Closes the holes, writes what there is to record, and forgets the transfer.
    pub(super) fn close_transfer(&mut self, step: &mut Step) {
        let Some(transfer) = self.transfer.take() else {
            return;
        };
        let (usage, volume, carried) = (transfer.usage(), transfer.volume(), transfer.carried);
        let (reason, code, why) = match transfer.ended {
            Some(ended) => (ended.reason, ended.code, ended.why),
            None => (
                CloseReason::SessionClosed,
                0,
                "the session ended".to_owned(),
            ),
        };
        if let Some(command) = &transfer.command {
            let facts = TransferFacts {
                transfer: transfer.id,
                command: command.verb.name(),
                path: String::from(command.path.clone()),
                volume,
                micros: micros_between(command.began, step.now.mono),
            };
            let event = if reason == CloseReason::Completed {
                self.transfers += 1;
                let unacknowledged = match carried {
                    Carried::Relayed => Some(usage.map_or(0, |usage| usage.unacknowledged)),
                    Carried::Forwarded => None,
                };
                Event::TransferCompleted {
                    transfer: facts,
                    unacknowledged,
                }
            } else {
                let code = (code != 0).then_some(code);
                Event::TransferFailed {
                    transfer: facts,
                    code,
                    why,
                }
            };
            self.report(step, event);
        }
        let Legs { client, upstream } = transfer.legs;
        for (side, leg) in [(Side::Client, client), (Side::Upstream, upstream)] {
            let Leg::Awaits(Some(hole)) = leg else {
                continue;
            };
            step.out.push(Output::ClosePinhole {
                id: hole.id,
                reason,
            });
            let (Some(opened), Some(at)) = (hole.opened, hole.at) else {
                continue;
            };
            self.report(
                step,
                Event::PinholeClosed {
                    hole: HoleFacts {
                        pinhole: hole.id,
                        transfer: transfer.id,
                        side,
                        from: hole.from,
                        at,
                        leads_to: hole.leads_to,
                        command: transfer.ask.name(),
                        carried,
                    },
                    opened: opened.wall,
                    used: hole.used.map(|used| used.wall),
                    volume,
                    reason,
                },
            );
        }
        self.last_activity = step.moment();
    }
}

impl Transfer {
    /// Says to the client why a transfer that the upstream confirms is not complete.
    pub(super) fn incomplete(&self) -> UpstreamFault {
        match (self.tls_failure, self.usage().map(|usage| usage.outcome)) {
            (Some(why), _) => UpstreamFault::DataTls(why),
            (None, Some(Outcome::Truncated { side: _ })) => UpstreamFault::Truncated,
            (
                None,
                Some(
                    Outcome::Complete
                    | Outcome::Broken { side: _ }
                    | Outcome::Stalled
                    | Outcome::LingerOver
                    | Outcome::Exceeded
                    | Outcome::Aborted,
                )
                | None,
            ) => UpstreamFault::Unconfirmed,
        }
    }

    /// Says the same to the journal.
    pub(super) fn why_incomplete(&self) -> String {
        match (self.tls_failure, self.usage().map(|usage| usage.outcome)) {
            (Some(why), _) => why.to_string(),
            (None, Some(Outcome::Complete)) => "a leg was not in TLS".to_owned(),
            (None, Some(outcome)) => outcome_words(outcome).to_owned(),
            (None, None) => "the data connection broke".to_owned(),
        }
    }
}

/// Says how a relay ended.
pub(super) fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Broken { side: Side::Client } => "the client's data connection broke",
        Outcome::Broken {
            side: Side::Upstream,
        } => "the server's data connection broke",
        Outcome::Truncated { side: Side::Client } => {
            "the client's data ended without TLS's close_notify"
        }
        Outcome::Truncated {
            side: Side::Upstream,
        } => "the server's data ended without TLS's close_notify",
        Outcome::Stalled => "no byte moved for too long",
        Outcome::LingerOver => "the end of the data never came",
        Outcome::Exceeded => "it reached a limit of bytes and was cut",
        Outcome::Aborted => "it was aborted",
    }
}
