//! Setting up a data connection: each leg on its own, the upstream's first, the hole before its announcement.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use memchr::memmem;

use super::dialogue::{Pending, Purpose};
use super::fault::{ClientFault, UpstreamFault};
use super::legs::{Dial, Leg, Relay, Stage, Transfer};
use super::limit::Bound;
use super::pinhole::{CloseReason, TransferId};
use super::session::{EpsvSupport, Session, Step};
use super::{Carried, Check, DataMode, Event, ForeignAddress, Legs, Refusal, Side};
use crate::ftp::address::{AddressFault, parse_227, parse_229, parse_eprt, parse_port};
use crate::ftp::{Command, Reply, Verb, escaped_to};

/// Lowest data port that is dialled (RFC 2577 section 3).
const LOWEST_PORT: u16 = 1024;

impl Session {
    /// Judges the address in a client's PORT or EPRT; trusts its port only. An attempt to bounce is recorded and
    /// answered here, and then there is no fault left to refuse.
    pub(super) fn client_address(
        &mut self,
        step: &mut Step,
        command: &Command,
    ) -> Result<SocketAddr, Option<(Refusal, ClientFault)>> {
        let verb = command.verb;
        let argument = command.argument().unwrap_or_default();
        let peer = self.facts.client.ip();
        let parsed = match verb {
            Verb::Port => parse_port(argument).map(SocketAddr::from),
            _ => parse_eprt(argument),
        };
        let address = match parsed {
            Ok(address) => address,
            Err(AddressFault::Malformed) => {
                return Err(Some((Refusal::Malformed, ClientFault::BadAddress)));
            }
            Err(AddressFault::UnsupportedFamily) => return Err(Some(self.wrong_family())),
        };
        if verb == Verb::Eprt && address.is_ipv4() != peer.is_ipv4() {
            return Err(Some(self.wrong_family()));
        }
        let foreign = address.ip() != peer;
        let host = match &self.settings.client_foreign_address {
            _ if !foreign => peer,
            ForeignAddress::Ignore => peer,
            ForeignAddress::Allow(networks) if within(networks, address.ip()) => address.ip(),
            ForeignAddress::Refuse | ForeignAddress::Allow(_) => {
                let (check, fault) = (Check::ForeignAddress, ClientFault::Bounce);
                if !self.only_observes(step, check, || command.to_string(), fault.code()) {
                    return self.bounce(step, verb, address, fault);
                }
                peer
            }
        };
        let (check, fault) = (Check::LowPort, ClientFault::LowPort);
        if address.port() < LOWEST_PORT
            && !self.only_observes(step, check, || command.to_string(), fault.code())
        {
            return self.bounce(step, verb, address, ClientFault::LowPort);
        }
        Ok(SocketAddr::new(host, address.port()))
    }

    fn bounce(
        &mut self,
        step: &mut Step,
        verb: Verb,
        address: SocketAddr,
        fault: ClientFault,
    ) -> Result<SocketAddr, Option<(Refusal, ClientFault)>> {
        let command = verb.name();
        self.report(step, Event::AddressBounce { address, command });
        self.say_in_turn(step, fault.reply());
        Err(None)
    }

    /// Begins a data connection for this client's PASV, EPSV, PORT or EPRT; an earlier one is spent first.
    pub(super) fn negotiate(&mut self, step: &mut Step, ask: Verb, client_at: Option<SocketAddr>) {
        self.spend(step, CloseReason::Replaced);
        let dials = |to| Leg::Dials {
            to,
            dial: Dial::Idle,
        };
        let client = match client_at {
            Some(to) => dials(Some(to)),
            None => Leg::Awaits(None),
        };
        let upstream = match self.settings.data_mode {
            DataMode::Passive => dials(None),
            DataMode::Active => Leg::Awaits(None),
            DataMode::AsClient if client_at.is_none() => dials(None),
            DataMode::AsClient => Leg::Awaits(None),
        };
        let id = TransferId(self.next_transfer);
        self.next_transfer += 1;
        let awaits_upstream = matches!(upstream, Leg::Awaits(_));
        self.transfer = Some(Box::new(Transfer {
            id,
            ask,
            stage: Stage::Asked,
            legs: Legs { client, upstream },
            carried: Carried::Relayed,
            taken_back: false,
            command: None,
            relay: Relay::NotAsked,
            bound: Bound::default(),
            tls: Legs::default(),
            secured: Legs::default(),
            tls_begun: false,
            tls_failure: None,
            underway: false,
            preliminary: None,
            success: None,
            ended: None,
        }));
        if awaits_upstream {
            self.reserve(step, Side::Upstream);
        } else {
            self.ask_for_port(step, ask);
        }
        self.renaming = false;
    }

    /// Asks the upstream where it awaits us: in the client's own form where the upstream's abilities are not known.
    fn ask_for_port(&mut self, step: &mut Step, ask: Verb) {
        let careful = self.rest.is_some() || self.renaming;
        let extended = self.upstream.is_ipv6()
            || match self.epsv {
                EpsvSupport::Missing => false,
                EpsvSupport::Known => ask != Verb::Pasv,
                // Nothing is tried out between REST or RNFR and what belongs to it.
                EpsvSupport::Unknown => ask != Verb::Pasv && !careful,
            };
        let (verb, purpose) = if extended {
            (Verb::Epsv, Purpose::Epsv)
        } else {
            (Verb::Pasv, Purpose::Pasv)
        };
        self.ask_ours(step, Command::new(verb, None), purpose);
    }

    pub(super) fn ask_ours(&mut self, step: &mut Step, command: Command, purpose: Purpose) {
        self.rest_stale |= self.rest.is_some();
        self.ask(step, command.into_emitted(), Pending::Ours(purpose));
    }

    /// Handles the upstream's answer to our EPSV or PASV: only its final line counts, and of that only the port.
    pub(super) fn port_announced(&mut self, step: &mut Step, purpose: Purpose, reply: Reply) {
        let code = reply.code().get();
        let text = reply.final_text();
        let can_fall_back = purpose == Purpose::Epsv && self.upstream.is_ipv4();
        let announced = match code {
            227 => parse_227(text).map(SocketAddr::from),
            229 => parse_229(text).map(|port| SocketAddr::new(self.upstream.ip(), port)),
            200..=299 => Err(AddressFault::Malformed),
            500..=504 | 522 if can_fall_back => {
                self.epsv = EpsvSupport::Missing;
                return self.ask_ours(step, Command::new(Verb::Pasv, None), Purpose::Pasv);
            }
            _ => return self.upstream_declines(step, reply, true),
        };
        let address = match announced {
            Ok(address) => address,
            Err(_) if code == 229 && can_fall_back => {
                self.epsv = EpsvSupport::Missing;
                return self.ask_ours(step, Command::new(Verb::Pasv, None), Purpose::Pasv);
            }
            Err(_) => {
                let shown = escaped_to(reply.final_line(), 200).to_string();
                self.report(step, Event::AddressMalformed { reply: shown });
                return self.fail_negotiation(step, UpstreamFault::BadAnnouncement.reply());
            }
        };
        if code == 229 && self.epsv == EpsvSupport::Unknown {
            self.epsv = EpsvSupport::Known;
        }
        match self.upstream_address(step, address) {
            Ok(to) if self.is_shut(step, Side::Upstream, to) => {
                self.fail_negotiation(step, UpstreamFault::InWindow.reply());
            }
            Ok(to) => {
                if let Some(transfer) = self.transfer.as_deref_mut() {
                    transfer.legs.upstream = Leg::Dials {
                        to: Some(to),
                        dial: Dial::Idle,
                    };
                }
                self.upstream_leg_ready(step, None);
            }
            Err(fault) => self.fail_negotiation(step, fault.reply()),
        }
    }

    /// Judges the address that an upstream announced; trusts its port only.
    fn upstream_address(
        &mut self,
        step: &mut Step,
        address: SocketAddr,
    ) -> Result<SocketAddr, UpstreamFault> {
        let peer = self.upstream.ip();
        let foreign = address.ip() != peer;
        let host = match &self.settings.upstream_foreign_address {
            _ if !foreign => Ok(peer),
            ForeignAddress::Ignore => Ok(peer),
            ForeignAddress::Allow(networks) if within(networks, address.ip()) => Ok(address.ip()),
            ForeignAddress::Refuse | ForeignAddress::Allow(_) => Err(UpstreamFault::ForeignRefused),
        };
        let judged = match host {
            Ok(_) if address.port() < LOWEST_PORT => Err(UpstreamFault::LowPort),
            Ok(host) => Ok(SocketAddr::new(host, address.port())),
            Err(fault) => Err(fault),
        };
        if foreign || judged.is_err() {
            self.report(
                step,
                Event::AddressForeign {
                    address,
                    refused: judged.is_err(),
                },
            );
        }
        judged
    }

    /// Handles the upstream's answer to our PORT or EPRT.
    pub(super) fn port_accepted(&mut self, step: &mut Step, reply: Reply) {
        if reply.is_success() {
            self.upstream_leg_ready(step, Some(reply));
        } else {
            self.upstream_declines(step, reply, false);
        }
    }

    /// The upstream won't: its own words pass where they answer what the client asked for.
    fn upstream_declines(&mut self, step: &mut Step, reply: Reply, passive: bool) {
        let asked_passive = self
            .transfer
            .as_deref()
            .is_some_and(|transfer| matches!(transfer.ask, Verb::Pasv | Verb::Epsv));
        let code = reply.code().get();
        let own_words =
            (asked_passive == passive && code >= 400) || (400..500).contains(&code) || code == 530;
        let reply = if own_words {
            self.without_addresses(reply)
        } else {
            UpstreamFault::NoDataMode.reply()
        };
        self.fail_negotiation(step, reply);
    }

    /// The upstream's leg is settled: now the client's.
    fn upstream_leg_ready(&mut self, step: &mut Step, reply: Option<Reply>) {
        let Some(transfer) = self.transfer.as_deref() else {
            return;
        };
        match (&transfer.legs.client, reply) {
            (Leg::Awaits(_), _) => self.reserve(step, Side::Client),
            // The upstream's own words to the client's own question.
            (Leg::Dials { .. }, Some(reply)) => {
                let reply = self.without_addresses(reply);
                self.offer(step, reply)
            }
            (Leg::Dials { .. }, None) => self.offer(step, Reply::new(200, "Data port noted.")),
        }
    }

    pub(super) fn offer(&mut self, step: &mut Step, reply: Reply) {
        if let Some(transfer) = self.transfer.as_deref_mut() {
            transfer.stage = Stage::Offered;
        }
        self.say(step, reply);
    }

    pub(super) fn fail_negotiation(&mut self, step: &mut Step, reply: Reply) {
        self.spend(step, CloseReason::NegotiationFailed);
        self.say_in_turn(step, reply);
    }
}

impl Session {
    /// Keeps the upstream's own words about a data connection, unless they tell an address behind us.
    fn without_addresses(&self, reply: Reply) -> Reply {
        let tells = [self.upstream.ip(), self.gateway].iter().any(|ip| {
            let dotted = ip.to_string();
            let commas = dotted.replace('.', ",");
            [dotted, commas]
                .iter()
                .any(|form| memmem::find(reply.as_bytes(), form.as_bytes()).is_some())
        });
        match (tells, reply.is_success()) {
            (false, _) => reply,
            (true, true) => Reply::new(reply.code().get(), "Data port noted."),
            (true, false) => UpstreamFault::NoDataMode.reply(),
        }
    }
}

fn within(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}
