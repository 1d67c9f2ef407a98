//! Opening a pinhole: reserved, recorded, opened, announced, in this order.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::dialogue::Purpose;
use super::fault::OwnFault;
use super::legs::{Hole, Leg, Stage, Transfer};
use super::pinhole::{CloseReason, Pinhole, PinholeId, RefusalReason};
use super::session::{Gate, Session, Step};
use super::tls::DataTls;
use super::{Carried, Event, HoleFacts, Output, PeerMatch, Side};
use crate::ftp::address::{eprt_argument, port_argument, reply_227, reply_229};
use crate::ftp::{Command, Verb};

impl Session {
    /// Asks the shell for a port; the record needs it before anything opens.
    pub(super) fn reserve(&mut self, step: &mut Step, side: Side) {
        let id = PinholeId(self.next_pinhole);
        self.next_pinhole += 1;
        let (peer, at) = match side {
            Side::Client => (self.facts.client.ip(), self.facts.target.ip()),
            Side::Upstream => (self.upstream.ip(), self.gateway),
        };
        let tls = self.data_tls(side);
        let from = match (side, self.settings.peer) {
            (Side::Client, PeerMatch::Prefix) => prefix(peer),
            (Side::Client, PeerMatch::Any) if tls == DataTls::Resumed => everybody(peer),
            (Side::Client, PeerMatch::Exact | PeerMatch::Any) | (Side::Upstream, _) => {
                IpNet::from(peer)
            }
        };
        let leads_to = self
            .transfer
            .as_deref()
            .and_then(|transfer| match &transfer.legs[!side] {
                Leg::Dials { to, .. } => *to,
                Leg::Awaits(_) => None,
            });
        let forwarding = self.forwarding(step.now.wall, side, from, leads_to);
        let carried = match forwarding {
            Some(_) => Carried::Forwarded,
            None => Carried::Relayed,
        };
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        transfer.carried = carried;
        transfer.stage = Stage::Opening(side);
        transfer.legs[side] = Leg::Awaits(Some(Hole {
            id,
            from,
            at: None,
            leads_to,
            opened: None,
            used: None,
        }));
        let pinhole = Pinhole {
            transfer: transfer.id,
            side,
            from,
            at,
            leads_to,
            tls,
            carried,
            source: forwarding.and_then(|forwarding| forwarding.source),
        };
        step.out.push(Output::ReservePinhole { id, pinhole });
    }

    fn opening(&mut self, id: PinholeId) -> Option<(Side, &mut Transfer)> {
        let transfer = self.transfer.as_deref_mut()?;
        let Stage::Opening(side) = transfer.stage else {
            return None;
        };
        (transfer.hole(side)?.id == id).then_some((side, transfer))
    }

    pub(super) fn pinhole_reserved(&mut self, step: &mut Step, id: PinholeId, at: SocketAddr) {
        let ttl = self.settings.timeouts.ttl.as_secs();
        let Some((side, transfer)) = self.opening(id) else {
            return;
        };
        let (transfer_id, command) = (transfer.id, transfer.ask.name());
        let carried = transfer.carried;
        let Some(hole) = transfer.hole_mut(side) else {
            return;
        };
        hole.at = Some(at);
        let (from, leads_to) = (hole.from, hole.leads_to);
        self.gate(
            step,
            Gate::Pinhole(side),
            Event::PinholeOpened {
                hole: HoleFacts {
                    pinhole: id,
                    transfer: transfer_id,
                    side,
                    from,
                    at,
                    leads_to,
                    command,
                    carried,
                },
                ttl,
            },
        );
        step.out.push(Output::OpenPinhole { id });
    }

    pub(super) fn pinhole_recorded(&mut self, step: &mut Step, side: Side) {
        self.pinholes += 1;
        let now = step.now;
        if let Some(hole) = self
            .transfer
            .as_deref_mut()
            .and_then(|transfer| transfer.hole_mut(side))
        {
            hole.opened = Some(now);
        }
    }

    pub(super) fn pinhole_unrecorded(&mut self, step: &mut Step) {
        self.spend(step, CloseReason::RecordRefused);
        self.say_in_turn(step, OwnFault::JournalDown.reply());
    }

    pub(super) fn pinhole_opened(&mut self, step: &mut Step, id: PinholeId) {
        let Some((side, transfer)) = self.opening(id) else {
            return self.relayed_instead(step, id);
        };
        let (ask, at) = (transfer.ask, transfer.hole(side).and_then(|hole| hole.at));
        let Some(at) = at else { return };
        match side {
            Side::Upstream => {
                transfer.stage = Stage::Asked;
                let at = SocketAddr::new(self.gateway, at.port());
                let command = match at {
                    SocketAddr::V4(at) => {
                        Command::new(Verb::Port, Some(port_argument(at).as_bytes()))
                    }
                    SocketAddr::V6(_) => {
                        Command::new(Verb::Eprt, Some(eprt_argument(at).as_bytes()))
                    }
                };
                self.ask_ours(step, command, Purpose::Port);
            }
            Side::Client => {
                let reply = match (ask, self.facts.advertised) {
                    (Verb::Pasv, IpAddr::V4(advertised)) => {
                        reply_227(std::net::SocketAddrV4::new(advertised, at.port()))
                    }
                    (_, _) => reply_229(at.port()),
                };
                self.offer(step, reply);
            }
        }
    }

    pub(super) fn pinhole_refused(&mut self, step: &mut Step, id: PinholeId, why: RefusalReason) {
        let Some((side, transfer)) = self.opening(id) else {
            return self.not_relayed_instead(step, id, why);
        };
        let Some(hole) = transfer.hole(side) else {
            return;
        };
        let from = hole.from;
        let recorded = hole.opened.is_some();
        self.report(step, Event::PinholeRefused { side, from, why });
        if recorded {
            // Its record says that it opened; another must say that it did not.
            self.spend(step, CloseReason::OpenRefused);
        } else {
            if let Some(transfer) = self.transfer.as_deref_mut() {
                transfer.legs[side] = Leg::Awaits(None);
            }
            self.spend(step, CloseReason::NegotiationFailed);
        }
        self.say_in_turn(step, OwnFault::NoPinhole(why).reply());
    }
}

/// The /24 or /64 that holds an address.
fn prefix(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { 24 } else { 64 };
    IpNet::new(address, length).map_or_else(|_| IpNet::from(address), |network| network.trunc())
}

/// Every address of its family.
fn everybody(address: IpAddr) -> IpNet {
    IpNet::new(address, 0).map_or_else(|_| IpNet::from(address), |network| network.trunc())
}
