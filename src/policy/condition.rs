//! What a rule asks for, and how that compares with what is known.

use std::sync::Arc;

use super::asks::Asks;
use super::facts::{Facts, Subject};
use super::glob::Glob;
use super::network::Networks;
use super::request::{LegMode, Moment, negotiates};
use super::user::Users;
use super::value::Value;
use super::window::Window;

/// One thing that a rule asks for, or several.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Client(Vec<Arc<Networks>>),
    Listener(Vec<Arc<str>>),
    Upstream(Vec<Arc<str>>),
    User(Vec<Arc<Users>>),
    LoggedIn(bool),
    ControlTls(bool),
    DataTls(bool),
    Certificate(Vec<Glob>),
    Command(Asks),
    DataMode {
        client: Option<LegMode>,
        upstream: Option<LegMode>,
    },
    Time(Window),
    Moment(Vec<Moment>),
}

impl Condition {
    /// Compares with what is known.
    pub(super) fn value(&self, facts: &Facts<'_>) -> Value {
        match self {
            Condition::All(all) => {
                let mut value = Value::True;
                for condition in all {
                    value = value.and(condition.value(facts));
                    if value == Value::False {
                        break;
                    }
                }
                value
            }
            Condition::Any(any) => {
                let mut value = Value::False;
                for condition in any {
                    value = value.or(condition.value(facts));
                    if value == Value::True {
                        break;
                    }
                }
                value
            }
            Condition::Not(condition) => condition.value(facts).negated(),
            Condition::Client(sets) => match facts.session.client {
                Some(client) => Value::from(sets.iter().any(|set| set.contain(client))),
                None => Value::Unknown,
            },
            Condition::Listener(names) => match facts.session.listener {
                Some(listener) => Value::from(names.iter().any(|name| **name == *listener)),
                None => Value::Unknown,
            },
            Condition::Upstream(names) => match facts.session.upstream {
                Some(upstream) => Value::from(names.iter().any(|name| **name == *upstream)),
                None => Value::Waits,
            },
            Condition::User(sets) => user(sets, facts),
            Condition::LoggedIn(wanted) => match facts.moment {
                Moment::Connection => Value::Waits,
                Moment::Command | Moment::Data | Moment::Transfer => match facts.subject {
                    // What is offered before the login is asked for after it.
                    Subject::AnyOf(_) if !facts.session.logged_in => Value::Waits,
                    _ => Value::from(facts.session.logged_in == *wanted),
                },
            },
            Condition::ControlTls(wanted) => match identified(facts) {
                true => Value::from(facts.session.control_tls == *wanted),
                false => Value::Waits,
            },
            Condition::Certificate(patterns) => {
                match (identified(facts), facts.session.certificate) {
                    (false, _) => Value::Waits,
                    (true, None) => Value::False,
                    (true, Some(name)) => Value::from(
                        patterns
                            .iter()
                            .any(|pattern| pattern.matches(name.as_bytes(), None)),
                    ),
                }
            }
            Condition::DataTls(wanted) => match facts.data {
                Some(data) => Value::from(data.tls == *wanted),
                None => before_data(facts),
            },
            Condition::DataMode { client, upstream } => match facts.data {
                Some(data) => {
                    let fits =
                        |wanted: &Option<LegMode>, is| wanted.is_none_or(|wanted| wanted == is);
                    Value::from(fits(client, data.client) && fits(upstream, data.upstream))
                }
                None => before_data(facts),
            },
            Condition::Command(asks) => asks.value(facts),
            Condition::Time(window) => window.value(facts.session.at),
            Condition::Moment(moments) => moment(moments, facts),
        }
    }

    /// Collects what must all hold.
    pub(super) fn flatten<'c>(&'c self, into: &mut Vec<&'c Condition>) {
        match self {
            Condition::All(all) => all.iter().for_each(|condition| condition.flatten(into)),
            _ => into.push(self),
        }
    }

    /// Tells whether it or a part of it asks for a path.
    pub(super) fn asks_for_paths(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().any(Condition::asks_for_paths)
            }
            Condition::Not(condition) => condition.asks_for_paths(),
            Condition::Command(asks) => matches!(asks, Asks::Path(_) | Asks::Extension(_)),
            _ => false,
        }
    }

    /// Tells whether it or a part of it asks for a file's size.
    pub(super) fn asks_for_sizes(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().any(Condition::asks_for_sizes)
            }
            Condition::Not(condition) => condition.asks_for_sizes(),
            Condition::Command(asks) => matches!(asks, Asks::Size { .. }),
            _ => false,
        }
    }

    /// Finds what of a condition that is no `True` made it so, for people.
    pub(super) fn culprit(&self, facts: &Facts<'_>) -> &Condition {
        let whole = self.value(facts);
        match self {
            Condition::All(all) => all
                .iter()
                .find(|condition| condition.value(facts) == whole)
                .map_or(self, |condition| condition.culprit(facts)),
            Condition::Not(_)
            | Condition::Any(_)
            | Condition::Client(_)
            | Condition::Listener(_)
            | Condition::Upstream(_)
            | Condition::User(_)
            | Condition::LoggedIn(_)
            | Condition::ControlTls(_)
            | Condition::DataTls(_)
            | Condition::Certificate(_)
            | Condition::Command(_)
            | Condition::DataMode { .. }
            | Condition::Time(_)
            | Condition::Moment(_) => self,
        }
    }
}

fn user(sets: &[Arc<Users>], facts: &Facts<'_>) -> Value {
    match (&facts.account, &facts.subject) {
        (Some(account), _) => sets
            .iter()
            .fold(Value::False, |value, set| value.or(set.value(account))),
        // Files before any login: somebody is let in without a name, and nobody knows who.
        (
            None,
            Subject::Command {
                operation: Some(_), ..
            },
        ) => Value::Unknown,
        (None, _) => Value::Waits,
    }
}

/// Tells whether a session has come so far that who it is matters: USER was given, or a file is asked for. Before that
/// a client must be able to ask for TLS.
fn identified(facts: &Facts<'_>) -> bool {
    let asks_for_a_file = matches!(
        facts.subject,
        Subject::Command {
            operation: Some(_),
            ..
        }
    );
    facts.moment != Moment::Connection && (facts.account.is_some() || asks_for_a_file)
}

/// Says of a condition about the data connection whether there will be one.
fn before_data(facts: &Facts<'_>) -> Value {
    match &facts.subject {
        Subject::None | Subject::Coming | Subject::AnyOf(_) => Value::Waits,
        Subject::Command { words, .. } if words.verb.is_transfer() || negotiates(words.verb) => {
            Value::Waits
        }
        Subject::Command { .. } => Value::Never,
    }
}

fn moment(moments: &[Moment], facts: &Facts<'_>) -> Value {
    if moments.contains(&facts.moment) {
        return Value::True;
    }
    let comes = |moment: &Moment| match (moment, &facts.subject) {
        (Moment::Connection, _) => false,
        (_, Subject::None) => true,
        (Moment::Command, _) => false,
        (Moment::Data, Subject::Command { words, .. }) => {
            facts.moment == Moment::Command && negotiates(words.verb)
        }
        (Moment::Transfer, Subject::Command { words, .. }) => words.verb.is_transfer(),
        (Moment::Data | Moment::Transfer, Subject::AnyOf(_) | Subject::Coming) => true,
    };
    if moments.iter().any(comes) {
        Value::Waits
    } else {
        Value::False
    }
}
