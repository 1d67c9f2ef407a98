//! Logins: what USER and PASS are told, by the server or by us.
//!
//! Where rules judge names, the gateway answers for itself: every USER gets the same 331 at once and goes up only with its
//! PASS, and every refusal, ours or the server's, gets the same 530. Invariant: the password of somebody whom a rule
//! refuses is never passed on, and neither words nor time tell that a rule refused.

use std::sync::Arc;

use super::dialogue::Pending;
use super::fault::ClientFault;
use super::guest::is_anonymous_bytes;
use super::judgement::Judged;
use super::session::{Login, Session, Step};
use super::state::Named;
use super::{Event, Refusal, Wall};
use crate::ftp::{Command, Reply, Verb, escaped};

/// What every refused login is told where the gateway answers.
const REFUSED: u16 = 530;

impl Session {
    /// Remembers what USER and PASS say.
    pub(super) fn note_login(&mut self, step: &Step, command: &Command) {
        let argument = command.argument().unwrap_or_default();
        if command.verb == Verb::User {
            let user: Arc<str> = Arc::from(escaped(argument).to_string());
            let raw = (user.as_bytes() != argument).then(|| Box::from(argument));
            self.login = Some(Box::new(Login {
                user,
                raw,
                email: None,
                asked: step.now.mono,
                worded: false,
                named: Named::Upstream,
            }));
            return;
        }
        let Some(login) = self.login.as_deref_mut() else {
            return;
        };
        login.asked = step.now.mono;
        if command.verb == Verb::Pass
            && self.settings.anonymous_email
            && is_anonymous_bytes(login.user.as_bytes())
        {
            login.email = Some(escaped(argument).to_string());
        }
    }

    /// Tells whether the gateway answers this command of a login itself.
    pub(super) fn answers_login(&self, now: Wall, verb: Verb) -> bool {
        match verb {
            Verb::User => self.settings.rules.judges_names(&self.circumstances(now)),
            Verb::Pass | Verb::Acct if self.logged_in => false,
            Verb::Pass | Verb::Acct => match self.login.as_deref() {
                Some(login) => login.worded,
                None => self.settings.rules.judges_names(&self.circumstances(now)),
            },
            _ => false,
        }
    }

    /// Handles USER, PASS and ACCT where the gateway answers them.
    pub(super) fn answer_login(&mut self, step: &mut Step, command: Command) {
        if command.verb == Verb::User && self.logged_in {
            // Which names may follow is nobody's business either.
            let fault = (Refusal::SecondLogin, ClientFault::SecondLogin);
            return self.refuse(step, command.to_string(), fault.0, fault.1);
        }
        if command.verb == Verb::User {
            return self.answer_user(step, command);
        }
        self.password_came(step);
        let named = self.login.as_deref().map(|login| login.named);
        let judged = match (named, command.verb) {
            (Some(Named::Refused), Verb::Pass) => return self.refuse_login(step, REFUSED),
            (Some(Named::Here), Verb::Pass) | (Some(Named::AskedForAccount), Verb::Acct) => {
                self.judge_login(step, &command)
            }
            _ => {
                let fault = (Refusal::NoUser, ClientFault::UserFirst);
                return self.refuse(step, command.to_string(), fault.0, fault.1);
            }
        };
        match judged {
            Judged::Allowed(_) => self.pass_login_on(step, command),
            Judged::Denied => self.refuse_login(step, REFUSED),
            // Where somebody is asked it comes again.
            Judged::Awaited | Judged::Closed => {}
        }
    }

    fn pass_login_on(&mut self, step: &mut Step, command: Command) {
        if let Some(login) = self.login.as_deref_mut() {
            login.named = Named::Upstream;
        }
        if command.verb != Verb::Pass {
            self.ask(step, command.into_emitted(), Pending::Client(Verb::Acct));
        } else if !self.log_in_as_granted(step, &command) {
            // Nothing was kept to log in with: that is no login, and no silence either.
            self.refuse_login(step, REFUSED);
        }
    }

    /// The delay of a refusal counts from its command, not from the answer of whoever was asked about it.
    pub(super) fn password_came(&mut self, step: &Step) {
        let has_waited = self.has_waited();
        if let Some(login) = self.login.as_deref_mut().filter(|_| !has_waited) {
            login.asked = step.now.mono;
        }
    }

    fn answer_user(&mut self, step: &mut Step, command: Command) {
        let refused = match self.judge_login(step, &command) {
            Judged::Allowed(_) => false,
            Judged::Denied => true,
            Judged::Closed | Judged::Awaited => return,
        };
        self.forget_login();
        self.note_login(step, &command);
        if let Some(login) = self.login.as_deref_mut() {
            login.worded = true;
            login.named = match refused {
                true => Named::Refused,
                false => Named::Here,
            };
        }
        if !refused {
            self.keep_user();
        }
        self.name_user();
        self.say_in_turn(step, Reply::new(331, "Send the password."));
    }

    /// Refuses a login in our words.
    pub(super) fn refuse_login(&mut self, step: &mut Step, code: u16) {
        self.report_refused(step, code);
        self.tell_refused(step, Reply::new(REFUSED, "Login incorrect."));
    }

    /// Who is refused because nobody could be asked has not guessed wrong: it must not lead to a ban.
    fn report_refused(&mut self, step: &mut Step, code: u16) {
        if !self.is_undecided() {
            self.report(step, Event::LoginFailed { code });
        }
    }

    /// Refuses a login as somebody who was asked about it says.
    pub(super) fn refuse_login_with(&mut self, step: &mut Step, reply: Reply) {
        let code = reply.code().get();
        self.report_refused(step, code);
        self.tell_refused(step, reply);
    }

    /// Tells a refused login, in our words where the gateway answers.
    pub(super) fn tell_refused(&mut self, step: &mut Step, reply: Reply) {
        let now = step.now.mono;
        let asked = self.login.as_deref().map_or(now, |login| login.asked);
        let worded = self.is_worded();
        let reply = match worded {
            true => Reply::new(REFUSED, "Login incorrect."),
            false => reply,
        };
        if let Some(login) = self.login.as_deref_mut().filter(|_| worded) {
            login.named = Named::Over;
        }
        self.hold_refusal(step, asked, reply);
    }

    /// The name that was given is the session's from now on.
    fn name_user(&mut self) {
        self.user = self.login.as_deref().map(|login| Arc::clone(&login.user));
        let raw = self.login.as_deref().and_then(|login| login.raw.clone());
        self.user_is_now(raw);
    }

    /// Tells whether the gateway answers this login in its own words.
    pub(super) fn is_worded(&self) -> bool {
        self.login.as_deref().is_some_and(|login| login.worded)
    }

    /// Tells whether rules may not see whose session this is to be: before the login nothing but the login itself is
    /// judged by the name, or the other commands would tell.
    pub(super) fn hides_name(&self) -> bool {
        !self.logged_in && self.is_worded()
    }

    /// Remembers a user's name as it was sent, where that is another than the journal's.
    pub(super) fn user_is_now(&mut self, raw: Option<Box<[u8]>>) {
        match (raw, self.known.existing()) {
            (None, None) => {}
            (None, Some(known)) => known.user = None,
            (Some(raw), _) => self.known.facts().user = Some(raw),
        }
    }

    pub(super) fn user_answered(&mut self, step: &mut Step, code: u16) {
        let accepted = (200..400).contains(&code);
        if accepted || !self.logged_in {
            self.name_user();
        }
        match code {
            230 | 232 => self.login(step),
            200..400 if self.logged_in => {
                self.logged_in = false;
                self.login_since = step.moment();
            }
            200..400 => {}
            _ if !self.logged_in => self.report(step, Event::LoginFailed { code }),
            _ => {}
        }
    }

    pub(super) fn login_answered(&mut self, step: &mut Step, code: u16) {
        match code {
            200..300 if !self.logged_in => self.login(step),
            332 => {
                if let Some(login) = self.login.as_deref_mut() {
                    login.named = Named::AskedForAccount;
                }
            }
            400..600 if !self.logged_in => self.report(step, Event::LoginFailed { code }),
            _ => {}
        }
    }

    fn login(&mut self, step: &mut Step) {
        self.logged_in = true;
        let email = self.login.take().and_then(|login| login.email);
        self.guard.clear();
        self.report(step, Event::LoginSucceeded { email });
    }
}
