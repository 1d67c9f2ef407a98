//! The table's sets and maps: their names, and what their keys and values are made of.
//!
//! Composed here and not by nftnl, whose safe interface has no map data, set flags or expressions in a set.
//! linux/netfilter/nf_tables.h has the numbers. This module must not know sockets.

use std::net::IpAddr;

use super::message::{Attributes, CREATE, EXCLUSIVE, Message, Subsystem};

pub(super) const INET: u8 = 1; // NFPROTO_INET

// enum nf_tables_msg_types
const NEW_SET: u8 = 9;

// enum nft_set_flags
const MAP: u32 = 0x8;
const TIMEOUT: u32 = 0x10;
const EXPRESSIONS: u32 = 0x100;

// nft's numbers of data types (its src/datatype.h); they only serve for listing.
const IPV4_ADDRESS: u32 = 7;
const IPV6_ADDRESS: u32 = 8;
const SERVICE: u32 = 13;

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Family; 2] = [Family::V4, Family::V6];

    pub(super) fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    fn address_type(self) -> u32 {
        match self {
            Family::V4 => IPV4_ADDRESS,
            Family::V6 => IPV6_ADDRESS,
        }
    }
}

/// Of how many peers a key speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Breadth {
    /// One address.
    One,
    /// A /24 or a /64: the key holds the network's address.
    Near,
    /// Everybody: the key has no peer.
    Any,
}

impl Breadth {
    pub(super) const ALL: [Breadth; 3] = [Breadth::One, Breadth::Near, Breadth::Any];
}

/// A set or map of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Set {
    /// Who may dial where: such a first packet gets our mark. Of forwarded pinholes the next one says this.
    Guard(Family, Breadth),
    /// The same keys, each good for one connection: what uses a relayed pinhole up.
    Open(Family, Breadth),
    /// Others of these keys, each good for any number of connections: the listener there chooses among them.
    Candidates(Family, Breadth),
    /// Where a forwarded connection leads, by who dials and where; such a first packet gets our mark.
    Dnat(Family),
    /// What the other end sees as its source, an address. Each is good for one connection: it uses the pinhole up.
    Snat(Family),
    /// The same with a port.
    SnatPort(Family),
    /// Connections that were killed: source, its port, destination, its port, as the peer dialled.
    Dead(Family),
    /// Connections that were killed, and of which the receiving side has not been told yet.
    Dying(Family),
    /// Who may not come to the listeners.
    Banned(Family, Breadth),
    /// The listeners' ports.
    Listeners,
}

impl Set {
    /// All of them.
    pub(super) fn all() -> Vec<Set> {
        let mut all = vec![Set::Listeners];
        for family in Family::BOTH {
            all.extend(Set::of_holes(family));
            all.extend([Set::Dead(family), Set::Dying(family)]);
            all.extend(Set::of_bans(family));
        }
        all
    }

    /// Those that hold the entries of pinholes.
    pub(super) fn of_holes(family: Family) -> Vec<Set> {
        let all = |breadth| {
            [
                Set::Guard(family, breadth),
                Set::Open(family, breadth),
                Set::Candidates(family, breadth),
            ]
        };
        let mut sets: Vec<Set> = Breadth::ALL.into_iter().flat_map(all).collect();
        sets.extend([Set::Dnat(family), Set::Snat(family), Set::SnatPort(family)]);
        sets
    }

    /// Those that hold bans.
    pub(super) fn of_bans(family: Family) -> [Set; 2] {
        [
            Set::Banned(family, Breadth::One),
            Set::Banned(family, Breadth::Near),
        ]
    }

    /// The name in the table.
    pub(super) fn name(self) -> &'static str {
        use Breadth::{Any, Near, One};
        use Family::{V4, V6};
        match self {
            Set::Guard(V4, One) => "guard4",
            Set::Guard(V4, Near) => "guard4_near",
            Set::Guard(V4, Any) => "guard4_any",
            Set::Guard(V6, One) => "guard6",
            Set::Guard(V6, Near) => "guard6_near",
            Set::Guard(V6, Any) => "guard6_any",
            Set::Open(V4, One) => "open4",
            Set::Open(V4, Near) => "open4_near",
            Set::Open(V4, Any) => "open4_any",
            Set::Open(V6, One) => "open6",
            Set::Open(V6, Near) => "open6_near",
            Set::Open(V6, Any) => "open6_any",
            Set::Candidates(V4, One) => "candidates4",
            Set::Candidates(V4, Near) => "candidates4_near",
            Set::Candidates(V4, Any) => "candidates4_any",
            Set::Candidates(V6, One) => "candidates6",
            Set::Candidates(V6, Near) => "candidates6_near",
            Set::Candidates(V6, Any) => "candidates6_any",
            Set::Dnat(V4) => "dnat4",
            Set::Dnat(V6) => "dnat6",
            Set::Snat(V4) => "snat4",
            Set::Snat(V6) => "snat6",
            Set::SnatPort(V4) => "snat4_port",
            Set::SnatPort(V6) => "snat6_port",
            Set::Dead(V4) => "dead4",
            Set::Dead(V6) => "dead6",
            Set::Dying(V4) => "dying4",
            Set::Dying(V6) => "dying6",
            Set::Banned(V4, One | Any) => "banned4",
            Set::Banned(V4, Near) => "banned4_near",
            Set::Banned(V6, One | Any) => "banned6",
            Set::Banned(V6, Near) => "banned6_near",
            Set::Listeners => "listeners",
        }
    }

    /// What the key is made of.
    fn key(self) -> Vec<u32> {
        match self {
            Set::Guard(family, Breadth::Any)
            | Set::Open(family, Breadth::Any)
            | Set::Candidates(family, Breadth::Any) => {
                vec![family.address_type(), SERVICE]
            }
            Set::Guard(family, Breadth::One | Breadth::Near)
            | Set::Open(family, Breadth::One | Breadth::Near)
            | Set::Candidates(family, Breadth::One | Breadth::Near)
            | Set::Dnat(family)
            | Set::Snat(family)
            | Set::SnatPort(family) => {
                vec![family.address_type(), family.address_type(), SERVICE]
            }
            Set::Dead(family) | Set::Dying(family) => {
                let address = family.address_type();
                vec![address, SERVICE, address, SERVICE]
            }
            Set::Banned(family, _) => vec![family.address_type()],
            Set::Listeners => vec![SERVICE],
        }
    }

    /// What a map's values are made of; a set has none.
    fn value(self) -> Option<Vec<u32>> {
        match self {
            Set::Dnat(family) | Set::SnatPort(family) => Some(vec![family.address_type(), SERVICE]),
            Set::Snat(family) => Some(vec![family.address_type()]),
            Set::Guard(..)
            | Set::Open(..)
            | Set::Candidates(..)
            | Set::Dead(_)
            | Set::Dying(_)
            | Set::Banned(..)
            | Set::Listeners => None,
        }
    }

    /// Whether each element is good for one packet only.
    pub(super) fn is_one_shot(self) -> bool {
        match self {
            Set::Open(..) | Set::Snat(_) | Set::SnatPort(_) | Set::Dying(_) => true,
            Set::Guard(..)
            | Set::Candidates(..)
            | Set::Dnat(_)
            | Set::Dead(_)
            | Set::Banned(..)
            | Set::Listeners => false,
        }
    }

    /// The message that makes the set.
    pub(super) fn message(self, table: &str, number: u32, size: u32) -> Message {
        let (key, value) = (self.key(), self.value());
        let mut flags = 0;
        if self != Set::Listeners {
            flags |= TIMEOUT;
        }
        if value.is_some() {
            flags |= MAP;
        }
        if self.is_one_shot() {
            flags |= EXPRESSIONS;
        }
        let kind = Subsystem::Tables.kind(NEW_SET);
        Message::new(kind, CREATE | EXCLUSIVE, INET, 0, |set| {
            set.text(1, table); // NFTA_SET_TABLE
            set.text(2, self.name()); // NFTA_SET_NAME
            set.be32(3, flags); // NFTA_SET_FLAGS
            set.be32(4, joined_type(&key)); // NFTA_SET_KEY_TYPE
            set.be32(5, joined_length(&key)); // NFTA_SET_KEY_LEN
            if let Some(value) = &value {
                set.be32(6, joined_type(value)); // NFTA_SET_DATA_TYPE
                set.be32(7, joined_length(value)); // NFTA_SET_DATA_LEN
            }
            set.nest(9, |description| {
                description.be32(1, size); // NFTA_SET_DESC_SIZE
            });
            set.be32(10, number); // NFTA_SET_ID
            if self.is_one_shot() {
                set.nest(18, one_shot); // NFTA_SET_EXPRESSIONS
            }
        })
    }
}

/// `limit rate 1/week burst 1 packets counter`, of which every element gets its own copy: the limit's lock lets exactly
/// one packet through, on however many CPUs others come at once, and the counter counts it.
fn one_shot(expressions: &mut Attributes) {
    const WEEK: u64 = 7 * 24 * 3600;
    expressions.nest(1, |limit| {
        limit.text(1, "limit").nest(2, |data| {
            data.be64(1, 1); // NFTA_LIMIT_RATE
            data.be64(2, WEEK); // NFTA_LIMIT_UNIT
            data.be32(3, 1); // NFTA_LIMIT_BURST
            data.be32(4, 0); // NFTA_LIMIT_TYPE: packets
            data.be32(5, 0); // NFTA_LIMIT_FLAGS
        });
    });
    expressions.nest(1, |counter| {
        counter.text(1, "counter").nest(2, |data| {
            data.be64(1, 0); // NFTA_COUNTER_BYTES
            data.be64(2, 0); // NFTA_COUNTER_PACKETS
        });
    });
}

/// nft's number of a concatenation: six bits for each of its types.
fn joined_type(types: &[u32]) -> u32 {
    types.iter().fold(0, |joined, one| joined << 6 | one)
}

/// Each part is padded to four bytes, but a lone one is not.
fn joined_length(types: &[u32]) -> u32 {
    match types {
        [SERVICE] => 2,
        several => several
            .iter()
            .map(|one| if *one == IPV6_ADDRESS { 16 } else { 4 })
            .sum(),
    }
}
