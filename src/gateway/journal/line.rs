//! A record as one line of JSON.
//!
//! A thread renders its line before it takes the journal's lock; the number is all that is left to do under it.

use std::io::Write as _;

use crate::engine::{Record, Wall};

use super::Addresses;
use super::body::Body;

/// Room before the body, for the time and the number.
const HEAD: usize = 72;

/// What a line must not tell in full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Privacy {
    /// Whether the password of anonymous users is kept.
    pub anonymous_email: bool,
    /// How addresses on the client's side are shown.
    pub addresses: Addresses,
}

impl Privacy {
    /// For records that name nobody.
    pub(super) const NOTHING_TO_HIDE: Privacy = Privacy {
        anonymous_email: false,
        addresses: Addresses::Full,
    };
}

/// One line: rendered by its thread first, numbered and thereby finished in the order of the file.
#[derive(Debug)]
pub(super) struct Line {
    buffer: Vec<u8>,
    time: Wall,
    start: usize,
}

impl Line {
    /// Makes an empty line; its buffer serves many records.
    pub(super) const fn new() -> Self {
        Line {
            buffer: Vec::new(),
            time: Wall(0),
            start: HEAD,
        }
    }

    /// Renders everything but the number.
    pub(super) fn render(&mut self, record: &Record, privacy: Privacy) {
        self.time = record.at;
        self.start = HEAD;
        self.buffer.clear();
        self.buffer.resize(HEAD, 0);
        Body::new(&mut self.buffer, record, privacy).write(record);
        self.buffer.extend_from_slice(b"}\n");
    }

    /// Puts time and number before the body.
    pub(super) fn number(&mut self, seq: u64) {
        let mut head = [0_u8; HEAD];
        let mut room = head.as_mut_slice();
        // It fits by construction: 9 + 27 + 8 + 20 bytes; `Wall` clamps what is beyond the year 9999.
        let written = write!(room, "{{\"time\":\"{}\",\"seq\":{seq}", self.time);
        let length = HEAD - room.len();
        debug_assert!(written.is_ok());
        self.start = HEAD - length;
        if let (Some(to), Some(from)) = (self.buffer.get_mut(self.start..HEAD), head.get(..length))
        {
            to.copy_from_slice(from);
        }
    }

    /// Gives the finished line with its line feed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

impl Default for Line {
    fn default() -> Self {
        Line::new()
    }
}
