//! Pinholes in the kernel: what is asked of the firewall, by whom, and who may do it.
//!
//! The gateway asks through [`Firewall`]; the privileged broker answers, and alone touches nftables. Invariant: the
//! values here are all that crosses between the two, so each can be checked whole. This module must not know FTP,
//! sessions or the config.

mod beside;
pub mod broker;
pub mod client;
pub mod envelope;
pub mod hole;
#[cfg(feature = "nftables")]
pub mod kernel;
pub mod message;
pub mod packet;
pub mod sealed;
pub mod socket;

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use ipnet::IpNet;

pub use client::Client;
pub use hole::{
    Admits, FirewallHole, FlowState, FlowUsage, Granted, HoleKey, Opening, Settled, Settling, Wish,
};

/// Something that the firewall tells by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The first packet of a forwarded hole's one connection came; its entries are gone again.
    Used {
        /// The hole.
        key: HoleKey,
        /// Who dialled.
        peer: SocketAddr,
    },
    /// Somebody knocked at a shut port of a window.
    Knocked {
        /// Who.
        from: SocketAddr,
        /// Where.
        at: SocketAddr,
        /// How many more of the same were not told since the last time.
        more: u32,
    },
    /// Somebody else removed our table, and it was restored: forwarded connections that ran may be broken.
    Restored,
}

/// The kernel's firewall, as far as the gateway may use it. Calls wait for the answer, some tens of microseconds.
pub trait Firewall: Send + Sync {
    /// Lets one connection in.
    ///
    /// # Errors
    /// When it is beyond what the config allows, the set is full, or the broker or the kernel does not answer;
    /// nothing is open then.
    fn open(&self, hole: &FirewallHole) -> io::Result<()>;

    /// Makes an unused hole last this much longer, counted from now.
    ///
    /// # Errors
    /// `NotFound` when it was used or has expired; else as [`Firewall::open`].
    fn renew(&self, key: HoleKey, ttl: Duration) -> io::Result<()>;

    /// Resolves with who dialled when a forwarded hole was used.
    fn used(&self, key: HoleKey, cx: &mut Context<'_>) -> Poll<SocketAddr>;

    /// Tells what a forwarded hole's connection has carried; none if it was not used.
    ///
    /// # Errors
    /// When the broker or the kernel does not answer.
    fn usage(&self, key: HoleKey) -> io::Result<Option<FlowUsage>>;

    /// Ends a forwarded hole's connection with a reset towards both sides (a silent one at its next packet).
    ///
    /// # Errors
    /// When the broker or the kernel does not answer.
    fn kill(&self, key: HoleKey) -> io::Result<()>;

    /// Shuts a hole and forgets it. A forwarded connection that runs goes on; kill it first if it shall not.
    ///
    /// # Errors
    /// When the broker or the kernel does not answer; the kernel shuts the hole at its time then.
    fn close(&self, key: HoleKey) -> io::Result<Settled>;

    /// Drops the packets of a network (/32, /24, /128 or /64) at the listeners for a time.
    ///
    /// # Errors
    /// When it can't be banned, or the broker or the kernel does not answer.
    fn ban(&self, network: IpNet, time: Duration) -> io::Result<()> {
        let _ = (network, time);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Lets a banned network come again; none that is not banned is an error.
    ///
    /// # Errors
    /// When the broker or the kernel does not answer.
    fn unban(&self, network: IpNet) -> io::Result<()> {
        let _ = network;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Closes a hole whose connection has begun to end or never came; tells how far it is if it runs, and leaves it.
    ///
    /// # Errors
    /// As [`Firewall::usage`] and [`Firewall::close`].
    fn settle(&self, key: HoleKey) -> io::Result<Settling> {
        match self.usage(key)? {
            Some(usage) if !usage.state.has_begun_to_end() => Ok(Settling::Runs(usage)),
            Some(_) | None => self.close(key).map(Settling::Shut),
        }
    }

    /// To be called by a thread that asks often, before it sleeps for any other reason: it may be kept on its processor meanwhile.
    fn rest(&self) {}

    /// Does what several sessions want, each as if it was asked by itself; answers in their order.
    fn together(&self, wishes: &[Wish]) -> Vec<io::Result<Granted>> {
        let each = wishes.iter().map(|wish| match wish {
            Wish::Open(hole) => self.open(hole).map(|()| Granted::Opened),
            Wish::Settle(key) => self.settle(*key).map(Granted::Settled),
        });
        each.collect()
    }
}
