//! Which path a command names, before it is known which file that is.
//!
//! Where a server may read a command in two ways, both must come to the same place, or it can't be told.

use super::Words;
use super::operation::{Operation, first_word, sets_time};
use crate::ftp::Verb;

/// What of the file system a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// Nothing: NOOP, USER, PASV.
    Nothing,
    /// Something, and which can't be told.
    Untold,
    /// The working directory.
    Here,
    /// The directory above it.
    Parent,
    /// A new name in it.
    Fresh,
    /// This name.
    Named(&'a [u8]),
    /// This name, in which wildcards stand for others; empty for the working directory.
    Listed {
        name: &'a [u8],
        /// Whether what lies below is listed too.
        recursive: bool,
    },
}

impl<'a> Target<'a> {
    pub(super) fn of(words: &Words<'a>) -> Target<'a> {
        let argument = words.argument.unwrap_or_default();
        match words.verb.canonical() {
            Verb::Cdup => Target::Parent,
            Verb::List | Verb::Nlst => listing(argument),
            Verb::Stat if argument.trim_ascii().is_empty() => Target::Nothing,
            Verb::Stat => listing(argument),
            Verb::Mlsd | Verb::Mlst | Verb::Avbl if argument.is_empty() => Target::Here,
            // Some servers go to the home directory.
            Verb::Cwd if argument.is_empty() => Target::Untold,
            Verb::Mdtm if sets_time(argument) => behind_word(argument),
            Verb::Mfmt | Verb::Mfct | Verb::Mff => behind_word(argument),
            Verb::Hash | Verb::Md5 | Verb::Xcrc | Verb::Xmd5 | Verb::Xsha => sum(argument),
            Verb::Xsha1 | Verb::Xsha256 | Verb::Xsha512 => sum(argument),
            Verb::Stou if argument.is_empty() => Target::Fresh,
            Verb::Stou | Verb::Thmb | Verb::Comb => Target::Untold,
            Verb::Site => site(argument),
            Verb::Pret => Target::of(&Words::of(argument)),
            verb => match Operation::of(words) {
                None => Target::Nothing,
                Some(Operation::Execute | Operation::Unknown | Operation::Site) => Target::Untold,
                Some(_) if verb == Verb::Unknown => Target::Untold,
                Some(_) => Target::Named(argument),
            },
        }
    }
}

/// Reads the argument of LIST and NLST: some servers take a leading `-la` for options, others for a name.
fn listing(argument: &[u8]) -> Target<'_> {
    let (mut name, mut recursive) = (argument, false);
    while let Some(b'-') = name.first() {
        let end = memchr::memchr(b' ', name).unwrap_or(name.len());
        let (option, rest) = name.split_at_checked(end).unwrap_or((name, b""));
        let letters = option.get(1..).unwrap_or_default();
        if !letters.iter().all(u8::is_ascii_alphanumeric) {
            return Target::Untold;
        }
        recursive |= letters.contains(&b'R');
        name = rest.trim_ascii_start();
    }
    if name.len() != argument.len() && climbs(name) {
        return Target::Untold;
    }
    Target::Listed { name, recursive }
}

/// Tells whether a name goes to a parent: behind a word that may be part of it, it would go there from elsewhere.
fn climbs(name: &[u8]) -> bool {
    name.windows(2).any(|pair| pair == b"..")
}

/// Reads `MFMT 20260101000000 name`.
fn behind_word(argument: &[u8]) -> Target<'_> {
    let end = argument.iter().position(|byte| *byte == b' ');
    if matches!(argument.first(), None | Some(b' ' | b'\t' | b'-')) {
        return Target::Untold;
    }
    match end.and_then(|end| argument.get(end + 1..)) {
        Some(name) if !climbs(name) && !first_word(argument).contains(&b'/') => Target::Named(name),
        _ => Target::Untold,
    }
}

/// Reads the argument of a checksum: a name, perhaps in quotation marks, perhaps with offsets behind it.
fn sum(argument: &[u8]) -> Target<'_> {
    if argument.iter().any(|byte| matches!(byte, b' ' | b'"')) {
        Target::Untold
    } else {
        Target::Named(argument)
    }
}

fn site(argument: &[u8]) -> Target<'_> {
    let word = first_word(argument);
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let rest = argument
        .strip_prefix(word)
        .and_then(|rest| rest.strip_prefix(b" "));
    match rest {
        Some(rest) if is("CHMOD") || is("CHGRP") || is("CHOWN") => behind_word(rest),
        Some(rest) if is("MKDIR") || is("RMDIR") || is("CPFR") || is("CPTO") => Target::Named(rest),
        _ if is("HELP") || is("IDLE") || is("UMASK") || is("NAMEFMT") => Target::Nothing,
        Some(_) | None => Target::Untold,
    }
}
