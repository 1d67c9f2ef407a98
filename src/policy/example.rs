//! Examples in rule files: a question and the answer that its author expects.

use std::fmt;
use std::sync::Arc;

use super::decision::{Limits, Verdict};
use super::question::Question;
use super::set::RuleSet;
use crate::yaml::choice::choice;

choice! {
    /// Names the verdicts that an example can expect.
    pub enum Expected {
        /// It may happen.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
        /// The session ends.
        Close = "close",
        /// Somebody is asked.
        Ask = "ask",
    }
}

/// One example.
#[derive(Clone, Debug)]
pub struct Example {
    /// What is asked.
    pub question: Question,
    /// The verdict that is expected.
    pub expect: Expected,
    /// The rule that should have given it, by its name in the file; `default` for none.
    pub rule: Option<String>,
    /// The limits that are expected, where the example speaks of any.
    pub limits: Option<Limits>,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// The line at which it begins.
    pub line: usize,
}

/// Says in what an example was wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failed {
    /// The file.
    pub file: Arc<str>,
    /// The line at which the example begins.
    pub line: usize,
    /// What was expected and what came.
    pub what: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: example failed: {}",
            self.file, self.line, self.what
        )
    }
}

/// Names a verdict as examples do.
#[must_use]
pub fn expected_of(verdict: &Verdict) -> Expected {
    match verdict {
        Verdict::Allow => Expected::Allow,
        Verdict::Deny(_) => Expected::Deny,
        Verdict::Close(_) => Expected::Close,
        Verdict::Ask(_) => Expected::Ask,
    }
}

impl Example {
    /// Puts the question to rules; says what was otherwise than expected.
    ///
    /// # Errors
    /// When the verdict, the rule or the limits are others.
    pub fn run(&self, rules: &RuleSet) -> Result<(), Failed> {
        let failed = |what| {
            Err(Failed {
                file: Arc::clone(&self.file),
                line: self.line,
                what,
            })
        };
        let Some((moment, decision)) = rules.answer(&self.question) else {
            return failed("nothing was asked".to_owned());
        };
        let came = expected_of(&decision.verdict);
        let by = &decision.rule.rule;
        if came != self.expect {
            return failed(format!(
                "`{}` was expected and `{came}` came from `{by}` at the {moment} ({})",
                self.expect, decision.why
            ));
        }
        if let Some(rule) = &self.rule
            && **by != **rule
        {
            return failed(format!(
                "the verdict is right, but `{by}` gave it and not `{rule}`"
            ));
        }
        match self.limits {
            Some(limits) if limits != decision.limits => failed(format!(
                "the verdict is right, but the limits are {:?}",
                decision.limits
            )),
            _ => Ok(()),
        }
    }
}
