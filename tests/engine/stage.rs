//! A stage for the session engine: performs its outputs with nothing, and answers with the facts a shell would.
//!
//! Shared by the transcripts, the property tests and the simulator.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::engine::{
    Checks, ClientTls, DataMode, ForeignAddress, Input, Logins, Manner, Outcome, Output, PeerMatch,
    PinholeId, Record, RefusalReason, Session, SessionFacts, SessionId, Settings, Shut, Side,
    SourcePort, Time, Timeouts, TransferId, UpstreamTls, Usage, Wall,
};
use portcullis::policy::Default as DefaultVerdict;
use portcullis::rules::built_in;

pub const CLIENT: &str = "198.51.100.7:40000";
pub const TARGET: &str = "203.0.113.10:21";
pub const UPSTREAM: &str = "10.0.0.5:21";
pub const GATEWAY: &str = "10.0.0.2:33000";

/// The settings that CONFIG's defaults give.
pub fn settings() -> Settings {
    Settings {
        listener: Arc::from("main"),
        upstream: Arc::from("legacy"),
        data_mode: DataMode::AsClient,
        data_source_port: SourcePort::ControlMinusOne,
        peer: PeerMatch::Exact,
        client_foreign_address: ForeignAddress::Refuse,
        upstream_foreign_address: ForeignAddress::Ignore,
        accept_bare_lf: false,
        line: 4096,
        reply: 65536,
        pipeline: 64,
        commands_per_second: 50,
        paths: None,
        observe: Checks::default(),
        guest: None,
        anonymous_email: false,
        client_tls: ClientTls::default(),
        upstream_tls: UpstreamTls::default(),
        logins: Logins::default(),
        timeouts: Timeouts {
            login: Duration::from_secs(60),
            idle: Duration::from_secs(900),
            command: Duration::from_secs(30),
            upstream_dial: Duration::from_secs(300),
            final_reply: Duration::from_secs(600),
            linger: Duration::from_secs(10),
            ttl: Duration::from_secs(30),
        },
        rules: Arc::new(built_in(
            DefaultVerdict::Allow,
            &["everything-but-dangerous"],
        )),
        elsewhere: BTreeMap::new(),
        passwords: Arc::default(),
    }
}

/// Facts of a session between these addresses.
pub fn facts(client: SocketAddr, target: SocketAddr) -> SessionFacts {
    SessionFacts {
        id: SessionId(*b"abcdefghijkl"),
        client,
        target,
        advertised: target.ip(),
        may_be_probe: false,
    }
}

/// The session, a clock, and what it asked for.
pub struct Stage {
    pub session: Session,
    pub now: Duration,
    /// What the engine asked for, in order, without records and without what the stage answered itself.
    pub effects: VecDeque<Output>,
    pub records: Vec<Record>,
    pub journal_up: bool,
    /// Whether the kernel opens what was reserved.
    pub opens: bool,
    /// The address that the next pinhole gets; without one the transcript answers by itself.
    /// Whether one more session of a user may be.
    pub seats: bool,
    pub auto_open: Option<SocketAddr>,
    pub transfer: TransferId,
    /// What an aborted relay says that it carried.
    pub usage: Usage,
    relay_asked: bool,
    pub upstream_is_ipv6: bool,
    /// Whether the kernel can carry data connections.
    pub forwardable: bool,
    /// The windows, where a peer is told to be this host.
    pub shut: Option<Shut>,
}

impl Stage {
    pub fn new(facts: SessionFacts, settings: Settings) -> Stage {
        Stage {
            session: Session::new(facts, Arc::new(settings)),
            now: Duration::from_secs(1000),
            effects: VecDeque::new(),
            records: Vec::new(),
            journal_up: true,
            opens: true,
            seats: true,
            auto_open: None,
            transfer: TransferId(0),
            usage: usage(Outcome::Aborted),
            relay_asked: false,
            upstream_is_ipv6: false,
            forwardable: false,
            shut: None,
        }
    }

    pub fn time(&self) -> Time {
        let wall = Wall(1_795_000_000_000_000 + u64::try_from(self.now.as_micros()).unwrap_or(0));
        Time {
            mono: self.now,
            wall,
        }
    }

    /// Hands one fact in, performs what comes out, and hands in the facts that follow at once.
    pub fn feed(&mut self, input: Input<'_>) {
        let time = self.time();
        let mut facts: VecDeque<Input<'static>> = VecDeque::new();
        let outputs = self.session.handle(time, input);
        self.perform(outputs, &mut facts);
        while let Some(fact) = facts.pop_front() {
            let outputs = self.session.handle(time, fact);
            self.perform(outputs, &mut facts);
        }
    }

    fn perform(&mut self, outputs: Vec<Output>, facts: &mut VecDeque<Input<'static>>) {
        for output in outputs {
            match output {
                Output::Write(record) => {
                    if record.gates_effect() {
                        if !self.journal_up {
                            facts.push_back(Input::RecordRefused);
                            return;
                        }
                        facts.push_back(Input::RecordAccepted);
                    }
                    self.records.push(*record);
                }
                Output::SeatUser { user } => {
                    let granted = self.seats;
                    facts.push_back(Input::UserSeated { granted });
                    self.effects.push_back(Output::SeatUser { user });
                }
                Output::OpenPinhole { id } => facts.push_back(match self.opens {
                    true => Input::PinholeOpened { id },
                    false => Input::PinholeRefused {
                        id,
                        why: RefusalReason::Kernel,
                    },
                }),
                Output::RelayInstead { id } => {
                    facts.push_back(match self.opens {
                        true => Input::PinholeOpened { id },
                        false => Input::PinholeRefused {
                            id,
                            why: RefusalReason::Kernel,
                        },
                    });
                    self.effects.push_back(Output::RelayInstead { id });
                }
                Output::ReservePinhole { id, pinhole } => {
                    self.transfer = pinhole.transfer;
                    if let Some(at) = self.auto_open {
                        facts.push_back(Input::PinholeReserved { id, at });
                    }
                    self.effects
                        .push_back(Output::ReservePinhole { id, pinhole });
                }
                Output::EndData { transfer, manner } => {
                    if self.relay_asked && manner != Manner::Linger {
                        self.relay_asked = false;
                        facts.push_back(Input::DataFinished {
                            transfer,
                            usage: self.usage,
                        });
                    }
                    self.effects.push_back(Output::EndData { transfer, manner });
                }
                Output::StartRelay {
                    transfer,
                    direction,
                    tls,
                    bounds,
                } => {
                    self.relay_asked = true;
                    self.transfer = transfer;
                    self.effects.push_back(Output::StartRelay {
                        transfer,
                        direction,
                        tls,
                        bounds,
                    });
                }
                Output::DialData {
                    transfer,
                    side,
                    to,
                    from,
                } => {
                    self.transfer = transfer;
                    self.effects.push_back(Output::DialData {
                        transfer,
                        side,
                        to,
                        from,
                    });
                }
                other => self.effects.push_back(other),
            }
        }
    }

    /// Tells that the relay ended by itself.
    pub fn finish_data(&mut self, usage: Usage) {
        self.relay_asked = false;
        let transfer = self.transfer;
        self.feed(Input::DataFinished { transfer, usage });
    }

    pub fn opened(&mut self, id: PinholeId, at: SocketAddr) {
        self.feed(Input::PinholeReserved { id, at });
    }

    /// Lets time pass, waking the session whenever it wants to be.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(wake) = self.session.next_wake().filter(|wake| wake.at <= until) {
            self.now = self.now.max(wake.at);
            let at = self.now;
            self.feed(Input::TimePassed);
            if let Some(next) = self.session.next_wake() {
                assert!(
                    next.at > at || next != wake,
                    "no progress: the same deadline again after {wake:?} at {at:?}"
                );
            }
        }
        self.now = until;
    }

    pub fn received(&mut self, from: Side, bytes: &[u8]) {
        self.feed(Input::Received { from, bytes });
    }

    /// Brings the session to the point where commands pass.
    pub fn greet(&mut self) {
        self.feed(Input::ClientArrived);
        let (gateway, upstream) = match self.upstream_is_ipv6 {
            true => ("[fd00::2]:33000", "[fd00::5]:21"),
            false => (GATEWAY, UPSTREAM),
        };
        self.feed(Input::UpstreamConnected {
            gateway: gateway.parse().expect("constant"),
            upstream: upstream.parse().expect("constant"),
            forwardable: self.forwardable,
            shut: self.shut.clone(),
        });
        self.received(Side::Upstream, b"220 ready\r\n");
        self.effects.clear();
    }
}

/// A relay's account with no bytes in it.
pub fn usage(outcome: Outcome) -> Usage {
    Usage::nothing(outcome)
}
