//! A record as one line of JSON.
//!
//! A thread renders its line before it takes the journal's lock; the number is all that is left to do under it.

use crate::engine::Record;

use super::body::Body;
use super::{Addresses, text};

/// Room before the body, for the time and the number.
const ROOM: usize = 64;

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
    /// The body behind room for the head.
    buffer: Vec<u8>,
    head: Vec<u8>,
    /// Length of the head without the number.
    unnumbered: usize,
    /// Where the numbered line begins.
    start: usize,
}

impl Line {
    /// Makes an empty line; its buffer serves many records.
    pub(super) const fn new() -> Self {
        Line {
            buffer: Vec::new(),
            head: Vec::new(),
            unnumbered: 0,
            start: ROOM,
        }
    }

    /// Renders everything but the number.
    pub(super) fn render(&mut self, record: &Record, privacy: Privacy) {
        self.head.clear();
        self.head.extend_from_slice(b"{\"time\":\"");
        text::time(&mut self.head, record.at);
        self.head.extend_from_slice(b"\",\"seq\":");
        self.unnumbered = self.head.len();
        self.start = ROOM;
        self.buffer.clear();
        self.buffer.resize(ROOM, 0);
        Body::new(&mut self.buffer, record, privacy).write(record);
        self.buffer.extend_from_slice(b"}\n");
    }

    /// Puts time and number before the body.
    pub(super) fn number(&mut self, seq: u64) {
        self.head.truncate(self.unnumbered);
        text::number(&mut self.head, seq);
        // It always fits: 44 bytes and at most 20 digits.
        self.start = ROOM.saturating_sub(self.head.len());
        if let Some(to) = self.buffer.get_mut(self.start..ROOM) {
            to.copy_from_slice(&self.head);
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
