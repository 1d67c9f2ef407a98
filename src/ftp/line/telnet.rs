//! Telnet inside one line: what RFC 854 puts into the stream beside the text.

use std::borrow::Cow;

use memchr::{memchr, memmem};

const SE: u8 = 0xF0;
const SB: u8 = 0xFA;
const WILL: u8 = 0xFB;
const DONT: u8 = 0xFE;
const IAC: u8 = 0xFF;

/// Removes Telnet commands; 0xFF is literal before a byte below 0xF0, and a doubled 0xFF stays doubled.
///
/// What ends early at the end of the line ends there. Stripping what was stripped changes nothing.
pub(super) fn strip(line: &mut Vec<u8>) {
    if memchr(IAC, line).is_none() {
        return;
    }
    let mut kept = Vec::with_capacity(line.len() + 2);
    let mut rest = line.as_slice();
    while let Some((text, command)) = memchr(IAC, rest).and_then(|at| rest.split_at_checked(at)) {
        kept.extend_from_slice(text);
        rest = match command {
            [IAC, IAC, after @ ..] => {
                kept.extend_from_slice(&[IAC, IAC]);
                after
            }
            [_, SB, after @ ..] => after_subnegotiation(after),
            [_, WILL..=DONT, after @ ..] => after.get(1..).unwrap_or_default(),
            [_, SE..=DONT, after @ ..] => after,
            [_, after @ ..] => {
                kept.push(IAC);
                after
            }
            [] => command,
        };
    }
    kept.extend_from_slice(rest);
    *line = kept;
}

/// Gives what follows the IAC SE of a subnegotiation, or nothing when the line ends inside it.
fn after_subnegotiation(mut inside: &[u8]) -> &[u8] {
    while let Some(at) = memchr(IAC, inside) {
        match inside.get(at + 1..) {
            Some([SE, after @ ..]) => return after,
            // An IAC IAC is data; any other command does not belong here and is passed over with it.
            Some([_, after @ ..]) => inside = after,
            _ => break,
        }
    }
    &[]
}

/// Gives the meaning of a line's bytes: a doubled 0xFF stands for one.
#[must_use]
pub fn unescape_iac(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memmem::find(bytes, &[IAC, IAC]).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((text, doubled)) =
        memmem::find(rest, &[IAC, IAC]).and_then(|at| rest.split_at_checked(at))
    {
        plain.extend_from_slice(text);
        plain.push(IAC);
        rest = doubled.get(2..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ftp::line::LineFramer;

    fn texts(input: &[u8]) -> Vec<Vec<u8>> {
        let mut framer = LineFramer::new(1024);
        framer.push(input);
        std::iter::from_fn(|| framer.next_line())
            .map(|line| line.expect("within the limit").bytes)
            .collect()
    }

    #[test]
    fn telnet_commands_are_removed_and_a_doubled_iac_is_one_byte_of_a_name() {
        for (input, text) in [
            (b"\xFF\xF4\xFF\xF2ABOR\r\n".as_slice(), b"ABOR".as_slice()),
            (b"\xFF\xFB\x18PO\xFF\xFE\x01RT\r\n", b"PORT"),
            (b"NO\xFF\xFA\x18\x00xterm\xFF\xFF\xFF\xF0OP\r\n", b"NOOP"),
            (b"RETR a\xFF\xFFb\r\n", b"RETR a\xFF\xFFb"),
            (b"RETR a\xFF\xFF\xF4b\r\n", b"RETR a\xFF\xFF\xF4b"),
            (b"RETR \xFFb\xFF\r\n", b"RETR \xFFb\xFF"),
            (b"NOOP\xFF\xF9\xFF\xF0\r\n", b"NOOP"),
        ] {
            assert_eq!(texts(input), [text], "{}", input.escape_ascii());
        }
        assert_eq!(
            unescape_iac(b"a\xFF\xFFb\xFF\xFF\xFF").as_ref(),
            b"a\xFFb\xFF\xFF"
        );
        assert_eq!(unescape_iac(b"plain").as_ref(), b"plain");
    }

    #[test]
    fn no_telnet_command_swallows_the_end_of_a_line() {
        for broken in [
            b"\xFF\xFB".as_slice(),
            b"\xFF\xFA",
            b"\xFF\xFAabc\xFF",
            b"\xFF\xFE\x01",
        ] {
            let input = [b"NOOP".as_slice(), broken, b"\r\nPASV\r\n"].concat();
            assert_eq!(
                texts(&input),
                [b"NOOP", b"PASV"],
                "{}",
                broken.escape_ascii()
            );
        }
    }
}
