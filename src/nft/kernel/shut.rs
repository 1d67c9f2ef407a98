//! How far a used hole's connection is, and its end: a hole is settled, shut or killed.

use std::time::{Duration, Instant};

use super::Kernel;
use super::channel::refused;
use super::conntrack::{self, Flow};
use super::element::Element;
use super::error::Error;
use super::happen::LONGEST_WAY;
use super::hole::Hole;
use super::set::Set;
use crate::nft::{FlowState, FlowUsage, Happening, HoleKey, Settled, Settling};

/// How long what was killed is watched before its connection is forgotten for good.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// How long the kernel resets what was killed, should nobody be there to forget it.
const DEAD: Duration = Duration::from_secs(3600);

pub(super) const UNCOUNTED: FlowUsage = FlowUsage {
    wire_bytes_from_peer: 0,
    packets_from_peer: 0,
    wire_bytes_to_peer: 0,
    packets_to_peer: 0,
    state: FlowState::Over,
};

impl Kernel {
    /// Tells what a forwarded hole's connection has carried; none if it was not used.
    ///
    /// # Errors
    /// `Gone` for a hole that is not known, or the kernel's reason.
    pub fn usage(&mut self, key: HoleKey) -> Result<Option<FlowUsage>, Error> {
        if !self.is_known_as_used(key) {
            self.hear_used()?;
        }
        let doing = "reading a connection's counters";
        let gone = || refused(doing, rustix::io::Errno::NOENT, None).by_kind();
        let hole = self.holes.get_mut(&key).ok_or_else(gone)?;
        let Some(flow) = hole.flow.filter(|_| hole.is_forwarded()) else {
            return Ok(None);
        };
        // Before its first packet has passed all rules the kernel does not know it yet.
        let unseen = match hole.passing {
            Some(_) => FlowState::Opening,
            None => FlowState::Over,
        };
        let usage = conntrack::usage(&mut self.channel, flow)?.unwrap_or(FlowUsage {
            state: unseen,
            ..hole.last.unwrap_or(UNCOUNTED)
        });
        hole.last = Some(usage);
        Ok(Some(usage))
    }

    fn is_passing(&self, key: HoleKey) -> bool {
        self.holes
            .get(&key)
            .is_some_and(|hole| hole.passing.is_some())
    }

    fn is_known_as_used(&self, key: HoleKey) -> bool {
        self.holes.get(&key).is_some_and(|hole| hole.flow.is_some())
    }

    /// Shuts a hole whose connection has begun to end or never came, as [`Kernel::close`] does; tells how far it is if it
    /// runs, and leaves it. The connection is looked at once.
    ///
    /// # Errors
    /// As [`Kernel::usage`] and [`Kernel::close`].
    pub fn settle(&mut self, key: HoleKey) -> Result<Settling, Error> {
        self.note_request();
        if !self.is_known_as_used(key) {
            self.hear_used()?;
        }
        let hole = self.holes.get(&key).filter(|hole| hole.is_forwarded());
        let Some(flow) = hole.and_then(|hole| hole.flow) else {
            return self.close(key).map(Settling::Shut);
        };
        let seen = conntrack::usage(&mut self.channel, flow)?;
        if seen.is_none() && self.is_passing(key) {
            // Its packet may have been dropped behind our rules.
            return self.close(key).map(Settling::Shut);
        }
        let before = self.holes.get(&key).and_then(|hole| hole.last);
        let usage = seen.unwrap_or(FlowUsage {
            state: FlowState::Over,
            ..before.unwrap_or(UNCOUNTED)
        });
        if let Some(hole) = self.holes.get_mut(&key) {
            hole.last = Some(usage);
        }
        if !usage.state.has_begun_to_end() {
            return Ok(Settling::Runs(usage));
        }
        self.see_through(&[key])?;
        self.forget(key);
        Ok(Settling::Shut(Settled {
            by: Some(flow.from),
            usage: Some(usage),
        }))
    }

    /// Ends a forwarded hole's connection with a reset towards both sides (a silent one at its next packet). An unused
    /// hole is shut for good; of a relayed one the connection belongs to the process that accepted it.
    ///
    /// # Errors
    /// `Gone` for a hole that is not known, or the kernel's reason.
    pub fn kill(&mut self, key: HoleKey) -> Result<(), Error> {
        self.hear_used()?;
        let doing = "ending a connection";
        let gone = || refused(doing, rustix::io::Errno::NOENT, None).by_kind();
        let hole = self.holes.get(&key).ok_or_else(gone)?;
        match hole.flow {
            None => {
                let elements = hole.elements.clone();
                self.remove("shutting a pinhole", &elements)?;
                // Of a packet that was faster than that, this knows.
                self.hear_used()?;
                match self.holes.get(&key).and_then(|hole| hole.flow) {
                    Some(flow) => self.end(flow),
                    None => Ok(()),
                }
            }
            Some(flow) if hole.is_forwarded() => self.end(flow),
            Some(_) => Ok(()),
        }
    }

    /// Shuts a hole and forgets it. A connection that runs goes on. What was told of it here is no happening any more.
    ///
    /// # Errors
    /// `Gone` for a hole that is not known, or the kernel's reason; the hole is known still then.
    pub fn close(&mut self, key: HoleKey) -> Result<Settled, Error> {
        let doing = "shutting a pinhole";
        let gone = || refused(doing, rustix::io::Errno::NOENT, None).by_kind();
        let hole = self.holes.get(&key).ok_or_else(gone)?;
        let passing = hole.passing;
        if hole.flow.is_none() || passing.is_some() {
            let elements = hole.elements.clone();
            self.remove(doing, &elements)?;
            self.has_been_seen_off(key);
            self.hear_used()?;
            if passing.is_none_or(|since| since.elapsed() < LONGEST_WAY) {
                self.annul(key)?;
            }
        }
        let usage = self.usage(key)?;
        let hole = self.forget(key).ok_or_else(gone)?;
        if hole.flow.is_none() && hole.is_for_one() {
            let now = Instant::now();
            self.forget_the_faded(now);
            self.fading.push_back((now, hole.awaited(), hole.at()));
        }
        Ok(Settled {
            by: hole.flow.map(|flow| flow.from),
            usage,
        })
    }

    /// Takes back the use of a forwarded hole whose packet the kernel shows no connection of: it was dropped behind our rules or is
    /// on its way still, so the shutting has won. Should it get through after all, it is ended.
    fn annul(&mut self, key: HoleKey) -> Result<(), Error> {
        let Some(hole) = self.holes.get_mut(&key).filter(|hole| hole.is_forwarded()) else {
            return Ok(());
        };
        let Some(flow) = hole.flow else {
            return Ok(());
        };
        if conntrack::usage(&mut self.channel, flow)?.is_some() {
            return Ok(());
        }
        hole.flow = None;
        self.end(flow)
    }

    /// Ends a connection: the rules reset it from now on, and after a while it is forgotten.
    pub(super) fn end(&mut self, flow: Flow) -> Result<(), Error> {
        let element = |set| Element {
            set,
            key: flow.key(),
            value: None,
        };
        let sets = [Set::Dead(flow.family()), Set::Dying(flow.family())];
        let table = &self.layout.table;
        let messages = sets.map(|set| element(set).add(table, Some(DEAD), None));
        match self
            .channel
            .batch("ending a connection", messages.into())
            .map_err(Error::by_kind)
        {
            Ok(()) => {
                self.dying.push_back((Instant::now() + LAST_WORDS, flow));
                Ok(())
            }
            // It is being ended already.
            Err(Error::Exists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Strikes a hole from the books; what was told of it is no happening any more.
    pub(super) fn forget(&mut self, key: HoleKey) -> Option<Hole> {
        let hole = self.holes.remove(&key)?;
        self.unawait(&hole, key);
        self.pending.retain(
            |happening| !matches!(happening, Happening::Used { key: used, .. } if *used == key),
        );
        Some(hole)
    }
}
