//! Patterns for names and paths: `*`, `?`, `[a-z]`, `{user}`, and `**` for any number of path components.
//!
//! They are matched by going back to the last star only, so that no pattern and no name takes more than their lengths
//! multiplied. There are no alternatives in braces: one line each is as short, and nothing multiplies.

use super::text::Text;

/// The longest pattern, in bytes.
pub(super) const LONGEST: usize = 1024;

/// One part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// These bytes.
    Literal(Box<[u8]>),
    /// One character.
    One,
    /// Any characters, none too.
    Many,
    /// One character of a set.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// The user's name.
    User,
}

/// A pattern for one name: a user, a verb, one component of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    pub(super) pieces: Vec<Piece>,
}

impl Glob {
    /// Reads a pattern; says in words what is wrong with it. `{user}` is read only where it has a meaning.
    pub(super) fn parse(text: &str, knows_user: bool) -> Result<Glob, &'static str> {
        if text.len() > LONGEST {
            return Err("a pattern has at most 1024 bytes");
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let piece = match next {
                '*' => Some((Piece::Many, 1)),
                '?' => Some((Piece::One, 1)),
                '[' => Some(class(rest)?),
                '{' if knows_user && rest.starts_with("{user}") => Some((Piece::User, 6)),
                '{' | '}' if knows_user => {
                    return Err(
                        "braces stand only around `{user}`; write one pattern for each alternative",
                    );
                }
                _ => None,
            };
            let length = match piece {
                Some((piece, length)) => {
                    push_literal(&mut pieces, &mut literal);
                    if !(piece == Piece::Many && pieces.last() == Some(&Piece::Many)) {
                        pieces.push(piece);
                    }
                    length
                }
                None => {
                    literal.push(next);
                    next.len_utf8()
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        push_literal(&mut pieces, &mut literal);
        Ok(Glob { pieces })
    }

    /// Returns the pattern for text in lower case.
    pub(super) fn folded(&self) -> Glob {
        let fold = |piece: &Piece| match piece {
            Piece::Literal(bytes) => Piece::Literal(Text::folded(bytes).as_slice().into()),
            Piece::Class { negated, ranges } => {
                let mut both = ranges.clone();
                for (from, to) in ranges {
                    let (low, high) = (*from.max(&'A'), *to.min(&'Z'));
                    if low <= high {
                        both.push((low.to_ascii_lowercase(), high.to_ascii_lowercase()));
                    }
                }
                Piece::Class {
                    negated: *negated,
                    ranges: both,
                }
            }
            Piece::One | Piece::Many | Piece::User => piece.clone(),
        };
        Glob {
            pieces: self.pieces.iter().map(fold).collect(),
        }
    }

    /// Returns the whole pattern where it is nothing but text.
    pub(super) fn literal(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [] => Some(b""),
            [Piece::Literal(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// Tells whether it matches every name.
    pub(super) fn matches_all(&self) -> bool {
        self.pieces == [Piece::Many]
    }

    /// Tells whether some name with this start and this end may match; never no where one does.
    fn may_meet(&self, start: &[u8], end: &[u8]) -> bool {
        if let Some(text) = self.literal() {
            return text.len() >= start.len() + end.len()
                && text.starts_with(start)
                && text.ends_with(end);
        }
        let first = match self.pieces.first() {
            Some(Piece::Literal(text)) => text.starts_with(start) || start.starts_with(text),
            _ => true,
        };
        let last = match self.pieces.last() {
            Some(Piece::Literal(text)) => text.ends_with(end) || end.ends_with(text),
            _ => true,
        };
        first && last
    }

    /// Tells whether a name matches as a whole.
    pub(super) fn matches(&self, name: &[u8], user: Option<&[u8]>) -> bool {
        let (mut piece, mut at) = (0, 0);
        // Where the last star stands, and up to where it reaches.
        let mut star: Option<(usize, usize)> = None;
        loop {
            let rest = name.get(at..).unwrap_or_default();
            let step = match self.pieces.get(piece) {
                None if rest.is_empty() => return true,
                None => None,
                Some(Piece::Many) => {
                    star = Some((piece, at));
                    piece += 1;
                    continue;
                }
                Some(Piece::Literal(bytes)) => rest.starts_with(bytes).then_some(bytes.len()),
                Some(Piece::User) => user
                    .filter(|user| !user.is_empty() && rest.starts_with(user))
                    .map(<[u8]>::len),
                Some(Piece::One) => character(rest).map(|(_, length)| length),
                Some(Piece::Class { negated, ranges }) => character(rest)
                    .filter(|(character, _)| {
                        let inside = character.is_some_and(|character| {
                            ranges
                                .iter()
                                .any(|(from, to)| (*from..=*to).contains(&character))
                        });
                        inside != *negated
                    })
                    .map(|(_, length)| length),
            };
            match (step, star) {
                (Some(length), _) => (piece, at) = (piece + 1, at + length),
                (None, Some((many, reached))) if reached < name.len() => {
                    // A byte at a time: a name need not be UTF-8.
                    star = Some((many, reached + 1));
                    (piece, at) = (many + 1, reached + 1);
                }
                (None, _) => return false,
            }
        }
    }
}

fn push_literal(pieces: &mut Vec<Piece>, literal: &mut String) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal).into_bytes().into()));
    }
}

/// Reads `[a-z_]` or `[!0-9]` at the beginning of `text`, and how long it is.
fn class(text: &str) -> Result<(Piece, usize), &'static str> {
    let unclosed = "a `[` without its `]`; the character itself is `[[]`";
    let inner = text.get(1..).unwrap_or_default();
    let (negated, inner) = match inner.strip_prefix('!') {
        Some(inner) => (true, inner),
        None => (false, inner),
    };
    // A `]` at the first place stands for itself.
    let first = inner.chars().next().map_or(0, char::len_utf8);
    let end = inner
        .get(first..)
        .and_then(|rest| rest.find(']'))
        .map(|end| end + first)
        .ok_or(unclosed)?;
    let characters: Vec<char> = inner.get(..end).unwrap_or_default().chars().collect();
    let mut ranges = Vec::new();
    let mut rest = characters.as_slice();
    loop {
        rest = match rest {
            [] => break,
            [from, '-', to, rest @ ..] if from <= to => {
                ranges.push((*from, *to));
                rest
            }
            [_, '-', _, ..] => return Err("a range that runs backwards"),
            [one, rest @ ..] => {
                ranges.push((*one, *one));
                rest
            }
        };
    }
    let length = text.len() - inner.len() + end + 1;
    Ok((Piece::Class { negated, ranges }, length))
}

/// Takes one character off the front; None for its value where the bytes are not UTF-8.
fn character(bytes: &[u8]) -> Option<(Option<char>, usize)> {
    let first = bytes.utf8_chunks().next()?;
    match first.valid().chars().next() {
        Some(character) => Some((Some(character), character.len_utf8())),
        None => Some((None, 1)),
    }
}

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
