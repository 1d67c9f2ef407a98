//! From lines to replies.

use super::{Reply, ReplyCode};
use crate::ftp::line::Line;

/// Says why an upstream's lines are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ReplyFault {
    /// The reply has more bytes or more lines than is allowed.
    #[error("reply too long")]
    TooLong,
    /// A line where a reply had to begin is none.
    #[error("not a reply")]
    NotAReply,
}

/// Puts an upstream's lines together to replies.
///
/// Holds no heap between replies.
#[derive(Debug)]
pub struct ReplyAssembler {
    bytes: Vec<u8>,
    /// The code of the reply that has been opened by `ddd-` and not yet ended.
    open: Option<ReplyCode>,
    lines: u32,
    max_bytes: u32,
    max_lines: u32,
    fault: Option<ReplyFault>,
}

impl ReplyAssembler {
    /// Makes an assembler for replies of at most `max_bytes` bytes, CRLFs counted, and `max_lines` lines.
    #[must_use]
    pub fn new(max_bytes: usize, max_lines: usize) -> Self {
        Self {
            bytes: Vec::new(),
            open: None,
            lines: 0,
            max_bytes: u32::try_from(max_bytes).unwrap_or(u32::MAX),
            max_lines: u32::try_from(max_lines).unwrap_or(u32::MAX),
            fault: None,
        }
    }

    /// Takes the next line, and gives the reply that it ends.
    ///
    /// # Errors
    /// Says by [`ReplyFault`] why the lines are no reply; from then on, every line gives the same fault.
    pub fn push(&mut self, line: Line) -> Result<Option<Reply>, ReplyFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut line = line.into_clean();
        let begins = begin_of(&line);
        self.lines = self.lines.saturating_add(1);
        let length = u32::try_from(self.bytes.len() + line.len() + 2).unwrap_or(u32::MAX);
        if length > self.max_bytes || self.lines > self.max_lines {
            return Err(self.fail(ReplyFault::TooLong));
        }
        match (self.open, begins) {
            (None, Some((code, Separator::Last))) => {
                self.lines = 0;
                line.extend_from_slice(b"\r\n");
                Ok(Some(Reply { code, bytes: line }))
            }
            (None, Some((code, Separator::More))) => {
                self.open = Some(code);
                line.extend_from_slice(b"\r\n");
                self.bytes = line;
                Ok(None)
            }
            (None, None) => Err(self.fail(ReplyFault::NotAReply)),
            (Some(open), begins) => {
                self.bytes.extend_from_slice(&line);
                self.bytes.extend_from_slice(b"\r\n");
                if begins != Some((open, Separator::Last)) {
                    return Ok(None);
                }
                self.lines = 0;
                self.open = None;
                Ok(Some(Reply {
                    code: open,
                    bytes: std::mem::take(&mut self.bytes),
                }))
            }
        }
    }

    /// Says whether no reply is half-way.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.open.is_none()
    }

    fn fail(&mut self, fault: ReplyFault) -> ReplyFault {
        self.bytes = Vec::new();
        self.open = None;
        self.fault = Some(fault);
        fault
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// A space, or nothing at all: the last line.
    Last,
    /// A hyphen: more lines follow.
    More,
}

/// Reads `ddd `, `ddd` alone or `ddd-` at the begin of a line.
fn begin_of(line: &[u8]) -> Option<(ReplyCode, Separator)> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let code = digits.iter().try_fold(0, |code, digit| match digit {
        b'0'..=b'9' => Some(code * 10 + u16::from(digit - b'0')),
        _ => None,
    })?;
    let separator = match rest.first() {
        None | Some(b' ') => Separator::Last,
        Some(b'-') => Separator::More,
        Some(_) => return None,
    };
    Some((ReplyCode::new(code)?, separator))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ftp::line::LineFramer;

    fn assembled(input: &[u8]) -> Result<Vec<Reply>, ReplyFault> {
        let mut framer = LineFramer::new(1024);
        let mut assembler = ReplyAssembler::new(1024, 16);
        framer.push(input);
        let mut replies = Vec::new();
        while let Some(line) = framer.next_line() {
            replies.extend(assembler.push(line.expect("a short line"))?);
        }
        assert!(assembler.is_idle());
        Ok(replies)
    }

    #[test]
    fn replies_leave_byte_identical() {
        for input in [
            b"220 ready\r\n".as_slice(),
            b"200\r\n",
            b"200 \r\n",
            b"150  spaces \xE9 \xFF\xFF\r\n",
            b"211-Features\r\n UTF8\r\n211 End\r\n",
            b"230-a\r\n230-b\r\n230\r\n",
        ] {
            let [reply] = assembled(input)
                .expect("a reply")
                .try_into()
                .expect("one reply");
            assert_eq!(reply.emit(), input);
        }
    }

    #[test]
    fn no_inner_line_ends_a_multi_line_reply_or_opens_anything() {
        let input = b"230-Welcome\r\n\r\n227 Entering Passive Mode (10,0,0,5,4,1)\r\n230-\r\n2300 files\r\n 230 x\r\n\
            230\tx\r\n226-\r\n226 done\r\n1\r\n230 done\r\n226 next\r\n";
        let replies = assembled(input).expect("replies");
        let seen: Vec<_> = replies
            .iter()
            .map(|reply| (reply.code().get(), reply.lines().count()))
            .collect();
        assert_eq!(seen, [(230, 11), (226, 1)]);
        assert_eq!(
            replies.iter().map(Reply::final_text).collect::<Vec<_>>(),
            [b"done".as_slice(), b"next"]
        );
    }

    #[test]
    fn a_code_alone_ends_a_multi_line_reply_and_is_a_reply() {
        let replies = assembled(b"200\r\n211-a\r\n211\r\n").expect("replies");
        assert_eq!(
            replies
                .iter()
                .map(|reply| reply.lines().count())
                .collect::<Vec<_>>(),
            [1, 2]
        );
        assert!(replies.iter().all(|reply| reply.final_text().is_empty()));
    }

    #[test]
    fn bare_lf_stray_cr_and_nul_go_out_as_crlf_alone() {
        let [reply] = assembled(b"211-a\r\r\n b\0\n211 c\r\0d\n")
            .expect("a reply")
            .try_into()
            .expect("one reply");
        assert_eq!(reply.emit(), b"211-a\r\n b\r\n211 cd\r\n");
    }

    #[test]
    fn no_telnet_command_comes_of_removing_a_stray_byte() {
        let [reply] = assembled(b"200 a\xFF\r\xF4b\xFF\0\xFB\x01c\r\n")
            .expect("a reply")
            .try_into()
            .expect("one reply");
        assert_eq!(reply.emit(), b"200 abc\r\n");
    }

    #[test]
    fn a_line_from_an_upstream_that_is_no_reply_is_a_fault() {
        for input in [
            b"\r\n".as_slice(),
            b"PORT 1,2,3,4,5,6\r\n",
            b"20\r\n",
            b"2000 x\r\n",
            b"200\tx\r\n",
            b"200x\r\n",
            b" 200 x\r\n",
            b"099 x\r\n",
            b"600 x\r\n",
            b"+200 x\r\n",
            b"\xD9\xA2\xD9\xA0 x\r\n",
        ] {
            assert_eq!(
                assembled(input),
                Err(ReplyFault::NotAReply),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[test]
    fn a_reply_of_too_many_lines_or_bytes_is_a_fault_that_stays() {
        let line = || {
            let mut framer = LineFramer::new(64);
            framer.push(b"211-x\r\n");
            framer.next_line().and_then(Result::ok).expect("a line")
        };
        let accepted = |max_bytes, max_lines| {
            let mut assembler = ReplyAssembler::new(max_bytes, max_lines);
            let accepted = (0..100_000)
                .take_while(|_| assembler.push(line()).is_ok())
                .count();
            assert_eq!(assembler.push(line()), Err(ReplyFault::TooLong));
            assert_eq!(assembler.bytes.capacity(), 0);
            accepted
        };
        assert_eq!(accepted(1 << 20, 1000), 1000);
        assert_eq!(accepted(7000, 100_000), 1000);
    }

    #[test]
    fn the_bounds_are_of_one_reply_and_not_of_all() {
        let mut assembler = ReplyAssembler::new(16, 2);
        let mut framer = LineFramer::new(16);
        for _ in 0..10 {
            framer.push(b"200-ok\r\n200 ok\r\n200 ok\r\n");
            while let Some(Ok(line)) = framer.next_line() {
                assert!(assembler.push(line).is_ok());
            }
        }
        assert!(size_of::<ReplyAssembler>() <= 48);
        assert_eq!(assembler.bytes.capacity(), 0);
    }
}
