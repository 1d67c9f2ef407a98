//! The rules are asked, at each of their four moments, and what they say is done.
//!
//! Invariant: what is denied is answered here and never seen by the upstream, and opens nothing. This module must not
//! know what a rule looks like.

use std::sync::Arc;

use super::check;
use super::exits::Consent;
use super::fault::OwnFault;
use super::legs::Leg;
use super::reason::Ruling;
use super::session::{Phase, Session, Step};
use super::{DataMode, Event, Output, SessionEnd, Side, TlsMode, Wall};
use crate::ftp::{Command, Reply, Verb};
use crate::policy::{
    Asked, Circumstances, DataFacts, Decision, Hide, LegMode, Limits, Moment, Observed, Request,
    Verdict, Words, Would,
};

/// What the rules said.
#[derive(Debug)]
pub(super) enum Judged {
    /// It may go on, within these bounds.
    Allowed(Permission),
    /// It was answered.
    Denied,
    /// Somebody is asked; the command comes again with the answer.
    Awaited,
    /// The session ends.
    Closed,
}

/// What comes along with a permission.
#[derive(Debug, Default)]
pub(super) struct Permission {
    pub(super) limits: Limits,
    pub(super) hide: Hide,
    /// Rules that were recorded as matching, so that a later moment of the same command does not say so again.
    observed: Vec<Observed>,
}

/// Who tells the client of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refuser {
    /// In its turn, in the rule's words.
    Judge,
    /// Whoever asked: a login is refused in its own way, and judged by the name that other commands must not tell of.
    Caller,
}

impl Session {
    /// Tells the rules what is known of the session.
    pub(super) fn circumstances(&self, now: Wall) -> Circumstances<'_> {
        let known = self.known.get();
        Circumstances {
            client: Some(self.facts.client.ip()),
            listener: Some(&self.settings.listener),
            upstream: Some(&self.settings.upstream),
            user: match self.hides_name() {
                true => None,
                false => self.user_name(),
            },
            logged_in: self.logged_in,
            control_tls: self.security.is_tls(Side::Client),
            certificate: self.security.certificate_name(),
            paths: self.paths(),
            cwd: known.and_then(|known| known.directory.as_ref()),
            at: i64::try_from(now.0).ok(),
        }
    }

    /// Gives the user's name as it was sent.
    pub(super) fn user_name(&self) -> Option<&[u8]> {
        let raw = self.known.get().and_then(|known| known.user.as_deref());
        raw.or(self.user.as_deref().map(str::as_bytes))
    }

    fn decide(&self, now: Wall, asked: Asked<'_>) -> Decision {
        self.settings.rules.decide(&Request {
            session: self.circumstances(now),
            asked,
        })
    }

    /// Asks whether the client may be here at all; if not, it is told so and there is no session.
    pub(super) fn may_arrive(&mut self, step: &mut Step) -> bool {
        let decision = self.decide(step.now.wall, Asked::Connection);
        self.report_observed(step, Moment::Connection, None, &decision.observed, &[]);
        let reply = match decision.verdict {
            Verdict::Allow => return true,
            Verdict::Deny(reply) | Verdict::Close(reply) => reply,
            // Nobody is asked about an arrival: such rules wait for the login.
            Verdict::Ask(_) => OwnFault::CannotAsk.reply(),
        };
        // RFC 959 section 5.4: what can be said at the connection's establishment and ends it is 421.
        let reply = as_421(reply);
        self.report(
            step,
            Event::ConnectionDenied {
                from: self.facts.client,
                target: self.facts.target,
                listener: Arc::clone(&self.settings.listener),
                upstream: Arc::clone(&self.settings.upstream),
                rule: Ruling(decision.rule),
                code: reply.code().get(),
            },
        );
        // An implicit client hears nothing in clear.
        if self.settings.client_tls.mode != TlsMode::Implicit {
            self.say(step, reply);
        }
        step.out.push(Output::Close {
            side: Side::Upstream,
        });
        step.out.push(Output::Close { side: Side::Client });
        self.phase = Phase::Over;
        false
    }

    /// Tells what of the upstream's greeting the rules hide.
    pub(super) fn hidden_at_arrival(&self, now: Wall) -> Hide {
        match self.settings.rules.is_empty() {
            true => Hide::default(),
            false => self.decide(now, Asked::Connection).hide,
        }
    }

    /// Tells which features the rules hide.
    pub(super) fn hidden_features(&self, now: Wall) -> Hide {
        let words = Words {
            verb: Verb::Feat,
            spelled: b"FEAT",
            argument: None,
        };
        self.decide(now, Asked::Command(words)).hide
    }

    /// Asks whether a command may pass.
    pub(super) fn judge_command(&mut self, step: &mut Step, command: &Command) -> Judged {
        let asked = Asked::Command(words(command));
        self.judge(step, command, asked, &Permission::default(), Refuser::Judge)
    }

    /// Asks whether a command of a login may pass; what is denied is recorded, and told by whoever asks.
    pub(super) fn judge_login(&mut self, step: &mut Step, command: &Command) -> Judged {
        let asked = Asked::Command(words(command));
        self.judge(
            step,
            command,
            asked,
            &Permission::default(),
            Refuser::Caller,
        )
    }

    /// Asks whether a data connection may be set up, before anything is for it.
    pub(super) fn judge_data(
        &mut self,
        step: &mut Step,
        command: &Command,
        before: &Permission,
    ) -> Judged {
        let asked = Asked::Data {
            command: words(command),
            data: self.data_to_come(command.verb),
        };
        self.judge(step, command, asked, before, Refuser::Judge)
    }

    /// Asks whether a transfer may begin, before the upstream sees its command.
    pub(super) fn judge_transfer(
        &mut self,
        step: &mut Step,
        command: &Command,
        before: &Permission,
    ) -> Judged {
        let Some(data) = self.data_facts() else {
            return Judged::Allowed(Permission::default());
        };
        let asked = Asked::Transfer {
            command: words(command),
            data,
            size: self.size_of(command),
        };
        self.judge(step, command, asked, before, Refuser::Judge)
    }

    fn judge(
        &mut self,
        step: &mut Step,
        command: &Command,
        asked: Asked<'_>,
        before: &Permission,
        refuser: Refuser,
    ) -> Judged {
        let moment = asked.moment();
        let mut session = self.circumstances(step.now.wall);
        if refuser == Refuser::Caller {
            session.user = self.user_name();
        }
        let decision = self.settings.rules.decide(&Request { session, asked });
        self.report_observed(
            step,
            moment,
            Some(command),
            &decision.observed,
            &before.observed,
        );
        let mut asked_of_somebody = false;
        let (reply, closes) = match decision.verdict {
            Verdict::Allow => (None, false),
            Verdict::Deny(reply) => (Some(reply), false),
            Verdict::Close(reply) => (Some(reply), true),
            Verdict::Ask(ask) => {
                let seen = &decision.observed;
                asked_of_somebody = true;
                if command.verb == Verb::Pass {
                    self.password_came(step);
                }
                match self.consent(step, command, asked, &decision.rule, &ask, seen) {
                    Consent::Awaited => return Judged::Awaited,
                    Consent::Given => (None, false),
                    Consent::Refused(reply) => (Some(reply), false),
                }
            }
        };
        let permission = Permission {
            limits: decision.limits,
            hide: decision.hide,
            observed: decision.observed,
        };
        let Some(reply) = reply else {
            return Judged::Allowed(permission);
        };
        let code = match refuser {
            Refuser::Caller if !closes => 530,
            Refuser::Caller | Refuser::Judge => reply.code().get(),
        };
        if let Some(check) = check::behind_rule(command, &decision.rule.name)
            && self.only_observes(step, check, || command.to_string(), code)
        {
            return Judged::Allowed(permission);
        }
        self.report(
            step,
            Event::CommandDenied {
                command: command.to_string(),
                moment,
                rule: Ruling(decision.rule),
                code,
            },
        );
        if !closes {
            let login = command.verb == Verb::Pass && self.dialogue.is_empty();
            match refuser {
                Refuser::Judge if asked_of_somebody && login => {
                    self.refuse_login_with(step, reply);
                }
                Refuser::Judge => self.say_in_turn(step, reply),
                Refuser::Caller => {}
            }
            return Judged::Denied;
        }
        // One 421 answers all that is pending; any other code would be taken for the answer to the first of it.
        let words = match self.dialogue.is_empty() {
            true => reply,
            false => as_421(reply),
        };
        self.finish(step, Some(words), SessionEnd::RuleClosed);
        Judged::Closed
    }

    fn report_observed(
        &mut self,
        step: &mut Step,
        moment: Moment,
        command: Option<&Command>,
        observed: &[Observed],
        before: &[Observed],
    ) {
        for one in observed {
            if before.contains(one) || self.said_before(one) {
                continue;
            }
            self.report(
                step,
                Event::RuleObserved {
                    command: command.map(Command::to_string),
                    moment,
                    rule: Ruling(Arc::clone(&one.rule)),
                    would: word(one.would),
                },
            );
        }
    }

    /// Describes the data connection that a command asks for.
    fn data_to_come(&self, verb: Verb) -> DataFacts {
        let client = match verb {
            Verb::Port | Verb::Eprt => LegMode::Active,
            _ => LegMode::Passive,
        };
        let upstream = match self.settings.data_mode {
            DataMode::AsClient => client,
            DataMode::Passive => LegMode::Passive,
            DataMode::Active => LegMode::Active,
        };
        DataFacts {
            client,
            upstream,
            tls: self.security.protects_data(Side::Client),
        }
    }

    /// Describes the data connection that was set up.
    pub(super) fn data_facts(&self) -> Option<DataFacts> {
        let transfer = self.transfer.as_deref()?;
        let client = match transfer.legs.client {
            Leg::Awaits(_) => LegMode::Passive,
            Leg::Dials { .. } => LegMode::Active,
        };
        let upstream = match transfer.legs.upstream {
            Leg::Dials { .. } => LegMode::Passive,
            Leg::Awaits(_) => LegMode::Active,
        };
        Some(DataFacts {
            client,
            upstream,
            tls: self.security.protects_data(Side::Client),
        })
    }
}

pub(super) fn words(command: &Command) -> Words<'_> {
    Words {
        verb: command.verb,
        spelled: command.verb_text(),
        argument: command.argument(),
    }
}

/// Keeps a reply's words under the code that ends a session.
fn as_421(reply: Reply) -> Reply {
    match reply.code().get() {
        421 => reply,
        _ => Reply::new(421, String::from_utf8_lossy(reply.final_text())),
    }
}

fn word(would: Would) -> &'static str {
    match would {
        Would::Allow => "allow",
        Would::Deny => "deny",
        Would::Close => "close",
        Would::Ask => "ask",
        Would::Modify => "modify",
        Would::Nothing => "nothing",
    }
}
