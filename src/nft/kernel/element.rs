//! Elements of the table's sets as messages, and how they stand in the kernel.
//!
//! Composed here and not by nftnl, whose safe interface has no map data and no timeouts; and they are sent for every pinhole.
//! linux/netfilter/nf_tables.h has the numbers. This module must not know sockets.

use std::net::IpAddr;
use std::time::Duration;

use super::message::{
    Attributes, CREATE, DUMP, EXCLUSIVE, Message, Subsystem, attribute, attributes, be64, nested,
    string,
};
use super::set::{Family, INET, Set};

// enum nf_tables_msg_types
const NEW_ELEMENT: u8 = 12;
const GET_ELEMENT: u8 = 13;
const DELETE_ELEMENT: u8 = 14;

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
