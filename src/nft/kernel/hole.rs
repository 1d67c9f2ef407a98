//! A hole as elements of the table, and as what is awaited there.
//!
//! Pure. This module must not know the kernel's answers.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::conntrack::Flow;
use super::element::{Element, Joined};
use super::error::Error;
use super::set::{Breadth, Family, Set};
use super::{Generation, later};
use crate::nft::{Admits, FirewallHole, FlowUsage, Opening};

/// A hole of the books.
#[derive(Clone, Debug)]
pub(super) struct Hole {
    pub(super) generation: Generation,
    pub(super) opening: Opening,
    pub(super) elements: Vec<Element>,
    /// When the kernel shuts it.
    pub(super) until: Instant,
    /// Its one connection, once it came.
    pub(super) flow: Option<Flow>,
    /// Since when its first packet may still be on its way through the rules: its elements stay so long.
    pub(super) passing: Option<Instant>,
    /// What that connection had carried when it was last looked at.
    pub(super) last: Option<FlowUsage>,
    /// How often its peer was let in again after a connection that died before it came up.
    pub(super) revived: u8,
}

impl Hole {
    /// A hole that is to be opened now.
    pub(super) fn planned(generation: Generation, hole: &FirewallHole) -> Result<Hole, Error> {
        let opening = plain(hole.opening)?;
        Ok(Hole {
            generation,
            opening,
            until: later(hole.ttl),
            elements: elements(&opening)?,
            flow: None,
            passing: None,
            last: None,
            revived: 0,
        })
    }

    /// Our address and port that the peer dials.
    pub(super) fn at(&self) -> SocketAddr {
        match self.opening {
            Opening::Forward { at, .. } | Opening::Relay { at, .. } => at,
        }
    }

    /// Whether the kernel carries the connection.
    pub(super) fn is_forwarded(&self) -> bool {
        match self.opening {
            Opening::Forward { .. } => true,
            Opening::Relay { .. } => false,
        }
    }

    /// The peers and the destination of the packet that is logged when the hole is used: behind the change of the destination.
    pub(super) fn awaited(&self) -> Awaited {
        match self.opening {
            Opening::Forward { peer, to, .. } => (IpNet::from(peer), to),
            Opening::Relay { peer, at, .. } => (peer, at),
        }
    }

    /// Whether its first connection uses it up.
    pub(super) fn is_for_one(&self) -> bool {
        match self.opening {
            Opening::Forward { .. } => true,
            Opening::Relay { admits, .. } => admits == Admits::One,
        }
    }
}

/// From whom a packet is awaited, and to where.
pub(super) type Awaited = (IpNet, SocketAddr);

/// All under which a packet may be awaited, the narrowest first, as the table's chain `take` tries them.
pub(super) fn may_be_awaited(from: IpAddr, to: SocketAddr) -> [Awaited; 3] {
    let [near, any] = match from {
        IpAddr::V4(address) => [24, 0]
            .map(|prefix| Ipv4Net::new(address, prefix).map(|network| IpNet::V4(network.trunc()))),
        IpAddr::V6(address) => [64, 0]
            .map(|prefix| Ipv6Net::new(address, prefix).map(|network| IpNet::V6(network.trunc()))),
    };
    let one = IpNet::from(from);
    [
        (one, to),
        (near.unwrap_or(one), to),
        (any.unwrap_or(one), to),
    ]
}

/// Puts addresses into the form in which packets have them, and checks that they fit together.
pub(super) fn plain(opening: Opening) -> Result<Opening, Error> {
    let straight =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    match opening {
        Opening::Forward {
            peer,
            at,
            to,
            source,
        } => {
            let (peer, at, to) = (peer.to_canonical(), straight(at), straight(to));
            let source = source.map(straight);
            let family = Family::of(peer);
            let others = [Some(at), Some(to), source].into_iter().flatten();
            if others.clone().any(|other| Family::of(other.ip()) != family) {
                return Err(Error::Unsuitable(
                    "a forwarded pinhole's addresses are not of one IP version",
                ));
            }
            if others.clone().any(|other| other.ip().is_unspecified())
                || at.port() == 0
                || to.port() == 0
            {
                return Err(Error::Unsuitable("a pinhole needs addresses and ports"));
            }
            Ok(Opening::Forward {
                peer,
                at,
                to,
                source,
            })
        }
        Opening::Relay { peer, at, admits } => {
            let (peer, at) = (peer.trunc(), straight(at));
            if Family::of(peer.addr()) != Family::of(at.ip()) {
                return Err(Error::Unsuitable(
                    "a relayed pinhole's peer and address are not of one IP version",
                ));
            }
            if at.ip().is_unspecified() || at.port() == 0 {
                return Err(Error::Unsuitable("a pinhole needs an address and a port"));
            }
            Ok(Opening::Relay { peer, at, admits })
        }
    }
}

/// The elements that make a hole.
pub(super) fn elements(opening: &Opening) -> Result<Vec<Element>, Error> {
    let element = |set, key: &Joined, value| Element {
        set,
        key: key.clone(),
        value,
    };
    match *opening {
        Opening::Forward {
            peer,
            at,
            to,
            source,
        } => {
            let family = Family::of(peer);
            let key = Joined::default()
                .address(peer)
                .address(at.ip())
                .port(at.port());
            let joined = |to: SocketAddr| Joined::default().address(to.ip()).port(to.port());
            let source = match source {
                Some(source) if source.port() != 0 => {
                    element(Set::SnatPort(family), &key, Some(joined(source)))
                }
                // Without this, a masquerading rule of the operator's would change what shall stay.
                kept_or_ours => {
                    let address = kept_or_ours.map_or(peer, |source| source.ip());
                    let value = Joined::default().address(address);
                    element(Set::Snat(family), &key, Some(value))
                }
            };
            Ok(vec![
                element(Set::Dnat(family), &key, Some(joined(to))),
                source,
            ])
        }
        Opening::Relay { peer, at, admits } => {
            let family = Family::of(at.ip());
            let breadth = breadth(peer)
                .or((peer.prefix_len() == 0).then_some(Breadth::Any))
                .ok_or(Error::Unsuitable(
                    "a relayed pinhole's peer is one address, a /24, a /64 or everybody",
                ))?;
            let key = match breadth {
                Breadth::One | Breadth::Near => Joined::default().address(peer.network()),
                Breadth::Any => Joined::default(),
            };
            let key = key.address(at.ip()).port(at.port());
            let open = match admits {
                Admits::One => Set::Open(family, breadth),
                Admits::Several => Set::Candidates(family, breadth),
            };
            Ok(vec![
                element(Set::Guard(family, breadth), &key, None),
                element(open, &key, None),
            ])
        }
    }
}

/// The connection as the far end is to see it, the other way round, where its source port is given: the kernel tracks one such at
/// a time, and for minutes after its end.
pub(super) fn with_a_given_source(opening: Opening) -> Option<Flow> {
    match plain(opening) {
        Ok(Opening::Forward {
            to,
            source: Some(source),
            ..
        }) if source.port() != 0 => Some(Flow {
            from: to,
            to: source,
        }),
        _ => None,
    }
}

/// The same hole, whose connection may come from any port of its source.
pub(super) fn from_any_port(hole: &FirewallHole) -> FirewallHole {
    let mut hole = *hole;
    if let Opening::Forward {
        source: Some(source),
        ..
    } = &mut hole.opening
    {
        source.set_port(0);
    }
    hole
}

/// How broad a network is, if it is one address or a near network.
pub(super) fn breadth(network: IpNet) -> Option<Breadth> {
    match network {
        IpNet::V4(network) if network.prefix_len() == 32 => Some(Breadth::One),
        IpNet::V4(network) if network.prefix_len() == 24 => Some(Breadth::Near),
        IpNet::V6(network) if network.prefix_len() == 128 => Some(Breadth::One),
        IpNet::V6(network) if network.prefix_len() == 64 => Some(Breadth::Near),
        IpNet::V4(_) | IpNet::V6(_) => None,
    }
}
