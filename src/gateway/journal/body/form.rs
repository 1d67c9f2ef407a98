//! The forms of values in a line: words, numbers, times, addresses as far as they may be told.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Serialize;

use super::super::{Addresses, text};
use super::Body;
use crate::engine::{
    HoleFacts, PinholeId, RefusalReason, Ruling, SessionId, Side, TransferFacts, TransferId,
    Volume, Wall,
};

/// The forms of values.
impl Body<'_> {
    pub(super) fn name(&mut self, name: &'static str) {
        self.buffer.extend_from_slice(b",\"");
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b"\":");
    }

    /// Writes a word of our own: nothing in it needs escaping.
    pub(super) fn fixed(&mut self, name: &'static str, word: &str) {
        self.name(name);
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(word.as_bytes());
        self.buffer.push(b'"');
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        text::quote(self.buffer, value);
    }

    /// Writes one of the engine's stable words by the name that it gives itself.
    pub(super) fn word(&mut self, name: &'static str, word: &impl Serialize) {
        self.name(name);
        // Writing to memory cannot fail, and these types serialise to a string or a truth value.
        let _ = serde_json::to_writer(&mut *self.buffer, word);
    }

    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        text::number(self.buffer, number);
    }

    pub(super) fn volume(&mut self, volume: Volume) {
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

    pub(super) fn seconds(&mut self, name: &'static str, micros: u64) {
        self.name(name);
        text::number(self.buffer, micros / 1_000_000);
        self.buffer.push(b'.');
        text::padded(self.buffer, micros % 1_000_000, 6);
    }

    pub(super) fn time(&mut self, name: &'static str, time: Wall) {
        self.name(name);
        self.buffer.push(b'"');
        text::time(self.buffer, time);
        self.buffer.push(b'"');
    }

    /// Writes `session.n`, which names a pinhole for ever.
    pub(super) fn pinhole(&mut self, pinhole: PinholeId) {
        self.name("pinhole");
        let session = self.session.as_ref().map_or("", SessionId::as_str);
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(session.as_bytes());
        self.buffer.push(b'.');
        text::number(self.buffer, u64::from(pinhole.0));
        self.buffer.push(b'"');
    }

    pub(super) fn ip(&mut self, name: &'static str, address: IpAddr, whose: Option<Side>) {
        match self.cut(address, whose) {
            Some(cut) => self.prefix(name, cut),
            None => {
                self.name(name);
                self.buffer.push(b'"');
                text::ip(self.buffer, address);
                self.buffer.push(b'"');
            }
        }
    }

    pub(super) fn socket(&mut self, name: &'static str, address: SocketAddr, whose: Option<Side>) {
        match self.cut(address.ip(), whose) {
            Some(cut) => self.prefix(name, cut),
            None => {
                self.name(name);
                self.buffer.push(b'"');
                text::socket(self.buffer, address);
                self.buffer.push(b'"');
            }
        }
    }

    pub(super) fn network(&mut self, name: &'static str, network: IpNet, whose: Side) {
        let network = match self.cut(network.addr(), Some(whose)) {
            Some(cut) if cut.prefix_len() < network.prefix_len() => cut,
            _ => network,
        };
        self.prefix(name, network);
    }

    fn prefix(&mut self, name: &'static str, network: IpNet) {
        self.name(name);
        self.buffer.push(b'"');
        text::ip(self.buffer, network.addr());
        self.buffer.push(b'/');
        text::number(self.buffer, u64::from(network.prefix_len()));
        self.buffer.push(b'"');
    }

    /// Writes a pinhole, all but how it carries: that stands last in its lines.
    pub(super) fn hole(&mut self, hole: &HoleFacts) {
        self.pinhole(hole.pinhole);
        self.transfer(Some(hole.transfer));
        self.word("side", &hole.side);
        self.network("from", hole.from, hole.side);
        self.socket("at", hole.at, None);
        self.leads_to(hole.leads_to, hole.side);
        self.fixed("command", hole.command);
    }

    /// Writes a transfer that is over.
    pub(super) fn over(&mut self, transfer: &TransferFacts) {
        self.transfer(Some(transfer.transfer));
        self.fixed("command", transfer.command);
        self.text("path", &transfer.path);
        self.volume(transfer.volume);
        self.seconds("seconds", transfer.micros);
    }

    /// Writes where the other leg leads: to the other side's peer.
    fn leads_to(&mut self, address: Option<SocketAddr>, side: Side) {
        if let Some(address) = address {
            self.socket("leads_to", address, Some(!side));
        }
    }

    /// Writes a command; one that carries the client's address is cut to its verb when addresses are.
    pub(super) fn command(&mut self, command: &str) {
        let verb = command.split(' ').next().unwrap_or_default();
        let negotiates = ["PORT", "EPRT", "LPRT"]
            .iter()
            .any(|one| verb.eq_ignore_ascii_case(one));
        match self.privacy.addresses {
            Addresses::Prefix if negotiates => self.text("command", verb),
            Addresses::Prefix | Addresses::Full => self.text("command", command),
        }
    }

    /// Writes which rule it was, and where that stands; the default verdict stands nowhere.
    pub(super) fn rule(&mut self, rule: &Ruling) {
        let Ruling(origin) = rule;
        self.text("rule", &origin.name);
        if origin.line > 0 {
            self.text("file", &origin.file);
            self.number("line", origin.line as u64);
        }
    }

    /// Writes which data connection it is about, if it is about one.
    pub(super) fn transfer(&mut self, transfer: Option<TransferId>) {
        if let Some(transfer) = transfer {
            self.number("transfer", u64::from(transfer.0));
        }
    }

    pub(super) fn refusal(&mut self, why: RefusalReason) {
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
