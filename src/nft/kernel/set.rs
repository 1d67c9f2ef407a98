//! The table's sets and maps: their names, what their keys are made of, and their elements as messages.
//!
//! The messages are composed here and not by nftnl, whose safe interface has no map data, timeouts or set flags; and they
//! are sent for every pinhole, where composing is faster. linux/netfilter/nf_tables.h has the numbers. This module must
//! not know sockets.

use std::net::IpAddr;
use std::time::Duration;

use super::message::{
    Attributes, CREATE, DUMP, EXCLUSIVE, Message, Subsystem, attribute, attributes, be64, nested,
    string,
};

pub(super) const INET: u8 = 1; // NFPROTO_INET

// enum nf_tables_msg_types
const NEW_SET: u8 = 9;
const NEW_ELEMENT: u8 = 12;
const GET_ELEMENT: u8 = 13;
const DELETE_ELEMENT: u8 = 14;

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
    /// Who may dial where: such a first packet gets our mark.
    Guard(Family, Breadth),
    /// The same keys, each good for one connection.
    Open(Family, Breadth),
    /// Where a forwarded connection leads.
    Dnat(Family),
    /// What the other end sees as its source: an address.
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
        let both = |breadth| [Set::Guard(family, breadth), Set::Open(family, breadth)];
        let mut sets: Vec<Set> = Breadth::ALL.into_iter().flat_map(both).collect();
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
            Set::Guard(family, Breadth::Any) | Set::Open(family, Breadth::Any) => {
                vec![family.address_type(), SERVICE]
            }
            Set::Guard(family, Breadth::One | Breadth::Near)
            | Set::Open(family, Breadth::One | Breadth::Near)
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
            | Set::Dead(_)
            | Set::Dying(_)
            | Set::Banned(..)
            | Set::Listeners => None,
        }
    }

    /// Whether each element is good for one packet only.
    fn is_one_shot(self) -> bool {
        match self {
            Set::Open(..) | Set::Dying(_) => true,
            Set::Guard(..)
            | Set::Dnat(_)
            | Set::Snat(_)
            | Set::SnatPort(_)
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

/// Bytes of a key or a value, put together part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Joined(Vec<u8>);

impl Joined {
    pub(super) fn address(mut self, address: IpAddr) -> Joined {
        match address {
            IpAddr::V4(address) => self.0.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => self.0.extend_from_slice(&address.octets()),
        }
        self
    }

    /// A port, padded to four bytes.
    pub(super) fn port(mut self, port: u16) -> Joined {
        self.0.extend_from_slice(&port.to_be_bytes());
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    /// A port by itself, which is not padded.
    pub(super) fn lone_port(port: u16) -> Joined {
        Joined(port.to_be_bytes().to_vec())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The address that the bytes begin with.
    pub(super) fn first_address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self
                .0
                .first_chunk::<4>()
                .map(|octets| IpAddr::from(*octets)),
            Family::V6 => self
                .0
                .first_chunk::<16>()
                .map(|octets| IpAddr::from(*octets)),
        }
    }
}

/// An element of a set, or of a map if it has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) set: Set,
    pub(super) key: Joined,
    pub(super) value: Option<Joined>,
}

impl Element {
    /// The message that adds it, for a time and with a mark of whose it is; it must not be there yet.
    pub(super) fn add(&self, table: &str, ttl: Option<Duration>, owner: Option<u32>) -> Message {
        self.message(table, NEW_ELEMENT, CREATE | EXCLUSIVE, |element| {
            if let Some(value) = &self.value {
                element.nest(2, |data| {
                    data.bytes(1, &value.0); // NFTA_SET_ELEM_DATA, NFTA_DATA_VALUE
                });
            }
            if let Some(ttl) = ttl {
                element.be64(4, milliseconds(ttl)); // NFTA_SET_ELEM_TIMEOUT
            }
            if let Some(owner) = owner {
                element.bytes(6, &comment(&format!("{OWNER}{owner}"))); // NFTA_SET_ELEM_USERDATA
            }
        })
    }

    /// The message that gives it a new time, counted from now. Kernels before 6.12 accept it and do nothing; if it has
    /// just expired, it is there again.
    pub(super) fn prolong(&self, table: &str, ttl: Duration, owner: u32) -> Message {
        self.message(table, NEW_ELEMENT, CREATE, |element| {
            if let Some(value) = &self.value {
                element.nest(2, |data| {
                    data.bytes(1, &value.0);
                });
            }
            element.be64(4, milliseconds(ttl)); // NFTA_SET_ELEM_TIMEOUT
            element.be64(5, milliseconds(ttl)); // NFTA_SET_ELEM_EXPIRATION
            element.bytes(6, &comment(&format!("{OWNER}{owner}")));
        })
    }

    /// The message that removes it; it must be there.
    pub(super) fn delete(&self, table: &str) -> Message {
        self.message(table, DELETE_ELEMENT, 0, |_| {})
    }

    /// The question whether it is there, and how.
    pub(super) fn get(&self, table: &str) -> Message {
        self.message(table, GET_ELEMENT, 0, |_| {})
    }

    fn message(
        &self,
        table: &str,
        kind: u8,
        flags: u16,
        fill: impl FnOnce(&mut Attributes),
    ) -> Message {
        Message::new(Subsystem::Tables.kind(kind), flags, INET, 0, |list| {
            list.text(1, table); // NFTA_SET_ELEM_LIST_TABLE
            list.text(2, self.set.name()); // NFTA_SET_ELEM_LIST_SET
            list.nest(3, |elements| {
                // NFTA_SET_ELEM_LIST_ELEMENTS
                elements.nest(1, |element| {
                    // NFTA_LIST_ELEM
                    element.nest(1, |key| {
                        key.bytes(1, &self.key.0); // NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
                    });
                    fill(element);
                });
            });
        })
    }
}

/// How an element stands in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) element: Element,
    /// The owner that its comment names.
    pub(super) owner: Option<u32>,
    /// What is left of its time.
    pub(super) remaining: Duration,
    /// Whether its one packet has come.
    pub(super) spent: bool,
}

/// The question for all elements of a set.
pub(super) fn list(table: &str, set: Set) -> Message {
    Message::new(Subsystem::Tables.kind(GET_ELEMENT), DUMP, INET, 0, |list| {
        list.text(1, table);
        list.text(2, set.name());
    })
}

/// Reads the elements in an answer.
pub(super) fn standing(set: Set, answer: &[u8], out: &mut Vec<Standing>) {
    let elements = attribute(answer, 3).unwrap_or_default();
    for (_, element) in attributes(elements) {
        let Some(key) = nested(element, &[1, 1]) else {
            continue;
        };
        let value = nested(element, &[2, 1]).map(|bytes| Joined(bytes.to_vec()));
        let owner = attribute(element, 6)
            .and_then(commented)
            .and_then(|text| text.strip_prefix(OWNER)?.parse().ok());
        let remaining = attribute(element, 5).and_then(be64).unwrap_or_default();
        out.push(Standing {
            element: Element {
                set,
                key: Joined(key.to_vec()),
                value,
            },
            owner,
            remaining: Duration::from_millis(remaining),
            spent: packets(element) > 0,
        });
    }
}

/// The packets that an element's counter has seen; it is the second of two expressions, or absent.
fn packets(element: &[u8]) -> u64 {
    let expressions = attribute(element, 11).unwrap_or_default(); // NFTA_SET_ELEM_EXPRESSIONS
    let counter = attributes(expressions)
        .map(|(_, expression)| expression)
        .find(|expression| attribute(expression, 1).is_some_and(|name| string(name) == "counter"));
    counter
        .and_then(|counter| nested(counter, &[2, 2]))
        .and_then(be64)
        .unwrap_or_default()
}

/// What the comment of a gateway's elements begins with.
const OWNER: &str = "gateway ";

/// A comment as nft keeps it: type 0, length, text with its NUL.
pub(super) fn comment(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    let mut bytes = vec![0, length];
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The comment in some user data.
pub(super) fn commented(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0, length, text @ ..] => text.get(..usize::from(*length)).map(string),
        _ => None,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.min(LONGEST).as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

/// Six days are what the kernel is told at most: within the week after which a spent limit is good for one packet again.
pub(super) const LONGEST: Duration = Duration::from_secs(6 * 24 * 3600);
