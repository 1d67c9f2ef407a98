//! Anonymous users who log in at the upstream as somebody: an account of the config's, with its own password.
//!
//! Invariant: the account's name and password are told to the upstream alone. What the upstream says to the login is put
//! in our words, since its own may name the account. This module must not know where the password came from.

use std::fmt;
use std::sync::Arc;

use super::dialogue::{Pending, Purpose};
use super::fault::ClientFault;
use super::session::{Session, Step};
use super::{Event, Refusal, SessionEnd};
use crate::ftp::{Command, Reply, Verb};

/// The account that anonymous users get.
#[derive(Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its name at the upstream.
    pub account: Box<[u8]>,
    /// Its password.
    pub password: Box<[u8]>,
    /// The directory where they begin; where the account begins without it.
    pub start_in: Option<Box<[u8]>>,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

impl Session {
    /// Sends USER or PASS of an anonymous user as the config has it; tells whether it did.
    pub(super) fn log_in_as_guest(&mut self, step: &mut Step, command: &Command) -> bool {
        let verb = command.verb;
        match verb {
            Verb::User => {
                let anonymous = command.argument().is_some_and(is_anonymous_bytes);
                self.guest = anonymous && self.settings.guest.is_some();
            }
            Verb::Pass => {}
            _ => return false,
        }
        if !self.guest {
            return false;
        }
        let Some(guest) = self.settings.guest.as_ref().map(Arc::clone) else {
            // The password is not the account's, and nobody else's business.
            let fault = (Refusal::GuestGone, ClientFault::GuestGone);
            self.refuse(step, command.to_string(), fault.0, fault.1);
            return true;
        };
        let argument = match verb {
            Verb::User => &guest.account,
            _ => &guest.password,
        };
        self.note(step, command);
        let ours = Command::new(verb, Some(argument));
        self.ask(step, ours.into_emitted(), Pending::Client(verb));
        true
    }

    /// Puts the upstream's answer to the login in our words.
    pub(super) fn guest_reply(&self, verb: Verb, reply: Reply) -> Reply {
        if !matches!(verb, Verb::User | Verb::Pass | Verb::Acct) {
            return reply;
        }
        if let Some(masked) = self.masked_login(&reply) {
            return masked;
        }
        if !self.guest {
            return reply;
        }
        let words = match reply.code().get() {
            200..300 => "Anonymous login accepted.",
            331 => "Anonymous login: send your e-mail address as password.",
            300..400 => "Anonymous login: more is needed.",
            _ => "Anonymous login is not possible at the moment.",
        };
        Reply::new(reply.code().get(), words)
    }

    /// Goes to the start directory, if there is one; the client hears that it is in when it is there.
    pub(super) fn start_guest(&mut self, step: &mut Step, welcome: &Reply) -> bool {
        let granted = self.granted_directory();
        let start_in = granted.or_else(|| match &self.settings.guest {
            Some(guest) if self.guest && self.logged_in => guest.start_in.clone(),
            Some(_) | None => None,
        });
        let Some(start_in) = start_in else {
            return false;
        };
        self.known.facts().welcome = Some(welcome.clone());
        let there = Command::new(Verb::Cwd, Some(&start_in));
        self.ask_ours(step, there, Purpose::StartIn);
        true
    }

    /// Handles the answer to our CWD to the start directory: nobody is let in anywhere else.
    pub(super) fn started_in(&mut self, step: &mut Step, reply: &Reply) {
        let welcome = self.known.facts().welcome.take();
        if !reply.is_success() {
            let code = reply.code().get();
            self.report(step, Event::LoginFailed { code });
            let fault = match self.guest {
                true => ClientFault::NoStartDirectory,
                false => ClientFault::NoGrantedDirectory,
            };
            let words = fault.reply();
            return self.finish(step, Some(words), SessionEnd::StartRefused);
        }
        if let Some(welcome) = welcome {
            self.say(step, welcome);
        }
        self.forget_directory();
        self.ask_where(step);
    }
}

/// RFC 1635 section 2; many clients say `ftp`.
pub(super) fn is_anonymous_bytes(user: &[u8]) -> bool {
    user.eq_ignore_ascii_case(b"anonymous") || user.eq_ignore_ascii_case(b"ftp")
}
