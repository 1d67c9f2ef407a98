//! Cuts a byte stream into lines and takes Telnet's commands out of them.
//!
//! LF ends a line, always: no Telnet command reaches past it, so that framing never depends on what stands in a line and
//! a broken command can not swallow the next line. What is within one line is read by RFC 854, and by RFC 1123 4.1.2.12,
//! which expects Telnet commands from any peer.
//!
//! Invariant: any splitting of the same bytes gives the same lines, and what is buffered stays within the limit plus the
//! complete lines that were not yet taken.

mod telnet;

use std::fmt;

use memchr::{memchr, memchr2, memrchr};

pub use telnet::unescape_iac;

use super::command::masked;

/// Names the terminator that a line had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// CR LF, as RFC 959 5.3.1 wants it.
    CrLf,
    /// LF without a CR before it.
    Lf,
}

/// Holds one line from a peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// The line's bytes without its terminator and without Telnet commands; a doubled 0xFF is still doubled.
    pub bytes: Vec<u8>,
    /// How the line ended.
    pub ending: Ending,
    /// Whether a CR stands in `bytes`.
    pub stray_cr: bool,
    /// Whether a NUL stands in `bytes`.
    pub nul: bool,
}

impl Line {
    /// Makes a line of the bytes that stood before an LF.
    fn from_raw(mut raw: Vec<u8>) -> Self {
        let ending = match raw.pop_if(|last| *last == b'\r') {
            Some(_) => Ending::CrLf,
            None => Ending::Lf,
        };
        telnet::strip(&mut raw);
        let mut line = Self {
            bytes: raw,
            ending,
            stray_cr: false,
            nul: false,
        };
        if memchr2(b'\r', 0, &line.bytes).is_some() {
            line.stray_cr = memchr(b'\r', &line.bytes).is_some();
            line.nul = memchr(0, &line.bytes).is_some();
        }
        line
    }

    /// Gives the line's bytes without stray CR and NUL, free of Telnet commands also where a stray byte had parted one.
    pub(super) fn into_clean(mut self) -> Vec<u8> {
        if self.stray_cr || self.nul {
            self.bytes.retain(|byte| !matches!(byte, b'\r' | 0));
            telnet::strip(&mut self.bytes);
        }
        self.bytes
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line(\"{}\" {:?})", masked(&self.bytes), self.ending)
    }
}

/// Says why a stream can not be cut into lines any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameFault {
    /// More bytes than the limit came without an LF.
    #[error("line too long")]
    TooLong,
}

/// Cuts one direction of a control connection into lines.
///
/// Holds no heap while nothing is buffered.
#[derive(Debug)]
pub struct LineFramer {
    buffer: Vec<u8>,
    /// How much of `buffer` was already given out as lines.
    taken: usize,
    /// How many bytes arrived since the last LF; when that is more than `limit`, at most `limit + 1` of them are kept.
    tail: usize,
    limit: u32,
    faulted: bool,
}

impl LineFramer {
    /// Makes a framer whose lines have at most `limit` raw bytes before their LF; Telnet commands and the CR count.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            buffer: Vec::new(),
            taken: 0,
            tail: 0,
            limit,
            faulted: false,
        }
    }

    /// Buffers what a peer sent; [`LineFramer::next_line`] then gives the lines.
    pub fn push(&mut self, chunk: &[u8]) {
        let limit = self.limit();
        if self.faulted || self.tail > limit {
            return;
        }
        self.compact();
        let tail = match memrchr(b'\n', chunk) {
            Some(at) => chunk.len() - at - 1,
            None => self.tail + chunk.len(),
        };
        let excess = tail.saturating_sub(limit.saturating_add(1));
        self.tail = tail - excess;
        self.buffer.extend(chunk.iter().take(chunk.len() - excess));
    }

    /// Gives the next complete line, or the fault that ends the stream and is repeated from then on.
    pub fn next_line(&mut self) -> Option<Result<Line, FrameFault>> {
        if self.faulted {
            return Some(Err(FrameFault::TooLong));
        }
        let unread = self.buffer.get(self.taken..).unwrap_or_default();
        if self.tail == unread.len() {
            return (self.tail > self.limit()).then(|| self.fail());
        }
        let length = memchr(b'\n', unread)?;
        if length > self.limit() {
            return Some(self.fail());
        }
        let raw = if self.taken == 0 && length + 1 == self.buffer.len() {
            let mut raw = std::mem::take(&mut self.buffer);
            raw.truncate(length);
            raw
        } else {
            let raw = copied(unread.get(..length).unwrap_or_default());
            self.taken += length + 1;
            if self.taken == self.buffer.len() {
                self.release();
            }
            raw
        };
        Some(Ok(Line::from_raw(raw)))
    }

    /// Gives the next line out of what is buffered followed by `input`, and moves `input` past what it used.
    ///
    /// Does the same as `push` and `next_line` without copying complete lines twice. None means that all of `input` was
    /// used; a caller that stops earlier pushes the rest.
    pub fn pull(&mut self, input: &mut &[u8]) -> Option<Result<Line, FrameFault>> {
        if self.faulted || self.tail < self.pending() {
            return self.next_line();
        }
        let chunk = match memchr(b'\n', input) {
            Some(at) => input.split_off(..=at)?,
            None => std::mem::take(input),
        };
        match chunk {
            [raw @ .., b'\n'] if self.buffer.is_empty() && raw.len() <= self.limit() => {
                Some(Ok(Line::from_raw(copied(raw))))
            }
            _ => {
                self.push(chunk);
                self.next_line()
            }
        }
    }

    /// Counts the bytes that are buffered and not yet given out.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// Forgets what is buffered and any fault.
    pub fn clear(&mut self) {
        self.release();
        self.faulted = false;
        self.tail = 0;
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    fn fail(&mut self) -> Result<Line, FrameFault> {
        self.release();
        self.faulted = true;
        Err(FrameFault::TooLong)
    }

    fn release(&mut self) {
        self.buffer = Vec::new();
        self.taken = 0;
    }

    /// Drops the part that was given out once it is the larger one, so that each byte is moved a bounded number of times.
    fn compact(&mut self) {
        if self.taken > self.buffer.len() / 2 {
            self.buffer = self.buffer.get(self.taken..).unwrap_or_default().to_vec();
            self.taken = 0;
        }
    }
}

/// Copies a line's bytes with room for the CRLF that will follow them.
fn copied(raw: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(raw.len() + 2);
    copy.extend_from_slice(raw);
    copy
}
