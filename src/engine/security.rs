//! What protects a session: which control connection is in TLS, and whether data connections are to be.
//!
//! AUTH, PBSZ, PROT and CCC of the client are answered here and never passed on (RFC 2228, RFC 4217): each side is secured
//! on its own. Invariant: what came in clear never counts as said inside TLS, on either side. While a handshake runs
//! nothing is taken from that side, and what was read behind AUTH's line ends the session. This module must not decide
//! how TLS is spoken, and knows no key.

use std::time::Duration;

use super::fault::{ClientFault, UpstreamFault};
use super::legs::{Leg, Transfer};
use super::pinhole::{CloseReason, TransferId};
use super::session::{Phase, Session, Step};
use super::tls::{
    ClientCertificate, TlsFacts, TlsFailure, TlsFault, TlsMode, TlsRequire, TlsRole, TlsVersion,
};
use super::{Carried, Event, Legs, Output, Refusal, SessionEnd, Side, Violation};
use crate::ftp::{Command, Reply, Verb, escaped};

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

impl Session {
    /// Says why a command can't be taken where the session is not, or is already, inside TLS.
    pub(super) fn security_objection(&self, command: &Command) -> Option<(Refusal, ClientFault)> {
        let argument = command.argument().unwrap_or_default().trim_ascii();
        let tls = &self.settings.client_tls;
        let secured = self.security.is_tls(Side::Client);
        let required = tls.required();
        let fault = match command.verb {
            Verb::Auth => match mechanism(argument) {
                None => ClientFault::UnknownMechanism,
                Some(_) if secured => ClientFault::SecondAuth,
                Some(_) if tls.mode != TlsMode::Explicit => ClientFault::NoTls,
                Some(_) if self.login.is_some() || self.user.is_some() => {
                    ClientFault::AuthAfterUser
                }
                Some(_) => return None,
            },
            Verb::Adat | Verb::Mic | Verb::Conf | Verb::Enc => ClientFault::NoSecurityLayer,
            Verb::Ccc if secured => ClientFault::CccInTls,
            Verb::Ccc => ClientFault::CccInClear,
            Verb::Pbsz | Verb::Prot if !secured => ClientFault::AuthFirst,
            Verb::Pbsz if argument.is_empty() || !argument.iter().all(u8::is_ascii_digit) => {
                return Some((Refusal::Malformed, ClientFault::BadArgument));
            }
            Verb::Prot if !self.security.is_sized() => ClientFault::ProtBeforePbsz,
            Verb::Prot => match argument {
                b"P" | b"p" => return None,
                b"C" | b"c" if required == TlsRequire::All => ClientFault::ProtClear,
                b"C" | b"c" => return None,
                b"S" | b"s" | b"E" | b"e" => ClientFault::ProtLevel,
                _ => ClientFault::UnknownProt,
            },
            // It would take a server's TLS down as well (RFC 4217 section 13).
            Verb::Rein if secured || self.security.is_tls(Side::Upstream) => ClientFault::ReinInTls,
            Verb::User | Verb::Pass | Verb::Acct if !secured && required != TlsRequire::Nothing => {
                return Some((Refusal::TlsRequired, ClientFault::LoginInClear));
            }
            // The name as it would go up, with every byte of it.
            Verb::User
                if tls.names_users
                    && !self.security.admits(command.argument().unwrap_or_default()) =>
            {
                return Some((Refusal::CertificateUser, ClientFault::OtherUser));
            }
            Verb::Host if self.security.contradicts(argument) => {
                return Some((Refusal::ServerName, ClientFault::HostContradicted));
            }
            verb if verb.is_transfer()
                && required == TlsRequire::All
                && !self.security.protects_data(Side::Client) =>
            {
                return Some((Refusal::TlsRequired, ClientFault::DataInClear));
            }
            _ => return None,
        };
        Some((Refusal::Security, fault))
    }

    /// Answers AUTH, and begins TLS. What was said in clear before it is forgotten.
    pub(super) fn client_secures(&mut self, step: &mut Step, command: &Command) {
        if !self.client.is_fresh() {
            return self.said_in_clear(step, Side::Client);
        }
        self.spend(step, CloseReason::Reset);
        if self.rest.is_some() {
            self.rest = Some(0);
            self.rest_stale = true;
        }
        self.renaming = false;
        self.epsv_all = false;
        self.say(step, Reply::new(234, "TLS begins now."));
        // AUTH SSL and TLS-P are older than PBSZ and PROT, and mean both of them.
        if mechanism(command.argument().unwrap_or_default().trim_ascii()) == Some(Mechanism::Ssl) {
            let state = self.security.state();
            state.sized = true;
            state.data.client = true;
        }
        self.start_tls(step, Side::Client);
    }

    /// Answers PBSZ: TLS has no buffer of its own to agree on (RFC 4217 section 9).
    pub(super) fn client_sizes(&mut self, step: &mut Step) {
        self.security.state().sized = true;
        self.say_in_turn(step, Reply::new(200, "PBSZ=0"));
    }

    /// Answers PROT. What was negotiated turns with it, unless its pinhole was opened for another kind of connection: one
    /// that the kernel carries, or one that need not, or has to, prove whose it is.
    pub(super) fn client_protects(&mut self, step: &mut Step, command: &Command) {
        let private = matches!(
            command.argument().unwrap_or_default().trim_ascii(),
            b"P" | b"p"
        );
        if private != self.security.protects_data(Side::Client) {
            let resumed_only = self.settings.client_tls.resumed_only;
            let fixed = |transfer: &Transfer| {
                let awaits = matches!(transfer.legs.client, Leg::Awaits(_));
                transfer.carried == Carried::Forwarded || resumed_only && awaits
            };
            if self.transfer.as_deref().is_some_and(fixed) {
                self.spend(step, CloseReason::Reset);
            }
            self.security.protect_data(Side::Client, private);
        }
        let words = match private {
            true => "Data connections will be private.",
            false => "Data connections will be in clear.",
        };
        self.say_in_turn(step, Reply::new(200, words));
    }

    /// Gives the features that are ours to offer (RFC 4217 section 6).
    pub(super) fn security_features(&self) -> &'static [&'static str] {
        match self.settings.client_tls.mode {
            TlsMode::None => &[],
            TlsMode::Explicit => &["AUTH TLS", "PBSZ", "PROT"],
            TlsMode::Implicit => &["PBSZ", "PROT"],
        }
    }

    /// Remembers which host a client in clear speaks of.
    pub(super) fn note_host(&mut self, host: &[u8]) {
        if self.settings.client_tls.mode == TlsMode::Explicit && !self.security.is_tls(Side::Client)
        {
            self.security.state().host = Some(host.into());
        }
    }

    /// Begins TLS on a control connection; nothing is taken from that side before the handshake is over.
    pub(super) fn start_tls(&mut self, step: &mut Step, with: Side) {
        self.await_handshake(step.now.mono, with);
        let role = match with {
            Side::Client => TlsRole::Server,
            Side::Upstream => TlsRole::Client {
                short_of_tickets: self.security.is_short_of_tickets(),
            },
        };
        step.out.push(Output::StartTls { with, role });
    }

    fn await_handshake(&mut self, now: Duration, with: Side) {
        let state = self.security.state();
        state.control[with] = Channel::Handshaking;
        state.since = now;
    }

    /// Notes that an implicit client is in TLS from its first byte on, before anything else is done or said.
    pub(super) fn arrive_in_tls(&mut self, now: Duration) {
        self.await_handshake(now, Side::Client);
        self.security.state().data.client = true;
    }

    pub(super) fn tls_established(&mut self, step: &mut Step, with: Side, facts: TlsFacts) {
        if !self.security.is_handshaking(with) || !self.is_talkative() {
            return;
        }
        self.security.state().control[with] = Channel::Tls;
        self.report(step, established(with, None, &facts));
        match with {
            Side::Upstream => self.upstream_in_tls(step),
            Side::Client => {
                let state = self.security.state();
                state.version = Some(facts.version);
                state.sni = facts.sni;
                state.certificate = facts.certificate;
                self.last_activity = step.now.mono;
                if self.security.contradicts_itself() {
                    self.report(step, failed(with, None, TlsFault::HostContradicted.into()));
                    let words = ClientFault::OtherHostInTls.reply();
                    self.finish(step, Some(words), SessionEnd::TlsFailed);
                } else if self.phase == Phase::Dialling {
                    step.out.push(Output::DialUpstream);
                }
            }
        }
    }

    /// Ends the session: after a failed handshake nothing is said in clear any more.
    pub(super) fn tls_failed(&mut self, step: &mut Step, with: Side, why: TlsFailure) {
        if self.security.channel(with) == Channel::Clear || !self.is_talkative() {
            return;
        }
        self.report(step, failed(with, None, why));
        let words = match with {
            Side::Client => None,
            Side::Upstream => Some(UpstreamFault::NoTls.reply()),
        };
        self.finish(step, words, SessionEnd::TlsFailed);
    }

    /// Ends the session because bytes in clear came where TLS was due: somebody put them there.
    pub(super) fn said_in_clear(&mut self, step: &mut Step, by: Side) {
        let words = match by {
            Side::Client => ClientFault::ClearBehindAuth.reply(),
            Side::Upstream => UpstreamFault::Violation.reply(),
        };
        self.violation(step, by, Violation::ClearBehindAuth, Some(words));
    }
}

/// The ways to ask for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    /// RFC 4217 section 17; data connections begin in clear.
    Tls,
    /// What the drafts before it had: data connections are private at once.
    Ssl,
}

fn mechanism(argument: &[u8]) -> Option<Mechanism> {
    let is = |name: &str| argument.eq_ignore_ascii_case(name.as_bytes());
    if is("TLS") || is("TLS-C") {
        Some(Mechanism::Tls)
    } else if is("SSL") || is("TLS-P") {
        Some(Mechanism::Ssl)
    } else {
        None
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
