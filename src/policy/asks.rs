//! What a rule asks of a command: verb, operation, path and what else stands behind the verb.

use regex::bytes::Regex;

use super::facts::{Facts, PathFact, Subject};
use super::operation::{Operation, first_word};
use super::path_glob::PathGlob;
use super::request::{Moment, moves_a_file};
use super::text::Text;
use super::value::Value;
use crate::ftp::{Verb, escaped};
use crate::yaml::quantity::show_size;

/// One thing that a rule asks of a command.
#[derive(Clone, Debug)]
pub(super) enum Asks {
    Verb(Vec<VerbName>),
    /// A bit for each operation.
    Operation(u16),
    /// Words behind SITE, in upper case.
    Site(Vec<Box<[u8]>>),
    Path(Vec<PathPattern>),
    /// In lower case.
    Extension(Vec<Box<[u8]>>),
    Argument(Vec<Regex>),
    Size {
        over: Option<u64>,
        up_to: Option<u64>,
    },
}

/// A verb in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VerbName {
    Known(Verb),
    /// In upper case.
    Other(Box<[u8]>),
}

/// A pattern for paths, as it stands and in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPattern {
    pub(super) exact: PathGlob,
    pub(super) folded: PathGlob,
    /// With `{user}` it is this for whoever may log in, in lower case.
    anybody: Option<PathGlob>,
}

impl PathPattern {
    pub(super) fn parse(text: &str) -> Result<PathPattern, &'static str> {
        let exact = PathGlob::parse(text)?;
        let folded = exact.folded();
        Ok(PathPattern {
            anybody: exact.names_user().then(|| folded.of_anybody()),
            folded,
            exact,
        })
    }
}

impl Asks {
    /// Compares with what is known.
    pub(super) fn value(&self, facts: &Facts<'_>) -> Value {
        let (words, operation, path) = match &facts.subject {
            Subject::None | Subject::Coming => return Value::Waits,
            Subject::AnyOf(verb) => return self.of_verb(*verb),
            Subject::Command {
                words,
                operation,
                path,
            } => (words, *operation, path),
        };
        match self {
            Asks::Verb(names) => Value::from(names.iter().any(|name| match name {
                VerbName::Known(verb) => words.verb.canonical() == verb.canonical(),
                VerbName::Other(name) => words.spelled.eq_ignore_ascii_case(name),
            })),
            Asks::Operation(set) => {
                Value::from(operation.is_some_and(|operation| set & operation.bit() != 0))
            }
            Asks::Site(names) if words.verb == Verb::Site => {
                let word = first_word(words.argument.unwrap_or_default());
                Value::from(names.iter().any(|name| word.eq_ignore_ascii_case(name)))
            }
            Asks::Site(_) => Value::False,
            Asks::Path(patterns) => match path {
                PathFact::None => Value::Never,
                PathFact::Unknown(_) | PathFact::NotAsked => Value::Unknown,
                PathFact::Known(path) => {
                    let names = facts
                        .account
                        .as_ref()
                        .map(|account| (account.bare(), account.folded_bare()));
                    patterns.iter().fold(Value::False, |value, pattern| {
                        let this = match (&pattern.anybody, names) {
                            // Without a user `{user}` may become any name.
                            (Some(anybody), None) => Value::of(false, path.may_match(anybody)),
                            _ => path.value(&pattern.exact, &pattern.folded, names),
                        };
                        value.or(this)
                    })
                }
            },
            Asks::Extension(extensions) => match path {
                PathFact::None => Value::Never,
                PathFact::Unknown(_) | PathFact::NotAsked => Value::Unknown,
                PathFact::Known(path) => {
                    extensions.iter().fold(Value::False, |value, extension| {
                        value.or(path.has_extension(extension))
                    })
                }
            },
            // Passwords are nobody's business here either.
            Asks::Argument(_) if words.verb.has_secret_argument() => Value::Never,
            Asks::Argument(patterns) => {
                let argument = words.argument.unwrap_or_default();
                Value::from(patterns.iter().any(|pattern| pattern.is_match(argument)))
            }
            Asks::Size { over, up_to } => match (facts.moment, facts.size) {
                _ if !moves_a_file(words.verb) => Value::Never,
                (Moment::Connection | Moment::Command, _) => Value::Waits,
                (Moment::Data, _) => Value::Never,
                (Moment::Transfer, None) => Value::Unknown,
                (Moment::Transfer, Some(size)) => Value::from(
                    over.is_none_or(|least| size > least) && up_to.is_none_or(|most| size <= most),
                ),
            },
        }
    }

    /// Compares with a verb behind which anything may stand.
    fn of_verb(&self, verb: Verb) -> Value {
        match self {
            Asks::Verb(names) => names.iter().fold(Value::False, |value, name| {
                value.or(match name {
                    VerbName::Known(known) => Value::from(known.canonical() == verb.canonical()),
                    VerbName::Other(_) if verb == Verb::Unknown => Value::Waits,
                    VerbName::Other(_) => Value::False,
                })
            }),
            Asks::Operation(set) => match Operation::possible(verb) {
                None => Value::Waits,
                Some(possible) => {
                    let inside = |operation: &Option<Operation>| {
                        operation.is_some_and(|operation| set & operation.bit() != 0)
                    };
                    match (possible.iter().all(inside), possible.iter().any(inside)) {
                        (true, _) => Value::True,
                        (false, true) => Value::Waits,
                        (false, false) => Value::False,
                    }
                }
            },
            Asks::Site(_) if verb != Verb::Site => Value::False,
            Asks::Site(_)
            | Asks::Path(_)
            | Asks::Extension(_)
            | Asks::Argument(_)
            | Asks::Size { .. } => Value::Waits,
        }
    }
}

/// Returns an extension in the form in which it is compared.
pub(super) fn extension(text: &str) -> Box<[u8]> {
    Text::folded(text.trim_start_matches('.').as_bytes())
        .as_slice()
        .into()
}

impl Asks {
    /// Names the key of `when` that it was read from.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Asks::Verb(_) => "verb",
            Asks::Operation(_) => "operation",
            Asks::Site(_) => "site",
            Asks::Path(_) => "path",
            Asks::Extension(_) => "extension",
            Asks::Argument(_) => "argument",
            Asks::Size { .. } => "size",
        }
    }

    /// Shows what it was compared with.
    pub(super) fn actual(&self, facts: &Facts<'_>) -> Option<String> {
        let Subject::Command {
            words,
            operation,
            path,
        } = &facts.subject
        else {
            return None;
        };
        match self {
            Asks::Verb(_) => Some(escaped(words.spelled).to_string()),
            Asks::Operation(_) => Some(match operation {
                Some(operation) => operation.to_string(),
                None => "no operation on files".to_owned(),
            }),
            Asks::Site(_) => None,
            Asks::Path(_) | Asks::Extension(_) => match path {
                PathFact::Known(path) => Some(escaped(&path.shown()).to_string()),
                PathFact::Unknown(doubt) => Some(doubt.to_string()),
                PathFact::None | PathFact::NotAsked => None,
            },
            Asks::Argument(_) => None,
            Asks::Size { .. } => Some(match facts.size {
                Some(size) => show_size(size),
                None => "nobody knows it".to_owned(),
            }),
        }
    }
}
