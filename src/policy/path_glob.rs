//! Patterns for paths: [names](super::glob) between slashes, and `**` for any number of components.

use super::glob::{Glob, LONGEST, Piece};

/// A pattern for paths: components between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathGlob {
    pub(super) steps: Vec<Step>,
}

/// One component of a pattern for paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `**`: any components, none too.
    Deep,
    /// One component.
    Name(Glob),
}

/// Stands in a component of a path for any characters: a wildcard in a listing, and what lies between two of them.
pub(super) const ANY: &[u8] = b"\0";

/// Splits a component at what can be anything.
fn open_ends(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(0, name)?;
    name.get(..at).zip(name.get(at + 1..))
}

/// Says how what can't be told is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As if it did not match.
    Must,
    /// As if it did.
    May,
}

impl PathGlob {
    /// Reads a pattern that begins with `/` or `**`.
    pub(super) fn parse(text: &str) -> Result<PathGlob, &'static str> {
        if text.len() > LONGEST {
            return Err("a pattern has at most 1024 bytes");
        }
        let inner = match text.strip_prefix('/') {
            Some(inner) => inner,
            None if text.starts_with("**") => text,
            None => return Err("a path begins with `/`, or with `**/` for any directory"),
        };
        let mut steps = Vec::new();
        for name in inner.split('/') {
            match name {
                "" => {}
                "**" => {
                    if steps.last() != Some(&Step::Deep) {
                        steps.push(Step::Deep);
                    }
                }
                "." | ".." => return Err("`.` and `..` match no path: paths are whole"),
                name if name.contains("**") => {
                    return Err("`**` stands alone between slashes");
                }
                name => steps.push(Step::Name(Glob::parse(name, true)?)),
            }
        }
        Ok(PathGlob { steps })
    }

    pub(super) fn folded(&self) -> PathGlob {
        let fold = |step: &Step| match step {
            Step::Deep => Step::Deep,
            Step::Name(glob) => Step::Name(glob.folded()),
        };
        PathGlob {
            steps: self.steps.iter().map(fold).collect(),
        }
    }

    /// Returns the pattern with `{user}` as any characters.
    pub(super) fn of_anybody(&self) -> PathGlob {
        let opened = |piece: &Piece| match piece {
            Piece::User => Piece::Many,
            Piece::Literal(_) | Piece::One | Piece::Many | Piece::Class { .. } => piece.clone(),
        };
        let step = |step: &Step| match step {
            Step::Deep => Step::Deep,
            Step::Name(glob) => Step::Name(Glob {
                pieces: glob.pieces.iter().map(opened).collect(),
            }),
        };
        PathGlob {
            steps: self.steps.iter().map(step).collect(),
        }
    }

    /// Tells whether it asks for the user's name.
    pub(super) fn names_user(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Deep => false,
            Step::Name(glob) => glob.pieces.contains(&Piece::User),
        })
    }

    /// Tells whether a canonical path (`/a/b`, the root is empty) matches. With `deep` all that lies below it is
    /// meant too: then it must match all of that, or may match some of it.
    pub(super) fn matches(
        &self,
        path: &[u8],
        deep: bool,
        user: Option<&[u8]>,
        reading: Reading,
    ) -> bool {
        let mut rest = Some(components(path));
        let mut step = 0;
        let mut star: Option<(usize, Option<&[u8]>)> = None;
        loop {
            let name = rest.and_then(split_first);
            let matched = match (self.steps.get(step), name) {
                (Some(Step::Deep), _) => {
                    star = Some((step, rest));
                    step += 1;
                    continue;
                }
                (None, None) if !deep => return true,
                // Everything below: the pattern would have to end in `**`, which has been taken as far as it goes.
                (None, None) => return reading == Reading::May || self.ends_deep(),
                // Below the end of the path there may be what the rest of the pattern asks for.
                (Some(Step::Name(_)), None) if deep && reading == Reading::May => return true,
                (None, Some(_)) | (Some(Step::Name(_)), None) => None,
                (Some(Step::Name(glob)), Some((name, rest))) => {
                    let matches = match (open_ends(name), reading) {
                        (Some((start, end)), Reading::May) => glob.may_meet(start, end),
                        (Some(_), Reading::Must) => glob.matches_all(),
                        (None, _) => glob.matches(name, user),
                    };
                    matches.then_some(rest)
                }
            };
            match (matched, star) {
                (Some(after), _) => (step, rest) = (step + 1, after),
                (None, Some((many, reached))) => match reached.and_then(split_first) {
                    Some((_, after)) => {
                        star = Some((many, after));
                        (step, rest) = (many + 1, after);
                    }
                    None => return false,
                },
                (None, None) => return false,
            }
        }
    }

    /// Tells whether every path that the other matches is matched, as far as that can be seen: the same pattern, or
    /// `/a/**` over what begins with `/a`.
    pub(super) fn holds_all_of(&self, other: &PathGlob) -> bool {
        match self.steps.split_last() {
            Some((Step::Deep, start)) => other.steps.starts_with(start),
            _ => self == other,
        }
    }

    fn ends_deep(&self) -> bool {
        self.steps.last() == Some(&Step::Deep)
    }

    /// Returns the components at the beginning that are nothing but text, as a canonical path, and whether they are all.
    pub(super) fn literal_start(&self) -> Vec<u8> {
        let mut start = Vec::new();
        for step in &self.steps {
            let Step::Name(glob) = step else { break };
            let Some(name) = glob.literal() else { break };
            start.push(b'/');
            start.extend_from_slice(name);
        }
        start
    }
}

/// Returns what lies behind the first slash of a canonical path; None for the root.
fn components(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(b"")
}

/// Splits the first component off; the second part is None when it was the last.
fn split_first(rest: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if rest.is_empty() {
        return None;
    }
    match memchr::memchr(b'/', rest).and_then(|at| rest.split_at_checked(at)) {
        Some((name, rest)) => Some((name, rest.get(1..))),
        None => Some((rest, None)),
    }
}
