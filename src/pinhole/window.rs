//! Which ports of a window are free for a peer: shared by all clients.
//!
//! A port is taken, for one peer, only while a pinhole awaits that peer there. Other peers may use the same
//! port meanwhile: who dials it is told apart by address. The choice among the free ports is random and
//! unpredictable; ports that nobody shares now come first, since they cost least.
//!
//! Invariant: at one address no port ever has two overlapping claims, nor more than [`PEERS_PER_PORT`].
//! This module must not know sockets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

/// Most peers that one port awaits at a time: bounds the socket filter and the work of each change to it.
///
/// So many that 16 ports await 1,500 peers at once; with 64 a hundred of them were refused.
pub(super) const PEERS_PER_PORT: usize = 128;

/// Ports that other people's application-level gateways listen in on (SIP, H.323, PPTP, RTSP, SCCP, IRC).
const HIJACKED: [u16; 7] = [5060, 5061, 1720, 1723, 554, 2000, 6667];

/// The ports of one window, at every address of ours.
#[derive(Debug)]
pub(super) struct Window {
    offered: Vec<u16>,
    addresses: HashMap<IpAddr, Ports>,
    random: Random,
}

impl Window {
    /// Makes a window of these ports, less those that are never offered.
    pub(super) fn new(range: RangeInclusive<u16>) -> Window {
        Window {
            offered: range.filter(|port| !HIJACKED.contains(port)).collect(),
            addresses: HashMap::new(),
            random: Random::new(),
        }
    }

    /// Tells how many ports may be offered.
    pub(super) fn size(&self) -> u16 {
        u16::try_from(self.offered.len()).unwrap_or(u16::MAX)
    }

    /// Takes a random free port of our address `at` for this peer, none of `passed_over`; none if there is none.
    pub(super) fn claim(&mut self, at: IpAddr, peer: IpNet, passed_over: &[u16]) -> Option<u16> {
        let offered = &self.offered;
        let ports = self
            .addresses
            .entry(at)
            .or_insert_with(|| Ports::new(offered));
        ports.claim(Net::new(peer), passed_over, &mut self.random)
    }

    /// Gives a claimed port back, and tells whether nobody has it any more.
    pub(super) fn release(&mut self, at: IpAddr, port: u16, peer: IpNet) -> bool {
        match self.addresses.get_mut(&at) {
            Some(ports) => ports.release(port, Net::new(peer)),
            None => true,
        }
    }
}

/// The ports at one address: `ports[..unshared]` have no claim, the others have; order means nothing else.
#[derive(Debug)]
struct Ports {
    ports: Vec<Port>,
    unshared: usize,
    /// Where in `ports` each port number is.
    place: HashMap<u16, usize>,
}

#[derive(Debug)]
struct Port {
    number: u16,
    claims: Vec<Net>,
}

impl Ports {
    fn new(offered: &[u16]) -> Ports {
        Ports {
            ports: offered
                .iter()
                .map(|&number| Port {
                    number,
                    claims: Vec::new(),
                })
                .collect(),
            unshared: offered.len(),
            place: offered.iter().copied().zip(0..).collect(),
        }
    }

    fn claim(&mut self, peer: Net, passed_over: &[u16], random: &mut Random) -> Option<u16> {
        let free = |port: &Port| {
            port.claims.len() < PEERS_PER_PORT
                && !passed_over.contains(&port.number)
                && !port.claims.iter().any(|claim| claim.overlaps(peer))
        };
        let chosen = self
            .pick(0..self.unshared, random, free)
            .or_else(|| self.pick(self.unshared..self.ports.len(), random, free))?;
        let port = self.ports.get_mut(chosen)?;
        port.claims.push(peer);
        let number = port.number;
        if chosen < self.unshared {
            self.unshared -= 1;
            self.swap(chosen, self.unshared);
        }
        Some(number)
    }

    /// Draws from these places without putting back until one fits: each that fits is equally likely.
    fn pick(
        &mut self,
        places: std::ops::Range<usize>,
        random: &mut Random,
        fits: impl Fn(&Port) -> bool,
    ) -> Option<usize> {
        let mut end = places.end;
        while end > places.start {
            let drawn = places.start + random.below(end - places.start);
            if self.ports.get(drawn).is_some_and(&fits) {
                return Some(drawn);
            }
            end -= 1;
            self.swap(drawn, end);
        }
        None
    }

    fn release(&mut self, number: u16, peer: Net) -> bool {
        let Some(&at) = self.place.get(&number) else {
            return true;
        };
        let Some(port) = self.ports.get_mut(at) else {
            return true;
        };
        if let Some(claim) = port.claims.iter().position(|claim| *claim == peer) {
            port.claims.swap_remove(claim);
        }
        let nobody = port.claims.is_empty();
        if nobody && at >= self.unshared {
            self.swap(at, self.unshared);
            self.unshared += 1;
        }
        nobody
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        self.ports.swap(a, b);
        for at in [a, b] {
            if let Some(port) = self.ports.get(at) {
                self.place.insert(port.number, at);
            }
        }
    }
}

/// A peer as address and mask; the two families never meet at one address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    address: u128,
    mask: u128,
}

impl Net {
    fn new(net: IpNet) -> Net {
        let (address, mask) = match net {
            IpNet::V4(net) => (
                u128::from(net.network().to_bits()),
                u128::from(net.netmask().to_bits()),
            ),
            IpNet::V6(net) => (net.network().to_bits(), net.netmask().to_bits()),
        };
        Net { address, mask }
    }

    fn overlaps(self, other: Net) -> bool {
        (self.address ^ other.address) & self.mask & other.mask == 0
    }
}

/// The kernel's randomness, fetched a block at a time.
#[derive(Debug)]
struct Random {
    block: [u8; 256],
    used: usize,
}

impl Random {
    fn new() -> Random {
        Random {
            block: [0; 256],
            used: 256,
        }
    }

    fn next(&mut self) -> u32 {
        if self.used >= self.block.len() {
            // The kernel's pool is ready long before any program of ours runs; it can't fail after that.
            if getrandom::fill(&mut self.block).is_err() {
                tracing::error!("the kernel gives no random bytes; port choice is predictable now");
            }
            self.used = 0;
        }
        let bytes = self.block.get(self.used..self.used + 4);
        self.used += 4;
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_ne_bytes)
    }

    /// Draws a number below `bound` (which is 1 to 65,536), each equally likely.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(1);
        // The highest numbers would favour the low remainders: they are drawn again.
        let fair = u32::MAX - u32::MAX % bound;
        loop {
            let drawn = self.next();
            if drawn < fair {
                return (drawn % bound) as usize;
            }
        }
    }
}
