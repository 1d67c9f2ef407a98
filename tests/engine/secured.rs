//! What must hold of TLS, seen from outside: nothing in clear where it may not be, nothing taken for said inside TLS that
//! came in clear, nothing called complete that was not protected.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis::engine::{
    Carried, DataTls, Event, Input, Legs, Output, Settings, Side, TlsMode, TlsPolicy, TlsRequire,
    TlsRole, TransferId,
};
use portcullis::ftp::{LineFramer, Verb};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Channel {
    #[default]
    Clear,
    Handshaking,
    Tls,
}

/// One side's bytes so far.
#[derive(Debug)]
struct Said {
    framer: LineFramer,
    last: Vec<u8>,
    anything: bool,
}

impl Default for Said {
    fn default() -> Said {
        Said {
            framer: LineFramer::new(1 << 20),
            last: Vec::new(),
            anything: false,
        }
    }
}

/// The TLS of one session, from outside.
#[derive(Debug)]
pub struct Secured {
    settings: Arc<Settings>,
    control: Legs<Channel>,
    said: Legs<Said>,
    /// A handshake with the upstream was begun: from then on nothing may leave in clear.
    begun: bool,
    /// The upstream was asked for TLS.
    asked: bool,
    /// Something happened after which a session may do nothing but end.
    doomed: bool,
    /// The data connection that the kernel is to carry.
    forwarded: Option<TransferId>,
    legs: Option<(TransferId, Legs<DataTls>)>,
    /// The legs that are in TLS, and whether they resumed a session.
    data: BTreeMap<(TransferId, bool), bool>,
}

impl Secured {
    pub fn new(settings: &Arc<Settings>) -> Secured {
        Secured {
            settings: Arc::clone(settings),
            control: Legs::default(),
            said: Legs::default(),
            begun: false,
            asked: false,
            doomed: false,
            forwarded: None,
            legs: None,
            data: BTreeMap::new(),
        }
    }

    /// Notes a fact, before the session is told of it.
    pub fn told(&mut self, input: &Input<'_>) {
        match input {
            Input::Received { from, bytes } => {
                self.doomed |= self.control[*from] == Channel::Handshaking;
                let said = &mut self.said[*from];
                said.anything = true;
                said.framer.push(bytes);
                while let Some(Ok(line)) = said.framer.next_line() {
                    said.last = line.bytes;
                }
            }
            Input::TlsEstablished { with, .. } if self.control[*with] == Channel::Handshaking => {
                self.control[*with] = Channel::Tls;
            }
            Input::TlsFailed { with, .. } => {
                self.doomed |= self.control[*with] != Channel::Clear;
            }
            Input::DataTlsEstablished {
                transfer,
                side,
                facts,
            } => {
                let key = (*transfer, *side == Side::Client);
                self.data.insert(key, facts.resumed);
            }
            _ => {}
        }
    }

    /// Judges an output that is performed now.
    pub fn asked(&mut self, output: &Output) {
        match output {
            Output::StartTls { with, role } => self.start(*with, *role),
            Output::DialUpstream => {
                let implicit = self.settings.client_tls.mode == TlsMode::Implicit;
                let shown = self.control.client == Channel::Tls;
                assert!(shown || !implicit, "a dial for a client that is not in TLS");
            }
            Output::Send { to, bytes } => {
                assert_ne!(
                    self.control[*to],
                    Channel::Handshaking,
                    "bytes for the {to} in the middle of a handshake"
                );
                match to {
                    Side::Client => {
                        let implicit = self.settings.client_tls.mode == TlsMode::Implicit;
                        let shown = self.control.client == Channel::Tls;
                        assert!(shown || !implicit, "a word in clear to an implicit client");
                    }
                    Side::Upstream => self.command(bytes),
                }
            }
            Output::ReservePinhole { pinhole, .. } => {
                let resumed_only = self.settings.client_tls.resumed_only;
                let fits = match (pinhole.side, pinhole.tls) {
                    (_, DataTls::Clear) => true,
                    (Side::Client, DataTls::Resumed) => resumed_only,
                    (Side::Client, DataTls::Tls) => !resumed_only,
                    (Side::Upstream, tls) => tls == DataTls::Tls,
                };
                assert!(fits, "{pinhole:?}");
                let forwarded = pinhole.carried == Carried::Forwarded;
                assert!(!forwarded || pinhole.tls == DataTls::Clear, "{pinhole:?}");
                self.forwarded = forwarded.then_some(pinhole.transfer);
            }
            Output::StartRelay { transfer, tls, .. } => {
                self.legs = Some((*transfer, *tls));
                let clear = *tls == Legs::default();
                assert!(
                    clear || self.forwarded != Some(*transfer),
                    "TLS by the kernel"
                );
                let (client, upstream) = (&self.settings.client_tls, &self.settings.upstream_tls);
                let all = client.required() == TlsRequire::All;
                assert!(!all || tls.client != DataTls::Clear, "data in clear");
                let required =
                    upstream.mode != TlsMode::None && upstream.policy == TlsPolicy::Require;
                assert!(!required || tls.upstream == DataTls::Tls, "data in clear");
                let secured =
                    |side| tls[side] == DataTls::Clear || self.control[side] == Channel::Tls;
                assert!(secured(Side::Client) && secured(Side::Upstream));
            }
            Output::GiveTickets { transfer } => {
                let resumed = self.data.get(&(*transfer, true));
                assert_eq!(resumed, Some(&true), "tickets for a stranger");
            }
            Output::Write(record) => {
                if let Event::TransferCompleted { transfer, .. } = &record.event {
                    self.completed(transfer.transfer);
                }
            }
            _ => {}
        }
    }

    /// Invariant 8: behind the line that makes it TLS nothing in clear was read, on either side.
    fn start(&mut self, with: Side, role: TlsRole) {
        let (mode, expected) = match with {
            Side::Client => (self.settings.client_tls.mode, "server"),
            Side::Upstream => (self.settings.upstream_tls.mode, "client"),
        };
        let role = match role {
            TlsRole::Server => "server",
            TlsRole::Client { .. } => "client",
        };
        assert_eq!(role, expected);
        assert_eq!(self.control[with], Channel::Clear, "TLS begun twice");
        let said = &self.said[with];
        assert_eq!(said.framer.pending(), 0, "half a line crosses into TLS");
        match (mode, with) {
            (TlsMode::None, _) => panic!("TLS that nobody wants"),
            (TlsMode::Implicit, _) => assert!(!said.anything, "bytes cross into TLS"),
            (TlsMode::Explicit, Side::Client) => {
                let auth = said.last.get(..5).unwrap_or_default();
                assert!(auth.eq_ignore_ascii_case(b"AUTH "), "lines cross into TLS");
            }
            (TlsMode::Explicit, Side::Upstream) => {
                assert!(said.last.starts_with(b"234"), "replies cross into TLS");
            }
        }
        self.control[with] = Channel::Handshaking;
        self.begun |= with == Side::Upstream;
    }

    /// Nothing but AUTH in clear where TLS is required, and no login where it is required of the client.
    fn command(&mut self, bytes: &[u8]) {
        assert!(!self.doomed, "a session goes on that must end");
        let line = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
        let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let verb = Verb::parse(word);
        let tls = &self.settings.upstream_tls;
        let auth = line == b"AUTH TLS" || line == b"AUTH SSL";
        if self.control.upstream == Channel::Clear && tls.mode != TlsMode::None {
            let shown = line.escape_ascii();
            assert_ne!(tls.mode, TlsMode::Implicit, "in clear: {shown}");
            let may = tls.policy == TlsPolicy::Prefer && self.asked && !self.begun;
            assert!(auth || may, "in clear: {shown}");
            self.asked = true;
        }
        let ours = match verb {
            Verb::Auth => auth && self.control.upstream == Channel::Clear,
            Verb::Pbsz => line == b"PBSZ 0" && self.control.upstream == Channel::Tls,
            Verb::Prot => line == b"PROT P" && self.control.upstream == Channel::Tls,
            Verb::Adat | Verb::Ccc | Verb::Mic | Verb::Conf | Verb::Enc => false,
            _ => true,
        };
        assert!(ours, "{verb} passed");
        let required = self.settings.client_tls.required() != TlsRequire::Nothing;
        let login = matches!(verb, Verb::User | Verb::Pass | Verb::Acct);
        let safe = self.control.client == Channel::Tls;
        assert!(safe || !required || !login, "{verb} from a client in clear");
    }

    fn completed(&self, transfer: TransferId) {
        let Some((_, tls)) = self.legs.filter(|(id, _)| *id == transfer) else {
            panic!("a transfer completed that never ran");
        };
        for side in [Side::Client, Side::Upstream] {
            let resumed = self.data.get(&(transfer, side == Side::Client));
            let protected = match tls[side] {
                DataTls::Clear => true,
                DataTls::Tls => resumed.is_some(),
                DataTls::Resumed => resumed == Some(&true),
            };
            assert!(protected, "complete, and the {side}'s leg was not in TLS");
        }
    }
}
