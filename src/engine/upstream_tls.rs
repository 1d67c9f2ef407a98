//! The upstream's side is secured: AUTH, TLS, PBSZ and PROT before anything of the client's goes up.
//!
//! Invariant: where TLS is required nothing but AUTH leaves in clear, and after a handshake that failed nothing does,
//! whatever the policy. The upstream's greeting is told to the client when all of it is done.

use super::dialogue::Purpose;
use super::fault::UpstreamFault;
use super::security::failed;
use super::session::{Phase, Session, Step};
use super::tls::{TlsFault, TlsMode, TlsPolicy};
use super::{Event, SessionEnd, Side, Violation};
use crate::ftp::{Command, Reply, Verb};

impl Session {
    /// Handles the upstream's 220: it is told to the client now, or when the upstream is secured.
    pub(super) fn greeted(&mut self, step: &mut Step, greeting: Reply) {
        let mode = self.settings.upstream_tls.mode;
        if mode == TlsMode::None {
            self.phase = Phase::Talking;
            return self.welcome(step, greeting);
        }
        self.phase = Phase::Securing;
        self.security.hold_greeting(step.now.mono, greeting);
        if self.security.is_tls(Side::Upstream) {
            self.ask_for_protection(step);
        } else {
            self.ask_ours(step, Command::new(Verb::Auth, Some(b"TLS")), Purpose::Auth);
        }
    }

    /// Handles the answer to our AUTH.
    pub(super) fn auth_answered(&mut self, step: &mut Step, purpose: Purpose, reply: &Reply) {
        match reply.code().get() {
            234 if !self.server.is_fresh() => self.said_in_clear(step, Side::Upstream),
            234 => self.start_tls(step, Side::Upstream),
            // Servers from before RFC 4217 know it by the drafts' name.
            504 if purpose == Purpose::Auth => {
                let again = Command::new(Verb::Auth, Some(b"SSL"));
                self.ask_ours(step, again, Purpose::AuthSsl);
            }
            code @ 300..=599 => self.declined(step, "AUTH", TlsFault::AuthRefused, code),
            _ => {
                let words = UpstreamFault::Violation.reply();
                self.violation(step, Side::Upstream, Violation::UnaskedReply, Some(words));
            }
        }
    }

    /// The upstream's control connection is in TLS.
    pub(super) fn upstream_in_tls(&mut self, step: &mut Step) {
        match self.phase {
            Phase::Securing => self.ask_for_protection(step),
            // Implicit TLS: the greeting comes inside it.
            Phase::Greeting => self.reply_since = step.moment(),
            Phase::New | Phase::Dialling | Phase::Talking | Phase::Ending(_) | Phase::Over => {}
        }
    }

    fn ask_for_protection(&mut self, step: &mut Step) {
        self.ask_ours(step, Command::new(Verb::Pbsz, Some(b"0")), Purpose::Pbsz);
    }

    /// Handles the answer to our PBSZ, which has to stand before PROT (RFC 2228 section 3).
    pub(super) fn pbsz_answered(&mut self, step: &mut Step, reply: &Reply) {
        if reply.is_success() {
            self.ask_ours(step, Command::new(Verb::Prot, Some(b"P")), Purpose::Prot);
        } else {
            let code = reply.code().get();
            self.declined(step, "PBSZ", TlsFault::ProtRefused, code);
        }
    }

    /// Handles the answer to our PROT P.
    pub(super) fn prot_answered(&mut self, step: &mut Step, reply: &Reply) {
        if reply.is_success() {
            self.security.protect_data(Side::Upstream, true);
            self.upstream_secured(step);
        } else {
            let code = reply.code().get();
            self.declined(step, "PROT", TlsFault::ProtRefused, code);
        }
    }

    /// The upstream won't, and said so by a reply: only then the policy may prefer to go on without.
    fn declined(&mut self, step: &mut Step, command: &'static str, why: TlsFault, code: u16) {
        match self.settings.upstream_tls.policy {
            TlsPolicy::Require => {
                self.report(step, failed(Side::Upstream, None, why.into()));
                let words = UpstreamFault::NoTls.reply();
                self.finish(step, Some(words), SessionEnd::TlsFailed);
            }
            TlsPolicy::Prefer => {
                self.report(step, Event::TlsDeclined { command, code });
                self.upstream_secured(step);
            }
        }
    }

    /// The client may speak, and hears the upstream's greeting.
    fn upstream_secured(&mut self, step: &mut Step) {
        self.phase = Phase::Talking;
        if let Some(greeting) = self.security.take_greeting() {
            self.welcome(step, greeting);
        }
    }
}
