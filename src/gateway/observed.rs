//! Counts what rules and checks that only observe would have done, for whoever wants to let them bite.
//!
//! Invariant: what is counted is a record of its own too; nothing is decided here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::status::ObservedReport;
use crate::engine::{Event, Ruling};

/// Most rules and checks that are told apart; reloads may bring new names for ever.
const MOST: usize = 10_000;

/// What was observed since the start, by what would have done what.
#[derive(Debug, Default)]
pub(super) struct Observed {
    counts: Mutex<BTreeMap<(String, &'static str), u64>>,
}

impl Observed {
    /// Counts an event, if it is an observation.
    pub(super) fn count(&self, event: &Event) {
        let (what, would) = match event {
            Event::RuleObserved {
                rule: Ruling(rule),
                would,
                ..
            } => (rule.name.to_string(), *would),
            Event::CheckObserved { check, .. } => (check.word().to_owned(), "refuse"),
            _ => return,
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() < MOST || counts.contains_key(&(what.clone(), would)) {
            *counts.entry((what, would)).or_default() += 1;
        }
    }

    /// Reports all of it, by name.
    pub(super) fn report(&self) -> Vec<ObservedReport> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = counts.iter().map(|((what, would), count)| ObservedReport {
            what: what.clone(),
            would: (*would).to_owned(),
            count: *count,
        });
        reports.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Check, Refusal};

    #[test]
    fn observations_are_counted_by_name_and_nothing_else_is() {
        let observed = Observed::default();
        let check = |check| Event::CheckObserved {
            command: "NOOP".to_owned(),
            check,
            code: 501,
        };
        for event in [
            check(Check::LowPort),
            check(Check::BareLf),
            check(Check::LowPort),
            Event::CommandRefused {
                command: "NOOP".to_owned(),
                why: Refusal::Malformed,
                code: 501,
            },
        ] {
            observed.count(&event);
        }
        let told: Vec<_> = observed
            .report()
            .into_iter()
            .map(|one| (one.what, one.would, one.count))
            .collect();
        let refuse = || "refuse".to_owned();
        assert_eq!(
            told,
            [
                ("bare_lf".to_owned(), refuse(), 1),
                ("low_port".to_owned(), refuse(), 2)
            ]
        );
    }
}
