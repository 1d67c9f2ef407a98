//! The privileged half: the one process that may touch the firewall, for a gateway that may not.
//!
//! ```text
//!            requests, answers (one socket per thread)
//!   gateway <=========================================> broker --- Hands ---> kernel
//!            notices, reports (one socket)                 '------ Office --> config, listeners, process
//! ```
//!
//! Invariant: every request is read whole and checked against the [`Envelope`](super::envelope::Envelope) before
//! anything is done; a gateway that says what no gateway says is ended and started anew. One thread, one loop, and no
//! byte from the network ever: this module must not know FTP, the config or what a listener is.

mod backoff;
mod beside;
mod caller;
mod desk;
mod gateway;
#[cfg(feature = "nftables")]
mod in_kernel;
mod rounds;
mod together;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::envelope::Envelope;
use super::message::Keep;
use super::{FirewallHole, FlowUsage, Granted, Happening, HoleKey, Settled, Settling, Wish};

pub use backoff::Backoff;
pub use desk::Desk;
#[cfg(feature = "nftables")]
pub use in_kernel::InKernel;
pub use rounds::{Broker, Patience, Signals};

/// Bits of a hole's name that are the gateway's own; above them the broker writes which gateway it is.
const NAME_BITS: u32 = 48;

/// Does in the kernel what has been permitted.
pub trait Hands {
    /// Lets one connection in.
    ///
    /// # Errors
    /// What the kernel says; nothing is open then.
    fn open(&mut self, hole: &FirewallHole) -> io::Result<()>;

    /// Makes an unused hole last this much longer, counted from now.
    ///
    /// # Errors
    /// `NotFound` when it was used or has expired; else what the kernel says.
    fn renew(&mut self, key: HoleKey, ttl: Duration) -> io::Result<()>;

    /// Tells what a hole's connection has carried; none if it was not used.
    ///
    /// # Errors
    /// What the kernel says.
    fn usage(&mut self, key: HoleKey) -> io::Result<Option<FlowUsage>>;

    /// Ends a hole's connection.
    ///
    /// # Errors
    /// What the kernel says.
    fn kill(&mut self, key: HoleKey) -> io::Result<()>;

    /// Shuts a hole and forgets it; a connection that runs goes on.
    ///
    /// # Errors
    /// What the kernel says; it is forgotten all the same, and the kernel shuts it at its time.
    fn close(&mut self, key: HoleKey) -> io::Result<Settled>;

    /// Shuts a hole whose connection has begun to end or never came; leaves one that runs, and tells how far it is.
    ///
    /// # Errors
    /// As [`Hands::usage`] and [`Hands::close`].
    fn settle(&mut self, key: HoleKey) -> io::Result<Settling> {
        match self.usage(key)? {
            Some(usage) if !usage.state.has_begun_to_end() => Ok(Settling::Runs(usage)),
            Some(_) | None => self.close(key).map(Settling::Shut),
        }
    }

    /// Does several things, each as if it was asked by itself; answers in their order. No two of them are about one hole.
    fn together(&mut self, wishes: &[Wish]) -> Vec<io::Result<Granted>> {
        let each = wishes.iter().map(|wish| match wish {
            Wish::Open(hole) => self.open(hole).map(|()| Granted::Opened),
            Wish::Settle(key) => self.settle(*key).map(Granted::Settled),
        });
        each.collect()
    }

    /// Keeps a network away for a while.
    ///
    /// # Errors
    /// What the kernel says.
    fn ban(&mut self, network: IpNet, ttl: Duration) -> io::Result<()>;

    /// Lets a banned network come again.
    ///
    /// # Errors
    /// What the kernel says.
    fn unban(&mut self, network: IpNet) -> io::Result<()>;

    /// Lists the bans that stand, with what is left of their time: an earlier broker's too.
    ///
    /// # Errors
    /// What the kernel says.
    fn bans(&mut self) -> io::Result<Vec<(IpNet, Duration)>> {
        Ok(Vec::new())
    }

    /// What to wait for: when one of them can be read, something has happened.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>>;

    /// Until when this one of [`Hands::descriptors`] need not be waited for: requests come so fast that what it tells is read
    /// with one of them.
    fn rests(&self, place: usize) -> Option<Instant> {
        let _ = place;
        None
    }

    /// When [`Hands::happenings`] wants to be called though nothing can be read.
    fn next_wake(&self) -> Option<Instant>;

    /// Takes what has happened, without waiting: what the one of [`Hands::descriptors`] in this place tells, or all of them, and
    /// what is due.
    ///
    /// # Errors
    /// What the kernel says; what was read before it is in `out`.
    fn happenings(&mut self, ready: Option<usize>, out: &mut Vec<Happening>) -> io::Result<()>;
}

/// Does what a gateway needs besides the firewall.
pub trait Office {
    /// Learns which networks the kernel bans, with what is left of their time: before each start of a gateway.
    fn learn_bans(&mut self, bans: Vec<(IpNet, Duration)>) {
        let _ = bans;
    }

    /// Tells whether an address is one of this host's.
    fn is_ours(&mut self, address: IpAddr) -> bool;

    /// Makes a socket that is bound to this address and port, to be dialled from.
    ///
    /// # Errors
    /// What the kernel says.
    fn dialler(&mut self, from: SocketAddr) -> io::Result<OwnedFd>;

    /// Reads the config again; answers with its bounds, and with itself in a sealed memory file.
    ///
    /// # Errors
    /// What is wrong with it, in lines for people; nothing has changed then.
    fn reread(&mut self) -> Result<(Envelope, OwnedFd), String>;

    /// Learns whether the config that was read last is in force; if not, the one before it still is.
    fn settle(&mut self, in_force: bool);

    /// Sees to the journal's files.
    ///
    /// # Errors
    /// What the kernel says.
    fn keep(&mut self, wish: Keep) -> io::Result<Option<Kept>>;

    /// Tells whether files that the config names were renewed, and the gateway is to read them.
    fn renewed(&mut self) -> bool;

    /// What to wait for: when one of them can be read, names were resolved.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>>;

    /// When [`Office::resolved`] and [`Office::renewed`] want to be called though nothing can be read.
    fn next_wake(&self) -> Option<Instant>;

    /// Takes the names that were resolved, without waiting; sees to whoever resolves them.
    fn resolved(&mut self) -> Vec<(String, Vec<IpAddr>)>;

    /// Starts a gateway and hands it everything.
    ///
    /// # Errors
    /// What the kernel says.
    fn start(&mut self) -> io::Result<Staff>;

    /// Passes on how things are, to whoever manages services.
    fn tell(&mut self, news: News);
}

/// A journal file for the gateway.
#[derive(Debug)]
pub struct Kept {
    /// The file, open for appending.
    pub file: OwnedFd,
    /// Whether it ends in the middle of a line.
    pub torn: bool,
    /// Whether other processes may write to the same open file.
    pub shared: bool,
}

/// A gateway process, with our ends of its sockets.
#[derive(Debug)]
pub struct Staff {
    /// The process.
    pub child: Child,
    /// Where notices go and reports come from.
    pub events: OwnedFd,
    /// Where requests come from.
    pub requests: Vec<OwnedFd>,
}

/// How things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Clients can come.
    Ready,
    /// The config is being read again.
    Reloading,
    /// No new sessions are taken.
    Stopping,
    /// The gateway is gone, and is being started anew.
    Restarting,
}
