//! Forwarded transfers: which data connections the kernel may carry, and how those end whose bytes we do not see.
//!
//! The kernel dials by itself, so no leg of ours is dialled, and the upstream's replies pass at once. Where server and
//! client wait for each other, which only a dial of ours can end, the connection is relayed instead. After its 2xx
//! the client has its answer, and the records wait for the end of the connection; until then nothing new is negotiated.
//! Invariant: what is not sure to be forwarded as negotiated is relayed. This module must not know the firewall.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::command::TRANSFER_REFUND;
use super::fault::OwnFault;
use super::legs::{Dial, Ended, Leg, Relay, Transfer};
use super::pinhole::{CloseReason, PinholeId, RefusalReason};
use super::session::{Gate, Session, Step, burst};
use super::{Carried, Direction, Event, Output, Side, SourcePort, Usage, Volume, Wall, Wire};
use crate::ftp::{Reply, Verb};
use crate::policy::{Asked, Request, Words};

/// Most bytes of headers in a packet: IPv4 (RFC 791 section 3.1) and TCP (RFC 9293 section 3.1) at 60 each; IPv6 at 40
/// (RFC 8200 section 3), without extension headers.
const MOST_HEADERS: [u64; 2] = [60 + 60, 40 + 60];

/// How long a server and a passive client may wait for each other, the one for a connection before its 1xx, the other for
/// the 1xx before it dials, until what was to be forwarded is relayed.
pub(super) const BOTH_WAIT: Duration = Duration::from_secs(1);

/// How the kernel is to carry a data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forwarding {
    /// What the dialled peer sees as the connection's source; none for the other peer's own address.
    pub(super) source: Option<SocketAddr>,
}

impl Session {
    /// Decides whether the kernel may carry the connection of this side's pinhole, and how.
    pub(super) fn forwarding(
        &self,
        now: Wall,
        side: Side,
        from: IpNet,
        leads_to: Option<SocketAddr>,
    ) -> Option<Forwarding> {
        let to = leads_to?;
        let (peer, dialled, source) = match side {
            Side::Client => (
                self.facts.client.ip(),
                self.upstream.ip(),
                SocketAddr::new(self.gateway, 0),
            ),
            Side::Upstream => (
                self.upstream.ip(),
                self.facts.client.ip(),
                self.client_source(),
            ),
        };
        // Only of the control connections' own peers is it known that they are no addresses of this host.
        let known = to.ip() == dialled;
        let one_family = to.is_ipv4() == peer.is_ipv4() && source.is_ipv4() == to.is_ipv4();
        let one_address = from == IpNet::from(peer);
        (known && one_family && one_address && self.may_forward(now)).then_some(Forwarding {
            // Where the upstream already sees the peer's own address, there is nothing to hide.
            source: (source.ip() != peer).then_some(source),
        })
    }

    /// Tells whether this session's data connections may be forwarded at all, as things are now.
    fn may_forward(&self, now: Wall) -> bool {
        self.forwardable && self.data_in_clear() && !self.may_be_limited(now)
    }

    /// Tells whether a rule may limit what will go over the data connection that is being set up.
    fn may_be_limited(&self, now: Wall) -> bool {
        let (Some(transfer), Some(data)) = (self.transfer.as_deref(), self.data_facts()) else {
            return true;
        };
        let command = Words {
            verb: transfer.ask,
            spelled: transfer.ask.name().as_bytes(),
            argument: None,
        };
        self.settings.rules.could_limit(&Request {
            session: self.circumstances(now),
            asked: Asked::Data { command, data },
        })
    }

    /// Gives our address and port that the client sees as the source of its data connections.
    pub(super) fn client_source(&self) -> SocketAddr {
        let target = self.facts.target;
        let port = match self.settings.data_source_port {
            SourcePort::ControlMinusOne => target.port().saturating_sub(1),
            SourcePort::Random => 0,
        };
        SocketAddr::new(target.ip(), port)
    }

    /// Passes the upstream's 2xx at once; the records wait for the connection's end.
    pub(super) fn forwarded_answered(&mut self, step: &mut Step, reply: Reply) {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        transfer.ended = Some(Ended {
            reason: CloseReason::Completed,
            code: reply.code().get(),
            why: String::new(),
        });
        self.tokens = (self.tokens + TRANSFER_REFUND).min(burst(&self.settings));
        self.say(step, reply);
        self.linger(step);
    }

    /// Has a connection relayed that was to be forwarded: with a dial of ours the server gets on.
    pub(super) fn relay_instead(&mut self, step: &mut Step) {
        if let Some(transfer) = self.transfer.as_deref_mut()
            && let Some(id) = transfer.hole(Side::Client).map(|hole| hole.id)
        {
            transfer.taken_back = true;
            step.out.push(Output::RelayInstead { id });
        }
    }

    /// The pinhole is ours: dials the upstream, as the transfer command would have done.
    pub(super) fn relayed_instead(&mut self, step: &mut Step, id: PinholeId) {
        let from = SocketAddr::new(self.gateway, 0);
        let Some(transfer) = self.taken_back(id) else {
            return;
        };
        // Its records say so also where it has ended in between: nothing went through the kernel.
        transfer.carried = Carried::Relayed;
        if transfer.ended.is_some() {
            return;
        }
        let transfer_id = transfer.id;
        let Leg::Dials { to: Some(to), dial } = &mut transfer.legs.upstream else {
            return;
        };
        *dial = Dial::Begun;
        let to = *to;
        let (transfer, side) = (transfer_id, Side::Upstream);
        self.gate(
            step,
            Gate::LateDial,
            Event::DataDialled { transfer, side, to },
        );
        step.out.push(Output::DialData {
            transfer,
            side,
            to,
            from,
        });
    }

    /// The pinhole can't be ours either, and is gone.
    pub(super) fn not_relayed_instead(
        &mut self,
        step: &mut Step,
        id: PinholeId,
        why: RefusalReason,
    ) {
        if self
            .taken_back(id)
            .is_some_and(|transfer| transfer.ended.is_none())
        {
            let reply = OwnFault::NoPinhole(why).reply();
            let words = "the gateway could not open its data port".to_owned();
            self.give_up(step, reply, CloseReason::TransferFailed, words);
        }
    }

    fn taken_back(&mut self, id: PinholeId) -> Option<&mut Transfer> {
        let transfer = self.transfer.as_deref_mut()?;
        let same = transfer
            .hole(Side::Client)
            .is_some_and(|hole| hole.id == id);
        (transfer.taken_back && same && transfer.carried == Carried::Forwarded).then_some(transfer)
    }

    /// Tells whether a command has to wait for the end of a connection whose transfer was answered already.
    pub(super) fn must_wait_for_the_last(&self, verb: Verb) -> bool {
        let negotiates = matches!(
            verb,
            Verb::Pasv
                | Verb::Epsv
                | Verb::Port
                | Verb::Eprt
                | Verb::Rein
                | Verb::Host
                | Verb::Auth
                | Verb::Prot
        );
        (negotiates || verb.is_transfer())
            && self
                .transfer
                .as_deref()
                .is_some_and(Transfer::is_answered_and_carried)
    }
}

impl Transfer {
    /// Tells whether the client has its answer while the connection is not known to be over.
    pub(super) fn is_answered_and_carried(&self) -> bool {
        self.ended.is_some() && self.relay == Relay::Asked
    }

    /// Tells whether the transfer command was sent, the client has not dialled, and the server says nothing: some
    /// servers say their 1xx when the connection is there, some clients dial when they have seen it.
    pub(super) fn is_deadlocked(&self) -> bool {
        let unused = self
            .hole(Side::Client)
            .is_some_and(|hole| hole.opened.is_some() && hole.used.is_none());
        let unmarked = self
            .command
            .as_ref()
            .is_some_and(|command| command.marked.is_none());
        self.carried == Carried::Forwarded && unused && unmarked && !self.taken_back
    }

    /// Says how much was carried, for the records.
    pub(super) fn volume(&self) -> Volume {
        let usage = self.usage();
        match self.carried {
            Carried::Relayed => Volume::Payload {
                bytes_up: usage.map_or(0, |usage| usage.bytes_up),
                bytes_down: usage.map_or(0, |usage| usage.bytes_down),
            },
            Carried::Forwarded => match usage {
                Some(Usage {
                    wire: Some(wire), ..
                }) => packets(wire),
                None if !self.is_used() => packets(Wire::default()),
                Some(Usage { wire: None, .. }) | None => Volume::Untold {},
            },
        }
    }

    fn is_used(&self) -> bool {
        [Side::Client, Side::Upstream]
            .into_iter()
            .any(|side| self.hole(side).is_some_and(|hole| hole.used.is_some()))
    }

    /// Tells whether payload came against the direction, as far as that is sure.
    ///
    /// The kernel counts packets with their headers. What they weigh beyond the longest headers that so many packets
    /// can have is payload; a few bytes at a time can hide in that allowance.
    pub(super) fn carried_against(&self, usage: Usage) -> bool {
        let (Some(wire), Some(direction)) = (usage.wire, self.direction()) else {
            return usage.wrong_direction > 0;
        };
        let (bytes, packets) = match direction {
            Direction::Download => (wire.bytes_up, wire.packets_up),
            Direction::Upload => (wire.bytes_down, wire.packets_down),
        };
        let ipv6 = [Side::Client, Side::Upstream]
            .into_iter()
            .filter_map(|side| self.hole(side))
            .any(|hole| hole.from.addr().is_ipv6());
        bytes > packets.saturating_mul(MOST_HEADERS[usize::from(ipv6)])
    }
}

fn packets(wire: Wire) -> Volume {
    Volume::Packets {
        wire_bytes_up: wire.bytes_up,
        wire_bytes_down: wire.bytes_down,
        packets_up: wire.packets_up,
        packets_down: wire.packets_down,
    }
}
