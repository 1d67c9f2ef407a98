//! Which user the gateway runs as, where a privileged process starts it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

use super::problem::Refusal;
use super::wording::shorten;

/// Longest name of a user (useradd(8)).
const LONGEST: usize = 32;

/// How the processes run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct Process {
    /// The user that the gateway runs as with `firewall: nftables`: a name, or a number that stands for the user and the group of that number. Without it the gateway runs as whoever starts it.
    pub user: Account,
}

/// Names a user of the system; never root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Account {
    /// By name; its group is its primary one.
    Named(String),
    /// By number, of the user and of its group alike; it needs no entry in the user database.
    Numbered(u32),
}

impl Account {
    /// Reads a name or a number.
    ///
    /// # Errors
    /// When `text` is neither, or root's.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refusal = || Refusal::new(format!("`{}` is not a user", shorten(text)));
        if text == "root" || text.parse() == Ok(0u32) {
            return Err(Refusal::new(format!(
                "`{text}` may do everything, and the gateway must not"
            ))
            .help("write a user of its own: `useradd --system --no-create-home portcullis`"));
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // The highest number means "none" to the kernel (chown(2), setresuid(2)).
            return match text.parse::<u32>() {
                Ok(number) if number < u32::MAX => Ok(Self::Numbered(number)),
                _ => Err(refusal().help("the highest number of a user is 4294967294")),
            };
        }
        let good = text.len() <= LONGEST
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if good {
            Ok(Self::Named(text.to_owned()))
        } else {
            Err(refusal().help(
                "write the name of a user of this machine, such as `portcullis`, or its number",
            ))
        }
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::Named("portcullis".to_owned())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Numbered(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(name) => serializer.serialize_str(name),
            Self::Numbered(number) => serializer.serialize_u32(*number),
        }
    }
}

impl JsonSchema for Account {
    fn schema_name() -> Cow<'static, str> {
        "Account".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A user's name, or its number; not root.",
            "anyOf": [
                {"type": "string", "maxLength": LONGEST, "pattern": "^[a-z_][a-z0-9_-]*$"},
                {"type": "integer", "minimum": 1, "maximum": u32::MAX - 1},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_users() {
        for (text, account) in [
            ("portcullis", Account::default()),
            ("_ftp-2", Account::Named("_ftp-2".to_owned())),
            ("65534", Account::Numbered(65_534)),
        ] {
            assert_eq!(Account::parse(text), Ok(account.clone()));
            assert_eq!(account.to_string(), text);
        }
    }

    #[test]
    fn root_is_not_and_neither_is_anything_else() {
        for bad in [
            "",
            "root",
            "0",
            "00",
            "4294967295",
            "99999999999",
            "Portcullis",
            "a b",
            "-a",
            "1a",
            "a$",
            &"a".repeat(33),
        ] {
            assert!(Account::parse(bad).is_err(), "{bad}");
        }
    }
}
