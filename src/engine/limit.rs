//! Bounds that rules set to what is carried: how fast, and how much.
//!
//! The relay holds to them; the engine says which they are. A rate is one budget for all transfers of a session in a
//! direction: what a small file was sent ahead of its time is paid for before the next begins. Invariant: a transfer that
//! is limited is relayed, whatever was meant when its data connection was set up.

use std::time::Duration;

use super::data::{Bounds, Pace};
use super::fault::ClientFault;
use super::judgement::Permission;
use super::legs::Transfer;
use super::session::{Session, Step};
use super::{Carried, Direction, Event, Outcome, Refusal, Usage};
use crate::ftp::{Command, Reply};
use crate::policy::Limits;

/// What a transfer may carry, and which limit that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) bounds: Bounds,
    /// The key of the limit on bytes.
    pub(super) by: &'static str,
}

impl Session {
    /// Says what a transfer may carry; if that is nothing, why.
    pub(super) fn bound(
        &self,
        now: Duration,
        command: &Command,
        permission: &Permission,
    ) -> Result<Bound, (Refusal, ClientFault)> {
        let Limits {
            upload,
            download,
            transfer_bytes,
            session_bytes,
        } = permission.limits;
        let direction = command
            .verb
            .direction()
            .map_or(Direction::Download, Direction::from);
        let rate = match direction {
            Direction::Upload => upload,
            Direction::Download => download,
        };
        let left = session_bytes.map(|most| most.saturating_sub(self.carried));
        if left == Some(0) {
            return Err((Refusal::SessionBytes, ClientFault::SessionBytes(direction)));
        }
        // An upload that was allowed because it was announced as small has to be.
        let announced = match direction {
            Direction::Upload if self.settings.rules.needs_sizes() => self.size_of(command),
            Direction::Upload | Direction::Download => None,
        };
        let bytes = [
            (transfer_bytes, "transfer_bytes"),
            (left, "session_bytes"),
            (announced, "size"),
        ];
        let tightest = bytes
            .into_iter()
            .filter_map(|(bytes, by)| Some((bytes?, by)))
            .min_by_key(|(bytes, _)| *bytes);
        let bound = Bound {
            bounds: Bounds {
                pace: rate.map(|rate| Pace {
                    rate: rate.max(1),
                    from: self.known.paid_until(direction).max(now),
                }),
                bytes: tightest.map(|(bytes, _)| bytes),
            },
            by: tightest.map_or("", |(_, by)| by),
        };
        let forwarded = self
            .transfer
            .as_deref()
            .is_some_and(|transfer| transfer.carried == Carried::Forwarded);
        if forwarded && bound.bounds != Bounds::default() {
            return Err((Refusal::LimitedSince, ClientFault::LimitedSince));
        }
        Ok(bound)
    }

    /// Counts what a transfer carried.
    pub(super) fn count_carried(&mut self, usage: Usage) {
        let wire = usage.wire.unwrap_or_default();
        let bytes = usage.bytes_up.max(wire.bytes_up) + usage.bytes_down.max(wire.bytes_down);
        self.carried = self.carried.saturating_add(bytes);
        let Some(transfer) = self.transfer.as_deref() else {
            return;
        };
        if let Some(pace) = transfer.bound.bounds.pace
            && let Some(direction) = transfer.direction()
        {
            let micros = u128::from(bytes) * 1_000_000 / u128::from(pace.rate);
            let paid = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
            self.known.facts().paid_until[direction.source()] = pace.from.saturating_add(paid);
        }
    }

    /// A transfer reached its bound and was cut: tells the client, and records which bound it was.
    pub(super) fn report_exceeded(&mut self, step: &mut Step) {
        if let Some(by) = self.transfer.as_deref().map(|transfer| transfer.bound.by) {
            self.report(step, Event::LimitReached { limit: by });
        }
    }
}

impl Transfer {
    /// Tells whether it was cut at its bound.
    pub(super) fn is_exceeded(&self) -> bool {
        self.usage()
            .is_some_and(|usage| usage.outcome == Outcome::Exceeded)
    }

    /// Says to the client that it was cut.
    pub(super) fn exceeded_reply(&self) -> Reply {
        let direction = self.direction().unwrap_or(Direction::Download);
        let bytes = self.bound.bounds.bytes.unwrap_or_default();
        ClientFault::Exceeded { direction, bytes }.reply()
    }
}
