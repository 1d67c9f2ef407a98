//! A client command arrives: judged, answered by us, or passed on.

mod objection;

use std::net::SocketAddr;

use super::check;
use super::dialogue::Pending;
use super::fault::ClientFault;
use super::judgement::{Judged, Permission};
use super::legs::Stage;
use super::session::{Phase, Session, Step, burst};
use super::{Check, CloseReason, Event, Refusal, Side, Violation};
use crate::ftp::{
    BareLf, Command, CommandFault, Ending, EpsvArgument, FrameFault, Line, Reply, Verb, masked_to,
};

pub(super) use objection::number;

/// Tokens that a completed transfer gives back: the commands that belong to it.
pub(super) const TRANSFER_REFUND: f32 = 8.0;

impl Session {
    /// Tells whether no line of the client may be taken at all.
    pub(super) fn client_held(&self) -> bool {
        if self.phase != Phase::Talking
            || self.gate.is_some()
            || self.quitting
            || self.farewell.is_some()
            || self.abort.is_some()
            || self.guard.due().is_some()
            || self.security.is_handshaking(Side::Client)
            || self.is_asking()
        {
            return true;
        }
        if self.dialogue.has_fence()
            || self.dialogue.len() >= self.settings.pipeline
            || self.dialogue.owes(|verb| self.decides_the_next(verb))
        {
            return true;
        }
        match self.transfer.as_deref().map(|transfer| &transfer.stage) {
            None | Some(Stage::Offered | Stage::Running) => false,
            Some(Stage::Asked | Stage::Opening(_) | Stage::Resuming(_)) => true,
        }
    }

    /// Takes the client's next command if it may; tells whether anything moved.
    pub(super) fn client_step(&mut self, step: &mut Step) -> bool {
        if self.client_held() {
            return false;
        }
        if self.has_kept_enough() {
            self.show_itself(step);
            return true;
        }
        let command = match self.stash.take() {
            Some(command) => *command,
            None => {
                if !self.has_token(step) {
                    return false;
                }
                let Some(line) = self.client.next_line() else {
                    return false;
                };
                // Every line counts, also one that is no command.
                self.tokens -= 1.0;
                match self.parse(step, line) {
                    None => return true,
                    Some(command) => command,
                }
            }
        };
        let overtakes = matches!(
            command.verb,
            Verb::Abor | Verb::Stat | Verb::Noop | Verb::Quit
        );
        // Behind the answer to AUTH everything is TLS, so that all that is owed in clear is said before it.
        // So it is where the gateway answers a login, which may lead to another upstream.
        let alone = command.verb == Verb::Auth
            || command.verb == Verb::Pass && self.is_user_kept()
            || self.answers_login(step.now.wall, command.verb);
        let barrier = alone && !self.dialogue.is_empty();
        let running = self.in_transfer() && !overtakes;
        if barrier || running || self.must_wait_for_the_last(command.verb) {
            self.stash = Some(Box::new(command));
            return false;
        }
        if self.must_show_itself(&command) {
            self.stash = Some(Box::new(command));
            self.show_itself(step);
            return true;
        }
        if self.must_ask_where(step, &command) {
            self.stash = Some(Box::new(command));
            return true;
        }
        self.client_command(step, command);
        self.command_done();
        true
    }

    /// Tells whether something came that the command rate does not let be read yet.
    pub(super) fn is_starved(&self) -> bool {
        self.tokens < 1.0 && !self.client.is_fresh()
    }

    fn has_token(&mut self, step: &Step) -> bool {
        let rate = self.settings.commands_per_second as f32;
        let gained = step
            .now
            .mono
            .saturating_sub(self.tokens_at.mono())
            .as_secs_f32()
            * rate;
        self.tokens = (self.tokens + gained).min(burst(&self.settings));
        self.tokens_at = step.moment();
        self.tokens >= 1.0
    }

    fn parse(&mut self, step: &mut Step, line: Result<Line, FrameFault>) -> Option<Command> {
        let line = match line {
            Ok(line) => line,
            Err(FrameFault::TooLong) => {
                self.violation(
                    step,
                    Side::Client,
                    Violation::LineTooLong,
                    Some(ClientFault::LineTooLong.reply()),
                );
                return None;
            }
        };
        self.commands = self.commands.saturating_add(1);
        self.last_activity = step.moment();
        if looks_like_reply(&line.bytes) {
            self.violation(step, Side::Client, Violation::ReplyFromClient, None);
            return None;
        }
        let shown = |bytes: &[u8]| masked_to(bytes, 200).to_string();
        let bare = line.ending == Ending::Lf && !self.settings.accept_bare_lf;
        let passes = bare && {
            let code = ClientFault::BareLf.reply().code().get();
            self.only_observes(step, Check::BareLf, || shown(&line.bytes), code)
        };
        let bare_lf = match bare && !passes {
            true => BareLf::Refuse,
            false => BareLf::Accept,
        };
        // Only a faulty line is shown; a copy costs less than to show every one.
        let bytes = line.bytes.clone();
        let (fault, why) = match Command::parse(line, bare_lf) {
            Ok(command) => return Some(command),
            Err(CommandFault::Foreign(protocol)) => {
                self.foreign(step, protocol.name());
                return None;
            }
            Err(CommandFault::Empty) => (ClientFault::Empty, Refusal::Malformed),
            Err(CommandFault::LeadingSpace) => (ClientFault::LeadingSpace, Refusal::Malformed),
            Err(CommandFault::Malformed) => (ClientFault::NotAVerb, Refusal::Malformed),
            Err(CommandFault::StrayControl) => (ClientFault::StrayControl, Refusal::StrayControl),
            Err(CommandFault::BareLf) => (ClientFault::BareLf, Refusal::StrayControl),
        };
        self.refuse(step, shown(&bytes), why, fault);
        None
    }

    fn client_command(&mut self, step: &mut Step, command: Command) {
        if let Some((why, fault)) = self.objection(&command)
            && !self.passes_over(step, &command, fault)
        {
            self.spoil_rest(command.verb);
            if command.verb.is_transfer() {
                self.spend(step, CloseReason::TransferRefused);
            }
            self.refuse(step, command.to_string(), why, fault);
            return;
        }
        if self.answers_login(step.now.wall, command.verb) {
            return self.answer_login(step, command);
        }
        let permission = match self.judge_command(step, &command) {
            Judged::Allowed(permission) => permission,
            Judged::Denied => return self.denied(step, command.verb),
            Judged::Closed | Judged::Awaited => return,
        };
        if let Some(reply) = self.hidden_answer(&command, &permission) {
            return self.say_in_turn(step, reply);
        }
        match command.verb {
            Verb::Pasv | Verb::Epsv | Verb::Port | Verb::Eprt => {
                self.client_negotiates(step, command, &permission)
            }
            Verb::Auth => self.client_secures(step, &command),
            Verb::Pbsz => self.client_sizes(step),
            Verb::Prot => self.client_protects(step, &command),
            Verb::Abor if self.in_transfer() => self.abort_transfer(step, command),
            verb if verb.is_transfer() => self.client_transfers(step, command, &permission),
            Verb::User if self.keeps_user(step, &command) => {}
            Verb::Pass if self.log_in_as_granted(step, &command) => {}
            Verb::User | Verb::Pass if self.log_in_as_guest(step, &command) => {}
            verb => {
                self.note(step, &command);
                self.note_sizes(&command);
                self.ask(step, command.into_emitted(), Pending::Client(verb));
            }
        }
    }

    /// A rule denied a command, and that was said: it has its final answer, and what was negotiated for it is spent.
    pub(super) fn denied(&mut self, step: &mut Step, verb: Verb) {
        self.spoil_rest(verb);
        if verb.is_transfer() {
            self.spend(step, CloseReason::TransferRefused);
        }
    }

    /// Tells whether an objection is by a check that only observes.
    fn passes_over(&mut self, step: &mut Step, command: &Command, fault: ClientFault) -> bool {
        let code = fault.reply().code().get();
        check::behind(command, fault)
            .is_some_and(|check| self.only_observes(step, check, || command.to_string(), code))
    }

    /// Answers a command that never reaches the upstream.
    pub(super) fn refuse(
        &mut self,
        step: &mut Step,
        command: String,
        why: Refusal,
        fault: ClientFault,
    ) {
        let reply = fault.reply();
        self.report(
            step,
            Event::CommandRefused {
                command,
                why,
                code: reply.code().get(),
            },
        );
        self.say_in_turn(step, reply);
    }

    /// Remembers what a passing command changes.
    pub(super) fn note(&mut self, step: &mut Step, command: &Command) {
        self.renaming = command.verb == Verb::Rnfr;
        match command.verb {
            Verb::User | Verb::Pass | Verb::Acct => self.note_login(step, command),
            Verb::Rest => {
                self.rest = number(command.argument().unwrap_or_default().trim_ascii());
                self.rest_stale = false;
            }
            Verb::Rein => self.spend(step, CloseReason::Reset),
            Verb::Host => {
                self.note_host(command.argument().unwrap_or_default().trim_ascii());
                self.spend(step, CloseReason::Reset);
            }
            Verb::Quit => self.quitting = true,
            _ => {}
        }
    }

    /// Notes that the upstream still holds a REST whose transfer command it will never see.
    pub(super) fn spoil_rest(&mut self, verb: Verb) {
        if verb.is_transfer() && self.rest.is_some() {
            self.rest = Some(0);
            self.rest_stale = true;
        }
    }

    /// Handles PASV, EPSV, PORT and EPRT up to the question to the upstream.
    fn client_negotiates(&mut self, step: &mut Step, command: Command, permission: &Permission) {
        let fault = match command.verb {
            Verb::Epsv => match EpsvArgument::parse(command.argument()) {
                Ok(EpsvArgument::All) => {
                    self.epsv_all = true;
                    self.say_in_turn(step, Reply::new(200, "EPSV ALL: only EPSV from now on."));
                    return;
                }
                Ok(EpsvArgument::None) => {
                    return self.negotiate_if_allowed(step, &command, None, permission);
                }
                Ok(EpsvArgument::Family(family))
                    if (family == 2) == self.facts.target.is_ipv6() =>
                {
                    return self.negotiate_if_allowed(step, &command, None, permission);
                }
                Ok(EpsvArgument::Family(_)) => self.wrong_family(),
                Err(_) => (Refusal::Malformed, ClientFault::BadArgument),
            },
            Verb::Pasv if !self.facts.advertised.is_ipv4() => {
                (Refusal::Family, ClientFault::PasvNeedsIpv4)
            }
            Verb::Pasv => return self.negotiate_if_allowed(step, &command, None, permission),
            _ => match self.client_address(step, &command) {
                Ok(to) => return self.negotiate_if_allowed(step, &command, Some(to), permission),
                Err(Some(fault)) => fault,
                Err(None) => return,
            },
        };
        self.refuse(step, command.to_string(), fault.0, fault.1);
    }

    /// Asks the rules about the data connection, and begins to set it up.
    fn negotiate_if_allowed(
        &mut self,
        step: &mut Step,
        command: &Command,
        client_at: Option<SocketAddr>,
        permission: &Permission,
    ) {
        match self.judge_data(step, command, permission) {
            Judged::Allowed(_)
                if client_at.is_some_and(|to| self.is_shut(step, Side::Client, to)) =>
            {
                self.fail_negotiation(step, ClientFault::InWindow.reply());
            }
            Judged::Allowed(_) => self.negotiate(step, command.verb, client_at),
            Judged::Denied | Judged::Closed | Judged::Awaited => {}
        }
    }

    pub(super) fn wrong_family(&self) -> (Refusal, ClientFault) {
        (
            Refusal::Family,
            ClientFault::FamilyUnsupported {
                client_is_ipv6: self.facts.target.is_ipv6(),
            },
        )
    }

    /// Tells the upstream that the session is left, when it is.
    pub(super) fn running_verb(&self) -> Option<Verb> {
        self.transfer
            .as_deref()?
            .command
            .as_ref()
            .map(|command| command.verb)
    }
}

fn looks_like_reply(line: &[u8]) -> bool {
    matches!(line, [a, b, c, d, ..] if [a, b, c].iter().all(|byte| byte.is_ascii_digit()) && matches!(d, b' ' | b'-'))
}
