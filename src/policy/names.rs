//! Whether rules may refuse some names and not others at a login: then nobody shall hear which.

use super::asks::Asks;
use super::condition::Condition;
use super::facts::{Facts, PathFact, Subject};
use super::request::{Circumstances, Words};
use super::set::RuleSet;
use super::value::Value;
use crate::ftp::Verb;

impl RuleSet {
    /// Tells whether what the rules say to USER or PASS may depend on the user's name. What only may come to that counts too.
    #[must_use]
    pub fn judges_names(&self, session: &Circumstances<'_>) -> bool {
        let nobody = Circumstances {
            user: None,
            ..*session
        };
        self.asks_for_names
            && [Verb::User, Verb::Pass]
                .into_iter()
                .any(|verb| self.tells_names_apart(&nobody, verb))
    }

    fn tells_names_apart(&self, session: &Circumstances<'_>, verb: Verb) -> bool {
        let any = Facts::any_of(session, verb);
        let words = Words {
            verb,
            spelled: verb.name().as_bytes(),
            argument: None,
        };
        let nameless = Facts {
            subject: Subject::Command {
                words,
                operation: None,
                path: PathFact::None,
            },
            ..Facts::any_of(session, verb)
        };
        let (mut may_allow, mut may_refuse, mut asks) = (false, false, false);
        for rule in &self.rules {
            let Some(effect) = rule.decides() else {
                continue;
            };
            // What stands behind the verb is not known; what belongs to other verbs is never asked here.
            let value = match rule.when.asks_for_arguments() {
                true => rule.when.value(&any),
                false => rule.when.value(&nameless),
            };
            match value {
                Value::False | Value::Never => continue,
                Value::True | Value::Unknown | Value::Waits => {}
            }
            may_refuse |= effect.refuses();
            may_allow |= !effect.refuses();
            if value == Value::True {
                return asks && may_allow && may_refuse;
            }
            asks |= rule.when.asks_for_names();
        }
        // What no rule decides at a login passes.
        asks && may_refuse
    }
}

impl Condition {
    /// Tells whether it or a part of it asks for the user's name.
    pub(super) fn asks_for_names(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().any(Condition::asks_for_names)
            }
            Condition::Not(condition) => condition.asks_for_names(),
            // The name is what stands behind USER.
            Condition::User(_) | Condition::Command(Asks::Argument(_)) => true,
            _ => false,
        }
    }

    /// Tells whether it or a part of it asks for what stands behind a verb.
    fn asks_for_arguments(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().any(Condition::asks_for_arguments)
            }
            Condition::Not(condition) => condition.asks_for_arguments(),
            Condition::Command(asks) => matches!(asks, Asks::Argument(_)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Default, Source, Surroundings};

    fn judges(rules: &str) -> bool {
        let text = format!("version: 1\nrules:\n{rules}");
        let source = Source {
            name: "house.yaml",
            bytes: text.as_bytes(),
        };
        let loaded = RuleSet::load(Default::Allow, &[source], Surroundings::default());
        let rules = loaded.expect("good rules").rules;
        let session = Circumstances {
            client: Some([192, 0, 2, 1].into()),
            ..Circumstances::default()
        };
        rules.judges_names(&session)
    }

    #[test]
    fn rules_that_refuse_some_names_and_not_others_judge_names() {
        for rules in [
            "  - {name: a, when: {user: [root]}, then: {deny: \"530 no\"}}\n",
            "  - {name: a, when: {not: {user: [bob]}}, then: {deny: \"530 no\"}}\n",
            "  - {name: a, when: {user: [root]}, then: {close: \"421 no\"}}\n",
            "  - {name: a, when: {verb: [PASS], user: [root]}, then: {deny: \"530 no\"}}\n",
            "  - {name: a, when: {verb: [USER], argument: [\"^root$\"]}, then: {deny: \"530 no\"}}\n",
            "  - {name: a, when: {user: [bob]}, then: {allow: true}}\n  - {name: b, when: {verb: [USER]}, then: {deny: \"530 no\"}}\n",
            "  - {name: a, when: {user: [bob]}, then: {allow: true}}\n  - {name: b, when: {logged_in: false}, then: {deny: \"530 no\"}}\n",
            "  - {name: a, when: {client: [192.0.2.0/24], user: [root]}, then: {deny: \"530 no\"}}\n",
        ] {
            assert!(judges(rules), "{rules}");
        }
    }

    #[test]
    fn rules_that_treat_all_names_alike_at_a_login_do_not() {
        for rules in [
            "  - {name: a, when: {user: [bob], path: [\"/a/**\"]}, then: {deny: \"550 no\"}}\n",
            "  - {name: a, when: {user: [bob], logged_in: true}, then: {deny: \"550 no\"}}\n",
            "  - {name: a, when: {user: [bob], operation: [delete]}, then: {deny: \"550 no\"}}\n",
            "  - {name: a, when: {verb: [USER]}, then: {deny: \"530 no\"}}\n",
            "  - {name: a, when: {user: [bob]}, then: {limit: {download: 1MiB/s}}}\n",
            "  - {name: a, when: {user: [bob]}, then: {deny: \"530 no\", observe: true}}\n",
            "  - {name: a, when: {client: [198.51.100.0/24], user: [root]}, then: {deny: \"530 no\"}}\n",
            "  - {name: a, when: {user: [bob]}, then: {allow: true}}\n",
            "  - {name: a, when: {verb: [USER, PASS]}, then: {allow: true}}\n  - {name: b, when: {user: [bob]}, then: {deny: \"530 no\"}}\n",
        ] {
            assert!(!judges(rules), "{rules}");
        }
    }
}
