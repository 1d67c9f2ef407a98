//! A pinhole as the firewall knows it: addresses and times, and nothing of why.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

/// Names a hole between the gateway and the broker; never used twice by one gateway process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoleKey(pub u64);

/// What is to be let in, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The kernel carries one connection from `peer` to `at`, and hands it to `to`.
    Forward {
        /// Who may dial.
        peer: IpAddr,
        /// Our address and port that it dials.
        at: SocketAddr,
        /// Where the connection leads.
        to: SocketAddr,
        /// What the other end sees as its source: our address there, with port 0 for any port; none to keep the peer's.
        source: Option<SocketAddr>,
    },
    /// This host's own listener at `at` may take connections from `peer`.
    Relay {
        /// Who may dial: one address, a /24 or /64, or everybody (/0).
        peer: IpNet,
        /// Our address and port that it dials.
        at: SocketAddr,
        /// How many may come.
        admits: Admits,
    },
}

/// How many connections a hole to a listener of ours lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    /// One.
    One,
    /// As many as come until it is closed or its time is over: the listener tells by itself which is the right one. Such a
    /// hole is never told of as used.
    Several,
}

/// A hole to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirewallHole {
    /// Its name.
    pub key: HoleKey,
    /// What it lets in.
    pub opening: Opening,
    /// How long the kernel keeps it without use; whole milliseconds count.
    pub ttl: Duration,
}

/// What a forwarded connection has carried, as the kernel counts: whole packets, with headers and retransmissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowUsage {
    /// Bytes from the peer that dialled.
    pub wire_bytes_from_peer: u64,
    /// Packets from the peer that dialled.
    pub packets_from_peer: u64,
    /// Bytes towards the peer that dialled.
    pub wire_bytes_to_peer: u64,
    /// Packets towards the peer that dialled.
    pub packets_to_peer: u64,
    /// How far the connection is.
    pub state: FlowState,
}

impl FlowUsage {
    /// Tells whether the kernel counts packets (`net.netfilter.nf_conntrack_acct`): no connection is without any.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.packets_from_peer != 0 || self.packets_to_peer != 0
    }
}

/// How far a forwarded connection is, as the kernel's connection tracking sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// The handshake is not over.
    Opening,
    /// Both directions are open.
    Open,
    /// At least one side has sent its FIN.
    Ending,
    /// Both sides have sent their FIN, one a reset, or the kernel has forgotten it.
    Over,
}

impl FlowState {
    /// Tells whether at least one side has sent its FIN, or the connection is gone.
    pub fn has_begun_to_end(self) -> bool {
        match self {
            FlowState::Opening | FlowState::Open => false,
            FlowState::Ending | FlowState::Over => true,
        }
    }
}

/// How a hole was when it was shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Who came through it, with port 0 where the kernel could not tell all: of a hole's TTL and a SYN, exactly one wins.
    pub by: Option<SocketAddr>,
    /// What that connection had carried so far, if the kernel carried it.
    pub usage: Option<FlowUsage>,
}

impl Settled {
    /// Tells whether a connection came through it.
    #[must_use]
    pub fn used(&self) -> bool {
        self.by.is_some()
    }
}

/// One of several things that are asked of the firewall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// [`Firewall::open`](super::Firewall::open).
    Open(FirewallHole),
    /// [`Firewall::settle`](super::Firewall::settle).
    Settle(HoleKey),
}

/// What came of a [`Wish`] that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// The hole is open.
    Opened,
    /// What became of the hole that was to be settled.
    Settled(Settling),
}

/// What became of a hole that was to be shut unless its connection runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// It is shut.
    Shut(Settled),
    /// Its connection runs, and nothing was changed.
    Runs(FlowUsage),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_that_is_counted_has_packets() {
        let usage = |packets_from_peer| FlowUsage {
            wire_bytes_from_peer: 60 * packets_from_peer,
            packets_from_peer,
            wire_bytes_to_peer: 0,
            packets_to_peer: 0,
            state: FlowState::Open,
        };
        assert!(!usage(0).is_counted());
        assert!(usage(1).is_counted());
    }
}
