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
    let mut code = 0;
    for digit in digits {
        code = code * 10 + u16::from(digit.is_ascii_digit().then_some(digit - b'0')?);
    }
    let separator = match rest.first() {
        None | Some(b' ') => Separator::Last,
        Some(b'-') => Separator::More,
        Some(_) => return None,
    };
    Some((ReplyCode::new(code)?, separator))
}
