//! What protects a session: which control connection is in TLS, and whether data connections are to be.
//!
//! AUTH, PBSZ, PROT and CCC of the client are answered here and never passed on (RFC 2228, RFC 4217): each side is secured
//! on its own. Invariant: what came in clear never counts as said inside TLS, on either side. While a handshake runs
//! nothing is taken from that side, and what was read behind AUTH's line ends the session. This module must not decide
//! how TLS is spoken, and knows no key.

mod dialogue;

use std::time::Duration;

use super::pinhole::TransferId;
use super::tls::{ClientCertificate, TlsFacts, TlsFailure, TlsVersion};
use super::{Event, Legs, Side};
use crate::ftp::{Reply, escaped};

/// Servers that give no ticket of TLS 1.3 with an upload, and demand that data connections resume.
const SHORT_OF_TICKETS: [&[u8]; 1] = [b"ProFTPD"];

/// The protection of both sides. Sessions in clear hold nothing for it.
#[derive(Debug, Default)]
pub(super) struct Security(Option<Box<Secured>>);

#[derive(Debug, Default)]
struct Secured {
    control: Legs<Channel>,
    /// When what is being secured was begun.
    since: Duration,
    /// Whether the data connections of a side are to be in TLS: PROT P.
    data: Legs<bool>,
    /// The client said PBSZ.
    sized: bool,
    /// The upstream's 220, until the upstream is secured.
    greeting: Option<Reply>,
    /// The upstream's 220 names a server that gives too few tickets of TLS 1.3.
    short_of_tickets: bool,
    /// The host that the client named in clear.
    host: Option<Box<[u8]>>,
    /// The version of the client's TLS.
    version: Option<TlsVersion>,
    /// The host that the client named in TLS.
    sni: Option<Box<str>>,
    certificate: Option<ClientCertificate>,
}

/// What a control connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Channel {
    #[default]
    Clear,
    /// Nothing is taken from it until the handshake is over.
    Handshaking,
    Tls,
}

impl Security {
    fn state(&mut self) -> &mut Secured {
        self.0.get_or_insert_default()
    }

    fn channel(&self, side: Side) -> Channel {
        self.0
            .as_deref()
            .map_or(Channel::Clear, |state| state.control[side])
    }

    /// Tells whether a control connection is inside TLS.
    pub(super) fn is_tls(&self, side: Side) -> bool {
        self.channel(side) == Channel::Tls
    }

    /// Tells whether the handshake of a control connection runs.
    pub(super) fn is_handshaking(&self, side: Side) -> bool {
        self.channel(side) == Channel::Handshaking
    }

    /// Tells whether the data connections of a side are to be in TLS.
    pub(super) fn protects_data(&self, side: Side) -> bool {
        self.0.as_deref().is_some_and(|state| state.data[side])
    }

    pub(super) fn protect_data(&mut self, side: Side, private: bool) {
        self.state().data[side] = private;
    }

    /// Tells since when something is being secured.
    pub(super) fn since(&self) -> Duration {
        self.0
            .as_deref()
            .map_or(Duration::ZERO, |state| state.since)
    }

    /// Begins to secure the upstream: its greeting waits.
    pub(super) fn hold_greeting(&mut self, now: Duration, greeting: Reply) {
        let state = self.state();
        state.since = now;
        state.greeting = Some(greeting);
    }

    /// Learns from the upstream's 220, in clear, what its TLS is like. Who forges it gets TLS 1.2 spoken, as by offering nothing newer.
    pub(super) fn learn_from(&mut self, greeting: &Reply) {
        let named = |server: &[u8]| {
            let mut parts = greeting.as_bytes().windows(server.len());
            parts.any(|part| part.eq_ignore_ascii_case(server))
        };
        if SHORT_OF_TICKETS.into_iter().any(named) {
            self.state().short_of_tickets = true;
        }
    }

    fn is_short_of_tickets(&self) -> bool {
        self.0
            .as_deref()
            .is_some_and(|state| state.short_of_tickets)
    }

    pub(super) fn take_greeting(&mut self) -> Option<Reply> {
        self.0.as_deref_mut()?.greeting.take()
    }

    fn is_sized(&self) -> bool {
        self.0.as_deref().is_some_and(|state| state.sized)
    }

    /// Tells whether the client's certificate lets it log in as this user.
    fn admits(&self, user: &[u8]) -> bool {
        let certificate = self
            .0
            .as_deref()
            .and_then(|state| state.certificate.as_ref());
        certificate.is_none_or(|certificate| {
            certificate
                .user
                .as_deref()
                .is_some_and(|name| name.as_bytes() == user)
        })
    }

    /// Gives the version of the client's TLS, and the host that it asked for there.
    pub(super) fn client_facts(&self) -> (Option<TlsVersion>, Option<&str>) {
        match self.0.as_deref() {
            Some(state) => (state.version, state.sni.as_deref()),
            None => (None, None),
        }
    }

    /// Another upstream comes: nothing of it is secured yet.
    pub(super) fn forget_upstream(&mut self) {
        if let Some(state) = self.0.as_deref_mut() {
            state.control[Side::Upstream] = Channel::Clear;
            state.data[Side::Upstream] = false;
            state.greeting = None;
        }
    }

    /// Gives the name in the client's certificate: the user that it stands for, else its subject.
    pub(super) fn certificate_name(&self) -> Option<&str> {
        let certificate = self.0.as_deref()?.certificate.as_ref()?;
        Some(certificate.user.as_deref().unwrap_or(&certificate.subject))
    }

    /// Tells whether the client named another host in TLS.
    fn contradicts(&self, host: &[u8]) -> bool {
        let sni = self.0.as_deref().and_then(|state| state.sni.as_deref());
        sni.is_some_and(|sni| !is_same_host(sni.as_bytes(), host))
    }

    /// The upstream does not know the host that was named.
    pub(super) fn forget_host(&mut self) {
        if let Some(state) = self.0.as_deref_mut() {
            state.host = None;
        }
    }

    /// Tells whether the host that was named in clear is another than the one in TLS.
    fn contradicts_itself(&self) -> bool {
        let host = self.0.as_deref().and_then(|state| state.host.as_deref());
        host.is_some_and(|host| self.contradicts(host))
    }
}

/// Compares names of hosts: without case, the dot at the end, and the brackets of an address (RFC 7151 section 3).
fn is_same_host(one: &[u8], other: &[u8]) -> bool {
    let bare = |name: &[u8]| {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let inner = name
            .strip_prefix(b"[")
            .and_then(|name| name.strip_suffix(b"]"));
        inner.unwrap_or(name).to_ascii_lowercase()
    };
    bare(one) == bare(other)
}

pub(super) fn established(side: Side, transfer: Option<TransferId>, facts: &TlsFacts) -> Event {
    let shown = |text: &str| escaped(text.as_bytes()).to_string();
    let subject = facts
        .certificate
        .as_ref()
        .map(|certificate| shown(&certificate.subject));
    Event::TlsEstablished {
        side,
        transfer,
        tls: facts.version,
        cipher: facts.cipher,
        resumed: facts.resumed,
        sni: facts.sni.as_deref().map(shown),
        certificate: subject,
    }
}

pub(super) fn failed(side: Side, transfer: Option<TransferId>, failure: TlsFailure) -> Event {
    Event::TlsFailed {
        side,
        transfer,
        why: failure.why,
        alert: failure.alert,
    }
}
