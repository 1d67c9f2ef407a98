//! What stands in a line behind its number.
//!
//! Hand-written, because it runs several times per transfer and because the line is a promise to auditors:
//! fields in the catalogue's order, names that never change, nothing in it that a terminal would obey. The
//! settings for privacy are applied here and nowhere else.

mod form;

use super::line::Privacy;
use crate::engine::{Event, Record, SessionId, Side};

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
            Event::AddressBanned {
                from,
                reason,
                failures,
                until,
                in_kernel,
            } => {
                self.network("from", *from, Side::Client);
                self.fixed("reason", reason.word());
                if let Some(failures) = failures {
                    self.number("failures", u64::from(*failures));
                }
                self.time("until", *until);
                self.word("in_kernel", in_kernel);
            }
            Event::AddressUnbanned {
                from,
                reason,
                turned_away,
            } => {
                self.network("from", *from, Side::Client);
                self.fixed("reason", reason.word());
                self.number("turned_away", *turned_away);
            }
            Event::ConnectionDenied {
                from,
                target,
                listener,
                upstream,
                rule,
                code,
            } => {
                self.socket("from", *from, Some(Side::Client));
                self.socket("target", *target, None);
                self.text("listener", listener);
                self.text("upstream", upstream);
                self.rule(rule);
                self.number("code", u64::from(*code));
            }
            Event::CommandDenied {
                command,
                moment,
                rule,
                code,
            } => {
                self.command(command);
                self.word("moment", moment);
                self.rule(rule);
                self.number("code", u64::from(*code));
            }
            Event::AskAnswered {
                command,
                moment,
                rule,
                answer,
                upstream,
                login_as,
                start_in,
                micros,
            } => {
                self.command(command);
                self.word("moment", moment);
                self.rule(rule);
                self.fixed("answer", answer);
                let granted = [
                    ("upstream", upstream.as_deref()),
                    ("login_as", login_as.as_deref()),
                    ("start_in", start_in.as_deref()),
                ];
                for (name, text) in granted {
                    if let Some(text) = text {
                        self.text(name, text);
                    }
                }
                self.seconds("seconds", *micros);
            }
            Event::AskFailed {
                command,
                moment,
                rule,
                why,
                micros,
            } => {
                self.command(command);
                self.word("moment", moment);
                self.rule(rule);
                self.fixed("why", why.word());
                self.seconds("seconds", *micros);
            }
            Event::RuleObserved {
                command,
                moment,
                rule,
                would,
            } => {
                if let Some(command) = command {
                    self.command(command);
                }
                self.word("moment", moment);
                self.rule(rule);
                self.fixed("would", would);
            }
            Event::CheckObserved {
                command,
                check,
                code,
            } => {
                self.command(command);
                self.fixed("check", check.word());
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
            Event::AddressShut {
                side,
                address,
                window,
            } => {
                self.word("side", side);
                self.socket("address", *address, Some(*side));
                self.text("window", window);
            }
            Event::ProtocolForeign { protocol } => self.text("protocol", protocol),
            Event::ProtocolViolation { side, what } => {
                self.word("side", side);
                self.fixed("what", what.word());
            }
            Event::PinholeOpened { hole, ttl } => {
                self.hole(hole);
                self.number("ttl", *ttl);
                self.word("carried", &hole.carried);
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
                hole,
                opened,
                used,
                volume,
                reason,
            } => {
                self.hole(hole);
                self.time("opened", *opened);
                if let Some(used) = used {
                    self.time("used", *used);
                }
                self.seconds("seconds", record.at.0.saturating_sub(opened.0));
                self.volume(*volume);
                self.fixed("reason", reason.word());
                self.word("carried", &hole.carried);
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
                unacknowledged,
            } => {
                self.over(transfer);
                if let Some(unacknowledged) = unacknowledged {
                    self.number("unacknowledged", *unacknowledged);
                }
            }
            Event::TransferFailed {
                transfer,
                code,
                why,
            } => {
                self.over(transfer);
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
            Event::GatewayStarted {
                version,
                config,
                rules,
            } => {
                self.text("version", version);
                self.text("config", config);
                self.text("rules", rules);
            }
            Event::GatewayReloaded { config, rules } => {
                self.text("config", config);
                self.text("rules", rules);
            }
            Event::ReloadRefused { why } => self.text("why", why),
            Event::GatewayStopping { sessions } => self.number("sessions", *sessions),
            Event::JournalGap { lost } => self.number("lost", *lost),
        }
    }
}
