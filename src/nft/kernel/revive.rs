//! Holes whose connection died before it came up: their peer may try again.
//!
//! A server that still has an earlier connection of the same addresses and ports in TIME_WAIT answers a first SYN with a bare
//! acknowledgement; the client resets that and repeats its SYN (RFC 9293 section 3.10.7.3). To the rules the second SYN is a new
//! connection, and the hole is used up. Invariant: no more than [`MOST`] times, never beyond the hole's time, and only while no
//! connection of it has come up. This module must not know who asks.

use std::time::Instant;

use super::error::Error;
use super::{Kernel, conntrack};
use crate::nft::HoleKey;

/// How often one hole's peer may try again.
const MOST: u8 = 3;

impl Kernel {
    /// Makes a used hole good for one more connection if its last died before it came up; tells whether it did.
    pub(super) fn revive(
        &mut self,
        key: HoleKey,
        seen: &conntrack::Seen,
        now: Instant,
    ) -> Result<bool, Error> {
        let Some(hole) = self.holes.get(&key) else {
            return Ok(false);
        };
        let left = hole.until.saturating_duration_since(now);
        if !seen.died_before_it_came_up() || hole.revived >= MOST || left.is_zero() {
            return Ok(false);
        }
        let mut messages = self.deletions(&hole.elements);
        messages.extend(self.additions(hole, left));
        let doing = "letting a peer try again";
        match self.channel.batch(doing, messages).map_err(Error::by_kind) {
            Ok(()) => {}
            // Its time was over a moment ago.
            Err(Error::Gone(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        if let Some(hole) = self.holes.get_mut(&key) {
            hole.revived += 1;
            hole.flow = None;
            hole.passing = None;
            hole.last = None;
            let awaited = hole.awaited();
            self.awaited.entry(awaited).or_default().push(key);
        }
        Ok(true)
    }
}
