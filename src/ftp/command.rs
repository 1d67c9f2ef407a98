//! A client's command: parsed whole, judged by its verb, emitted anew.
//!
//! Invariant: what a command emits is one line, and parses to the same command.

use std::fmt;

use memchr::memchr;

use super::escape::escaped;
use super::foreign::ForeignProtocol;
use super::line::{Ending, Line};
use super::verb::Verb;

pub use super::foreign::is_tls_client_hello;

/// The longest verb that is taken for one, in bytes.
const LONGEST_VERB: usize = 16;

/// Says what is done with a client's line that ends in LF alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BareLf {
    /// It is a fault.
    Refuse,
    /// It is a line like any other, and goes out with CRLF.
    Accept,
}

/// Says why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CommandFault {
    /// The line holds nothing.
    #[error("empty line")]
    Empty,
    /// The line begins with a space or a tab.
    #[error("space before the command")]
    LeadingSpace,
    /// A CR or a NUL stands inside the line.
    #[error("CR or NUL inside the line")]
    StrayControl,
    /// The line ends in LF without CR, which is refused here.
    #[error("line ends in LF without CR")]
    BareLf,
    /// The line belongs to another protocol: the session ends.
    #[error("line of another protocol")]
    Foreign(ForeignProtocol),
    /// The verb holds bytes outside 0x21..=0x7E or is longer than 16.
    #[error("not a command")]
    Malformed,
}

/// Holds one command with all its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// What the command asks for.
    pub verb: Verb,
    verb_length: u8,
    raw: Vec<u8>,
}

impl Command {
    /// Parses a client's line.
    ///
    /// # Errors
    /// Says by [`CommandFault`] why the line is none. Another protocol is recognised before anything else is looked at.
    pub fn parse(line: Line, bare_lf: BareLf) -> Result<Self, CommandFault> {
        if let Some(protocol) = ForeignProtocol::recognise(&line.bytes) {
            return Err(CommandFault::Foreign(protocol));
        }
        match (line.ending, bare_lf) {
            (Ending::Lf, BareLf::Refuse) => return Err(CommandFault::BareLf),
            (Ending::Lf, BareLf::Accept) | (Ending::CrLf, _) => {}
        }
        if line.stray_cr || line.nul {
            return Err(CommandFault::StrayControl);
        }
        let mut raw = line.bytes;
        match raw.first() {
            None => return Err(CommandFault::Empty),
            Some(b' ' | b'\t') => return Err(CommandFault::LeadingSpace),
            Some(0xF0..) => drop_synch_leftovers(&mut raw),
            Some(_) => {}
        }
        let word = first_word(&raw);
        if word.is_empty() || word.len() > LONGEST_VERB || !word.iter().all(u8::is_ascii_graphic) {
            return Err(CommandFault::Malformed);
        }
        let verb_length = u8::try_from(word.len()).map_err(|_| CommandFault::Malformed)?;
        Ok(Self {
            verb: Verb::parse(word),
            verb_length,
            raw,
        })
    }

    /// Makes a command of our own. CR, LF and NUL in the argument are left out: no argument makes a second line.
    #[must_use]
    pub fn new(verb: Verb, argument: Option<&[u8]>) -> Self {
        let name = verb.name();
        let mut raw =
            Vec::with_capacity(name.len() + argument.map_or(0, |argument| argument.len() + 1) + 2);
        raw.extend_from_slice(name.as_bytes());
        if let Some(argument) = argument {
            raw.push(b' ');
            raw.extend(
                argument
                    .iter()
                    .filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)),
            );
        }
        Self {
            verb,
            verb_length: u8::try_from(name.len()).unwrap_or(u8::MAX),
            raw,
        }
    }

    /// Gives the verb as it was spelt.
    #[must_use]
    pub fn verb_text(&self) -> &[u8] {
        self.raw
            .get(..usize::from(self.verb_length))
            .unwrap_or_default()
    }

    /// Gives what follows the first single space, raw, perhaps empty; None when no space follows the verb.
    #[must_use]
    pub fn argument(&self) -> Option<&[u8]> {
        self.raw.get(usize::from(self.verb_length) + 1..)
    }

    /// Gives the whole line without its terminator.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Gives the bytes to send: the line and CRLF.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.raw.len() + 2);
        bytes.extend_from_slice(&self.raw);
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// Turns the command into the bytes to send.
    #[must_use]
    pub fn into_emitted(self) -> Vec<u8> {
        let mut bytes = self.raw;
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        masked(&self.raw).fmt(f)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

/// Prints a client's line, well-formed or not: see [`masked`].
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a> {
    line: &'a [u8],
}

/// Escapes a client's line for people to read, with `****` for the argument of PASS, ACCT and ADAT and of SITE PSWD.
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

fn first_word(line: &[u8]) -> &[u8] {
    memchr(b' ', line)
        .and_then(|at| line.get(..at))
        .unwrap_or(line)
}

/// Takes what a Telnet Synch left before ABOR when its urgent byte did not arrive in line: lone bytes from 0xF0.
///
/// It is done for ABOR alone and when nothing else is in the line, so that no other command can hide in it.
fn drop_synch_leftovers(line: &mut Vec<u8>) {
    let leftovers = line.iter().take_while(|byte| **byte >= 0xF0).count();
    if line
        .get(leftovers..)
        .is_some_and(|rest| rest.trim_ascii_end().eq_ignore_ascii_case(b"ABOR"))
    {
        line.drain(..leftovers);
    }
}
