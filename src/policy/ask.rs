//! `ask`: somebody else decides. Who that is, how long it may take, and what is put to them at all.
//!
//! Asked is at the login, when name and password are both there (PASS), and about operations on files; about other
//! commands only by a rule that names their verb. As a client arrives and at USER such a rule waits for the password.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::condition::Condition;
use super::decision::{Effect, Origin};
use super::facts::{Facts, PathFact, Subject};
use super::index::can_match;
use super::operation::Operation;
use super::request::Request;
use super::rule::Rule;
use super::set::RuleSet;
use super::value::Value;
use crate::ftp::Verb;

/// How long an answer may be in coming where the rule does not say.
pub(super) const USUAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is asked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Who is asked.
    pub exit: Exit,
    /// How long the answer may be in coming; without one it is no.
    pub timeout: Duration,
    /// The password files that an answer may name; no other is ever used.
    pub password_files: Vec<String>,
}

/// Names who is asked by `ask`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Who listens at this Unix socket.
    Unix(String),
    /// This program, with its arguments.
    Exec(Vec<String>),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Unix(path) => write!(f, "whoever listens at {path}"),
            Exit::Exec(words) => f.write_str(&words.join(" ")),
        }
    }
}

impl RuleSet {
    /// Lists whoever may be asked, with the rule that does.
    pub fn exits(&self) -> impl Iterator<Item = (&Arc<Origin>, &Arc<Ask>)> {
        self.rules.iter().filter_map(|rule| match rule.decides() {
            Some(Effect::Ask(ask)) => Some((&rule.origin, ask)),
            Some(Effect::Allow | Effect::Deny(_) | Effect::Close(_)) | None => None,
        })
    }

    /// Tells whether a rule asks somebody.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// Shows the path that a command names, as rules see it; None where it names none or it can't be told.
    #[must_use]
    pub fn path_of(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        match Facts::of(request, true).subject {
            Subject::Command {
                path: PathFact::Known(path),
                ..
            } => Some(path.shown()),
            Subject::Command { .. } | Subject::None | Subject::AnyOf(_) | Subject::Coming => None,
        }
    }
}

impl Rule {
    /// Compares with what is known; what is not put to anybody now waits, or never comes.
    pub(super) fn value(&self, facts: &Facts<'_>) -> Value {
        let value = self.when.value(facts);
        match (&self.effect, value) {
            (Some(Effect::Ask(_)), Value::True | Value::Unknown) => self.scope(facts, value),
            (_, value) => value,
        }
    }

    fn scope(&self, facts: &Facts<'_>, value: Value) -> Value {
        let verb = match &facts.subject {
            Subject::None => return Value::Waits,
            Subject::Coming => return value,
            Subject::AnyOf(verb) => *verb,
            Subject::Command { words, .. } => words.verb,
        };
        let about_files = match &facts.subject {
            Subject::Command { operation, .. } => operation.is_some(),
            Subject::AnyOf(_) | Subject::None | Subject::Coming => true,
        };
        match verb {
            Verb::Pass => value,
            _ if about_files || names_verbs(&self.when) => value,
            Verb::User => Value::Waits,
            _ => Value::Never,
        }
    }

    pub(super) fn asks(&self) -> bool {
        matches!(self.decides(), Some(Effect::Ask(_)))
    }

    /// Tells whether somebody may be asked about a path.
    pub(super) fn asks_about_files(&self) -> bool {
        let concerns = |verb: Verb| {
            let possible = Operation::possible(verb);
            let set = possible
                .as_ref()
                .map(|all| all.iter().flatten().fold(0, |set, one| set | one.bit()));
            set != Some(0) && can_match(&self.when, verb, set)
        };
        self.asks() && Verb::ALL.iter().copied().any(concerns)
    }

    /// Tells whether nothing below it is reached where its condition holds.
    pub(super) fn ends(&self) -> bool {
        matches!(
            self.decides(),
            Some(Effect::Allow | Effect::Deny(_) | Effect::Close(_))
        )
    }
}

/// Tells whether a condition names the verbs that it is about.
fn names_verbs(condition: &Condition) -> bool {
    match condition {
        Condition::Command(asks) => matches!(asks, super::asks::Asks::Verb(_)),
        Condition::All(all) => all.iter().any(names_verbs),
        Condition::Any(any) => !any.is_empty() && any.iter().all(names_verbs),
        _ => false,
    }
}
