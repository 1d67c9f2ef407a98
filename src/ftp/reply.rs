//! An upstream's reply: assembled from its lines by RFC 959 4.2, emitted whole.
//!
//! Invariant: a reply is complete before anything in it means anything, and no line inside one is ever taken for its end
//! or for a reply of its own.

mod assembler;

use std::fmt;

use memchr::memrchr;

pub use assembler::{ReplyAssembler, ReplyFault};

use super::escape::escaped;

/// Holds a reply's code: 100..=599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyCode(u16);

/// Names what the first digit of a code says (RFC 959 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyClass {
    /// 1yz: begun, another reply follows.
    Preliminary,
    /// 2yz: done.
    Completion,
    /// 3yz: done so far, the next command is awaited.
    Intermediate,
    /// 4yz: refused for now.
    TransientNegative,
    /// 5yz: refused.
    PermanentNegative,
}

impl ReplyCode {
    /// Makes a code of a number in 100..=599; None for any other.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            100..=599 => Some(Self(code)),
            _ => None,
        }
    }

    /// Gives the number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Gives what the first digit says.
    #[must_use]
    pub const fn class(self) -> ReplyClass {
        match self.0 {
            ..200 => ReplyClass::Preliminary,
            200..300 => ReplyClass::Completion,
            300..400 => ReplyClass::Intermediate,
            400..500 => ReplyClass::TransientNegative,
            500.. => ReplyClass::PermanentNegative,
        }
    }

    /// Takes the nearest code where a number is none: a reply of ours must have one.
    const fn nearest(code: u16) -> Self {
        match code {
            ..100 => Self(100),
            600.. => Self(599),
            _ => Self(code),
        }
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Holds one reply with all its lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: ReplyCode,
    /// Every line followed by CRLF; no other CR, LF or NUL.
    bytes: Vec<u8>,
}

impl Reply {
    /// Makes a reply of one line. `code` is in 100..=599; CR, LF and NUL in the text become spaces.
    #[must_use]
    pub fn new(code: u16, text: impl AsRef<str>) -> Self {
        let code = ReplyCode::nearest(code);
        let text = text.as_ref();
        let mut bytes = Vec::with_capacity(text.len() + 6);
        push_line(&mut bytes, code, b' ', text);
        Self { code, bytes }
    }

    /// Makes a reply of several lines: `first` behind `ddd-`, the inner lines, `last` behind `ddd `.
    ///
    /// Inner lines that begin with a digit get a space before them (RFC 959 4.2), so that none ends the reply.
    #[must_use]
    pub fn multi<I>(code: u16, first: impl AsRef<str>, inner: I, last: impl AsRef<str>) -> Self
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let code = ReplyCode::nearest(code);
        let mut bytes = Vec::new();
        push_line(&mut bytes, code, b'-', first.as_ref());
        for line in inner {
            let line = line.as_ref();
            if line.first().is_some_and(u8::is_ascii_digit) {
                bytes.push(b' ');
            }
            push_text(&mut bytes, line);
        }
        push_line(&mut bytes, code, b' ', last.as_ref());
        Self { code, bytes }
    }

    /// Gives the code.
    #[must_use]
    pub const fn code(&self) -> ReplyCode {
        self.code
    }

    /// Says whether another reply to the same command follows: 1yz.
    #[must_use]
    pub fn is_preliminary(&self) -> bool {
        self.code.class() == ReplyClass::Preliminary
    }

    /// Says whether this answers its command: anything but 1yz.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !self.is_preliminary()
    }

    /// Says whether the command was done: 2yz.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code.class() == ReplyClass::Completion
    }

    /// Gives the lines, raw, without their CRLF; there is at least one.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.body()
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Gives the last line whole.
    #[must_use]
    pub fn final_line(&self) -> &[u8] {
        let body = self.body();
        memrchr(b'\n', body)
            .and_then(|at| body.get(at + 1..))
            .unwrap_or(body)
    }

    /// Gives the last line's text: what follows the code and the space, perhaps nothing.
    #[must_use]
    pub fn final_text(&self) -> &[u8] {
        self.final_line().get(4..).unwrap_or_default()
    }

    /// Gives the bytes to send: every line and CRLF.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Turns the reply into the bytes to send.
    #[must_use]
    pub fn into_emitted(self) -> Vec<u8> {
        self.bytes
    }

    /// Gives the bytes to send, borrowed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes a reply of lines that are known to be one.
    pub(super) fn from_lines<'a>(code: ReplyCode, lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bytes = Vec::new();
        lines.for_each(|line| push_text(&mut bytes, line));
        Self { code, bytes }
    }

    fn body(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\r\n").unwrap_or(&self.bytes)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.lines().enumerate() {
            if at > 0 {
                f.write_str(" / ")?;
            }
            escaped(line).fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

fn push_line(bytes: &mut Vec<u8>, code: ReplyCode, separator: u8, text: &str) {
    bytes.extend_from_slice(code.to_string().as_bytes());
    bytes.push(separator);
    push_text(bytes, text.as_bytes());
}

/// Adds a text and CRLF. CR, LF and NUL become spaces, so that no text makes a line of its own.
fn push_text(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend(text.iter().map(|byte| match byte {
        b'\r' | b'\n' | 0 => b' ',
        other => *other,
    }));
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_ours_is_one_line_whatever_the_text() {
        let reply = Reply::new(425, "No data port free\r\n226 done\0");
        assert_eq!(reply.emit(), b"425 No data port free  226 done \r\n");
        assert_eq!(reply.final_text(), b"No data port free  226 done ");
        assert_eq!(Reply::new(200, "").emit(), b"200 \r\n");
    }

    #[test]
    fn no_inner_line_of_ours_ends_the_reply() {
        let reply = Reply::multi(
            211,
            "Status",
            ["211 not the end", "", " TVFS", "a\r\n211 b"],
            "End",
        );
        let lines: Vec<_> = reply.lines().collect();
        let expected: [&[u8]; 6] = [
            b"211-Status",
            b" 211 not the end",
            b"",
            b" TVFS",
            b"a  211 b",
            b"211 End",
        ];
        assert_eq!(lines, expected);
        assert_eq!(reply.final_line(), b"211 End");
        assert_eq!(reply.final_text(), b"End");
        assert_eq!(reply.emit(), reply.clone().into_emitted());
        assert_eq!(
            reply.as_bytes().strip_suffix(b"\r\n"),
            Some(lines.join(b"\r\n".as_slice()).as_slice())
        );
    }

    #[test]
    fn codes_have_a_class_and_nothing_else_is_a_code() {
        for (code, class) in [
            (100, ReplyClass::Preliminary),
            (199, ReplyClass::Preliminary),
            (200, ReplyClass::Completion),
            (350, ReplyClass::Intermediate),
            (421, ReplyClass::TransientNegative),
            (599, ReplyClass::PermanentNegative),
        ] {
            assert_eq!(ReplyCode::new(code).map(ReplyCode::class), Some(class));
        }
        assert_eq!([0, 99, 600, 631].map(ReplyCode::new), [None; 4]);
        assert_eq!(
            (
                Reply::new(0, "").code().get(),
                Reply::new(1000, "").code().get()
            ),
            (100, 599)
        );
    }

    #[test]
    fn only_1yz_is_followed_by_another_reply_and_only_2yz_is_success() {
        let seen = [150, 226, 331, 425, 550].map(|code| {
            let reply = Reply::new(code, "x");
            (reply.is_preliminary(), reply.is_final(), reply.is_success())
        });
        let (other, no) = ((false, true, true), (false, true, false));
        assert_eq!(seen, [(true, false, false), other, no, no, no]);
    }

    #[test]
    fn a_reply_is_printed_escaped_in_one_line() {
        let reply = Reply::multi(220, "\x1b[2J", ["a"], "b");
        assert_eq!(reply.to_string(), r"220-\x1b[2J / a / 220 b");
    }
}
