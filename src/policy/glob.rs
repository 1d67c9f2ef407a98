//! Patterns for names: `*`, `?`, `[a-z]`, `{user}`.
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
    pub(super) fn may_meet(&self, start: &[u8], end: &[u8]) -> bool {
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
