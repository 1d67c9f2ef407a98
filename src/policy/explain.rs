//! Why a decision is what it is: what each rule before it asked for that was not so.

use std::sync::Arc;

use super::condition::Condition;
use super::decision::{Decision, Origin, Verdict};
use super::facts::{Facts, PathFact, Subject};
use super::question::Question;
use super::request::{Moment, Request};
use super::set::RuleSet;
use super::value::Value;
use crate::ftp::escaped;

/// What was decided at one moment, and how it came to that.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The moment.
    pub moment: Moment,
    /// What was decided.
    pub decision: Decision,
    /// The path that the command names, or why it can't be told; None where it names none.
    pub path: Option<Result<String, String>>,
    /// The rules that were asked before a verdict came, in order.
    pub asked: Vec<Step>,
    /// Whether the transfer is relayed by this process because a rule may limit or count it.
    pub could_limit: bool,
}

/// One rule that was asked.
#[derive(Clone, Debug)]
pub struct Step {
    /// The rule.
    pub rule: Arc<Origin>,
    /// What its condition came to.
    pub value: Value,
    /// Whether it applied.
    pub applied: bool,
    /// Why it came to that, in words.
    pub because: String,
}

impl RuleSet {
    /// Explains a decision.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let decision = self.decide(request);
        let facts = Facts::of(request, true);
        let mut asked = Vec::new();
        for rule in &self.rules {
            let value = rule.value(&facts);
            let applied = rule.applies(value);
            let because = match (value, applied) {
                (Value::True, _) if rule.observe => {
                    "it matches, and is told to observe only".to_owned()
                }
                (Value::True, _) => "it matches".to_owned(),
                (Value::Waits | Value::Never, _)
                    if rule.when.value(&facts) != value && rule.decides().is_some() =>
                {
                    match value {
                        Value::Waits => "it asks when the password is there (PASS)".to_owned(),
                        _ => "it asks about logins and operations on files".to_owned(),
                    }
                }
                _ => rule.when.reason(&facts, value),
            };
            asked.push(Step {
                rule: Arc::clone(&rule.origin),
                value,
                applied,
                because,
            });
            if applied && rule.decides().is_some() {
                break;
            }
        }
        let path = match &facts.subject {
            Subject::Command {
                path: PathFact::Known(path),
                ..
            } => Some(Ok(escaped(&path.shown()).to_string())),
            Subject::Command {
                path: PathFact::Unknown(doubt),
                ..
            } => Some(Err(doubt.to_string())),
            Subject::Command {
                path: PathFact::None | PathFact::NotAsked,
                ..
            } => None,
            Subject::None | Subject::AnyOf(_) | Subject::Coming => None,
        };
        let could_limit = match request.asked.moment() {
            Moment::Data => self.could_limit(request),
            Moment::Transfer => !decision.limits.is_none(),
            Moment::Connection | Moment::Command => false,
        };
        Explanation {
            moment: request.asked.moment(),
            decision,
            path,
            asked,
            could_limit,
        }
    }

    /// Explains every moment that a question comes to.
    #[must_use]
    pub fn explain_question(&self, question: &Question) -> Vec<Explanation> {
        question.put(|request| {
            let explanation = self.explain(request);
            let goes_on = explanation.decision.verdict == Verdict::Allow;
            (explanation, goes_on)
        })
    }
}

impl Condition {
    /// Says which part of a condition that does not hold made it so, and what was there instead.
    fn reason(&self, facts: &Facts<'_>, value: Value) -> String {
        let culprit = self.culprit(facts);
        let key = culprit.key();
        let is = culprit.actual(facts);
        match value {
            Value::True => "it matches".to_owned(),
            Value::False => match culprit {
                Condition::Not(inner) => {
                    format!("what stands behind `not` holds ({})", inner.keys())
                }
                Condition::Any(_) => "none of `any` holds".to_owned(),
                _ => format!("`{key}` does not match{is}"),
            },
            Value::Unknown => format!("`{key}` can't be told{is}"),
            Value::Waits => format!("`{key}` is told at a later moment"),
            Value::Never => format!("`{key}` is nothing that this command has"),
        }
    }

    fn keys(&self) -> String {
        let mut parts = Vec::new();
        self.flatten(&mut parts);
        let keys: Vec<String> = parts
            .iter()
            .map(|part| format!("`{}`", part.key()))
            .collect();
        keys.join(", ")
    }

    /// Names the key of `when` that it was read from.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Condition::All(_) => "all",
            Condition::Any(_) => "any",
            Condition::Not(_) => "not",
            Condition::Client(_) => "client",
            Condition::Listener(_) => "listener",
            Condition::Upstream(_) => "upstream",
            Condition::User(_) => "user",
            Condition::LoggedIn(_) => "logged_in",
            Condition::ControlTls(_) => "control_tls",
            Condition::DataTls(_) => "data_tls",
            Condition::Certificate(_) => "client_certificate",
            Condition::Command(asks) => asks.key(),
            Condition::DataMode { .. } => "data_mode",
            Condition::Time(_) => "time",
            Condition::Moment(_) => "moment",
        }
    }

    /// Says what it was compared with, in brackets; empty where there is nothing to show.
    fn actual(&self, facts: &Facts<'_>) -> String {
        let shown = match self {
            Condition::Client(_) => facts.session.client.map(|client| client.to_string()),
            Condition::Listener(_) => facts.session.listener.map(str::to_owned),
            Condition::Upstream(_) => facts.session.upstream.map(str::to_owned),
            Condition::User(_) => facts.session.user.map(|user| escaped(user).to_string()),
            Condition::Command(asks) => asks.actual(facts),
            Condition::Certificate(_) => facts.session.certificate.map(str::to_owned),
            Condition::All(_) | Condition::Any(_) | Condition::Not(_) | Condition::LoggedIn(_) => {
                None
            }
            Condition::ControlTls(_) | Condition::DataTls(_) | Condition::DataMode { .. } => None,
            Condition::Time(_) | Condition::Moment(_) => None,
        };
        shown.map_or_else(String::new, |shown| format!(" ({shown})"))
    }
}
