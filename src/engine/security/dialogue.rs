//! AUTH, PBSZ, PROT and CCC of the client, and what becomes of handshakes.

use std::time::Duration;

use super::super::fault::{ClientFault, UpstreamFault};
use super::super::legs::{Leg, Transfer};
use super::super::pinhole::CloseReason;
use super::super::session::{Phase, Session, Step};
use super::super::tls::{TlsFacts, TlsFailure, TlsFault, TlsMode, TlsRequire, TlsRole};
use super::super::{Carried, Output, Refusal, SessionEnd, Side, Violation};
use super::{Channel, established, failed};
use crate::ftp::{Command, Reply, Verb};

impl Session {
    /// Says why a command can't be taken where the session is not, or is already, inside TLS.
    pub(in super::super) fn security_objection(
        &self,
        command: &Command,
    ) -> Option<(Refusal, ClientFault)> {
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
    pub(in super::super) fn client_secures(&mut self, step: &mut Step, command: &Command) {
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
    pub(in super::super) fn client_sizes(&mut self, step: &mut Step) {
        self.security.state().sized = true;
        self.say_in_turn(step, Reply::new(200, "PBSZ=0"));
    }

    /// Answers PROT. What was negotiated turns with it, unless its pinhole was opened for another kind of connection: one
    /// that the kernel carries, or one that need not, or has to, prove whose it is.
    pub(in super::super) fn client_protects(&mut self, step: &mut Step, command: &Command) {
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
    pub(in super::super) fn security_features(&self) -> &'static [&'static str] {
        match self.settings.client_tls.mode {
            TlsMode::None => &[],
            TlsMode::Explicit => &["AUTH TLS", "PBSZ", "PROT"],
            TlsMode::Implicit => &["PBSZ", "PROT"],
        }
    }

    /// Remembers which host a client in clear speaks of.
    pub(in super::super) fn note_host(&mut self, host: &[u8]) {
        if self.settings.client_tls.mode == TlsMode::Explicit && !self.security.is_tls(Side::Client)
        {
            self.security.state().host = Some(host.into());
        }
    }

    /// Begins TLS on a control connection; nothing is taken from that side before the handshake is over.
    pub(in super::super) fn start_tls(&mut self, step: &mut Step, with: Side) {
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
    pub(in super::super) fn arrive_in_tls(&mut self, now: Duration) {
        self.await_handshake(now, Side::Client);
        self.security.state().data.client = true;
    }

    pub(in super::super) fn tls_established(
        &mut self,
        step: &mut Step,
        with: Side,
        facts: TlsFacts,
    ) {
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
                self.last_activity = step.moment();
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
    pub(in super::super) fn tls_failed(&mut self, step: &mut Step, with: Side, why: TlsFailure) {
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
    pub(in super::super) fn said_in_clear(&mut self, step: &mut Step, by: Side) {
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
