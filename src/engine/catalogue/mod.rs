//! The event catalogue: what each event means, what the gateway did, and what an operator may do.
//!
//! It is data, so that the docs page, the journal's field order and the code cannot drift apart: a new
//! variant of [`Event`] does not compile until it has an entry, and tests hold the journal's lines to it.

mod entries;
mod fields;
mod words;

use std::fmt;

use super::Event;

pub use fields::{FIELDS, Field, field};
pub use words::{WORDS, Word};

/// How much attention an event deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The expected course of things.
    Info,
    /// Something was refused or failed; usual in small numbers.
    Notice,
    /// An operator must look.
    Warning,
}

impl Severity {
    /// Gives the stable word that stands in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Notice => "notice",
            Severity::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about one kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stable event id.
    pub id: &'static str,
    /// How much attention it deserves.
    pub severity: Severity,
    /// What happened.
    pub meaning: &'static str,
    /// What the gateway did about it.
    pub gateway: &'static str,
    /// What the operator may do.
    pub operator: &'static str,
    /// The fields of its own, in the order in which they stand in a line; a `?` marks one that may be absent.
    pub fields: &'static [&'static str],
}

/// Defines [`CATALOGUE`] and the way from an event to its entry; a variant without an entry does not compile.
macro_rules! catalogue {
    ($($variant:ident $id:literal $severity:ident {
        meaning: $meaning:literal,
        gateway: $gateway:literal,
        operator: $operator:literal,
        fields: [$($field:literal),* $(,)?] $(,)?
    })+) => {
        /// Every kind of event, in the order of the docs page.
        pub static CATALOGUE: &[Entry] = &[$(Entry {
            id: $id,
            severity: Severity::$severity,
            meaning: $meaning,
            gateway: $gateway,
            operator: $operator,
            fields: &[$($field),*],
        }),+];

        impl Event {
            /// Gives the stable event id.
            pub fn id(&self) -> &'static str {
                match self {
                    $(Event::$variant { .. } => $id,)+
                }
            }

            /// Gives the event's severity, which is that of its kind.
            pub fn severity(&self) -> Severity {
                match self {
                    $(Event::$variant { .. } => Severity::$severity,)+
                }
            }
        }
    };
}
use catalogue;

pub use entries::CATALOGUE;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_dotted_and_unique() {
        let mut seen = HashSet::new();
        for entry in CATALOGUE {
            assert!(seen.insert(entry.id), "{} stands twice", entry.id);
            let parts: Vec<&str> = entry.id.split('.').collect();
            assert_eq!(parts.len(), 2, "{}", entry.id);
            assert!(
                parts
                    .iter()
                    .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase())),
                "{}",
                entry.id
            );
        }
    }

    #[test]
    fn every_entry_says_everything() {
        for entry in CATALOGUE {
            for text in [entry.meaning, entry.gateway, entry.operator] {
                assert!(text.ends_with('.'), "{}: {text:?}", entry.id);
            }
        }
    }

    #[test]
    fn every_field_is_described_once_and_used() {
        let mut described = HashSet::new();
        for field in FIELDS {
            assert!(described.insert(field.name), "{} stands twice", field.name);
        }
        let mut used: HashSet<&str> = FIELDS
            .iter()
            .filter(|field| field.everywhere)
            .map(|field| field.name)
            .collect();
        for entry in CATALOGUE {
            for name in entry.fields {
                let name = name.trim_end_matches('?');
                assert!(
                    field(name).is_some(),
                    "{}: {name} is not described",
                    entry.id
                );
                used.insert(name);
            }
        }
        assert_eq!(described, used);
    }
}
