//! A login that somebody was asked about: at which upstream, as whom, and where it begins.
//!
//! The question is put when name and password are both there. Until it is answered the server hears neither: USER is
//! answered here. Invariant: what a rule does not list can't be granted; the granted account's name and password are told
//! to the upstream alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::super::dialogue::{Pending, Purpose};
use super::super::fault::ClientFault;
use super::super::guest::is_anonymous_bytes;
use super::super::lane::Lane;
use super::super::pinhole::CloseReason;
use super::super::session::{EpsvSupport, Phase, Session, Step};
use super::super::{AskFault, Output, Refusal, Settings};
use super::answer::{Answer, Grant};
use crate::ftp::{Command, Reply, ReplyAssembler, Verb};
use crate::policy::{Ask, Asked, Circumstances, Request, Verdict, Words};

/// The passwords in the files that rules list, by their paths.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Passwords(pub BTreeMap<String, Box<[u8]>>);

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

/// What is under way of a login.
#[derive(Debug, Default)]
pub(super) struct Login {
    /// USER was answered here, and the server has not seen it.
    kept: bool,
    /// What was granted, until PASS is judged again.
    granted: Option<Grant>,
    plan: Option<Plan>,
    /// The new upstream has not greeted yet.
    moving: bool,
    /// The settings of the listener's own upstream, where the session is with another one.
    home: Option<Arc<Settings>>,
}

/// How the login at the upstream goes.
struct Plan {
    user: Box<[u8]>,
    password: Option<Box<[u8]>>,
    /// The account is not the user's: what the upstream says of it is put in our words.
    masked: bool,
    start_in: Option<Box<str>>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

impl Login {
    pub(super) fn grant(&mut self, grant: Option<Grant>) {
        self.granted = grant;
    }
}

impl Session {
    /// Holds an answer to what its rule and the config permit.
    pub(super) fn permitted(&mut self, ask: &Ask, answer: Answer) -> Result<Answer, AskFault> {
        let Some(grant) = &answer.grant else {
            return Ok(answer);
        };
        let listed = grant.login_as.as_ref().is_none_or(|account| {
            let path = &*account.password_file;
            let passwords = &self.settings.passwords.0;
            ask.password_files.iter().any(|one| one == path) && passwords.contains_key(path)
        });
        let moves = grant
            .upstream
            .as_deref()
            .filter(|name| **name != *self.settings.upstream);
        let kept = self.existing_exits().is_some_and(|exits| exits.login.kept);
        // A server that has seen the user's name is not left in the middle of the login.
        let goes = moves.is_none_or(|name| kept && self.settings_of(name).is_some());
        match listed && goes {
            true => Ok(answer),
            false => Err(AskFault::NotPermitted),
        }
    }

    fn settings_of(&self, upstream: &str) -> Option<Arc<Settings>> {
        let exits = self.known.get().and_then(|known| known.exits.as_deref());
        let home = exits.and_then(|exits| exits.login.home.as_ref());
        match home {
            Some(home) if *home.upstream == *upstream => Some(Arc::clone(home)),
            Some(home) => home.elsewhere.get(upstream).cloned(),
            None => self.settings.elsewhere.get(upstream).cloned(),
        }
    }

    /// Chooses among new settings those of the upstream that the session is with. Where there are none, since the config no
    /// longer has it or nobody may choose one any more, it stays as it is; rules and deadlines are the new ones.
    pub(super) fn settings_here(&mut self, settings: Arc<Settings>) -> Arc<Settings> {
        let here = Arc::clone(&self.settings.upstream);
        let Some(home) = self
            .existing_exits()
            .and_then(|exits| exits.login.home.as_mut())
        else {
            return settings;
        };
        *home = Arc::clone(&settings);
        if settings.upstream == here {
            return settings;
        }
        settings.elsewhere.get(&*here).cloned().unwrap_or_else(|| {
            Arc::new(Settings {
                rules: Arc::clone(&settings.rules),
                timeouts: settings.timeouts,
                ..Settings::clone(&self.settings)
            })
        })
    }

    /// Answers USER here where somebody will be asked about the login; tells whether it did.
    pub(in crate::engine) fn keeps_user(&mut self, step: &mut Step, command: &Command) -> bool {
        self.forget_login();
        if !self.asks_at_password(step, command) {
            return false;
        }
        if self.logged_in {
            // The server would go on as who is logged in, whatever name is answered here.
            let fault = (Refusal::SecondLogin, ClientFault::SecondLogin);
            self.refuse(step, command.to_string(), fault.0, fault.1);
            return true;
        }
        self.note(step, command);
        self.keep_user();
        self.user_answered(step, 331);
        let words = match self.guest {
            true => "Anonymous login: send your e-mail address as password.",
            false => "Password required.",
        };
        self.say_in_turn(step, Reply::new(331, words));
        true
    }

    /// Another user name came: what was asked about the one before holds no more.
    pub(in crate::engine) fn forget_login(&mut self) {
        self.forget_consents();
        if let Some(exits) = self.existing_exits() {
            exits.login.kept = false;
            exits.login.plan = None;
        }
    }

    /// USER is answered here; the server hears it with its PASS.
    pub(in crate::engine) fn keep_user(&mut self) {
        self.guest = self.is_anonymous() && self.settings.guest.is_some();
        self.exits().login.kept = true;
    }

    fn asks_at_password(&self, step: &Step, command: &Command) -> bool {
        let rules = &self.settings.rules;
        if !rules.asks() {
            return false;
        }
        let session = Circumstances {
            user: command.argument(),
            logged_in: false,
            ..self.circumstances(step.now.wall)
        };
        let asked = Asked::Command(Words {
            verb: Verb::Pass,
            spelled: b"PASS",
            argument: None,
        });
        let decision = rules.decide(&Request { session, asked });
        matches!(decision.verdict, Verdict::Ask(_))
    }

    /// Tells whether the server has not seen USER yet: PASS may lead elsewhere, so that all must be answered before it.
    pub(in crate::engine) fn is_user_kept(&self) -> bool {
        let exits = self.known.get().and_then(|known| known.exits.as_deref());
        exits.is_some_and(|exits| exits.login.kept)
    }

    /// Logs in with what was kept and granted; tells whether it did.
    pub(in crate::engine) fn log_in_as_granted(
        &mut self,
        step: &mut Step,
        command: &Command,
    ) -> bool {
        let Some(login) = self.existing_exits().map(|exits| &mut exits.login) else {
            return false;
        };
        let (kept, granted) = (std::mem::take(&mut login.kept), login.granted.take());
        login.plan = None;
        if !kept && granted.is_none() {
            return false;
        }
        let grant = granted.unwrap_or_default();
        let elsewhere = grant
            .upstream
            .as_deref()
            .filter(|name| **name != *self.settings.upstream)
            .and_then(|name| self.settings_of(name));
        let there = elsewhere.as_ref().unwrap_or(&self.settings);
        let is_guest = self.is_anonymous() && there.guest.is_some() && grant.login_as.is_none();
        let gone = self.guest && elsewhere.is_none() && there.guest.is_none();
        let plan = self.plan(command, &grant, there, is_guest);
        let Some(plan) = plan.filter(|_| !gone || grant.login_as.is_some()) else {
            if self.is_worded() {
                self.refuse_login(step, 530);
                return true;
            }
            let fault = (Refusal::GuestGone, ClientFault::GuestGone);
            self.refuse(step, command.to_string(), fault.0, fault.1);
            return true;
        };
        self.note(step, command);
        self.guest = is_guest;
        self.exits().login.plan = Some(plan);
        match elsewhere {
            Some(settings) => self.move_to(step, settings),
            None => self.tell_name(step),
        }
        true
    }

    fn is_anonymous(&self) -> bool {
        let user = self.login.as_deref().map(|login| login.user.as_bytes());
        user.is_some_and(is_anonymous_bytes)
    }

    fn plan(
        &self,
        command: &Command,
        grant: &Grant,
        there: &Settings,
        is_guest: bool,
    ) -> Option<Plan> {
        let start_in = grant.start_in.clone();
        if let Some(account) = &grant.login_as {
            let password = self.settings.passwords.0.get(&*account.password_file)?;
            return Some(Plan {
                user: account.user.as_bytes().into(),
                password: Some(password.clone()),
                masked: true,
                start_in,
            });
        }
        if is_guest {
            let guest = there.guest.as_ref()?;
            return Some(Plan {
                user: guest.account.clone(),
                password: Some(guest.password.clone()),
                masked: false,
                start_in,
            });
        }
        let login = self.login.as_deref();
        let user = login.map(|login| match &login.raw {
            Some(raw) => raw.clone(),
            None => login.user.as_bytes().into(),
        });
        Some(Plan {
            user: user.unwrap_or_default(),
            password: command.argument().map(Box::from),
            masked: false,
            start_in,
        })
    }

    /// Leaves the upstream for another one, which has heard nothing of this session yet.
    fn move_to(&mut self, step: &mut Step, settings: Arc<Settings>) {
        self.spend(step, CloseReason::Reset);
        let before = std::mem::replace(&mut self.settings, settings);
        let login = &mut self.exits().login;
        login.home.get_or_insert(before);
        login.moving = true;
        self.server = Lane::new(self.settings.reply);
        self.assembler =
            ReplyAssembler::new(self.settings.reply, super::super::session::MOST_REPLY_LINES);
        self.security.forget_upstream();
        self.epsv = EpsvSupport::Unknown;
        self.forwardable = false;
        self.shut = None;
        self.rest = None;
        self.rest_stale = false;
        self.renaming = false;
        self.forget_directory();
        if let Some(known) = self.known.existing() {
            known.paths = None;
            known.syst_asked = false;
        }
        self.phase = Phase::Dialling;
        self.reply_since = step.moment();
        let to = Arc::clone(&self.settings.upstream);
        step.out.push(Output::MoveUpstream { to });
    }

    /// Tells whether the greeting that came is that of an upstream that the client did not dial.
    pub(in crate::engine) fn is_moving(&self) -> bool {
        let exits = self.known.get().and_then(|known| known.exits.as_deref());
        exits.is_some_and(|exits| exits.login.moving)
    }

    /// The upstream can be spoken with: the client hears its greeting, or the login goes on there.
    pub(in crate::engine) fn welcome(&mut self, step: &mut Step, greeting: Reply) {
        match self.existing_exits().map(|exits| &mut exits.login.moving) {
            Some(moving @ true) => {
                *moving = false;
                self.tell_name(step);
            }
            Some(false) | None => self.say(step, greeting),
        }
    }

    fn tell_name(&mut self, step: &mut Step) {
        let plan = self
            .existing_exits()
            .and_then(|exits| exits.login.plan.as_ref());
        if let Some(plan) = plan {
            let user = Command::new(Verb::User, Some(&plan.user));
            self.ask_ours(step, user, Purpose::LogIn);
        }
    }

    /// Handles the answer to the USER that was kept: PASS follows, or its answer is the login's.
    pub(in crate::engine) fn user_taken(&mut self, step: &mut Step, reply: Reply) {
        let gone = self.guest && self.settings.guest.is_none();
        let plan = self
            .existing_exits()
            .and_then(|exits| exits.login.plan.as_mut());
        match plan {
            // The account went away meanwhile, and the client's password is nobody else's business.
            Some(_) if gone => self.refuse_login(step, 530),
            Some(plan) if reply.code().get() == 331 => {
                let password = plan.password.take();
                let pass = Command::new(Verb::Pass, password.as_deref());
                self.ask(step, pass.into_emitted(), Pending::Client(Verb::Pass));
            }
            // Only 331 leads on to PASS; what else is neither a yes nor a no says that this server can't be understood.
            Some(_) | None => match reply.code().get() {
                230 | 232 | 332 | 400.. => self.client_answered(step, Verb::Pass, reply),
                _ => self.refuse_login(step, 530),
            },
        }
    }

    /// Puts what the upstream says of a granted account in our words.
    pub(in crate::engine) fn masked_login(&self, reply: &Reply) -> Option<Reply> {
        let exits = self.known.get()?.exits.as_deref()?;
        exits.login.plan.as_ref().filter(|plan| plan.masked)?;
        let code = reply.code().get();
        let words = match code {
            200..300 => "Login accepted.",
            300..400 => "More is needed to log in.",
            _ => "Login is not possible at the moment.",
        };
        Some(Reply::new(code, words))
    }

    /// Ends the plan, and takes the directory where the user is to begin.
    pub(in crate::engine) fn granted_directory(&mut self) -> Option<Box<[u8]>> {
        let plan = self.existing_exits()?.login.plan.take()?;
        Some(plan.start_in?.into_boxed_bytes())
    }

    /// The login failed: what was granted was for it alone.
    pub(in crate::engine) fn forget_grant(&mut self) {
        if let Some(exits) = self.existing_exits() {
            exits.login.plan = None;
        }
    }
}
