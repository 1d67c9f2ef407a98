//! What is wrong with a configuration, where, and what to write instead.

use serde::Serialize;
use std::fmt;

/// Says why one value was refused, before it is known where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// Says how bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration can't be used.
    Error,
    /// It can, and probably does not do what was meant.
    Warning,
}

/// Describes one problem of a configuration; `Display` shows the source line with a caret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name, or the flag (`--window`) where the value came from the command line.
    pub file: String,
    /// The line, from 1; none where the problem is what is not there.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The key that it concerns (`listeners.main.listen[0]`), empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The source line as it is shown, with what stands before the caret.
    #[serde(skip)]
    pub(crate) excerpt: Option<Excerpt>,
}

impl Problem {
    /// Describes what is wrong with a file that the configuration names.
    pub fn of_file(severity: Severity, file: String, message: String) -> Problem {
        Problem {
            severity,
            file,
            line: None,
            column: None,
            key: String::new(),
            message,
            help: None,
            excerpt: None,
        }
    }
}

/// A source line, made safe for a terminal, and the part of it that is underlined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) text: String,
    /// Characters before the caret.
    pub(crate) before: usize,
    /// Characters that are underlined, 1 or more.
    pub(crate) width: usize,
}

/// How many characters of a source line are shown.
const SHOWN: usize = 100;

impl Excerpt {
    /// Cuts what is shown out of a line; `column` counts from 1, in characters.
    pub(crate) fn of(line: &str, column: usize, width: usize) -> Self {
        let line: Vec<char> = line.trim_end().chars().collect();
        // A long line is shown from a little before the place.
        let from = if line.len() <= SHOWN {
            0
        } else {
            column.saturating_sub(SHOWN / 2)
        };
        let mut text = String::new();
        let mut before = column.saturating_sub(1 + from);
        if from > 0 {
            text.push('…');
            before += 1;
        }
        text.extend(line.iter().skip(from).take(SHOWN).map(|c| match c {
            '\t' => '→',
            c if c.is_control() || is_invisible(*c) => '\u{fffd}',
            c => *c,
        }));
        if line.len() > from + SHOWN {
            text.push('…');
        }
        let shown = text.chars().count();
        let before = before.min(shown);
        let width = width.min(shown - before).max(1);
        Self {
            text,
            before,
            width,
        }
    }
}

/// Characters that reorder or hide text on a terminal.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: {}", self.message)?;
        let mut gutter = 2;
        if let (Some(line), Some(excerpt)) = (self.line, &self.excerpt) {
            gutter = line.to_string().len().max(3);
            write!(f, "\n {line:>gutter$} | {}", excerpt.text)?;
            write!(
                f,
                "\n {:>gutter$} | {:before$}{}",
                "",
                "",
                "^".repeat(excerpt.width),
                before = excerpt.before
            )?;
        }
        if let Some(help) = &self.help {
            for (number, line) in help.lines().enumerate() {
                let sign = if number == 0 { '=' } else { ' ' };
                write!(f, "\n {:>gutter$} {sign} {line}", "")?;
            }
        }
        Ok(())
    }
}

/// Says why there is no configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigErrors {
    /// The file could not be read at all; one line that says why.
    Unreadable(String),
    /// The configuration is wrong: at least one error, and warnings among them, in the order of the file.
    Wrong {
        /// The first problems.
        problems: Vec<Problem>,
        /// How many more there are.
        more: usize,
    },
}

impl ConfigErrors {
    /// Returns the problems, none when the file could not be read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable(_) => &[],
            Self::Wrong { problems, .. } => problems,
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::Wrong { problems, more } => {
                for (number, problem) in problems.iter().enumerate() {
                    let separator = if number == 0 { "" } else { "\n\n" };
                    write!(f, "{separator}{problem}")?;
                }
                match more {
                    0 => Ok(()),
                    more => write!(f, "\n\nand {more} more"),
                }
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}
