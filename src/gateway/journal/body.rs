//! What stands in a line behind its number.
//!
//! Hand-written, because it runs several times per transfer and because the line is a promise to auditors:
//! fields in the catalogue's order, names that never change, nothing in it that a terminal would obey. The
//! settings for privacy are applied here and nowhere else.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Serialize;

use crate::engine::{
    Event, PinholeId, Record, RefusalReason, SessionId, Side, TransferId, Volume, Wall,
};

use super::line::Privacy;
use super::{Addresses, text};

/// The fields of one record on their way into a buffer.
pub(super) struct Body<'a> {
    buffer: &'a mut Vec<u8>,
    session: Option<SessionId>,
    privacy: Privacy,
}

impl<'a> Body<'a> {
    /// Begins behind what the buffer holds.
    pub(super) fn new(buffer: &'a mut Vec<u8>, record: &Record, privacy: Privacy) -> Self {
        Body {
            buffer,
            session: record.session,
            privacy,
        }
    }

    /// Writes every field of the record but its time and number, each behind a comma.
    pub(super) fn write(&mut self, record: &Record) {
        self.frame(record);
        self.event(record);
    }

    fn frame(&mut self, record: &Record) {
        self.fixed("event", record.event.id());
        self.fixed("severity", record.event.severity().as_str());
        if let Some(session) = record.session {
            self.fixed("session", session.as_str());
        }
        if let Some(client) = record.client {
            self.ip("client", client, Some(Side::Client));
        }
        if let Some(user) = &record.user {
            self.text("user", user);
        }
    }

    fn event(&mut self, record: &Record) {
        match &record.event {
            Event::SessionOpened {
                from,
                target,
                listener,
                upstream,
            } => {
                self.socket("from", *from, Some(Side::Client));
                self.socket("target", *target, None);
                self.text("listener", listener);
                self.text("upstream", upstream);
            }
            Event::UpstreamConnected { upstream, gateway } => {
                self.socket("to", *upstream, None);
                self.socket("gateway", *gateway, None);
            }
            Event::UpstreamUnreachable { why } => self.text("why", why),
            Event::TlsEstablished {
                side,
                transfer,
                tls,
                cipher,
                resumed,
                sni,
                certificate,
            } => {
                self.word("side", side);
                self.transfer(*transfer);
                self.word("tls", tls);
                self.fixed("cipher", cipher);
                self.word("resumed", resumed);
                if let Some(sni) = sni {
                    self.text("sni", sni);
                }
                if let Some(certificate) = certificate {
                    self.text("certificate", certificate);
                }
            }
            Event::TlsFailed {
                side,
                transfer,
                why,
                alert,
            } => {
                self.word("side", side);
                self.transfer(*transfer);
                self.fixed("why", why.word());
                if let Some(alert) = alert {
                    self.fixed("alert", alert);
                }
            }
            Event::CertificateExpiring { file, days } => {
                self.text("file", file);
                self.number("days", *days);
            }
            Event::TlsDeclined { command, code } => {
                self.fixed("command", command);
                self.number("code", u64::from(*code));
            }
            Event::LoginSucceeded { email } => {
                if let (Some(email), true) = (email, self.privacy.anonymous_email) {
                    self.text("email", email);
                }
            }
            Event::LoginFailed { code } => self.number("code", u64::from(*code)),
            Event::CommandDenied {
                command,
                rule,
                code,
            } => {
                self.command(command);
                self.text("rule", rule);
                self.number("code", u64::from(*code));
            }
            Event::CommandRefused { command, why, code } => {
                self.command(command);
                self.fixed("why", why.word());
                self.number("code", u64::from(*code));
            }
            Event::AddressBounce { address, command } => {
                self.socket("address", *address, Some(Side::Client));
                self.fixed("command", command);
            }
            Event::AddressForeign { address, refused } => {
                self.socket("address", *address, None);
                self.word("refused", refused);
            }
            Event::AddressMalformed { reply } => self.text("reply", reply),
            Event::ProtocolForeign { protocol } => self.text("protocol", protocol),
            Event::ProtocolViolation { side, what } => {
                self.word("side", side);
                self.fixed("what", what.word());
            }
            Event::PinholeOpened {
                pinhole,
                transfer,
                side,
                from,
                at,
                leads_to,
                command,
                ttl,
                carried,
            } => {
                self.pinhole(*pinhole);
                self.number("transfer", u64::from(transfer.0));
                self.word("side", side);
                self.network("from", *from, *side);
                self.socket("at", *at, None);
                self.leads_to(*leads_to, *side);
                self.fixed("command", command);
                self.number("ttl", *ttl);
                self.word("carried", carried);
            }
            Event::PinholeRefused { side, from, why } => {
                self.word("side", side);
                self.network("from", *from, *side);
                self.refusal(*why);
            }
            Event::PinholeUsed {
                pinhole,
                side,
                peer,
                at,
            } => {
                self.pinhole(*pinhole);
                self.word("side", side);
                self.socket("peer", *peer, Some(*side));
                self.socket("at", *at, None);
            }
            Event::PinholeClosed {
                pinhole,
                transfer,
                side,
                from,
                at,
                leads_to,
                command,
                opened,
                used,
                volume,
                reason,
                carried,
            } => {
                self.pinhole(*pinhole);
                self.number("transfer", u64::from(transfer.0));
                self.word("side", side);
                self.network("from", *from, *side);
                self.socket("at", *at, None);
                self.leads_to(*leads_to, *side);
                self.fixed("command", command);
                self.time("opened", *opened);
                if let Some(used) = used {
                    self.time("used", *used);
                }
                self.seconds("seconds", record.at.0.saturating_sub(opened.0));
                self.volume(*volume);
                self.fixed("reason", reason.word());
                self.word("carried", carried);
            }
            Event::PinholeIntruder { from, at } => {
                self.socket("from", *from, Some(Side::Client));
                self.socket("at", *at, None);
            }
            Event::DataDialled { transfer, side, to } => {
                self.number("transfer", u64::from(transfer.0));
                self.word("side", side);
                self.socket("to", *to, Some(*side));
            }
            Event::DataFailed {
                transfer,
                side,
                why,
            } => {
                self.number("transfer", u64::from(transfer.0));
                self.word("side", side);
                self.text("why", why);
            }
            Event::TransferCompleted {
                transfer,
                command,
                path,
                volume,
                micros,
                unacknowledged,
            } => {
                self.number("transfer", u64::from(transfer.0));
                self.fixed("command", command);
                self.text("path", path);
                self.volume(*volume);
                self.seconds("seconds", *micros);
                if let Some(unacknowledged) = unacknowledged {
                    self.number("unacknowledged", *unacknowledged);
                }
            }
            Event::TransferFailed {
                transfer,
                command,
                path,
                volume,
                micros,
                code,
                why,
            } => {
                self.number("transfer", u64::from(transfer.0));
                self.fixed("command", command);
                self.text("path", path);
                self.volume(*volume);
                self.seconds("seconds", *micros);
                if let Some(code) = code {
                    self.number("code", u64::from(*code));
                }
                self.text("why", why);
            }
            Event::SessionClosed {
                reason,
                micros,
                commands,
                transfers,
                pinholes,
            } => {
                self.fixed("reason", reason.word());
                self.seconds("seconds", *micros);
                self.number("commands", *commands);
                self.number("transfers", u64::from(*transfers));
                self.number("pinholes", u64::from(*pinholes));
            }
            Event::LimitReached { limit } => self.text("limit", limit),
            Event::AddressMisleading {
                announced,
                listener,
            } => {
                self.ip("announced", *announced, None);
                self.text("listener", listener);
            }
            Event::GatewayStarted { version } => self.text("version", version),
            Event::GatewayReloaded { config } => self.text("config", config),
            Event::GatewayStopping { sessions } => self.number("sessions", *sessions),
            Event::JournalGap { lost } => self.number("lost", *lost),
        }
    }
}

/// The forms of values.
impl Body<'_> {
    fn name(&mut self, name: &'static str) {
        self.buffer.extend_from_slice(b",\"");
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b"\":");
    }

    /// Writes a word of our own: nothing in it needs escaping.
    fn fixed(&mut self, name: &'static str, word: &str) {
        self.name(name);
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(word.as_bytes());
        self.buffer.push(b'"');
    }

    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        text::quote(self.buffer, value);
    }

    /// Writes one of the engine's stable words by the name that it gives itself.
    fn word(&mut self, name: &'static str, word: &impl Serialize) {
        self.name(name);
        // Writing to memory cannot fail, and these types serialise to a string or a truth value.
        let _ = serde_json::to_writer(&mut *self.buffer, word);
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        text::number(self.buffer, number);
    }

    fn volume(&mut self, volume: Volume) {
        match volume {
            Volume::Payload {
                bytes_up,
                bytes_down,
            } => {
                self.number("bytes_up", bytes_up);
                self.number("bytes_down", bytes_down);
            }
            Volume::Packets {
                wire_bytes_up,
                wire_bytes_down,
                packets_up,
                packets_down,
            } => {
                self.number("wire_bytes_up", wire_bytes_up);
                self.number("wire_bytes_down", wire_bytes_down);
                self.number("packets_up", packets_up);
                self.number("packets_down", packets_down);
            }
            Volume::Untold {} => {}
        }
    }

    fn seconds(&mut self, name: &'static str, micros: u64) {
        self.name(name);
        text::number(self.buffer, micros / 1_000_000);
        self.buffer.push(b'.');
        text::padded(self.buffer, micros % 1_000_000, 6);
    }

    fn time(&mut self, name: &'static str, time: Wall) {
        self.name(name);
        self.buffer.push(b'"');
        text::time(self.buffer, time);
        self.buffer.push(b'"');
    }

    /// Writes `session.n`, which names a pinhole for ever.
    fn pinhole(&mut self, pinhole: PinholeId) {
        self.name("pinhole");
        let session = self.session.as_ref().map_or("", SessionId::as_str);
        let _ = write!(self.buffer, "\"{session}.{pinhole}\"");
    }

    fn ip(&mut self, name: &'static str, address: IpAddr, whose: Option<Side>) {
        self.name(name);
        let _ = match self.cut(address, whose) {
            Some(network) => write!(self.buffer, "\"{network}\""),
            None => write!(self.buffer, "\"{address}\""),
        };
    }

    fn socket(&mut self, name: &'static str, address: SocketAddr, whose: Option<Side>) {
        self.name(name);
        let _ = match self.cut(address.ip(), whose) {
            Some(network) => write!(self.buffer, "\"{network}\""),
            None => write!(self.buffer, "\"{address}\""),
        };
    }

    fn network(&mut self, name: &'static str, network: IpNet, whose: Side) {
        self.name(name);
        let network = match self.cut(network.addr(), Some(whose)) {
            Some(cut) if cut.prefix_len() < network.prefix_len() => cut,
            _ => network,
        };
        let _ = write!(self.buffer, "\"{network}\"");
    }

    /// Writes where the other leg leads: to the other side's peer.
    fn leads_to(&mut self, address: Option<SocketAddr>, side: Side) {
        if let Some(address) = address {
            self.socket("leads_to", address, Some(!side));
        }
    }

    /// Writes a command; one that carries the client's address is cut to its verb when addresses are.
    fn command(&mut self, command: &str) {
        let verb = command.split(' ').next().unwrap_or_default();
        let negotiates = ["PORT", "EPRT", "LPRT"]
            .iter()
            .any(|one| verb.eq_ignore_ascii_case(one));
        match self.privacy.addresses {
            Addresses::Prefix if negotiates => self.text("command", verb),
            Addresses::Prefix | Addresses::Full => self.text("command", command),
        }
    }

    /// Writes which data connection it is about, if it is about one.
    fn transfer(&mut self, transfer: Option<TransferId>) {
        if let Some(transfer) = transfer {
            self.number("transfer", u64::from(transfer.0));
        }
    }

    fn refusal(&mut self, why: RefusalReason) {
        self.fixed("why", why.word());
        match why {
            RefusalReason::NoPort { in_use } => self.number("in_use", u64::from(in_use)),
            RefusalReason::Kernel | RefusalReason::Resources => {}
        }
    }

    /// Cuts an address of the client's side, when addresses are to be cut.
    fn cut(&self, address: IpAddr, whose: Option<Side>) -> Option<IpNet> {
        match (self.privacy.addresses, whose) {
            (Addresses::Prefix, Some(Side::Client)) => Some(prefix(address)),
            (Addresses::Prefix, Some(Side::Upstream) | None) | (Addresses::Full, _) => None,
        }
    }
}

/// Cuts an address to its /24 (IPv4) or /64 (IPv6).
fn prefix(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let length = match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 64,
    };
    IpNet::new_assert(address, length).trunc()
}
