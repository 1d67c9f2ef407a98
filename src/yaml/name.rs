//! Names that an administrator chooses.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use super::problem::Refusal;

/// The longest name, in bytes.
const LONGEST: usize = 63;

/// Names a listener or an upstream: kebab-case, at most 63 characters, cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

impl Name {
    /// Reads a name, or says what is wrong with it.
    ///
    /// # Errors
    /// When `text` is not kebab-case or longer than 63 characters.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let kebab = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !text.ends_with('-')
            && !text.contains("--");
        if kebab && text.len() <= LONGEST {
            return Ok(Self(text.into()));
        }
        let refusal = Refusal::new(format!("`{}` is not a name", text.escape_debug()));
        Err(if text.len() > LONGEST {
            refusal.help("a name has at most 63 characters")
        } else {
            refusal.help(
                "a name is lower-case letters, digits and single hyphens, and begins with a letter: `file-server-2`",
            )
        })
    }

    /// Stands for a name that could not be read; never in a configuration that was loaded.
    pub(crate) fn placeholder() -> Self {
        Self("unnamed".into())
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name of your choice in kebab-case.",
            "type": "string",
            "maxLength": LONGEST,
            "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kebab_case_is_a_name() {
        for good in ["a", "legacy", "file-server-2", &"a".repeat(63)] {
            assert_eq!(
                Name::parse(good).map(|name| name.to_string()),
                Ok(good.to_owned())
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "Main",
            "a_b",
            "-a",
            "a-",
            "a--b",
            "1st",
            "ü",
            "a b",
            &"a".repeat(64),
        ] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }
}
