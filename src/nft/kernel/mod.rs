//! The kernel half of the broker: one fixed nftables table, and a few entries per pinhole.
//!
//! Invariant: after [`Kernel::install`] only set elements change, each with a timeout of the kernel's, so that every hole
//! shuts by itself when all of ours is dead; chains and rules stay, because removing them ends the connections that they
//! carry. This module must not know FTP, sessions, the config or who asks; it waits for nothing but the kernel's answer.

mod ban;
mod channel;
mod conntrack;
mod element;
mod error;
mod expression;
mod happen;
mod hole;
mod inspect;
mod install;
mod knock;
mod log;
mod message;
mod revive;
mod rule;
mod set;
mod shut;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod together;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use self::channel::{Channel, Ear, refused};
use self::conntrack::Flow;
use self::element::{Element, Standing};
use self::hole::{Awaited, Hole};
use self::knock::Knocks;
use self::message::Message;
use self::set::Set;
use super::{FirewallHole, Happening, HoleKey};

pub use error::{Error, Refusal};

/// All that the table depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The table's name, in the family inet.
    pub table: String,
    /// The ports in which pinholes for clients open.
    pub client_window: RangeInclusive<u16>,
    /// The ports in which pinholes for upstreams open.
    pub upstream_window: RangeInclusive<u16>,
    /// The ports of the listeners: bans hold there.
    pub listeners: BTreeSet<u16>,
    /// The bit of the ct mark that says "let in by a pinhole"; all other bits stay as they are.
    pub mark: u32,
    /// The first of two NFLOG groups: used pinholes, and knocks at shut ports.
    pub group: u16,
    /// How many elements each set holds at most.
    pub size: u32,
}

/// Marks elements as those of one gateway process, so that a sweep can tell them from another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

/// The firewall of this network namespace, as far as it is ours.
#[derive(Debug)]
pub struct Kernel {
    layout: Layout,
    channel: Channel,
    /// First packets that were let in, knocks at shut ports, and changes that somebody made.
    used: Ear,
    knocked: Ear,
    changed: Ear,
    /// Whether this kernel gives an element a new time without making it anew.
    prolongs: bool,
    holes: HashMap<HoleKey, Hole>,
    /// The unused holes, by the packet that will come.
    awaited: HashMap<Awaited, Vec<HoleKey>>,
    /// Unused holes that were shut a moment ago: a packet that is still on its way through the rules comes too late.
    fading: VecDeque<(Instant, Awaited, SocketAddr)>,
    /// Used holes of which nothing was told yet, and when they are looked at; others of them were settled meanwhile.
    passing: VecDeque<(Instant, HoleKey)>,
    /// Connections that were killed, and when they are forgotten.
    dying: VecDeque<(Instant, Flow)>,
    bans: BTreeMap<IpNet, Instant>,
    knocks: Knocks,
    /// What happened while something else was being asked.
    pending: Vec<Happening>,
    inspected: Instant,
    /// Until when a request that reads what was used is likely to come anyway.
    busy_until: Option<Instant>,
}

impl Kernel {
    /// Lets one connection in.
    ///
    /// # Errors
    /// `Full`, `Exists` (the same peer, address and port), `Unsuitable` (mixed families), or the kernel's reason;
    /// nothing is open then.
    pub fn open(&mut self, generation: Generation, hole: &FirewallHole) -> Result<(), Error> {
        let doing = "opening a pinhole";
        if self.holes.contains_key(&hole.key) {
            return Err(refused(doing, rustix::io::Errno::EXIST, None).by_kind());
        }
        let hole_of = Hole::planned(generation, &self.with_a_free_source(hole)?)?;
        let messages = self.additions(&hole_of, hole.ttl);
        match self.channel.batch(doing, messages).map_err(Error::by_kind) {
            Ok(()) => {}
            // The table is gone: somebody was faster than the announcement of what he did.
            Err(Error::Gone(_)) => {
                self.repair()?;
                let messages = self.additions(&hole_of, hole.ttl);
                self.channel
                    .batch(doing, messages)
                    .map_err(Error::by_kind)?;
            }
            Err(error @ Error::Kernel(_)) => {
                // The answer may be what was lost: then it is open, and nobody would know.
                self.remove("shutting what may be open", &hole_of.elements)?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        self.remember(hole.key, hole_of);
        Ok(())
    }

    /// The hole as it can be opened: from any port, where the kernel still tracks a connection from the one that is asked for. It
    /// would drop the first packet of another, in its very last step and silently.
    fn with_a_free_source(&mut self, hole: &FirewallHole) -> Result<FirewallHole, Error> {
        match hole::with_a_given_source(hole.opening) {
            Some(flow) if conntrack::usage(&mut self.channel, flow)?.is_some() => {
                Ok(hole::from_any_port(hole))
            }
            _ => Ok(*hole),
        }
    }

    /// Takes a hole that is open into the books.
    fn remember(&mut self, key: HoleKey, hole: Hole) {
        self.awaited.entry(hole.awaited()).or_default().push(key);
        self.holes.insert(key, hole);
    }

    /// Makes an unused hole last this much longer, counted from now.
    ///
    /// # Errors
    /// `Gone` when it was used, has expired or was never open.
    pub fn renew(&mut self, key: HoleKey, ttl: Duration) -> Result<(), Error> {
        let doing = "renewing a pinhole";
        let gone = || refused(doing, rustix::io::Errno::NOENT, None).by_kind();
        self.hear_used()?;
        let hole = self.holes.get(&key).ok_or_else(gone)?;
        if hole.flow.is_some() || hole.until <= Instant::now() {
            return Err(gone());
        }
        let messages = if self.prolongs {
            // What a packet has consumed meanwhile stays consumed.
            let table = &self.layout.table;
            let owner = hole.generation.0;
            let prolong = |element: &Element| element.prolong(table, ttl, owner);
            hole.elements.iter().map(prolong).collect()
        } else {
            // One batch, so there is no moment without it; a packet between two instants of it is found right below.
            let mut messages = self.deletions(&hole.elements);
            messages.extend(self.additions(hole, ttl));
            messages
        };
        self.channel
            .batch(doing, messages)
            .map_err(Error::by_kind)?;
        self.hear_used()?;
        let hole = self.holes.get_mut(&key).ok_or_else(gone)?;
        hole.until = later(ttl);
        if hole.flow.is_some() {
            return Err(gone());
        }
        Ok(())
    }

    /// Returns what to poll for reading: when one is ready, [`Kernel::happenings`] has something.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [
            self.used.as_fd(),
            self.knocked.as_fd(),
            self.changed.as_fd(),
        ]
    }

    /// Returns the layout that was installed.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn additions(&self, hole: &Hole, ttl: Duration) -> Vec<Message> {
        let (table, owner) = (&self.layout.table, Some(hole.generation.0));
        let add = |element: &Element| element.add(table, Some(ttl), owner);
        hole.elements.iter().map(add).collect()
    }

    fn deletions(&self, elements: &[Element]) -> Vec<Message> {
        let delete = |element: &Element| element.delete(&self.layout.table);
        elements.iter().map(delete).collect()
    }

    /// Removes elements, of which some or all may be gone already.
    fn remove(&mut self, doing: &'static str, elements: &[Element]) -> Result<(), Error> {
        let all = self.deletions(elements);
        match self.channel.batch(doing, all).map_err(Error::by_kind) {
            // A batch is all or nothing.
            Err(Error::Gone(_)) => {}
            done => return done,
        }
        for element in elements {
            let one = self.deletions(std::slice::from_ref(element));
            match self.channel.batch(doing, one).map_err(Error::by_kind) {
                Ok(()) | Err(Error::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn list(&mut self, set: Set) -> Result<Vec<Standing>, Error> {
        let question = element::list(&self.layout.table, set);
        self.channel
            .dump(
                "listing the firewall's elements",
                &question,
                |answer, out| {
                    element::standing(set, answer, out);
                },
            )
            .map_err(Error::by_kind)
    }

    fn unawait(&mut self, hole: &Hole, key: HoleKey) {
        if let Some(keys) = self.awaited.get_mut(&hole.awaited()) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.awaited.remove(&hole.awaited());
            }
        }
    }
}

/// When a time that begins now is over; the kernel is told no more than the longest.
fn later(time: Duration) -> Instant {
    Instant::now() + time.min(element::LONGEST)
}

/// Tells whether the kernel counts bytes per connection (`net.netfilter.nf_conntrack_acct`); without it there is no usage.
///
/// # Errors
/// The setting can't be read: connection tracking is missing.
pub fn counts_connections() -> std::io::Result<bool> {
    Ok(std::fs::read_to_string(ACCOUNTING)?.trim() != "0")
}

/// Makes the kernel count bytes per connection; connections that exist already stay uncounted.
///
/// # Errors
/// The setting can't be written.
pub fn count_connections() -> std::io::Result<()> {
    std::fs::write(ACCOUNTING, "1")
}

/// The switch of connection accounting, of this network namespace.
const ACCOUNTING: &str = "/proc/sys/net/netfilter/nf_conntrack_acct";
