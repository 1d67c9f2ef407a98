//! Users: which account a name means, and patterns for them.
//!
//! One account has many spellings: `bob`, `CORP\bob`, `bob@corp.example`, `www.example|bob`, and `BOB` on systems that
//! do not tell case. What is spelled otherwise than the pattern and may still be the same account can't be told.

use std::collections::HashMap;

use super::glob::Glob;
use super::text::Text;
use super::value::Value;

/// The longest name that anything but its own spelling is looked for; longer ones are no accounts.
const LONGEST: usize = 256;

/// A name taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts<'a> {
    bare: &'a [u8],
    qualifier: Option<(Form, &'a [u8])>,
}

/// Says how a name is qualified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `DOMAIN\user`.
    Domain,
    /// `user@host`.
    At,
    /// `host|user`.
    Host,
}

impl<'a> Parts<'a> {
    fn of(name: &'a [u8]) -> Parts<'a> {
        let split = |mark: u8| {
            let at = memchr::memchr(mark, name)?;
            Some((name.get(..at)?, name.get(at + 1..)?))
        };
        let last_at = memchr::memrchr(b'@', name);
        let (bare, qualifier) = if let Some((host, user)) = split(b'|') {
            (user, Some((Form::Host, host)))
        } else if let Some((domain, user)) = split(b'\\') {
            (user, Some((Form::Domain, domain)))
        } else if let Some(at) = last_at {
            let (user, host) = name.split_at_checked(at).unwrap_or((name, b""));
            (user, Some((Form::At, host.get(1..).unwrap_or_default())))
        } else {
            (name, None)
        };
        match qualifier {
            // The account inside may be qualified once more: `host|CORP\bob`.
            Some((Form::Host, _)) => Parts {
                bare: Parts::of(bare).bare,
                qualifier,
            },
            _ => Parts { bare, qualifier },
        }
    }
}

/// A session's user, ready to be compared.
pub(super) struct Account<'a> {
    whole: &'a [u8],
    parts: Parts<'a>,
    folded_bare: Text,
    /// Whether the server takes `BOB` for `bob`.
    case_is_one: bool,
}

impl<'a> Account<'a> {
    pub(super) fn of(name: &'a [u8], case_is_one: bool) -> Account<'a> {
        let whole = name.trim_ascii();
        let parts = Parts::of(whole);
        Account {
            whole,
            parts,
            folded_bare: Text::folded(parts.bare),
            case_is_one,
        }
    }

    /// Returns the name without domain or host, as `{user}` in a path means it.
    pub(super) fn bare(&self) -> &[u8] {
        self.parts.bare
    }

    pub(super) fn folded_bare(&self) -> &[u8] {
        self.folded_bare.as_slice()
    }

    pub(super) fn is_anonymous(&self) -> bool {
        is_anonymous(self.whole)
    }
}

fn is_anonymous(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"anonymous") || name.eq_ignore_ascii_case(b"ftp")
}

/// A pattern for one user or several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    bare: Glob,
    folded: Glob,
    /// In lower case: domains and hosts do not tell case.
    qualifier: Option<(Form, Glob)>,
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, &'static str> {
        let parts = Parts::of(text.as_bytes());
        let read = |bytes| Glob::parse(std::str::from_utf8(bytes).unwrap_or_default(), false);
        let bare = read(parts.bare)?;
        let qualifier = match parts.qualifier {
            Some((form, text)) => Some((form, read(text)?.folded())),
            None => None,
        };
        Ok(Pattern {
            folded: bare.folded(),
            bare,
            qualifier,
        })
    }

    fn value(&self, account: &Account<'_>) -> Value {
        if self.bare.matches_all() && self.qualifier.is_none() {
            return Value::True;
        }
        if !self.folded.matches(account.folded_bare(), None) {
            return Value::False;
        }
        let same = account.case_is_one || self.bare.matches(account.parts.bare, None);
        match (&self.qualifier, account.parts.qualifier) {
            (None, None) => Value::of(same, true),
            (Some((form, pattern)), Some((asked, text))) if *form == asked => {
                let matches = pattern.matches(Text::folded(text).as_slice(), None);
                Value::from(matches).and(Value::of(same, true))
            }
            // Perhaps the default domain, perhaps another account of the same name.
            (Some(_), _) | (None, Some(_)) => Value::Unknown,
        }
    }
}

/// A set of users: names, patterns, `anonymous`.
#[derive(Clone, Debug, Default)]
pub(super) struct Users {
    anonymous: bool,
    /// Patterns without wildcards, by the bare name in lower case.
    exact: HashMap<Box<[u8]>, Vec<Pattern>>,
    globs: Vec<Pattern>,
}

impl Users {
    /// Adds what an entry of the file says.
    pub(super) fn add(&mut self, text: &str) -> Result<(), &'static str> {
        if text.is_empty() || text.trim() != text {
            return Err("a user's name is not empty and has no blanks around it");
        }
        if is_anonymous(text.as_bytes()) {
            self.anonymous = true;
            return Ok(());
        }
        let pattern = Pattern::parse(text)?;
        match pattern.folded.literal().map(Box::from) {
            Some(name) => self.exact.entry(name).or_default().push(pattern),
            None => self.globs.push(pattern),
        }
        Ok(())
    }

    pub(super) fn value(&self, account: &Account<'_>) -> Value {
        if account.whole.len() > LONGEST {
            return Value::Unknown;
        }
        let anonymous = match (self.anonymous, account.is_anonymous()) {
            (true, true) => return Value::True,
            (true, false) if is_anonymous(account.folded_bare()) => Value::Unknown,
            _ => Value::False,
        };
        let exact = self.exact.get(account.folded_bare());
        exact
            .into_iter()
            .flatten()
            .chain(&self.globs)
            .fold(anonymous, |value, pattern| value.or(pattern.value(account)))
    }

    /// Tells whether everybody in these is in the others, as far as that can be seen: by the same entries.
    pub(super) fn are_within(&self, others: &Users) -> bool {
        let has = |pattern: &Pattern| {
            let exact = pattern
                .folded
                .literal()
                .and_then(|name| others.exact.get(name));
            exact.is_some_and(|list| list.contains(pattern))
                || others.globs.contains(pattern)
                || others
                    .globs
                    .iter()
                    .any(|glob| glob.bare.matches_all() && glob.qualifier.is_none())
        };
        (others.anonymous || !self.anonymous)
            && self.exact.values().flatten().chain(&self.globs).all(has)
    }

    /// Returns every bare name in lower case of whom this can hold; None if it can't be said.
    pub(super) fn bare_names(&self) -> Option<Vec<&[u8]>> {
        if !self.globs.is_empty() {
            return None;
        }
        let mut names: Vec<&[u8]> = self.exact.keys().map(AsRef::as_ref).collect();
        if self.anonymous {
            names.extend([b"anonymous".as_slice(), b"ftp"]);
        }
        Some(names)
    }
}

/// Tells whether a name is too long to be compared otherwise than as a whole.
pub(super) fn is_overlong(name: &[u8]) -> bool {
    name.trim_ascii().len() > LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(pattern: &str, name: &str, case_is_one: bool) -> Value {
        let mut users = Users::default();
        users.add(pattern).expect("a pattern");
        users.value(&Account::of(name.as_bytes(), case_is_one))
    }

    #[test]
    fn what_is_spelled_alike_is_the_same_and_what_may_be_the_same_cannot_be_told() {
        use Value::{False, True, Unknown};
        for (pattern, name, on_unix, on_windows) in [
            ("bob", "bob", True, True),
            ("bob", "bob ", True, True),
            ("bob", "Bob", Unknown, True),
            ("bob", "rob", False, False),
            ("bob", "CORP\\bob", Unknown, Unknown),
            ("bob", "bob@corp.example", Unknown, Unknown),
            ("bob", "www.example|bob", Unknown, Unknown),
            ("bob", "www.example|CORP\\bob", Unknown, Unknown),
            ("CORP\\bob", "corp\\bob", True, True),
            ("CORP\\bob", "EVIL\\bob", False, False),
            ("CORP\\bob", "bob", Unknown, Unknown),
            ("CORP\\bob", "bob@corp.example", Unknown, Unknown),
            ("*\\bob", "CORP\\bob", True, True),
            ("*@corp.example", "a.b@corp.example", True, True),
            ("*@corp.example", "a.b@evil.example", False, False),
            ("svc-*", "svc-7", True, True),
            ("svc-*", "SVC-7", Unknown, True),
            ("svc-*", "x-svc-7", False, False),
            ("*", "CORP\\anybody", True, True),
            ("anonymous", "FTP", True, True),
            ("ftp", "Anonymous", True, True),
            ("anonymous", "CORP\\anonymous", Unknown, Unknown),
            ("anonymous", "anonymously", False, False),
        ] {
            assert_eq!(value(pattern, name, false), on_unix, "{pattern} {name}");
            assert_eq!(value(pattern, name, true), on_windows, "{pattern} {name}");
        }
    }

    #[test]
    fn the_account_behind_a_name_is_bare() {
        for (name, bare) in [
            ("bob", "bob"),
            ("CORP\\bob", "bob"),
            ("bob@host", "bob"),
            ("host|bob", "bob"),
            ("a@b@host", "a@b"),
        ] {
            assert_eq!(Account::of(name.as_bytes(), false).bare(), bare.as_bytes());
        }
    }

    #[test]
    fn bare_names_leave_nobody_out() {
        let mut users = Users::default();
        for text in ["bob", "CORP\\Alice", "anonymous"] {
            users.add(text).expect("a pattern");
        }
        for name in ["bob", "X\\BOB", "alice@corp", "ftp", "host|anonymous"] {
            let account = Account::of(name.as_bytes(), false);
            assert_ne!(users.value(&account), Value::False, "{name}");
            assert!(
                users
                    .bare_names()
                    .expect("no globs")
                    .contains(&account.folded_bare()),
                "{name}"
            );
        }
    }
}
