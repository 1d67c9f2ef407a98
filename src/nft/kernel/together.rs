//! Several holes settled and opened in one go: connections looked at with one message, entries changed with one batch.
//!
//! Invariant: each ends as if it had been asked for by itself; when the kernel refuses the batch, each is tried by itself.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::conntrack::{self, Flow};
use super::element::Element;
use super::error::Error;
use super::hole::{self, Hole};
use super::shut::UNCOUNTED;
use super::{Generation, Kernel};
use crate::nft::{FirewallHole, FlowState, FlowUsage, Granted, HoleKey, Settled, Settling, Wish};

/// How long after a request the descriptor that tells of used holes is not waited for: where one small file follows the other, the
/// next request reads it, and nobody is told of a use before [`GRACE`](super::happen) anyway.
const BUSY: Duration = Duration::from_millis(2);

/// What becomes of one wish.
enum Plan {
    /// It is known without the kernel's doing.
    Known(Result<Granted, Error>),
    /// It is done by itself.
    Alone,
    /// Its connection is seen, its elements go with the batch, if they are there still.
    Shut(Settled),
    /// Its elements come with the batch.
    Open(Box<Hole>),
}

impl Kernel {
    /// Settles and opens holes, as [`Kernel::settle`] and [`Kernel::open`] do; answers in their order. No two of them may be about
    /// one hole.
    pub fn together(
        &mut self,
        generation: impl Fn(HoleKey) -> Generation,
        wishes: &[Wish],
    ) -> Vec<Result<Granted, Error>> {
        self.note_request();
        let mut plans: Vec<Plan> = match self.plan(&generation, wishes) {
            Ok(plans) => plans,
            // Whoever is asked alone meets the same, and says so.
            Err(_) => wishes.iter().map(|_| Plan::Alone).collect(),
        };
        if let Err(error) = self.commit(wishes, &plans) {
            self.shut_what_may_be_open(error, &plans);
            for plan in &mut plans {
                if let Plan::Shut(_) | Plan::Open(_) = plan {
                    *plan = Plan::Alone;
                }
            }
        }
        let each = wishes.iter().zip(plans);
        each.map(|(wish, plan)| match (plan, wish) {
            (Plan::Known(known), _) => known,
            (Plan::Shut(settled), Wish::Settle(key)) => {
                self.has_been_seen_off(*key);
                self.forget(*key);
                Ok(Granted::Settled(Settling::Shut(settled)))
            }
            (Plan::Open(hole), Wish::Open(wanted)) => {
                self.remember(wanted.key, *hole);
                Ok(Granted::Opened)
            }
            (_, Wish::Settle(key)) => self.settle(*key).map(Granted::Settled),
            (_, Wish::Open(wanted)) => {
                let opened = self.open(generation(wanted.key), wanted);
                opened.map(|()| Granted::Opened)
            }
        })
        .collect()
    }

    fn plan(
        &mut self,
        generation: &impl Fn(HoleKey) -> Generation,
        wishes: &[Wish],
    ) -> Result<Vec<Plan>, Error> {
        self.hear_used()?;
        let flow = |wish: &Wish| match wish {
            Wish::Settle(key) => {
                let hole = self.holes.get(key).filter(|hole| hole.is_forwarded());
                hole.and_then(|hole| hole.flow)
            }
            Wish::Open(wanted) => hole::with_a_given_source(wanted.opening),
        };
        let flows: Vec<Option<Flow>> = wishes.iter().map(flow).collect();
        let known: Vec<Flow> = flows.iter().copied().flatten().collect();
        let mut usages = conntrack::usages(&mut self.channel, &known)?.into_iter();
        // Two that are alike go one after the other, so that the second is what is refused.
        let mut alike = HashSet::new();
        let each = wishes.iter().zip(flows);
        let plans = each.map(|(wish, flow)| match (wish, flow) {
            (Wish::Settle(key), Some(flow)) => {
                let usage = usages.next().flatten();
                self.plan_settling(*key, flow, usage)
            }
            (Wish::Settle(_), None) => Plan::Alone,
            (Wish::Open(wanted), flow) => {
                let is_taken = flow.is_some() && usages.next().flatten().is_some();
                let wanted = match is_taken {
                    true => &hole::from_any_port(wanted),
                    false => wanted,
                };
                self.plan_opening(generation(wanted.key), wanted, &mut alike)
            }
        });
        Ok(plans.collect())
    }

    fn plan_settling(&mut self, key: HoleKey, flow: Flow, seen: Option<FlowUsage>) -> Plan {
        let Some(hole) = self.holes.get_mut(&key) else {
            return Plan::Alone;
        };
        if seen.is_none() && hole.passing.is_some() {
            // Its packet may have been dropped behind our rules.
            return Plan::Alone;
        }
        let usage = seen.unwrap_or(FlowUsage {
            state: FlowState::Over,
            ..hole.last.unwrap_or(UNCOUNTED)
        });
        hole.last = Some(usage);
        if !usage.state.has_begun_to_end() {
            return Plan::Known(Ok(Granted::Settled(Settling::Runs(usage))));
        }
        Plan::Shut(Settled {
            by: Some(flow.from),
            usage: Some(usage),
        })
    }

    fn plan_opening(
        &self,
        generation: Generation,
        wanted: &FirewallHole,
        alike: &mut HashSet<Vec<u8>>,
    ) -> Plan {
        if self.holes.contains_key(&wanted.key) {
            return Plan::Alone;
        }
        let hole = match Hole::planned(generation, wanted) {
            Ok(hole) => hole,
            Err(error) => return Plan::Known(Err(error)),
        };
        let first = hole.elements.first();
        match first.is_some_and(|guard| alike.insert(guard.key.as_bytes().to_vec())) {
            true => Plan::Open(Box::new(hole)),
            false => Plan::Alone,
        }
    }

    /// Removes and adds what the plans say, all or nothing.
    fn commit(&mut self, wishes: &[Wish], plans: &[Plan]) -> Result<(), Error> {
        let mut messages = Vec::new();
        let mut additions = Vec::new();
        for (wish, plan) in wishes.iter().zip(plans) {
            match (plan, wish) {
                (Plan::Shut(_), Wish::Settle(key)) => {
                    // Once its first packet was seen off, its elements are gone.
                    let hole = self.holes.get(key).filter(|hole| hole.passing.is_some());
                    messages.extend(hole.map(|hole| self.deletions(&hole.elements)));
                }
                (Plan::Open(hole), Wish::Open(wanted)) => {
                    additions.extend(self.additions(hole, wanted.ttl));
                }
                _ => {}
            }
        }
        let mut messages: Vec<_> = messages.into_iter().flatten().collect();
        messages.extend(additions);
        self.channel
            .batch("settling and opening pinholes", messages)
            .map_err(Error::by_kind)
    }

    /// The answer may be what was lost: then holes are open, and nobody would know.
    fn shut_what_may_be_open(&mut self, error: Error, plans: &[Plan]) {
        let Error::Kernel(_) = error else {
            return;
        };
        for plan in plans {
            if let Plan::Open(hole) = plan
                && !self.stands(&hole.elements)
                && let Err(error) = self.remove("shutting what may be open", &hole.elements)
            {
                tracing::warn!(%error, "a hole may stay open until its time is over");
            }
        }
    }

    /// Tells whether a hole of the books has an element in the place of one of these.
    fn stands(&self, elements: &[Element]) -> bool {
        let place = |element: &Element| (element.set, element.key.clone());
        let places: Vec<_> = elements.iter().map(place).collect();
        let mut holes = self.holes.values();
        holes.any(|hole| hole.elements.iter().any(|one| places.contains(&place(one))))
    }

    /// Notes that a request came which others will follow.
    pub(super) fn note_request(&mut self) {
        self.busy_until = Some(Instant::now() + BUSY);
    }

    /// Until when the one of [`Kernel::descriptors`] in this place need not be waited for.
    pub fn rests(&self, place: usize) -> Option<Instant> {
        self.busy_until.filter(|_| place == 0)
    }
}
