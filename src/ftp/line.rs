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

use super::mask::masked;

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

#[cfg(test)]
mod tests {
    use super::*;

    type Framed = Vec<Result<Line, FrameFault>>;

    fn framed(chunks: &[&[u8]], limit: usize) -> Framed {
        let mut framer = LineFramer::new(limit);
        let mut lines = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(line) = framer.next_line() {
                let fault = line.is_err();
                lines.push(line);
                if fault {
                    return lines;
                }
            }
        }
        lines
    }

    #[test]
    fn one_byte_per_segment_and_forty_commands_in_one_give_the_same_lines() {
        let input = b"PASV\r\nNOOP\nTYPE I\r\nRETR \xFF\xFB\x01a\xFF\xFF\r\n".repeat(10);
        let bytes: Vec<_> = input.chunks(1).collect();
        let whole = framed(&[&input], 64);
        assert_eq!(whole.len(), 40);
        assert_eq!(framed(&bytes, 64), whole);
        let mut framer = LineFramer::new(64);
        let mut rest = input.as_slice();
        let pulled: Framed = std::iter::from_fn(|| framer.pull(&mut rest)).collect();
        assert_eq!(pulled, whole);
    }

    #[test]
    fn lf_ends_a_line_and_the_line_tells_how_it_ended() {
        let lines = framed(&[b"a\r\nb\nc\rd\r\r\n\0\n"], 64);
        let seen: Vec<_> = lines
            .iter()
            .flatten()
            .map(|line| (line.bytes.as_slice(), line.ending, line.stray_cr, line.nul))
            .collect();
        assert_eq!(
            seen,
            [
                (b"a".as_slice(), Ending::CrLf, false, false),
                (b"b", Ending::Lf, false, false),
                (b"c\rd\r", Ending::CrLf, true, false),
                (b"\0", Ending::Lf, false, true),
            ]
        );
    }

    #[test]
    fn a_line_over_the_limit_is_a_fault_that_stays() {
        let mut framer = LineFramer::new(4);
        framer.push(b"abcd\nabc\r\nabcde\nNOOP\r\n");
        assert!(framer.next_line().is_some_and(|line| line.is_ok()));
        assert!(framer.next_line().is_some_and(|line| line.is_ok()));
        assert_eq!(framer.next_line(), Some(Err(FrameFault::TooLong)));
        framer.push(b"NOOP\r\n");
        assert_eq!(framer.next_line(), Some(Err(FrameFault::TooLong)));
        assert_eq!(
            framer.pull(&mut b"NOOP\r\n".as_slice()),
            Some(Err(FrameFault::TooLong))
        );
        assert_eq!(framer.pending(), 0);
        framer.clear();
        framer.push(b"NOOP\n");
        assert!(framer.next_line().is_some_and(|line| line.is_ok()));
    }

    #[test]
    fn no_lf_for_a_mebibyte_is_a_fault_and_memory_stays_bounded() {
        let mut framer = LineFramer::new(512);
        framer.push(b"NOOP\r\n");
        for _ in 0..1024 {
            framer.push(&[b'x'; 1024]);
            assert!(framer.pending() <= 6 + 513);
        }
        assert_eq!(
            framer.next_line().map(|line| line.map(|line| line.bytes)),
            Some(Ok(b"NOOP".to_vec()))
        );
        assert_eq!(framer.next_line(), Some(Err(FrameFault::TooLong)));
        assert_eq!(framer.pending(), 0);
    }

    #[test]
    fn telnet_bytes_count_towards_the_limit() {
        assert_eq!(
            framed(&[&[0xFF, 0xF1].repeat(9)], 16),
            [Err(FrameFault::TooLong)]
        );
        assert_eq!(
            framed(&[&[0xFF, 0xFA].repeat(9)], 16),
            [Err(FrameFault::TooLong)]
        );
    }

    #[test]
    fn an_idle_framer_is_small_and_holds_no_heap() {
        assert!(size_of::<LineFramer>() <= 48);
        let mut framer = LineFramer::new(64);
        for input in [b"NOOP\r\n".as_slice(), b"NOOP\r\nNOOP\r\n"] {
            framer.push(input);
            while framer.next_line().is_some() {}
            assert_eq!(framer.buffer.capacity(), 0);
        }
    }

    #[test]
    fn what_follows_lines_that_were_taken_is_kept_without_them() {
        let mut framer = LineFramer::new(64);
        framer.push(b"a\nb\nrest");
        assert!(framer.next_line().is_some() && framer.next_line().is_some());
        assert_eq!((framer.next_line(), framer.pending()), (None, 4));
        framer.push(b" of it\n");
        assert_eq!(
            framer
                .next_line()
                .and_then(Result::ok)
                .map(|line| line.bytes),
            Some(b"rest of it".to_vec())
        );
    }

    #[test]
    fn a_framer_that_is_never_drained_does_not_keep_what_it_gave_out() {
        let mut framer = LineFramer::new(64);
        framer.push(b"NO");
        for _ in 0..10_000 {
            framer.push(b"OP\r\nNO");
            assert!(framer.next_line().is_some_and(|line| line.is_ok()));
            assert_eq!((framer.next_line(), framer.pending()), (None, 2));
            assert!(framer.buffer.capacity() <= 64);
        }
    }
}
