//! What is said on the helper's lines: small packets of a fixed form, numbers little-endian.
//!
//! ```text
//! question   version 1 | kind 1    | id 8 | length 1 | name
//! answer     version 1 | kind 0x81 | id 8 | outcome 1 | count 1 | count x (family 1 | address 16)
//! told       version 1 | kind 0x82 | length 1 | name | count 1 | count x (family 1 | address 16)
//! ```
//!
//! Kinds 0x10 to 0x1f, and 0x90 to 0x9f for their answers, are those of exit points (`message/exit.rs`). Reading is strict:
//! what is too short, too long or unknown is no message.

mod exit;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, recv};

pub(super) use exit::{Asked, AskedFor, Order, Permitted};

const VERSION: u8 = 1;
const QUESTION: u8 = 0x01;
const ANSWER: u8 = 0x81;
const TOLD: u8 = 0x82;

/// The longest name (RFC 1035, section 2.3.4, as text).
const LONGEST_NAME: usize = 253;

/// The most addresses of one name.
pub const MOST_ADDRESSES: usize = 16;

/// Longer than any message, so that one that is too long shows.
pub(super) const BUFFER: usize = exit::LONGEST + 1;

/// What the gateway asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: u64,
    pub(super) name: String,
}

/// What the helper answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) outcome: Outcome,
}

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Found(Vec<IpAddr>),
    /// The name has no address, or nobody knows.
    Unknown,
    /// Too much is asked at once.
    Busy,
}

/// What the helper tells the broker: a name that was asked for has these addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The name.
    pub name: String,
    /// Its addresses; never none, never more than [`MOST_ADDRESSES`].
    pub addresses: Vec<IpAddr>,
}

impl Told {
    /// Takes what the helper has told, without waiting; none when there is nothing more.
    ///
    /// # Errors
    /// What the kernel says; `InvalidData` for something else than a message.
    pub fn receive(line: impl AsFd) -> io::Result<Option<Told>> {
        let mut buffer = [0; BUFFER];
        match retry_on_intr(|| recv(&line, &mut buffer, RecvFlags::DONTWAIT)) {
            Ok((_, 0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((_, length)) => {
                let told = buffer.get(..length).and_then(Told::read);
                told.map(Some)
                    .ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, TOLD];
        write_name(&self.name, &mut bytes);
        write_addresses(&self.addresses, &mut bytes);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Told> {
        let rest = bytes.strip_prefix(&[VERSION, TOLD])?;
        let (name, rest) = read_name(rest)?;
        let addresses = read_addresses(rest)?;
        (!addresses.is_empty()).then_some(Told { name, addresses })
    }
}

impl Question {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, QUESTION];
        bytes.extend(self.id.to_le_bytes());
        write_name(&self.name, &mut bytes);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Question> {
        let rest = bytes.strip_prefix(&[VERSION, QUESTION])?;
        let (id, rest) = rest.split_first_chunk()?;
        let (name, rest) = read_name(rest)?;
        rest.is_empty().then_some(Question {
            id: u64::from_le_bytes(*id),
            name,
        })
    }
}

impl Answer {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, ANSWER];
        bytes.extend(self.id.to_le_bytes());
        let (outcome, addresses): (u8, &[IpAddr]) = match &self.outcome {
            Outcome::Found(addresses) => (0, addresses),
            Outcome::Unknown => (1, &[]),
            Outcome::Busy => (2, &[]),
        };
        bytes.push(outcome);
        write_addresses(addresses, &mut bytes);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Answer> {
        let rest = bytes.strip_prefix(&[VERSION, ANSWER])?;
        let (id, rest) = rest.split_first_chunk()?;
        let (outcome, rest) = rest.split_first()?;
        let addresses = read_addresses(rest)?;
        let outcome = match (outcome, addresses.is_empty()) {
            (0, false) => Outcome::Found(addresses),
            (1, true) => Outcome::Unknown,
            (2, true) => Outcome::Busy,
            _ => return None,
        };
        Some(Answer {
            id: u64::from_le_bytes(*id),
            outcome,
        })
    }
}

/// Tells whether a name can be asked for: what is longer, or has a NUL in it, is none.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains('\0')
}

fn write_name(name: &str, bytes: &mut Vec<u8>) {
    // Whoever calls has asked `is_name`.
    bytes.push(u8::try_from(name.len()).unwrap_or(0));
    bytes.extend_from_slice(name.as_bytes());
}

fn read_name(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| is_name(name))?;
    Some((name.to_owned(), rest))
}

fn write_addresses(addresses: &[IpAddr], bytes: &mut Vec<u8>) {
    let most = addresses.get(..MOST_ADDRESSES).unwrap_or(addresses);
    bytes.push(u8::try_from(most.len()).unwrap_or(0));
    for address in most {
        let (family, octets) = match address {
            IpAddr::V4(v4) => (4, v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => (6, v6.octets()),
        };
        bytes.push(family);
        bytes.extend(octets);
    }
}

/// Reads addresses, and nothing behind them.
fn read_addresses(bytes: &[u8]) -> Option<Vec<IpAddr>> {
    let (count, rest) = bytes.split_first()?;
    let (each, rest) = rest.as_chunks::<17>();
    if !rest.is_empty() || each.len() != usize::from(*count) || each.len() > MOST_ADDRESSES {
        return None;
    }
    each.iter()
        .map(|[family, octets @ ..]| {
            let address = Ipv6Addr::from(*octets);
            match family {
                4 => address.to_ipv4_mapped().map(|v4: Ipv4Addr| IpAddr::V4(v4)),
                6 => Some(IpAddr::V6(address)),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
        proptest::collection::vec(any::<IpAddr>(), 1..=MOST_ADDRESSES)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(id: u64, name in "[a-z0-9.-]{1,253}", addresses in addresses()) {
            let question = Question { id, name: name.clone() };
            prop_assert_eq!(Question::read(&question.write()), Some(question));
            let told = Told { name, addresses: addresses.clone() };
            prop_assert_eq!(Told::read(&told.write()), Some(told));
            for outcome in [Outcome::Found(addresses), Outcome::Unknown, Outcome::Busy] {
                let answer = Answer { id, outcome };
                prop_assert!(answer.write().len() < BUFFER);
                prop_assert_eq!(Answer::read(&answer.write()), Some(answer));
            }
        }

        #[test]
        fn whatever_comes_is_read_without_a_panic(kind in prop_oneof![Just(QUESTION), Just(ANSWER), Just(TOLD), any::<u8>()], rest: Vec<u8>) {
            let mut bytes = vec![VERSION, kind];
            bytes.extend(rest);
            if let Some(told) = Told::read(&bytes) {
                prop_assert_eq!(told.write(), bytes.clone());
            }
            if let Some(question) = Question::read(&bytes) {
                prop_assert_eq!(question.write(), bytes.clone());
            }
            if let Some(answer) = Answer::read(&bytes) {
                prop_assert_eq!(answer.write(), bytes);
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_no_message() {
        let told = Told {
            name: "ftp.example.com".to_owned(),
            addresses: vec!["192.0.2.1".parse().expect("an address")],
        };
        let mut bytes = told.write();
        for length in 0..bytes.len() {
            assert_eq!(Told::read(&bytes[..length]), None, "{length}");
        }
        bytes.push(0);
        assert_eq!(Told::read(&bytes), None);
        assert!(!is_name(&"x".repeat(254)) && !is_name("a\0b") && !is_name(""));
    }
}
