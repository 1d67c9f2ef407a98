//! Secrets in a client's lines, kept out of everything that is printed.

use std::fmt;

use super::escape::escaped;
use super::verb::Verb;

/// The words after SITE by which servers change passwords.
const SITE_SECRETS: [&[u8]; 4] = [b"PSWD", b"PASS", b"PASSWD", b"CHPASS"];

/// Prints a client's line, well-formed or not: see [`masked`].
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a> {
    line: &'a [u8],
}

/// Escapes a client's line for people to read, with `****` for the argument of PASS, ACCT, ADAT and SITE PSWD.
///
/// Works on any line, so that a password does not show because the line that holds it is faulty.
#[must_use]
pub const fn masked(line: &[u8]) -> Masked<'_> {
    Masked { line }
}

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match secret_at(self.line).and_then(|at| self.line.split_at_checked(at)) {
            Some((open, _)) => write!(f, "{} ****", escaped(open)),
            None => escaped(self.line).fmt(f),
        }
    }
}

/// Finds where a secret and the byte before it begin, in a line that may be faulty in any way.
fn secret_at(line: &[u8]) -> Option<usize> {
    let (start, end) = word_from(line, 0)?;
    let verb = Verb::parse(line.get(start..end)?);
    let open = match verb {
        Verb::Site => {
            let (start, end) = word_from(line, end)?;
            line.get(start..end)?
                .eq_ignore_ascii_case(b"PSWD")
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
            (b"PASS", "PASS"),
            (b"USER s3cret", "USER s3cret"),
            (b"SITE CHMOD 600 a", "SITE CHMOD 600 a"),
        ] {
            assert_eq!(masked(bytes).to_string(), shown);
        }
    }
}
