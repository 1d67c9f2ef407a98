//! All rules in force, and the one function that decides by them.

use std::sync::Arc;

use super::decision::{Answer, Decision, Hide, Limits, Observed, Origin, Verdict, Why};
use super::facts::{Facts, Subject};
use super::index::{Candidates, Index};
use super::request::{Circumstances, Moment, Request};
use super::rule::Rule;
use super::value::Value;
use crate::ftp::Verb;

/// The verdict when no rule has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// It may happen.
    Allow,
    /// Every operation on files is denied; connecting, logging in, leaving and asking for help stay possible.
    Deny,
}

/// The rules in force.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub(super) default: Default,
    pub(super) default_origin: Arc<Origin>,
    pub(super) rules: Vec<Rule>,
    pub(super) index: Index,
    pub(super) needs_paths: bool,
    pub(super) needs_sizes: bool,
    /// A rule that asks for names has a verdict.
    pub(super) asks_for_names: bool,
    pub(super) asks: bool,
}

impl RuleSet {
    pub(super) fn of(default: Default, rules: Vec<Rule>) -> RuleSet {
        RuleSet {
            default,
            default_origin: Arc::new(Origin::default_verdict()),
            index: Index::of(&rules),
            needs_paths: rules
                .iter()
                .any(|rule| rule.when.asks_for_paths() || rule.asks_about_files()),
            needs_sizes: rules.iter().any(|rule| rule.when.asks_for_sizes()),
            asks_for_names: rules
                .iter()
                .any(|rule| rule.decides().is_some() && rule.when.asks_for_names()),
            asks: rules.iter().any(Rule::asks),
            rules,
        }
    }

    /// Makes a set without any rule.
    #[must_use]
    pub fn empty(default: Default) -> RuleSet {
        RuleSet::of(default, Vec::new())
    }

    /// Decides a request.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let facts = Facts::of(request, self.needs_paths);
        match self.index.candidates(&facts) {
            Some(candidates) => self.decide_among(&facts, candidates.numbers()),
            None => self.decide_among(&facts, 0..self.rules.len()),
        }
    }

    /// Decides by every rule, one after the other; what [`RuleSet::decide`] must agree with.
    #[must_use]
    pub fn decide_by_all(&self, request: &Request<'_>) -> Decision {
        self.decide_among(&Facts::of(request, self.needs_paths), 0..self.rules.len())
    }

    fn decide_among(&self, facts: &Facts<'_>, numbers: impl Iterator<Item = usize>) -> Decision {
        let mut limits = Limits::default();
        let mut hide = Hide::default();
        let mut observed = Vec::new();
        let mut put_off: Option<&Arc<Origin>> = None;
        for rule in numbers.filter_map(|number| self.rules.get(number)) {
            let value = rule.value(facts);
            if value == Value::Waits && put_off.is_none() {
                let may_allow = rule.decides().is_some_and(|effect| !effect.refuses());
                put_off = may_allow.then_some(&rule.origin);
            }
            if !rule.applies(value) {
                continue;
            }
            if rule.observe {
                observed.push(Observed {
                    rule: Arc::clone(&rule.origin),
                    would: rule.would(),
                });
                continue;
            }
            limits = limits.tightened(rule.limits);
            if !rule.hide.is_none() {
                hide.add(&rule.hide);
            }
            let Some(effect) = &rule.effect else { continue };
            let (verdict, origin, why) = match put_off {
                Some(origin) if effect.refuses() => (Verdict::Allow, origin, Why::PutOff),
                _ if value == Value::Unknown => {
                    (effect.verdict(facts.words()), &rule.origin, Why::CannotTell)
                }
                _ => (effect.verdict(facts.words()), &rule.origin, Why::Matched),
            };
            return Decision {
                verdict,
                rule: Arc::clone(origin),
                why,
                limits,
                hide,
                observed,
            };
        }
        let (verdict, why) = self.by_default(facts, put_off.is_some());
        let rule = match (why, put_off) {
            (Why::PutOff, Some(origin)) => origin,
            _ => &self.default_origin,
        };
        Decision {
            verdict,
            rule: Arc::clone(rule),
            why,
            limits,
            hide,
            observed,
        }
    }

    fn by_default(&self, facts: &Facts<'_>, is_put_off: bool) -> (Verdict, Why) {
        let is_operation = match &facts.subject {
            Subject::Command { operation, .. } => operation.is_some(),
            Subject::None | Subject::AnyOf(_) | Subject::Coming => false,
        };
        match (self.default, is_operation) {
            (Default::Allow, true) => (Verdict::Allow, Why::NoRule),
            (_, false) => (Verdict::Allow, Why::NoOperation),
            (Default::Deny, true) if is_put_off => (Verdict::Allow, Why::PutOff),
            (Default::Deny, true) => {
                let answer = Answer {
                    code: 550,
                    text: "Not allowed: no rule of this gateway allows it.".into(),
                };
                (Verdict::Deny(answer.reply(None)), Why::NoRule)
            }
        }
    }

    /// Tells whether a rule may yet limit or count what goes over a data connection that was just negotiated: then it is
    /// relayed by this process. `request` is that of [`Moment::Data`]; which transfer will use it is not known.
    #[must_use]
    pub fn could_limit(&self, request: &Request<'_>) -> bool {
        if self.needs_sizes {
            // What was allowed as small is held to it.
            return true;
        }
        let facts = Facts::before_transfer(request);
        for rule in &self.rules {
            let value = rule.value(&facts);
            let may = match value {
                Value::True | Value::Unknown | Value::Waits => true,
                Value::False | Value::Never => false,
            };
            if may && !rule.observe && !rule.limits.is_none() {
                return true;
            }
            // What is decided whatever comes is not asked further.
            if value == Value::True && rule.decides().is_some() {
                return false;
            }
        }
        false
    }

    /// Tells whether a verb is refused in this session whatever stands behind it: FEAT does not offer such verbs.
    #[must_use]
    pub fn denies_always(&self, session: &Circumstances<'_>, verb: Verb) -> bool {
        let facts = Facts::any_of(session, verb);
        for rule in &self.rules {
            let Some(effect) = rule.decides() else {
                continue;
            };
            match (rule.value(&facts), effect.refuses()) {
                (Value::True, refuses) => return refuses,
                (Value::Unknown | Value::Waits, false) => return false,
                (Value::Unknown | Value::Waits, true) | (Value::False | Value::Never, _) => {}
            }
        }
        let is_operation = super::Operation::possible(verb)
            .is_some_and(|possible| possible.iter().all(Option::is_some));
        self.default == Default::Deny && is_operation
    }

    /// Tells whether a rule asks for paths: then the working directory has to be known, and how paths are written.
    #[must_use]
    pub fn needs_paths(&self) -> bool {
        self.needs_paths
    }

    /// Tells whether a rule asks for sizes: then what ALLO and SIZE told has to be kept, and held to.
    #[must_use]
    pub fn needs_sizes(&self) -> bool {
        self.needs_sizes
    }

    /// Returns how many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Tells whether any rule is asked at this moment that has a verdict or adds something.
    #[must_use]
    pub fn is_asked_at(&self, moment: Moment) -> bool {
        moment == Moment::Command || !self.rules.is_empty()
    }
}

/// The numbers of the rules that may match.
impl Candidates {
    fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.iter()
    }
}
