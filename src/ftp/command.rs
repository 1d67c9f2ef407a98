//! A client's command: parsed whole, judged by its verb, emitted anew.
//!
//! Invariant: what a command emits is one line, and parses to the same command.

use std::fmt;

use memchr::memchr;

use super::foreign::ForeignProtocol;
use super::line::{Ending, Line};
use super::mask::masked;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ftp::line::LineFramer;

    fn line(bytes: &[u8]) -> Line {
        let mut framer = LineFramer::new(4096);
        framer.push(bytes);
        framer
            .next_line()
            .expect("a whole line")
            .expect("a short line")
    }

    fn parsed(bytes: &[u8]) -> Result<Command, CommandFault> {
        Command::parse(line(bytes), BareLf::Refuse)
    }

    #[test]
    fn a_command_is_a_verb_and_what_follows_the_first_space() {
        for (bytes, verb, text, argument) in [
            (b"PASV\r\n".as_slice(), Verb::Pasv, b"PASV".as_slice(), None),
            (
                b"retr  a b \r\n",
                Verb::Retr,
                b"retr",
                Some(b" a b ".as_slice()),
            ),
            (b"LIST \r\n", Verb::List, b"LIST", Some(b"")),
            (b"XYZZY \"q\"\r\n", Verb::Unknown, b"XYZZY", Some(b"\"q\"")),
            (b"p@sw\r\n", Verb::PAtSw, b"p@sw", None),
        ] {
            let command = parsed(bytes).expect("a command");
            assert_eq!(
                (command.verb, command.verb_text(), command.argument()),
                (verb, text, argument)
            );
        }
    }

    #[test]
    fn names_and_trailing_spaces_leave_byte_identical() {
        for bytes in [
            b"TYPE I  \r\n".as_slice(),
            b"RETR a \"b\"\tc;d\r\n",
            b"RETR gr\xC3\xBC\xC3\x9Fe\r\n",
            b"RETR gr\xFC\xDFe\xFF\xFF\r\n",
            b"stor \x1b[2J%n%s/../\r\n",
        ] {
            let command = parsed(bytes).expect("a command");
            assert_eq!(command.emit(), bytes);
            assert_eq!(command.into_emitted(), bytes);
        }
    }

    #[test]
    fn a_bare_cr_or_a_nul_inside_is_refused_and_never_two_commands() {
        for bytes in [
            b"RETR a\rPORT 1,2,3,4,5,6\r\n".as_slice(),
            b"RETR a\0\r\n",
            b"NOOP\r\r\n",
            b"RETR a\r\0b\r\n",
        ] {
            assert_eq!(parsed(bytes), Err(CommandFault::StrayControl));
        }
    }

    #[test]
    fn a_bare_lf_is_refused_unless_it_is_accepted_and_then_leaves_as_crlf() {
        assert_eq!(parsed(b"NOOP\n"), Err(CommandFault::BareLf));
        let accepted = Command::parse(line(b"NOOP\n"), BareLf::Accept).expect("accepted");
        assert_eq!(accepted.into_emitted(), b"NOOP\r\n");
    }

    #[test]
    fn empty_lines_leading_spaces_and_verbs_of_other_bytes_have_a_defined_result() {
        for (bytes, fault) in [
            (b"\r\n".as_slice(), CommandFault::Empty),
            (b"\xFF\xF1\r\n", CommandFault::Empty),
            (b" NOOP\r\n", CommandFault::LeadingSpace),
            (b"\tNOOP\r\n", CommandFault::LeadingSpace),
            (b"RETR\tname\r\n", CommandFault::Malformed),
            (b"R\xC3\x89TR name\r\n", CommandFault::Malformed),
            (b"ABCDEFGHIJKLMNOPQ x\r\n", CommandFault::Malformed),
        ] {
            assert_eq!(parsed(bytes), Err(fault), "{}", bytes.escape_ascii());
        }
        assert!(parsed(b"ABCDEFGHIJKLMNOP x\r\n").is_ok());
    }

    #[test]
    fn another_protocol_is_told_at_its_first_line_whatever_else_is_wrong_with_it() {
        for bytes in [
            b"POST / HTTP/1.1\n".as_slice(),
            b"GET /\0 HTTP/1.1\r\n",
            b"\0\r\n",
            b"EHLO x\n",
            b"\x16\x03\x01\n",
        ] {
            assert!(
                matches!(parsed(bytes), Err(CommandFault::Foreign(_))),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn abor_behind_a_telnet_synch_is_a_plain_abor_in_line_or_not() {
        for bytes in [
            b"\xFF\xF4\xFF\xF2ABOR\r\n".as_slice(),
            b"\xFF\xF4\xF2abor\r\n",
            b"\xFF\xF4\xFFABOR\r\n",
            b"\xF2ABOR\r\n",
        ] {
            let command = parsed(bytes).expect("ABOR");
            assert_eq!(command.verb, Verb::Abor);
            assert!(command.raw().eq_ignore_ascii_case(b"ABOR"));
        }
        assert_eq!(parsed(b"\xF2NOOP\r\n"), Err(CommandFault::Malformed));
        assert_eq!(parsed(b"\xF2ABOR x\r\n"), Err(CommandFault::Malformed));
    }

    #[test]
    fn our_own_commands_are_one_line_whatever_the_argument() {
        assert_eq!(Command::new(Verb::Pasv, None).emit(), b"PASV\r\n");
        assert_eq!(
            Command::new(Verb::User, Some(b"a\r\nDELE b\0")).emit(),
            b"USER aDELE b\r\n"
        );
        let list = Command::new(Verb::List, Some(b"-a"));
        assert_eq!(
            (list.verb_text(), list.argument()),
            (b"LIST".as_slice(), Some(b"-a".as_slice()))
        );
    }

    #[test]
    fn a_password_is_masked_wherever_its_command_is_printed() {
        let command = parsed(b"PASS s3cret\r\n").expect("a command");
        assert_eq!(command.to_string(), "PASS ****");
        let debugged = format!("{command:?} {:?}", line(b"PASS s3cret\r\n"));
        assert!(!debugged.contains("s3cret"), "{debugged}");
    }
}
