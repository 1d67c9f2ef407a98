//! One direction of the control dialogue: the framer, and whatever keeps its next line waiting.

use std::time::Duration;

use super::time::Moment;
use crate::ftp::{FrameFault, Line, LineFramer};

/// How much may wait in a lane before its peer is not read any more, in bytes.
const MOST_WAITING: usize = 8 * 1024;

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    framer: LineFramer,
    /// When the line that is not complete yet was begun.
    begun: Option<Moment>,
    /// Its peer has closed; what it sent before is still handled.
    closed: bool,
}

impl Lane {
    pub(super) fn new(limit: usize) -> Lane {
        Lane {
            framer: LineFramer::new(limit),
            begun: None,
            closed: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.framer.push(bytes);
    }

    /// Takes the next line. The lane's owner asks only when it isn't held.
    pub(super) fn next_line(&mut self) -> Option<Result<Line, FrameFault>> {
        let line = self.framer.next_line();
        if line.is_some() {
            self.begun = None;
        }
        line
    }

    /// Notes that all whole lines were taken: what is left, if anything, is a line that was begun.
    pub(super) fn drained(&mut self, now: Duration) {
        if self.framer.pending() == 0 {
            self.begun = None;
        } else if self.begun.is_none() {
            self.begun = Some(Moment::at(now));
        }
    }

    pub(super) fn begun(&self) -> Option<Duration> {
        self.begun.map(Moment::mono)
    }

    /// Tells whether nothing of a line has come yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.framer.pending() == 0
    }

    pub(super) fn accepts(&self) -> bool {
        !self.closed && self.framer.pending() < MOST_WAITING
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn clear(&mut self) {
        self.framer.clear();
        self.begun = None;
    }
}
