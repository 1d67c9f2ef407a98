//! The guard on a listener: a socket filter that drops what comes from anyone who is not awaited.
//!
//! A classic BPF program sees every segment that the kernel wants to hand to the listener: the SYN and the
//! ACK that ends the handshake. What it drops gets no answer at all, so a scan sees no open port. Some
//! hardened kernels want a capability for it; then connections are accepted and reset instead.
//!
//! Invariant: a filter that is in force lets in exactly the awaited addresses. This module must not know
//! ports or pinholes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustix::io::Errno;
use socket2::{SockFilter, Socket};

use super::sockets::Sockets;

// linux/bpf_common.h and linux/filter.h; socket(7).
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
/// At a TCP socket offset 0 is the TCP header; from here on it is the IP header (`SKF_NET_OFF`).
const IP_HEADER: u32 = 0xFFF0_0000;
const IPV4_SOURCE: u32 = IP_HEADER + 12; // RFC 791 section 3.1
const IPV6_SOURCE: u32 = IP_HEADER + 8; // RFC 8200 section 3
const PASS: SockFilter = SockFilter::new(RETURN, 0, 0, u32::MAX);
const DROP: SockFilter = SockFilter::new(RETURN, 0, 0, 0);

/// What keeps a port of the window shut to everyone but the awaited peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardKind {
    /// The kernel's firewall: nobody else gets as far as the port.
    Nftables,
    /// A filter at each listening socket: nobody else gets an answer.
    SocketFilter,
    /// Nothing in the kernel: everybody else is accepted and reset.
    AcceptAndReset,
}

impl GuardKind {
    /// Gives the word that stands for it in `ctl status`.
    pub fn word(self) -> &'static str {
        match self {
            GuardKind::Nftables => "nftables",
            GuardKind::SocketFilter => "socket_filter",
            GuardKind::AcceptAndReset => "accept_and_reset",
        }
    }
}

/// Attaches filters for as long as the kernel lets us.
#[derive(Debug)]
pub(super) struct Guard {
    in_force: AtomicBool,
}

impl Guard {
    /// Asks the kernel whether it takes filters from us.
    pub(super) fn new(sockets: &dyn Sockets) -> Guard {
        let anywhere = [
            SocketAddr::from(([127, 0, 0, 1], 0)),
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0)),
        ];
        let probe = anywhere.iter().find_map(|&at| sockets.pinhole(at).ok());
        let in_force = probe.is_none_or(|socket| socket.attach_filter(&[DROP]).is_ok());
        Guard {
            in_force: AtomicBool::new(in_force),
        }
    }

    /// Makes a guard that attaches none: the kernel refuses them, or its firewall stands before the port.
    pub(super) fn without_filters() -> Guard {
        Guard {
            in_force: AtomicBool::new(false),
        }
    }

    /// Tells whether the kernel takes filters from us.
    pub(super) fn in_force(&self) -> bool {
        self.in_force.load(Ordering::Relaxed)
    }

    /// Lets in these peers and nobody else, and tells whether that worked; if not, everybody, and the caller turns them away.
    pub(super) fn admit_only(&self, socket: &Socket, peers: impl Iterator<Item = IpNet>) -> bool {
        if !self.in_force() {
            return false;
        }
        if let Err(error) = socket.attach_filter(&program(peers)) {
            tracing::warn!(%error, "the kernel refused a socket filter: a listener accepts and resets strangers");
            if Errno::from_io_error(&error) == Some(Errno::PERM) {
                self.in_force.store(false, Ordering::Relaxed);
            }
            // An older, smaller set must not stay: it would shut out a peer that is awaited now.
            if let Err(error) = socket.detach_filter() {
                tracing::debug!(%error, "no filter to take off");
            }
            return false;
        }
        true
    }
}

/// Writes the program that passes segments from these peers.
fn program(peers: impl Iterator<Item = IpNet>) -> Vec<SockFilter> {
    let mut program = Vec::with_capacity(10);
    for peer in peers {
        match peer {
            IpNet::V4(net) => pass_v4(net, &mut program),
            IpNet::V6(net) => pass_v6(net, &mut program),
        }
    }
    program.push(DROP);
    program
}

fn pass_v4(net: Ipv4Net, program: &mut Vec<SockFilter>) {
    let word = (
        IPV4_SOURCE,
        net.network().to_bits(),
        net.netmask().to_bits(),
    );
    pass_if_equal(&[word], program);
}

fn pass_v6(net: Ipv6Net, program: &mut Vec<SockFilter>) {
    let (address, mask) = (net.network().to_bits(), net.netmask().to_bits());
    let word = |n: u32| {
        let shift = 96 - 32 * n;
        let (address, mask) = ((address >> shift) as u32, (mask >> shift) as u32);
        (IPV6_SOURCE + 4 * n, address, mask)
    };
    pass_if_equal(&[word(0), word(1), word(2), word(3)], program);
}

/// Passes the segment if each word (offset, value, mask) of its header has its value, else goes on behind.
fn pass_if_equal(words: &[(u32, u32, u32)], program: &mut Vec<SockFilter>) {
    let relevant = || words.iter().filter(|(_, _, mask)| *mask != 0);
    let instructions = |mask: u32| if mask == u32::MAX { 2 } else { 3 };
    let mut left: u8 = relevant().map(|&(_, _, mask)| instructions(mask)).sum();
    for &(offset, value, mask) in relevant() {
        left -= instructions(mask);
        program.push(SockFilter::new(LOAD_WORD, 0, 0, offset));
        if mask != u32::MAX {
            program.push(SockFilter::new(AND, 0, 0, mask));
        }
        // Not equal: over the rest of this peer's words and its PASS.
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, left + 1, value));
    }
    program.push(PASS);
}
