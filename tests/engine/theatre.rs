//! Plays dialogues of any kind with one session: moves in, every output performed, facts handed back as a shell would.
//!
//! Nothing here decides what is right; [`Watch`] does. A move that has no meaning at its time does nothing, so that any
//! list of moves is a dialogue. The properties and the fuzz body share it.

#[path = "handshakes.rs"]
mod handshakes;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::engine::{
    AskFault, Carried, DataTls, DialError, Direction, Input, Legs, Manner, Outcome, Output,
    PinholeId, QuestionId, Record, RefusalReason, Session, SessionEnd, SessionFacts, Settings,
    Side, Time, TransferId, Usage, Wall, Wire,
};
use portcullis::ftp::Verb;

pub use self::handshakes::Fate;
use super::watch::Watch;

/// What the upstream says to the oldest command that it owes a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What a server says that does as it is told; to a transfer command the final reply.
    Done,
    /// 1xx; the command stays unanswered.
    Begun,
    /// 550, 502, 500 or 425, by number.
    Refused(u8),
    /// What the client asked for in passive mode, at another host and at a low port.
    Astray,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    Client(Vec<u8>),
    Upstream(Vec<u8>),
    Answer(Answer),
    /// Whoever is asked answers, in one of the ways in which that can be done.
    Consent(u8),
    /// The oldest dial of a data leg ends, well or not.
    Dialled(bool),
    /// The awaited peer dials this side's pinhole.
    Used(Side),
    /// The relay ends by itself.
    Finished(Outcome),
    /// What becomes of handshakes from now on.
    Handshakes(Fate),
    /// From now on the shell reads also where the session does not want it to.
    Heedless,
    /// The peer in a handshake answers after all.
    Answered,
    /// The handshake of this side's data leg.
    DataTls(Side, Fate),
    Wait(Duration),
    /// Time passes to the next deadline.
    Wake,
    Closed(Side),
    Stalled(Side),
    /// Whether the journal takes records from now on.
    Journal(bool),
    /// Whether ports are set aside, and whether they open, from now on.
    Window(bool, bool),
    Shutdown,
    Kill,
}

#[derive(Debug)]
struct Hole {
    id: PinholeId,
    side: Side,
    at: SocketAddr,
    open: bool,
    transfer: TransferId,
    tls: DataTls,
}

/// The session and the world around it.
pub struct Theatre {
    pub session: Session,
    pub watch: Watch,
    pub now: Duration,
    /// Everything that was performed, in order.
    pub performed: Vec<Output>,
    /// What the upstream was sent and has not answered.
    pub unanswered: VecDeque<Vec<u8>>,
    /// Whether bytes wait while the session does not want them.
    pub polite: bool,
    facts: VecDeque<Input<'static>>,
    gateway: SocketAddr,
    upstream: SocketAddr,
    advertised: SocketAddr,
    journal: bool,
    window: (bool, bool),
    dials: VecDeque<(TransferId, Side)>,
    relay: Option<(TransferId, Direction)>,
    fate: Fate,
    /// In whose handshake nobody answers.
    stalled: Option<Side>,
    tls: Legs<DataTls>,
    /// The transfer whose upstream leg is to be in TLS now.
    upstream_asked: Option<TransferId>,
    /// The data legs in TLS, by whether it is the client's.
    secured: BTreeSet<(TransferId, bool)>,
    /// The data connection that the kernel carries.
    forwarded: Option<TransferId>,
    holes: Vec<Hole>,
    next_port: u16,
    asked: Option<QuestionId>,
}

impl Theatre {
    /// Brings a session to its greeting.
    pub fn new(
        facts: SessionFacts,
        settings: Settings,
        gateway: SocketAddr,
        upstream: SocketAddr,
        forwardable: bool,
    ) -> Theatre {
        let settings = Arc::new(settings);
        let mut theatre = Theatre {
            watch: Watch::new(&facts, &settings),
            advertised: facts.target,
            session: Session::new(facts, settings),
            now: Duration::from_secs(500),
            performed: Vec::new(),
            unanswered: VecDeque::new(),
            polite: true,
            facts: VecDeque::new(),
            gateway,
            upstream,
            journal: true,
            window: (true, true),
            dials: VecDeque::new(),
            relay: None,
            fate: Fate::Works,
            stalled: None,
            tls: Legs::default(),
            upstream_asked: None,
            secured: BTreeSet::new(),
            forwarded: None,
            holes: Vec::new(),
            next_port: 21_000,
            asked: None,
        };
        theatre.feed(Input::ClientArrived);
        theatre.feed(Input::UpstreamConnected {
            gateway,
            upstream,
            forwardable,
            shut: None,
        });
        theatre
    }

    pub fn play(&mut self, moves: &[Move]) {
        moves.iter().for_each(|one| self.act(one));
    }

    pub fn act(&mut self, one: &Move) {
        match one {
            Move::Client(bytes) => self.receive(Side::Client, bytes),
            Move::Upstream(bytes) => {
                // Behind a reply out of turn, words about a data port may answer any command.
                self.watch.hides &= bytes.starts_with(b"220 ");
                self.receive(Side::Upstream, bytes);
            }
            Move::Answer(answer) => self.answer(*answer),
            Move::Consent(which) => self.consent(*which),
            Move::Dialled(well) => {
                let Some((transfer, side)) = self.dials.pop_front() else {
                    return;
                };
                let why = DialError::Refused;
                self.feed(match well {
                    true => Input::DataDialled { transfer, side },
                    false => Input::DataDialFailed {
                        transfer,
                        side,
                        why,
                    },
                });
            }
            Move::Used(side) => {
                let open = self
                    .holes
                    .iter_mut()
                    .find(|hole| hole.open && hole.side == *side);
                let Some(hole) = open else { return };
                hole.open = false;
                let (id, peer) = (hole.id, hole.at);
                if hole.tls == DataTls::Resumed {
                    let (transfer, side) = (hole.transfer, *side);
                    self.secured.insert((transfer, side == Side::Client));
                    let facts = handshakes::facts(Fate::Works);
                    self.feed(Input::DataTlsEstablished {
                        transfer,
                        side,
                        facts,
                    });
                }
                self.feed(Input::PinholeUsed { id, peer });
            }
            Move::Finished(outcome) => self.finish(*outcome),
            Move::Handshakes(fate) => self.fate = *fate,
            Move::Heedless => self.polite = false,
            Move::Answered => self.answered(),
            Move::DataTls(side, fate) => self.data_handshake(*side, *fate),
            Move::Wait(time) => {
                self.now += *time;
                self.wake();
            }
            Move::Wake => {
                if let Some(wake) = self.session.next_wake() {
                    self.now = self.now.max(wake.at);
                    self.wake();
                }
            }
            Move::Closed(by) => self.feed(Input::Closed { by: *by }),
            Move::Stalled(to) => self.feed(Input::SendStalled { to: *to }),
            Move::Journal(up) => self.journal = *up,
            Move::Window(reserves, opens) => self.window = (*reserves, *opens),
            Move::Shutdown => self.feed(Input::ShutdownRequested),
            Move::Kill => self.feed(Input::KillRequested {
                reason: SessionEnd::Killed,
            }),
        }
    }

    fn receive(&mut self, from: Side, bytes: &[u8]) {
        if !self.polite || self.session.accepts(from) {
            self.feed(Input::Received { from, bytes });
        }
    }

    /// Tells that time passed, and sees that the session has no deadline left that is over.
    fn wake(&mut self) {
        self.feed(Input::TimePassed);
        if let Some(wake) = self.session.next_wake() {
            assert!(
                wake.at > self.now,
                "no progress: {wake:?} at {:?}",
                self.now
            );
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        // Nothing is complete before its legs are protected.
        if outcome == Outcome::Complete && !self.is_covered() {
            return;
        }
        let Some((transfer, direction)) = self.relay.take() else {
            return;
        };
        let bytes = if outcome == Outcome::Complete { 77 } else { 5 };
        if self.forwarded == Some(transfer) {
            let wire = Some(Wire {
                bytes_up: bytes + 40,
                bytes_down: bytes + 40,
                packets_up: 1,
                packets_down: 1,
            });
            let usage = Usage {
                wire,
                ..Usage::nothing(outcome)
            };
            return self.feed(Input::DataFinished { transfer, usage });
        }
        let usage = Usage {
            bytes_up: if direction == Direction::Upload {
                bytes
            } else {
                0
            },
            bytes_down: if direction == Direction::Download {
                bytes
            } else {
                0
            },
            wrong_direction: 0,
            unacknowledged: 0,
            wire: None,
            outcome,
        };
        self.feed(Input::DataFinished { transfer, usage });
    }

    fn answer(&mut self, answer: Answer) {
        let Some(command) = self.unanswered.front() else {
            return;
        };
        let end = command.iter().position(|byte| !byte.is_ascii_graphic());
        let verb = Verb::parse(&command[..end.unwrap_or(command.len())]);
        let (dots, port) = (self.upstream.ip().to_string().replace('.', ","), 50_000);
        let done: Vec<u8> = match verb {
            Verb::User => "331 password please\r\n".into(),
            Verb::Pass => "230 in\r\n".into(),
            Verb::Pasv => format!("227 ok ({dots},{},{})\r\n", port / 256, port % 256).into(),
            Verb::Epsv => format!("229 ok (|||{port}|)\r\n").into(),
            Verb::Rest | Verb::Rnfr => "350 go on\r\n".into(),
            Verb::Quit => "221 bye\r\n".into(),
            Verb::Feat => "211-Features\r\n MDTM\r\n AUTH TLS\r\n211 End\r\n".into(),
            Verb::Auth => "234 go\r\n".into(),
            verb if verb.is_transfer() || verb == Verb::Abor => "226 done\r\n".into(),
            _ => "200 ok\r\n".into(),
        };
        let bytes = match (answer, verb) {
            (Answer::Done, _) => done,
            (Answer::Begun, _) => b"150 begun\r\n".to_vec(),
            (Answer::Refused(which), _) => {
                format!("{} no\r\n", [550, 502, 500, 425][usize::from(which % 4)]).into()
            }
            (Answer::Astray, Verb::Pasv) => b"227 ok (192,0,2,66,0,99)\r\n".to_vec(),
            (Answer::Astray, Verb::Epsv) => b"229 ok (|||22|)\r\n".to_vec(),
            (Answer::Astray, Verb::Port | Verb::Eprt) => {
                format!("200 {} at {dots} noted\r\n", self.gateway.ip()).into()
            }
            (Answer::Astray, _) => b"227 Entering (192,0,2,66,200,99)\r\n".to_vec(),
        };
        if answer != Answer::Begun {
            self.unanswered.pop_front();
        }
        self.receive(Side::Upstream, &bytes);
    }

    fn time(&self) -> Time {
        Time {
            mono: self.now,
            wall: Wall(1_795_000_000_000_000 + self.now.as_micros() as u64),
        }
    }

    /// Hands one fact in, performs what comes out, and hands in the facts that follow at once.
    pub fn feed(&mut self, input: Input<'_>) {
        let time = self.time();
        self.watch.told(&input);
        let outputs = self.session.handle(time, input);
        self.perform(outputs);
        while let Some(fact) = self.facts.pop_front() {
            self.watch.told(&fact);
            let outputs = self.session.handle(time, fact);
            self.perform(outputs);
        }
        if self.session.is_over() {
            self.watch.ended();
            assert_eq!(self.session.next_wake(), None, "a deadline after the end");
        }
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            if let Output::Write(record) = &output
                && record.gates_effect()
            {
                self.facts.push_back(match self.journal {
                    true => Input::RecordAccepted,
                    false => Input::RecordRefused,
                });
                if !self.journal {
                    return;
                }
            }
            self.watch.asked(&output);
            self.effect(&output);
            self.performed.push(output);
        }
    }

    fn effect(&mut self, output: &Output) {
        match output {
            Output::Send {
                to: Side::Upstream,
                bytes,
            } => self.unanswered.push_back(bytes.clone()),
            Output::ReservePinhole { id, pinhole } => {
                let (id, why) = (*id, RefusalReason::NoPort { in_use: 16 });
                if !self.window.0 {
                    return self.facts.push_back(Input::PinholeRefused { id, why });
                }
                self.next_port = 21_000 + (self.next_port - 20_999) % 1000;
                let ip = match pinhole.side {
                    Side::Client => self.advertised.ip(),
                    Side::Upstream => self.gateway.ip(),
                };
                let at = SocketAddr::new(ip, self.next_port);
                if pinhole.carried == Carried::Forwarded {
                    self.forwarded = Some(pinhole.transfer);
                }
                let (side, open) = (pinhole.side, false);
                let (transfer, tls) = (pinhole.transfer, pinhole.tls);
                self.holes.push(Hole {
                    id,
                    side,
                    at,
                    open,
                    transfer,
                    tls,
                });
                self.facts.push_back(Input::PinholeReserved { id, at });
            }
            Output::OpenPinhole { id } => {
                let id = *id;
                if !self.window.1 {
                    self.holes.retain(|hole| hole.id != id);
                    let why = RefusalReason::Kernel;
                    return self.facts.push_back(Input::PinholeRefused { id, why });
                }
                for hole in self.holes.iter_mut().filter(|hole| hole.id == id) {
                    hole.open = true;
                }
                self.facts.push_back(Input::PinholeOpened { id });
            }
            Output::RelayInstead { id } => {
                let id = *id;
                // A connection that came is told before.
                assert!(self.holes.iter().any(|hole| hole.id == id && hole.open));
                self.facts.push_back(match self.window.1 {
                    true => {
                        self.forwarded = None;
                        Input::PinholeOpened { id }
                    }
                    false => {
                        self.holes.retain(|hole| hole.id != id);
                        let why = RefusalReason::Kernel;
                        Input::PinholeRefused { id, why }
                    }
                });
            }
            Output::ClosePinhole { id, .. } => self.holes.retain(|hole| hole.id != *id),
            Output::DialData { transfer, side, .. } => self.dials.push_back((*transfer, *side)),
            Output::StartRelay {
                transfer,
                direction,
                tls,
                bounds: _,
            } => {
                self.relay = Some((*transfer, *direction));
                self.tls = *tls;
            }
            Output::StartTls { with, .. } => self.handshake(*with),
            Output::StartDataTls { transfer, .. } => self.upstream_asked = Some(*transfer),
            Output::EndData { transfer, manner } => {
                if *manner == Manner::Linger {
                    return;
                }
                self.dials.retain(|(dialled, _)| dialled != transfer);
                if self.relay.take().is_some() {
                    let usage = Usage::nothing(Outcome::Aborted);
                    let transfer = *transfer;
                    self.facts
                        .push_back(Input::DataFinished { transfer, usage });
                }
            }
            Output::SeatUser { .. } => {
                self.facts.push_back(Input::UserSeated { granted: true });
            }
            Output::Ask { id, .. } => self.asked = Some(*id),
            Output::MoveUpstream { .. }
            | Output::DialUpstream
            | Output::Send { .. }
            | Output::GiveTickets { .. }
            | Output::Write(_)
            | Output::Close { .. } => {}
        }
    }

    fn consent(&mut self, which: u8) {
        let Some(id) = self.asked.take() else { return };
        let line = match which % 8 {
            0 | 1 => r#"{"answer":"allow"}"#,
            2 => r#"{"answer":"allow_session"}"#,
            3 => r#"{"answer":"deny","reply":"552 Not today."}"#,
            4 => r#"{"answer":"deny_session"}"#,
            5 => r#"{"answer":"allow","start_in":"/home"}"#,
            6 => "yes",
            _ => "",
        };
        let answer = match line {
            "" => Err(AskFault::ExitStatus),
            line => Ok(line.into()),
        };
        self.feed(Input::Answered { id, answer });
    }

    /// Plays on until the session is over: nobody says anything any more, and time passes.
    pub fn play_out(&mut self) {
        for _ in 0..200 {
            if self.session.is_over() {
                return;
            }
            match self.session.next_wake() {
                Some(_) => self.act(&Move::Wake),
                None => {
                    assert!(self.relay.is_some(), "no deadline and nothing that runs");
                    self.finish(Outcome::LingerOver);
                }
            }
        }
        panic!("the session never ends: {:?}", self.session);
    }

    /// The records, in order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.performed.iter().filter_map(|output| match output {
            Output::Write(record) => Some(record.as_ref()),
            _ => None,
        })
    }

    /// What a side was sent, one item for each sending.
    pub fn sent(&self, side: Side) -> impl Iterator<Item = &[u8]> {
        self.performed
            .iter()
            .filter_map(move |output| match output {
                Output::Send { to, bytes } if *to == side => Some(bytes.as_slice()),
                _ => None,
            })
    }
}
