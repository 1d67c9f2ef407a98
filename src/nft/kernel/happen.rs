//! What the kernel tells by itself, and what follows from it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::conntrack::Flow;
use super::element::{Element, Joined};
use super::error::Error;
use super::hole::may_be_awaited;
use super::set::{Family, Set};
use super::{Kernel, conntrack, inspect, log, watch};
use crate::nft::packet::Dial;
use crate::nft::{Happening, HoleKey};

/// How long a packet can be on its way through the rules: far longer than any is.
const FADING: Duration = Duration::from_secs(5);

/// How long after its first packet a hole that is used is told of, and its elements removed, unless it is settled before: a small
/// file is over by then, and is told of once instead of twice.
const GRACE: Duration = Duration::from_millis(5);

/// How many holes that wait to be told of are looked at for those of the same peer.
const LOOKED_AT: usize = 64;

/// How many of them are looked at with one message: what the kernel answers has room in a socket.
const SEEN_OFF_AT_ONCE: usize = 64;

/// How soon a first packet that was on its way then is looked for again, and when it is over for sure: it was dropped behind
/// our rules, by somebody else's.
const GLANCE: Duration = Duration::from_millis(1);
pub(super) const LONGEST_WAY: Duration = Duration::from_millis(50);

/// How often the table is looked for although nobody has announced a change of it.
const INSPECTION: Duration = Duration::from_secs(30);

impl Kernel {
    /// Returns when [`Kernel::happenings`] wants to be called though no descriptor is ready.
    pub fn next_wake(&self) -> Option<Instant> {
        if !self.pending.is_empty() {
            return Some(Instant::now());
        }
        let inspection = self.inspected + INSPECTION;
        let forgotten = self.dying.front().map(|(when, _)| *when);
        let passed = self.passing.front().map(|(due, _)| *due);
        [forgotten, passed]
            .into_iter()
            .flatten()
            .chain([inspection])
            .min()
    }

    /// Appends what has happened: reads all descriptors without waiting, removes the entries of holes that were used,
    /// ends what was killed for good, and restores a table that somebody removed.
    ///
    /// # Errors
    /// The kernel's reason; the rest is told by the next call.
    pub fn happenings(&mut self, out: &mut Vec<Happening>) -> Result<(), Error> {
        self.happenings_of(None, out)
    }

    /// As [`Kernel::happenings`], but reads only the one of [`Kernel::descriptors`] that is ready, by its place; and what is due.
    ///
    /// # Errors
    /// As there.
    pub fn happenings_of(
        &mut self,
        ready: Option<usize>,
        out: &mut Vec<Happening>,
    ) -> Result<(), Error> {
        let now = Instant::now();
        let is_ready = |place| ready.is_none_or(|ready| ready == place);
        if is_ready(0) {
            self.hear_used()?;
        }
        self.see_off(now)?;
        if is_ready(1) {
            let (knocks, pending) = (&mut self.knocks, &mut self.pending);
            // What is lost here is one knock of many.
            log::hear(&mut self.knocked, |dial| {
                pending.extend(knocks.heard(now, dial));
            })?;
        }
        let changed = is_ready(2) && watch::hear(&mut self.changed, &self.layout.table)?;
        if changed || now.duration_since(self.inspected) >= INSPECTION {
            self.repair()?;
        }
        self.forget_the_dead(now)?;
        self.forget_the_faded(now);
        out.append(&mut self.pending);
        Ok(())
    }

    /// Restores the table if it is not whole, and notes that.
    pub(super) fn repair(&mut self) -> Result<(), Error> {
        self.inspected = Instant::now();
        if !self.verify()? {
            self.restore()?;
            self.pending.push(Happening::Restored);
        }
        Ok(())
    }

    /// Tells whether all of the table is as it was installed.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn verify(&mut self) -> Result<bool, Error> {
        inspect::whole(&mut self.channel, &self.layout)
    }

    /// Reads which holes were used, and removes their elements.
    pub(super) fn hear_used(&mut self) -> Result<(), Error> {
        let mut dials = Vec::new();
        let lost = log::hear(&mut self.used, |dial| dials.push(dial))?;
        for dial in dials {
            self.came(dial)?;
        }
        if lost {
            self.look_for_the_lost()?;
        }
        Ok(())
    }

    /// A first packet was let in.
    fn came(&mut self, dial: Dial) -> Result<(), Error> {
        let mut keys = Vec::new();
        for awaited in may_be_awaited(dial.from.ip(), dial.to) {
            keys.extend_from_slice(self.awaited.get(&awaited).map_or(&[][..], Vec::as_slice));
        }
        match keys.as_slice() {
            [] => self.came_late(dial),
            [key] => self.use_up(*key, dial.from),
            // Two holes of one peer lead to the same place: the connection's entry tells which one was dialled.
            [first, ..] => {
                let mut dialled = None;
                for key in &keys {
                    let flow = self.flow(*key, dial.from);
                    if let Some(flow) = flow
                        && conntrack::usage(&mut self.channel, flow)?.is_some()
                    {
                        dialled = Some(*key);
                        break;
                    }
                }
                self.use_up(dialled.unwrap_or(*first), dial.from)
            }
        }
    }

    fn flow(&self, key: HoleKey, from: SocketAddr) -> Option<Flow> {
        let to = self.holes.get(&key)?.at();
        Some(Flow { from, to })
    }

    /// A packet that was on its way when its hole was shut and said to be unused: one of both wins, and that was the
    /// shutting.
    fn came_late(&mut self, dial: Dial) -> Result<(), Error> {
        let awaited = may_be_awaited(dial.from.ip(), dial.to);
        let shut = self.fading.iter().rev();
        let at = shut
            .filter(|(_, faded, _)| awaited.contains(faded))
            .map(|(_, _, at)| *at)
            .next();
        match at {
            Some(to) => self.end(Flow {
                from: dial.from,
                to,
            }),
            None => Ok(()),
        }
    }

    fn use_up(&mut self, key: HoleKey, peer: SocketAddr) -> Result<(), Error> {
        let flow = self.flow(key, peer);
        let Some(hole) = self.holes.get_mut(&key) else {
            return Ok(());
        };
        hole.flow = flow;
        let hole = hole.clone();
        self.unawait(&hole, key);
        if !hole.is_forwarded() {
            return self.remove("removing a used pinhole", &hole.elements);
        }
        let now = Instant::now();
        if let Some(hole) = self.holes.get_mut(&key) {
            hole.passing = Some(now);
        }
        // Its port is free for its peer only when it is told of, and peers that make many transfers at once have few.
        if self.waiting_of(peer) < self.most_waiting() {
            self.passing.push_back((now + GRACE, key));
        } else {
            self.passing.push_front((now, key));
        }
        Ok(())
    }

    /// How many of a peer's holes are used and not told of, among the last few.
    fn waiting_of(&self, peer: SocketAddr) -> usize {
        let last = self.passing.iter().rev().take(LOOKED_AT);
        let flows = last.filter_map(|(_, key)| self.holes.get(key)?.flow);
        flows.filter(|flow| flow.from.ip() == peer.ip()).count()
    }

    /// Half of the ports at which one peer can be awaited.
    fn most_waiting(&self) -> usize {
        self.layout.client_window.len() / 2
    }

    /// Removes the elements of used holes. The kernel shows a connection when its first packet has passed all rules; one that it
    /// never shows was dropped by somebody else's.
    pub(super) fn see_through(&mut self, keys: &[HoleKey]) -> Result<(), Error> {
        let holes = keys.iter().filter_map(|key| self.holes.get(key));
        let passing = holes.filter(|hole| hole.passing.is_some());
        let elements: Vec<Element> = passing
            .flat_map(|hole| hole.elements.iter().cloned())
            .collect();
        if elements.is_empty() {
            return Ok(());
        }
        self.remove("removing used pinholes", &elements)?;
        for key in keys {
            self.has_been_seen_off(*key);
        }
        Ok(())
    }

    /// Nobody needs to look at this hole for its first packet's sake any more.
    pub(super) fn has_been_seen_off(&mut self, key: HoleKey) {
        if let Some(hole) = self.holes.get_mut(&key) {
            hole.passing = None;
        }
        while let Some((_, first)) = self.passing.front()
            && self
                .holes
                .get(first)
                .is_none_or(|hole| hole.passing.is_none())
        {
            self.passing.pop_front();
        }
    }

    /// Sees to holes whose first packet came a while ago, and tells of their use.
    fn see_off(&mut self, now: Instant) -> Result<(), Error> {
        loop {
            let due = self.due(now);
            if due.is_empty() {
                return Ok(());
            }
            // Whatever the kernel says now, they are looked at again until their elements are gone.
            let again = due.iter().map(|(key, ..)| (now + GLANCE, *key));
            self.passing.extend(again);
            let flows: Vec<Flow> = due.iter().map(|(_, _, flow)| *flow).collect();
            let seen = conntrack::looks(&mut self.channel, &flows)?;
            let mut passed = Vec::new();
            for ((key, since, flow), seen) in due.into_iter().zip(seen) {
                if let Some(seen) = &seen
                    && self.revive(key, seen, now)?
                {
                    continue;
                }
                let surely = now.saturating_duration_since(since) >= LONGEST_WAY;
                if surely || seen.is_some() {
                    passed.push((key, flow.from));
                }
            }
            let keys: Vec<HoleKey> = passed.iter().map(|(key, _)| *key).collect();
            self.see_through(&keys)?;
            let used = passed.into_iter();
            self.pending
                .extend(used.map(|(key, peer)| Happening::Used { key, peer }));
        }
    }

    /// Takes the next used holes that are to be seen to, each with when its first packet came, and as what.
    fn due(&mut self, now: Instant) -> Vec<(HoleKey, Instant, Flow)> {
        let mut due: Vec<(HoleKey, Instant, Flow)> = Vec::new();
        while let Some((when, key)) = self.passing.front().copied()
            && when <= now
            && due.len() < SEEN_OFF_AT_ONCE
        {
            self.passing.pop_front();
            // One that its peer was let in to again may still stand here for its first time, too.
            if due.iter().any(|(other, ..)| *other == key) {
                continue;
            }
            let hole = self.holes.get(&key);
            due.extend(hole.and_then(|hole| Some((key, hole.passing?, hole.flow?))));
        }
        due
    }

    /// The kernel had no room to tell all: each element that was used says so itself, and the connection tells the rest.
    fn look_for_the_lost(&mut self) -> Result<(), Error> {
        let unused = self.holes.iter().filter(|(_, hole)| hole.flow.is_none());
        let elements = unused.flat_map(|(key, hole)| hole.elements.iter().map(|one| (one, *key)));
        let holes: HashMap<(Set, Joined), HoleKey> = elements
            .map(|(element, key)| ((element.set, element.key.clone()), key))
            .collect();
        let mut flows: HashMap<SocketAddr, Vec<Flow>> = HashMap::new();
        for flow in conntrack::marked(&mut self.channel, self.layout.mark)? {
            flows.entry(flow.to).or_default().push(flow);
        }
        let sets = Family::BOTH.into_iter().flat_map(Set::of_holes);
        for set in sets.filter(|set| set.is_one_shot()) {
            for standing in self.list(set)?.into_iter().filter(|one| one.spent) {
                let key = holes.get(&(set, standing.element.key));
                let Some((key, hole)) = key.and_then(|key| Some((*key, self.holes.get(key)?)))
                else {
                    continue;
                };
                let peers = hole.awaited().0;
                let mut there = flows.get(&hole.at()).into_iter().flatten();
                let flow = there.find(|flow| peers.contains(&flow.from.ip()));
                // A connection that is over already has left no port; its hole was used nonetheless.
                let peer = flow.map_or(SocketAddr::new(peers.addr(), 0), |flow| flow.from);
                self.use_up(key, peer)?;
            }
        }
        Ok(())
    }

    pub(super) fn forget_the_faded(&mut self, now: Instant) {
        while let Some((when, ..)) = self.fading.front()
            && now.duration_since(*when) >= FADING
        {
            self.fading.pop_front();
        }
    }

    /// What was killed and has been silent since would go on when its time in the set is over: its entry goes now.
    fn forget_the_dead(&mut self, now: Instant) -> Result<(), Error> {
        while let Some((when, flow)) = self.dying.front().copied()
            && when <= now
        {
            conntrack::forget(&mut self.channel, flow)?;
            let sets = [Set::Dead(flow.family()), Set::Dying(flow.family())];
            let elements = sets.map(|set| Element {
                set,
                key: flow.key(),
                value: None,
            });
            self.remove("forgetting a connection that was ended", &elements)?;
            self.dying.pop_front();
        }
        Ok(())
    }
}
