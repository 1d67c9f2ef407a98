//! What a session says: replies in their turn, commands of our own, records, and the gates that wait for them.

use super::dialogue::Pending;
use super::fault::OwnFault;
use super::session::{Gate, Session, Step};
use super::{Event, Output, Record, SessionEnd, Side};
use crate::ftp::Reply;

impl Session {
    /// Sends a reply to the client now.
    pub(super) fn say(&mut self, step: &mut Step, reply: Reply) {
        step.out.push(Output::Send {
            to: Side::Client,
            bytes: reply.into_emitted(),
        });
    }

    /// Sends a reply of our own in its turn among the replies that are still awaited.
    pub(super) fn say_in_turn(&mut self, step: &mut Step, reply: Reply) {
        if self.dialogue.is_empty() && !self.final_held() {
            self.say(step, reply);
        } else {
            self.dialogue.push(Pending::Ready(reply.into_emitted()));
        }
    }

    /// Sends the replies whose turn has come.
    pub(super) fn flush_ready(&mut self, step: &mut Step) {
        while !self.final_held()
            && let Some(bytes) = self.dialogue.take_ready()
        {
            step.out.push(Output::Send {
                to: Side::Client,
                bytes,
            });
        }
    }

    /// Sends a command to the upstream and remembers who is owed its reply.
    pub(super) fn ask(&mut self, step: &mut Step, bytes: Vec<u8>, pending: Pending) {
        if !self.dialogue.awaits_upstream() {
            self.reply_since = step.moment();
        }
        self.dialogue.push(pending);
        step.out.push(Output::Send {
            to: Side::Upstream,
            bytes,
        });
    }

    /// Writes a record that holds nothing back.
    pub(super) fn report(&mut self, step: &mut Step, event: Event) {
        let record = Record {
            at: step.now.wall,
            session: Some(self.facts.id),
            client: Some(self.facts.client.ip()),
            user: self.user.clone(),
            event,
        };
        if let Some(record) = self.guard.keep_back(record) {
            step.out.push(Output::Write(Box::new(record)));
        }
    }

    /// Writes a record that the following outputs wait for; nothing else may follow it in this step.
    pub(super) fn gate(&mut self, step: &mut Step, gate: Gate, event: Event) {
        // Nothing of a probe waits for the journal.
        if !self.guard.is_unseen() {
            self.gate = Some(gate);
        }
        self.report(step, event);
    }

    pub(super) fn record_accepted(&mut self, step: &mut Step) {
        match self.gate.take() {
            Some(Gate::Pinhole(side)) => self.pinhole_recorded(step, side),
            Some(Gate::Launch) => self.launched(),
            Some(Gate::Shown) => self.shown(step),
            Some(Gate::Session | Gate::ClientDial | Gate::LateDial | Gate::Seat) | None => {}
        }
    }

    pub(super) fn record_refused(&mut self, step: &mut Step) {
        match self.gate.take() {
            Some(gate @ (Gate::Session | Gate::Shown)) => {
                if gate == Gate::Shown {
                    self.show_refused();
                }
                self.finish(
                    step,
                    Some(OwnFault::JournalDownAtStart.reply()),
                    SessionEnd::RecordRefused,
                );
            }
            Some(Gate::Pinhole(_)) => self.pinhole_unrecorded(step),
            Some(Gate::Launch) => self.launch_unrecorded(step),
            Some(Gate::ClientDial | Gate::LateDial) => self.dial_unrecorded(step),
            Some(Gate::Seat) | None => {}
        }
    }
}
