//! The kernel half of the broker: one fixed nftables table, and a few entries per pinhole.
//!
//! Invariant: after [`Kernel::install`] only set elements change, each with a timeout of the kernel's, so that every hole
//! shuts by itself when all of ours is dead; chains and rules stay, because removing them ends the connections that they
//! carry. This module must not know FTP, sessions, the config or who asks; it waits for nothing but the kernel's answer.

mod error;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ipnet::IpNet;

pub use error::{Error, Refusal};

use super::{FirewallHole, FlowUsage, Happening, HoleKey, Settled};

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
}

impl Kernel {
    /// Installs the table, or adopts an identical one that is left; elements that are in it stay until [`Kernel::sweep`].
    ///
    /// # Errors
    /// No permission, a missing kernel feature, or a table of our name that is not ours; see [`Error::exit_code`].
    pub fn install(layout: &Layout) -> Result<Kernel, Error> {
        let _ = layout;
        Err(Error::Unsuitable("not built yet"))
    }

    /// Lets one connection in.
    ///
    /// # Errors
    /// `Full`, `Exists` (the same peer, address and port), `Unsuitable` (mixed families), or the kernel's reason;
    /// nothing is open then.
    pub fn open(&mut self, generation: Generation, hole: &FirewallHole) -> Result<(), Error> {
        let _ = (generation, hole);
        Err(Error::Unsuitable("not built yet"))
    }

    /// Makes an unused hole last this much longer, counted from now.
    ///
    /// # Errors
    /// `Gone` when it was used, has expired or was never open.
    pub fn renew(&mut self, key: HoleKey, ttl: Duration) -> Result<(), Error> {
        let _ = (key, ttl);
        Err(Error::Unsuitable("not built yet"))
    }

    /// Tells what a forwarded hole's connection has carried; none if it was not used.
    ///
    /// # Errors
    /// `Gone` for a hole that is not known, or the kernel's reason.
    pub fn usage(&mut self, key: HoleKey) -> Result<Option<FlowUsage>, Error> {
        let _ = key;
        Err(Error::Unsuitable("not built yet"))
    }

    /// Ends a forwarded hole's connection with a reset towards both sides (a silent one at its next packet).
    ///
    /// # Errors
    /// `Gone` for a hole that is not known, or the kernel's reason.
    pub fn kill(&mut self, key: HoleKey) -> Result<(), Error> {
        let _ = key;
        Err(Error::Unsuitable("not built yet"))
    }

    /// Shuts a hole and forgets it. A connection that runs goes on.
    ///
    /// # Errors
    /// `Gone` for a hole that is not known, or the kernel's reason.
    pub fn close(&mut self, key: HoleKey) -> Result<Settled, Error> {
        let _ = key;
        Err(Error::Unsuitable("not built yet"))
    }

    /// Bans a network (/32 or /24, /128 or /64) from the listeners' ports for a time; a second ban prolongs.
    ///
    /// # Errors
    /// `Unsuitable` for other prefixes, `Full`, or the kernel's reason.
    pub fn ban(&mut self, network: IpNet, ttl: Duration) -> Result<(), Error> {
        let _ = (network, ttl);
        Err(Error::Unsuitable("not built yet"))
    }

    /// Lifts a ban; tells whether there was one.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn unban(&mut self, network: IpNet) -> Result<bool, Error> {
        let _ = network;
        Err(Error::Unsuitable("not built yet"))
    }

    /// Lists the bans with what is left of their time.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn bans(&mut self) -> Result<Vec<(IpNet, Duration)>, Error> {
        Err(Error::Unsuitable("not built yet"))
    }

    /// Returns what to poll for reading: when one is ready, [`Kernel::happenings`] has something.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// Returns when [`Kernel::happenings`] wants to be called though no descriptor is ready.
    pub fn next_wake(&self) -> Option<Instant> {
        None
    }

    /// Appends what has happened: reads all descriptors without waiting, removes the entries of holes that were used,
    /// ends what was killed for good, and restores a table that somebody removed.
    ///
    /// # Errors
    /// The kernel's reason; the rest is told by the next call.
    pub fn happenings(&mut self, out: &mut Vec<Happening>) -> Result<(), Error> {
        let _ = out;
        Ok(())
    }

    /// Removes all elements of gateways that are not among `living`, and forgets their holes; chains and rules stay.
    /// Returns how many elements it removed.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn sweep(&mut self, living: &[Generation]) -> Result<usize, Error> {
        let _ = living;
        Err(Error::Unsuitable("not built yet"))
    }

    /// Tells whether all of the table is as it was installed.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn verify(&mut self) -> Result<bool, Error> {
        Err(Error::Unsuitable("not built yet"))
    }

    /// Builds the table anew with everything that stands: holes with what is left of their time, and bans.
    ///
    /// # Errors
    /// As [`Kernel::install`].
    pub fn restore(&mut self) -> Result<(), Error> {
        Err(Error::Unsuitable("not built yet"))
    }

    /// Returns the layout that was installed.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
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
