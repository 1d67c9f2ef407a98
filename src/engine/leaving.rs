//! The end of a session: what keeps it, its last words, and its last record.
//!
//! Invariant: whatever ends it, one 421 at most answers all that was pending, and every pinhole is closed before.

use super::fault::OwnFault;
use super::fault::UpstreamFault;
use super::session::{Farewell, Phase, Session, Step, micros_between};
use super::{Event, Output, SessionEnd, Side, Violation};
use crate::ftp::Reply;

impl OwnFault {
    /// Says why the shell wants a session ended.
    pub(super) fn ordered(reason: SessionEnd) -> OwnFault {
        match reason {
            SessionEnd::Shutdown => OwnFault::Shutdown,
            SessionEnd::Banned => OwnFault::Banned,
            SessionEnd::NoProbe => OwnFault::TooManyOfAddress,
            _ => OwnFault::Killed,
        }
    }
}

impl Session {
    /// Ends the session when nothing keeps it any more.
    pub(super) fn settle(&mut self, step: &mut Step) {
        let carrying = self.is_carrying();
        if self.server.is_closed() && !self.upstream_held() && self.farewell.is_none() {
            let (words, reason) = if self.dialogue.owes_only_quit() {
                (Reply::new(221, "Goodbye."), SessionEnd::Quit)
            } else if carrying && self.in_transfer() {
                (
                    UpstreamFault::GoneInTransfer.reply(),
                    SessionEnd::UpstreamClosed,
                )
            } else {
                (UpstreamFault::Gone.reply(), SessionEnd::UpstreamClosed)
            };
            self.leave(step, words, reason);
        } else if self.client.is_closed()
            && self.stash.is_none()
            && !self.is_starved()
            && !self.client_held()
            && !self.dialogue.awaits_upstream()
            && !carrying
        {
            self.finish(
                step,
                None,
                if self.quitting {
                    SessionEnd::Quit
                } else {
                    SessionEnd::ClientClosed
                },
            );
        } else if self.draining && !self.in_transfer() && !carrying {
            self.finish(step, Some(OwnFault::Shutdown.reply()), SessionEnd::Shutdown);
        }
    }

    /// Ends the session with these words, but lets a running transfer deliver what it has first.
    pub(super) fn leave(&mut self, step: &mut Step, words: Reply, reason: SessionEnd) {
        if self.farewell.is_some() {
            // The first words hold.
        } else if self.is_carrying() {
            self.farewell = Some(Box::new(Farewell {
                words,
                reason,
                since: step.now.mono,
            }));
            self.linger(step);
        } else {
            self.finish(step, Some(words), reason);
        }
    }

    /// Says the last words that were waiting, if there are any, and ends the session.
    pub(super) fn take_leave(&mut self, step: &mut Step) {
        if let Some(farewell) = self.farewell.take() {
            self.finish(step, Some(farewell.words), farewell.reason);
        }
    }

    /// Ends the session now: last words, then everything is shut and recorded.
    pub(super) fn finish(&mut self, step: &mut Step, words: Option<Reply>, reason: SessionEnd) {
        if !self.is_talkative() {
            return;
        }
        // In the middle of a handshake there is no way to say them.
        if let Some(words) = words
            && !self.security.is_handshaking(Side::Client)
        {
            self.say(step, words);
        }
        self.phase = Phase::Ending(reason);
        self.dialogue.clear();
        self.stash = None;
        self.abort = None;
        self.guard.clear();
        self.gate = None;
        self.forget_exits();
        self.client.clear();
        self.server.clear();
        if !self.tear_down(step) {
            self.conclude(step);
        }
    }

    /// Closes what is left and writes the last record.
    pub(super) fn conclude(&mut self, step: &mut Step) {
        let Phase::Ending(reason) = self.phase else {
            return;
        };
        self.close_transfer(step);
        step.out.push(Output::Close {
            side: Side::Upstream,
        });
        step.out.push(Output::Close { side: Side::Client });
        let micros = micros_between(self.arrived.mono(), step.now.mono);
        self.report(
            step,
            Event::SessionClosed {
                reason,
                micros,
                commands: u64::from(self.commands),
                transfers: self.transfers,
                pinholes: self.pinholes,
            },
        );
        self.phase = Phase::Over;
    }

    /// Ends the session because a peer broke the protocol.
    pub(super) fn violation(
        &mut self,
        step: &mut Step,
        side: Side,
        what: Violation,
        words: Option<Reply>,
    ) {
        self.report(step, Event::ProtocolViolation { side, what });
        self.finish(step, words, SessionEnd::Violation);
    }

    /// Ends the session because the client speaks another protocol: without a word that could be mistaken for its own.
    pub(super) fn foreign(&mut self, step: &mut Step, protocol: &'static str) {
        self.report(step, Event::ProtocolForeign { protocol });
        self.finish(step, None, SessionEnd::ForeignProtocol);
    }
}
