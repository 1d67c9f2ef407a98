//! Secrets in a client's lines, kept out of everything that is printed.

use std::fmt;

use super::escape::escaped_to;
use super::verb::Verb;

/// The words after SITE by which servers change passwords.
const SITE_SECRETS: [&[u8]; 4] = [b"PSWD", b"PASS", b"PASSWD", b"CHPASS"];

/// Prints a client's line, well-formed or not: see [`masked`].
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a> {
    line: &'a [u8],
    max: usize,
}

/// Escapes a client's line for people to read, with `****` for the argument of PASS, ACCT, ADAT and SITE PSWD.
///
/// Works on any line, so that a password does not show because the line that holds it is faulty.
#[must_use]
pub const fn masked(line: &[u8]) -> Masked<'_> {
    Masked {
        line,
        max: usize::MAX,
    }
}

/// Does the same and cuts the escaped text after `max` bytes, as [`escaped_to`] does.
#[must_use]
pub const fn masked_to(line: &[u8], max: usize) -> Masked<'_> {
    Masked { line, max }
}

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match first_secret(self.line).and_then(|at| self.line.split_at_checked(at)) {
            Some((open, _)) => write!(f, "{} ****", escaped_to(open, self.max)),
            None => escaped_to(self.line, self.max).fmt(f),
        }
    }
}

/// Finds the first secret in a line, also in what a stray CR or NUL makes look like a second line.
fn first_secret(line: &[u8]) -> Option<usize> {
    let mut start = 0;
    for part in line.split_inclusive(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        if let Some(at) = secret_at(part) {
            return Some(start + at);
        }
        start += part.len();
    }
    None
}

/// Finds the byte before a secret, in a line that may be faulty in any way.
fn secret_at(line: &[u8]) -> Option<usize> {
    let (start, end) = word_from(line, 0)?;
    let verb = Verb::parse(line.get(start..end)?);
    let open = match verb {
        Verb::Site => {
            let (start, end) = word_from(line, end)?;
            let word = line.get(start..end)?;
            SITE_SECRETS
                .iter()
                .any(|secret| word.eq_ignore_ascii_case(secret))
                .then_some(end)?
        }
        verb if verb.has_secret_argument() => end,
        _ => return None,
    };
    (open < line.len()).then_some(open)
}

/// Finds the next run of graphic ASCII bytes.
fn word_from(line: &[u8], from: usize) -> Option<(usize, usize)> {
    let start = from + line.get(from..)?.iter().position(u8::is_ascii_graphic)?;
    let length = line
        .get(start..)?
        .iter()
        .position(|byte| !byte.is_ascii_graphic());
    Some((start, length.map_or(line.len(), |length| start + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_every_spelling_and_in_faulty_lines() {
        for (bytes, shown) in [
            (b"PASS s3cret".as_slice(), "PASS ****"),
            (b"pAsS  s3cret x", "pAsS ****"),
            (b"ACCT s3cret", "ACCT ****"),
            (b"adat s3cret", "adat ****"),
            (b" PASS s3cret", " PASS ****"),
            (b"\0PASS\ts3cret", "\\x00PASS ****"),
            (b"PASS\xFFs3cret", "PASS ****"),
            (b"SITE PSWD old new", "SITE PSWD ****"),
            (b"site chpass new", "site chpass ****"),
            (b"NOOP\rPASS s3cret", "NOOP\\x0dPASS ****"),
            (b"NOOP\r\0 pass s3cret", "NOOP\\x0d\\x00 pass ****"),
            (b"PASS\0s3cret", "PASS ****"),
            (b"PASS", "PASS"),
            (b"PASS\r", "PASS ****"),
            (b"USER s3cret", "USER s3cret"),
            (b"SITE CHMOD 600 a", "SITE CHMOD 600 a"),
        ] {
            assert_eq!(masked(bytes).to_string(), shown);
        }
    }

    #[test]
    fn a_bound_cuts_the_open_part_and_the_secret_stays_masked() {
        assert_eq!(masked_to(b"USER abcdef", 8).to_string(), "USER abc\u{2026}");
        assert_eq!(masked_to(b"PASS s3cret", 2).to_string(), "PA\u{2026} ****");
    }
}
