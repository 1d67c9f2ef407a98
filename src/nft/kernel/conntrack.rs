//! One entry of the kernel's connection tracking: read, and deleted.
//!
//! linux/netfilter/nfnetlink_conntrack.h has the numbers. This module must not know holes.

use std::net::{IpAddr, SocketAddr};

use super::channel::Channel;
use super::element::Joined;
use super::error::Error;
use super::message::{Attributes, DUMP, Message, Subsystem, attribute, be16, be32, be64, nested};
use super::set::Family;
use crate::nft::{FlowState, FlowUsage};

const GET: u8 = 1;
const DELETE: u8 = 2;

const TCP: u8 = 6;

/// A connection as its first packet was: from whom, to what address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
}

impl Flow {
    /// The key in the sets of killed connections.
    pub(super) fn key(self) -> Joined {
        Joined::default()
            .address(self.from.ip())
            .port(self.from.port())
            .address(self.to.ip())
            .port(self.to.port())
    }

    pub(super) fn family(self) -> Family {
        Family::of(self.from.ip())
    }

    fn message(self, kind: u8) -> Message {
        let (number, source, destination) = match self.family() {
            Family::V4 => (2, 1, 2),  // AF_INET, CTA_IP_V4_SRC, CTA_IP_V4_DST
            Family::V6 => (10, 3, 4), // AF_INET6, CTA_IP_V6_SRC, CTA_IP_V6_DST
        };
        let address = |ip| Joined::default().address(ip);
        let kind = Subsystem::Conntrack.kind(kind);
        Message::new(kind, 0, number, 0, |entry: &mut Attributes| {
            // CTA_TUPLE_ORIG
            entry.nest(1, |tuple| {
                // CTA_TUPLE_IP
                tuple.nest(1, |addresses| {
                    addresses.bytes(source, address(self.from.ip()).as_bytes());
                    addresses.bytes(destination, address(self.to.ip()).as_bytes());
                });
                // CTA_TUPLE_PROTO
                tuple.nest(2, |ports| {
                    ports.bytes(1, &[TCP]);
                    ports.be16(2, self.from.port());
                    ports.be16(3, self.to.port());
                });
            });
        })
    }
}

/// Reads a connection's counters and state; none if the kernel has forgotten it.
pub(super) fn usage(channel: &mut Channel, flow: Flow) -> Result<Option<FlowUsage>, Error> {
    channel.ask(READING, flow.message(GET), usage_in)
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    state: FlowState,
    came_up: bool,
}

impl Seen {
    /// Tells whether one side has reset it before both had agreed on it.
    pub(super) fn died_before_it_came_up(self) -> bool {
        self.state == FlowState::Over && !self.came_up
    }
}

/// Reads how far connections have come, with one message; none for each that the kernel has forgotten, or does not know yet.
pub(super) fn looks(channel: &mut Channel, flows: &[Flow]) -> Result<Vec<Option<Seen>>, Error> {
    /// IPS_ASSURED: its handshake was finished.
    const ASSURED: u32 = 1 << 2;
    let questions = flows.iter().map(|flow| flow.message(GET)).collect();
    channel.ask_each(READING, questions, |entry| {
        let status = attribute(entry, 3).and_then(be32).unwrap_or_default(); // CTA_STATUS
        let state = usage_in(entry)?.state;
        let came_up = status & ASSURED != 0;
        Some(Seen { state, came_up })
    })
}

/// As [`usage`], of several connections with one message.
pub(super) fn usages(
    channel: &mut Channel,
    flows: &[Flow],
) -> Result<Vec<Option<FlowUsage>>, Error> {
    let questions = flows.iter().map(|flow| flow.message(GET)).collect();
    channel.ask_each(READING, questions, usage_in)
}

const READING: &str = "reading a connection's counters";

fn usage_in(entry: &[u8]) -> Option<FlowUsage> {
    let count = |direction, what| {
        nested(entry, &[direction, what])
            .and_then(be64)
            .unwrap_or_default()
    };
    // CTA_PROTOINFO, CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE
    let state = nested(entry, &[4, 1, 1]).and_then(|state| state.first().copied());
    attribute(entry, 1)?;
    Some(FlowUsage {
        wire_bytes_from_peer: count(9, 2), // CTA_COUNTERS_ORIG, CTA_COUNTERS_BYTES
        packets_from_peer: count(9, 1),
        wire_bytes_to_peer: count(10, 2), // CTA_COUNTERS_REPLY
        packets_to_peer: count(10, 1),
        state: state_of(state.unwrap_or_default()),
    })
}

/// Deletes a connection's entry; tells whether there was one.
pub(super) fn forget(channel: &mut Channel, flow: Flow) -> Result<bool, Error> {
    let told = channel.tell("ending a connection", flow.message(DELETE));
    match told.map_err(Error::by_kind) {
        Ok(()) => Ok(true),
        Err(Error::Gone(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lists the TCP connections that carry a bit of the ct mark.
pub(super) fn marked(channel: &mut Channel, mark: u32) -> Result<Vec<Flow>, Error> {
    let kind = Subsystem::Conntrack.kind(GET);
    let question = Message::new(kind, DUMP, 0, 0, |filter| {
        filter.be32(8, mark); // CTA_MARK
        filter.be32(21, mark); // CTA_MARK_MASK
    });
    channel.dump("listing connections", &question, |entry, found| {
        found.extend(flow(entry));
    })
}

/// Reads the original direction of an entry, if it is of TCP.
fn flow(entry: &[u8]) -> Option<Flow> {
    let tuple = attribute(entry, 1)?;
    let address = |v4, v6| -> Option<IpAddr> {
        nested(tuple, &[1, v4])
            .and_then(|octets| octets.first_chunk::<4>())
            .map(|octets| IpAddr::from(*octets))
            .or_else(|| {
                let octets = nested(tuple, &[1, v6])?.first_chunk::<16>()?;
                Some(IpAddr::from(*octets))
            })
    };
    let port = |kind| nested(tuple, &[2, kind]).and_then(be16);
    let protocol = nested(tuple, &[2, 1])?.first().copied();
    (protocol == Some(TCP)).then_some(())?;
    Some(Flow {
        from: SocketAddr::new(address(1, 3)?, port(2)?),
        to: SocketAddr::new(address(2, 4)?, port(3)?),
    })
}

/// enum tcp_conntrack of linux/netfilter/nf_conntrack_tcp.h
fn state_of(number: u8) -> FlowState {
    match number {
        3 => FlowState::Open,       // ESTABLISHED
        4 | 5 => FlowState::Ending, // FIN_WAIT, CLOSE_WAIT
        6..=8 => FlowState::Over,   // LAST_ACK, TIME_WAIT, CLOSE
        _ => FlowState::Opening,
    }
}

#[cfg(test)]
mod tests {
    use super::{FlowState, state_of};

    #[test]
    fn a_connection_is_over_when_both_sides_have_said_so() {
        let states: Vec<FlowState> = (0..=9).map(state_of).collect();
        let (opening, open) = (FlowState::Opening, FlowState::Open);
        let (ending, over) = (FlowState::Ending, FlowState::Over);
        assert_eq!(
            states,
            [
                opening, opening, opening, open, ending, ending, over, over, over, opening
            ]
        );
    }
}
