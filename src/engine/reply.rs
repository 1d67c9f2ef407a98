//! An upstream reply arrives: matched to what it answers, learnt from, passed on.

use super::dialogue::{Pending, Purpose};
use super::fault::UpstreamFault;
use super::legs::Stage;
use super::session::{Phase, Session, Step};
use super::tls::TlsMode;
use super::{SessionEnd, Side, Violation};
use crate::ftp::{FrameFault, Line, Reply, ReplyFault, Verb};

impl Session {
    /// Tells whether no line of the upstream may be taken: a pinhole opens, the client's port is dialled, a 2xx
    /// waits for the data.
    pub(super) fn upstream_held(&self) -> bool {
        self.gate.is_some()
            || self.final_held()
            || self.guard.due().is_some()
            || self.security.is_handshaking(Side::Upstream)
            || self.transfer.as_deref().is_some_and(|transfer| {
                matches!(transfer.stage, Stage::Opening(_)) || transfer.preliminary.is_some()
            })
    }

    /// Tells whether the upstream's 2xx to the transfer command waits for the data: no later reply may overtake it.
    pub(super) fn final_held(&self) -> bool {
        self.transfer
            .as_deref()
            .is_some_and(|transfer| transfer.success.is_some())
    }

    /// Handles one line of the upstream.
    pub(super) fn upstream_line(&mut self, step: &mut Step, line: Result<Line, FrameFault>) {
        let words = || Some(UpstreamFault::Violation.reply());
        let line = match line {
            Ok(line) => line,
            Err(FrameFault::TooLong) => {
                return self.violation(step, Side::Upstream, Violation::LineTooLong, words());
            }
        };
        match self.assembler.push(line) {
            Ok(None) => {}
            Ok(Some(reply)) => self.upstream_reply(step, reply),
            Err(ReplyFault::TooLong) => {
                self.violation(step, Side::Upstream, Violation::ReplyTooLong, words())
            }
            Err(ReplyFault::NotAReply) => {
                self.violation(step, Side::Upstream, Violation::NotAReply, words())
            }
        }
    }

    fn upstream_reply(&mut self, step: &mut Step, reply: Reply) {
        self.reply_since = step.moment();
        let reply = match self.phase {
            Phase::Greeting => {
                if self.settings.upstream_tls.mode == TlsMode::Explicit {
                    self.security.learn_from(&reply);
                }
                self.shown_greeting(step.now.wall, reply)
            }
            _ => reply,
        };
        if reply.code().get() == 421 {
            return self.leave(step, reply, SessionEnd::UpstreamClosed);
        }
        if self.phase == Phase::Greeting {
            return self.greeting(step, reply);
        }
        if reply.is_preliminary() {
            return self.preliminary(step, reply);
        }
        if self.surplus_after_abort(step, &reply) {
            return;
        }
        let passive = matches!(
            self.dialogue.front(),
            Some(Pending::Ours(Purpose::Epsv | Purpose::Pasv))
        );
        if (227..=229).contains(&reply.code().get()) && !passive {
            // An address that nothing had asked for is told to nobody, whatever it claims to answer.
            let words = UpstreamFault::Violation.reply();
            return self.violation(step, Side::Upstream, Violation::UnaskedReply, Some(words));
        }
        let marked = self.transfer.as_deref().is_some_and(|transfer| {
            transfer
                .command
                .as_ref()
                .is_some_and(|command| command.marked.is_some())
        });
        match self.dialogue.take_answered(&reply, marked) {
            None => {
                let words = UpstreamFault::Violation.reply();
                self.violation(step, Side::Upstream, Violation::UnaskedReply, Some(words));
            }
            Some(Pending::Client(verb)) => self.client_answered(step, verb, reply),
            Some(Pending::Transfer) if self.abort.is_some() => {
                self.aborted_transfer_answered(step, reply)
            }
            Some(Pending::Transfer) => self.transfer_answered(step, reply),
            Some(Pending::Abort) => self.abort_answered(step, reply),
            Some(Pending::Ours(purpose)) => match purpose {
                Purpose::Epsv | Purpose::Pasv => self.port_announced(step, purpose, reply),
                Purpose::Port => self.port_accepted(step, reply),
                Purpose::Auth | Purpose::AuthSsl => self.auth_answered(step, purpose, &reply),
                Purpose::Pbsz => self.pbsz_answered(step, &reply),
                Purpose::Prot => self.prot_answered(step, &reply),
                Purpose::Rest => self.rest_answered(step, reply),
                Purpose::Syst => self.syst_answered(step, &reply),
                Purpose::Pwd => self.pwd_answered(&reply),
                Purpose::StartIn => self.started_in(step, &reply),
                Purpose::LogIn => self.user_taken(step, reply),
                Purpose::Fence => self.fence_answered(),
                Purpose::Swallow => {}
            },
            // `take_answered` passes over replies of our own.
            Some(Pending::Ready(bytes)) => self.dialogue.push(Pending::Ready(bytes)),
        }
    }

    fn greeting(&mut self, step: &mut Step, reply: Reply) {
        match reply.code().get() {
            120 if self.is_moving() => {}
            120 => self.say(step, reply),
            220 => self.greeted(step, reply),
            400..=599 => self.finish(step, Some(reply), SessionEnd::UpstreamClosed),
            _ => {
                let words = UpstreamFault::Violation.reply();
                self.violation(step, Side::Upstream, Violation::UnaskedReply, Some(words));
            }
        }
    }

    fn preliminary(&mut self, step: &mut Step, reply: Reply) {
        match self.dialogue.front() {
            Some(Pending::Transfer) => self.transfer_marked(step, reply),
            Some(Pending::Client(_)) => self.say(step, reply),
            // Nobody waits for a 1xx to these; what counts is the final reply behind it.
            Some(Pending::Ours(_) | Pending::Abort) => {}
            Some(Pending::Ready(_)) | None => {
                let words = UpstreamFault::Violation.reply();
                self.violation(step, Side::Upstream, Violation::UnaskedReply, Some(words));
            }
        }
    }

    /// Handles the final reply to a client's command.
    pub(super) fn client_answered(&mut self, step: &mut Step, verb: Verb, reply: Reply) {
        if !self.ask_for_a_seat(step, verb, &reply) {
            self.client_command_answered(step, verb, reply);
        }
    }

    /// Learns from the reply to a client's command, and passes it.
    pub(super) fn client_command_answered(&mut self, step: &mut Step, verb: Verb, reply: Reply) {
        let code = reply.code().get();
        match verb {
            Verb::User => self.user_answered(step, code),
            Verb::Pass | Verb::Acct => self.login_answered(step, code),
            Verb::Rein if reply.is_success() => {
                self.user = None;
                self.login = None;
                self.logged_in = false;
                self.login_since = step.moment();
                self.rest = None;
                self.guest = false;
                self.user_is_now(None);
                self.forget_consents();
            }
            Verb::Host if !reply.is_success() => self.security.forget_host(),
            Verb::Rest if code != 350 => self.rest = None,
            Verb::Feat => return self.say_features(step, &reply),
            Verb::Size => self.size_answered(&reply),
            Verb::Quit if self.dialogue.owes_transfer() => {
                let words = UpstreamFault::GoneInTransfer.reply();
                return self.leave(step, words, SessionEnd::Quit);
            }
            Verb::Quit => return self.leave(step, reply, SessionEnd::Quit),
            _ => {}
        }
        let reply = self.guest_reply(verb, reply);
        let logs_in = matches!(verb, Verb::User | Verb::Pass | Verb::Acct);
        if code >= 400 && matches!(verb, Verb::Pass | Verb::Acct) {
            self.forget_grant();
        }
        if logs_in && code >= 400 && !self.logged_in {
            return self.tell_refused(step, reply);
        }
        let logged_in = logs_in && reply.is_success();
        if logged_in && self.start_guest(step, &reply) {
            return;
        }
        self.say(step, reply);
        self.moved(step, verb, code);
    }
}
