//! Reads typed values out of the tree and collects what is wrong, each with its place.
//!
//! A value that can't be read is reported and replaced by its default, so that one run finds everything. The result is
//! only used when nothing was reported.

use super::choice::Choice;
use super::problem::{Excerpt, Problem, Refusal, Severity};
use super::section::Section;
use super::source::{Node, Place, Value};
use super::suggest::nearest;
use super::syntax::no_colon;
use super::wording::{one_of, shorten, show_key};

/// How many problems are told.
const MOST_PROBLEMS: usize = 50;

/// How many problems are kept to choose the first from; a large file of nonsense has millions.
const MOST_KEPT: usize = 1000;

/// Says at which paths of a format a key would be right.
pub(crate) type Homes = fn(&str) -> Vec<String>;

/// Collects problems of one file.
pub(crate) struct Reader<'t> {
    file: &'t str,
    lines: Vec<&'t str>,
    homes: Homes,
    problems: Vec<Problem>,
    has_errors: bool,
    dropped: usize,
}

/// A node and the path of keys that leads to it.
pub(crate) struct Item<'n> {
    pub(crate) node: &'n Node,
    pub(crate) key: String,
    /// Where the last key of the path stands.
    pub(crate) at: Place,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str, homes: Homes) -> Self {
        Self {
            file,
            lines: text.lines().collect(),
            homes,
            problems: Vec::new(),
            has_errors: false,
            dropped: 0,
        }
    }

    /// Returns the paths at which `key` would be right.
    pub(crate) fn homes(&self, key: &str) -> Vec<String> {
        (self.homes)(key)
    }

    pub(crate) fn error(&mut self, at: Place, key: &str, refusal: Refusal) {
        self.report(Severity::Error, at, key, refusal);
    }

    pub(crate) fn warn(&mut self, at: Place, key: &str, refusal: Refusal) {
        self.report(Severity::Warning, at, key, refusal);
    }

    fn report(
        &mut self,
        severity: Severity,
        at: Place,
        key: &str,
        Refusal { message, help }: Refusal,
    ) {
        self.has_errors |= severity == Severity::Error;
        if self.problems.len() >= MOST_KEPT {
            self.dropped += 1;
            return;
        }
        let (file, line, column, excerpt) = match at {
            Place::File {
                line,
                column,
                width,
            } => (
                self.file,
                Some(line),
                Some(column),
                self.excerpt(line, column, width),
            ),
            Place::Flag(flag) => (flag, None, None, None),
            Place::Whole => (self.file, None, None, None),
        };
        let file = file.to_owned();
        let key = key.to_owned();
        self.problems.push(Problem {
            severity,
            file,
            line,
            column,
            key,
            message,
            help,
            excerpt,
        });
    }

    fn excerpt(&self, line: usize, column: usize, width: usize) -> Option<Excerpt> {
        let line = self.lines.get(line.checked_sub(1)?)?;
        Some(Excerpt::of(line, column, width))
    }

    /// Tells whether nothing was reported at `key` or below it.
    pub(crate) fn clean(&self, key: &str) -> bool {
        !self.problems.iter().any(|problem| {
            problem.severity == Severity::Error
                && problem
                    .key
                    .strip_prefix(key)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Returns the problems in the order of the file, errors and warnings, and how many were left out.
    pub(crate) fn finish(mut self) -> (Vec<Problem>, usize) {
        self.problems
            .sort_by_key(|problem| (problem.line, problem.column));
        let more = self.problems.len().saturating_sub(MOST_PROBLEMS) + self.dropped;
        self.problems.truncate(MOST_PROBLEMS);
        (self.problems, more)
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// Reads `item`, or takes the default where it is absent or wrong.
    pub(crate) fn or<T>(
        &mut self,
        item: Option<Item<'_>>,
        default: T,
        read: impl FnOnce(&mut Self, &Item<'_>) -> Option<T>,
    ) -> T {
        item.and_then(|item| read(self, &item)).unwrap_or(default)
    }

    /// Opens a map.
    pub(crate) fn section<'n>(&mut self, item: &Item<'n>) -> Option<Section<'n>> {
        match &item.node.value {
            Value::Map(entries) => Some(Section::new(entries, item)),
            Value::List(_) => {
                let refusal = Refusal::new(format!(
                    "{} is a list here, and keys with values are needed",
                    show_key(&item.key)
                ));
                self.fail(
                    item,
                    refusal.help("write `key: value` lines without `-` before them"),
                )
            }
            Value::Scalar { .. } if item.node.is_null() => {
                self.no_value(item, "its keys below it, indented")
            }
            Value::Scalar { text, .. } => {
                let refusal = Refusal::new(format!(
                    "`{}` stands where {} has keys with values",
                    shorten(text),
                    show_key(&item.key)
                ));
                let line = text.lines().next().unwrap_or_default();
                let help = if line.contains([' ', ':', '=']) {
                    no_colon(line).help
                } else {
                    None
                };
                let help = help.unwrap_or_else(|| {
                    "write its keys below it, indented, or leave it away".to_owned()
                });
                self.fail(item, refusal.help(help))
            }
        }
    }

    /// Reads one word with `parse`; `wanted` is what should stand here, in words.
    pub(crate) fn text<T>(
        &mut self,
        item: &Item<'_>,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let (text, _) = self.scalar(item, wanted)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(refusal) if is_yes_or_no(text) => {
                let refusal = Refusal {
                    message: format!("`{text}` is not a value here"),
                    ..refusal
                };
                self.fail(item, refusal)
            }
            Err(refusal) => self.fail(item, refusal),
        }
    }

    /// Reads one word in quotes with `parse`.
    pub(crate) fn quoted_text<T>(
        &mut self,
        item: &Item<'_>,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let (text, plain) = self.scalar(item, wanted)?;
        match parse(text) {
            Ok(_) if plain => self.fail(
                item,
                Refusal::new(format!(
                    "`{text}` stands without quotes, and YAML takes it for another number"
                ))
                .help(format!("write `\"{text}\"`")),
            ),
            Ok(value) => Some(value),
            Err(refusal) => self.fail(item, refusal),
        }
    }

    /// Reads one of a few words; `later` are those that this version does not have yet.
    pub(crate) fn choice<C: Choice>(&mut self, item: &Item<'_>, later: &[&str]) -> Option<C> {
        let words: Vec<&str> = C::WORDS.iter().map(|(word, _)| *word).collect();
        let list = one_of(&words);
        let (text, _) = self.scalar(item, &list)?;
        if let Some(value) = C::from_word(text) {
            return Some(value);
        }
        let refusal = if later.contains(&text) {
            Refusal::new(format!(
                "this version of Portcullis does not have `{text}` for {}",
                show_key(&item.key)
            ))
            .help(format!("write {list}"))
        } else {
            let refusal = Refusal::new(format!(
                "`{}` is not a value of {}",
                shorten(text),
                show_key(&item.key)
            ));
            match nearest(text, words.iter().copied()) {
                Some(word) => refusal.help(format!("did you mean `{word}`?")),
                None => refusal.help(format!("write {list}")),
            }
        };
        self.fail(item, refusal)
    }

    /// Reads a whole number.
    pub(crate) fn count(&mut self, item: &Item<'_>, least: u32, most: u32) -> Option<u32> {
        let wanted = format!("a number from {least} to {most}");
        let (text, plain) = self.scalar(item, &wanted)?;
        match text.parse::<u32>() {
            Ok(number) if !plain => self.fail(
                item,
                Refusal::new(format!(
                    "{} is a number and not a text",
                    show_key(&item.key)
                ))
                .help(format!("write `{number}` without quotes")),
            ),
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ if is_yes_or_no(text) => self.fail(
                item,
                Refusal::new(format!("`{text}` is not a value here"))
                    .help(format!("write {wanted}")),
            ),
            _ => self.fail(
                item,
                Refusal::new(format!("`{}` is not {wanted}", shorten(text)))
                    .help(format!("write {wanted}")),
            ),
        }
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&mut self, item: &Item<'_>) -> Option<bool> {
        match self.scalar(item, "`true` or `false`")? {
            ("true", true) => Some(true),
            ("false", true) => Some(false),
            (text, _) => self.fail(
                item,
                Refusal::new(format!(
                    "`{}` is not a value of {}",
                    shorten(text),
                    show_key(&item.key)
                ))
                .help("write `true` or `false`"),
            ),
        }
    }

    fn scalar<'n>(&mut self, item: &Item<'n>, wanted: &str) -> Option<(&'n str, bool)> {
        match &item.node.value {
            Value::Scalar { .. } if item.node.is_null() => self.no_value(item, wanted),
            Value::Scalar { text, plain } => Some((text, *plain)),
            Value::List(_) => self.wrong_shape(item, "a list", wanted),
            Value::Map(_) => self.wrong_shape(item, "a map", wanted),
        }
    }

    pub(super) fn no_value<T>(&mut self, item: &Item<'_>, wanted: &str) -> Option<T> {
        self.fail(
            item,
            Refusal::new(format!("{} has no value", show_key(&item.key)))
                .help(format!("write {wanted}, or leave the key away")),
        )
    }

    fn wrong_shape<T>(&mut self, item: &Item<'_>, is: &str, wanted: &str) -> Option<T> {
        let refusal = Refusal::new(format!(
            "{} is {is} here, and one value is needed",
            show_key(&item.key)
        ));
        self.fail(item, refusal.help(format!("write {wanted}")))
    }

    pub(crate) fn fail<T>(&mut self, item: &Item<'_>, refusal: Refusal) -> Option<T> {
        self.error(item.node.at, &item.key, refusal);
        None
    }
}

/// Words that YAML 1.1 takes for true and false: never values of this format but for `true` and `false`.
fn is_yes_or_no(text: &str) -> bool {
    ["yes", "no", "on", "off", "true", "false", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str())
}
