//! Watches a session from outside and asserts, at every output, what must hold whatever the peers do.
//!
//! It knows nothing of how the engine works: only what was told to it and what it asked for. The properties, the
//! simulator and the fuzz body share it.

#[path = "secured.rs"]
mod secured;
#[path = "sent.rs"]
mod sent;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use portcullis::engine::{
    Carried, Event, ForeignAddress, Input, Legs, Manner, Output, Pinhole, PinholeId, QuestionId,
    Record, SessionFacts, Settings, Side, TransferId, Volume,
};
use portcullis::ftp::LineFramer;

use self::secured::Secured;

/// What must never show in a record.
pub const SECRET: &str = "s3cret";

/// How far a pinhole has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stage {
    Asked,
    Reserved(SocketAddr),
    Opening(SocketAddr),
    Open(SocketAddr),
    Used(SocketAddr),
    /// The shell refused to open it after its record.
    Refused,
}

#[derive(Debug)]
struct Hole {
    transfer: TransferId,
    side: Side,
    stage: Stage,
    recorded: bool,
}

/// How often the states that matter were reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Transfers that ended well and that failed.
    pub completed: u32,
    pub failed: u32,
    /// ABOR sent upstream while a relay ran.
    pub aborted: u32,
    /// REST said again.
    pub resumed: u32,
    /// Relays by what the client's leg and the upstream's do: passive/passive, active/active, both await, both dial.
    pub rows: [u32; 4],
    /// Transfers that the kernel carried.
    pub forwarded: u32,
    /// Those of them that were relayed instead.
    pub taken_back: u32,
    pub opened: u32,
    pub denied: u32,
    /// Questions to whoever a rule names.
    pub asked: u32,
    pub over: u32,
    /// Handshakes of control connections, and those of any connection that failed.
    pub secured: u32,
    pub insecure: u32,
    /// Relays with a leg in TLS.
    pub private: u32,
}

/// The observer of one session.
pub struct Watch {
    facts: SessionFacts,
    settings: Arc<Settings>,
    gateway: Option<IpAddr>,
    upstream: Option<IpAddr>,
    forwardable: bool,
    /// The data connection that the kernel carries.
    forwarded: Option<TransferId>,
    /// The pinhole that is to be relayed instead.
    taken_back: Option<PinholeId>,
    holes: BTreeMap<PinholeId, Hole>,
    newest: Option<PinholeId>,
    /// Pinholes whose opening is in the journal and whose closing is not.
    journalled: BTreeSet<PinholeId>,
    /// Dials that were recorded, and whether they were begun.
    dials: BTreeMap<(TransferId, bool), bool>,
    relay: Option<TransferId>,
    closed: [bool; 2],
    session_recorded: bool,
    session_closed: bool,
    tls: Secured,
    /// The client has heard a 220.
    greeted: bool,
    client_rests: u32,
    client_lines: LineFramer,
    /// No reply may hold an address behind us: the upstream tells none but in negotiations.
    pub hides: bool,
    /// No record may hold [`SECRET`]: it is sent in no other place than where a password stands.
    pub secret: bool,
    /// The question that is not answered yet.
    asked: Option<QuestionId>,
    pub count: Count,
}

impl Watch {
    pub fn new(facts: &SessionFacts, settings: &Arc<Settings>) -> Watch {
        Watch {
            facts: facts.clone(),
            settings: Arc::clone(settings),
            gateway: None,
            upstream: None,
            forwardable: false,
            forwarded: None,
            taken_back: None,
            holes: BTreeMap::new(),
            newest: None,
            journalled: BTreeSet::new(),
            dials: BTreeMap::new(),
            relay: None,
            closed: [false; 2],
            session_recorded: false,
            session_closed: false,
            tls: Secured::new(settings),
            greeted: false,
            client_rests: 0,
            client_lines: LineFramer::new(1 << 20),
            hides: false,
            secret: true,
            asked: None,
            count: Count::default(),
        }
    }

    /// Notes a fact, before the session is told of it.
    pub fn told(&mut self, input: &Input<'_>) {
        self.tls.told(input);
        match input {
            Input::UpstreamConnected {
                gateway,
                upstream,
                forwardable,
                shut: _,
            } => {
                (self.gateway, self.upstream) = (Some(gateway.ip()), Some(upstream.ip()));
                self.forwardable = *forwardable;
            }
            Input::PinholeReserved { id, at } => self.move_on(*id, Stage::Reserved(*at)),
            Input::PinholeOpened { id } => {
                if let Some(Stage::Opening(at)) = self.holes.get(id).map(|hole| hole.stage) {
                    self.move_on(*id, Stage::Open(at));
                } else if self.taken_back.take() == Some(*id) {
                    self.forwarded = None;
                }
            }
            Input::PinholeUsed { id, .. } => {
                if let Some(Stage::Open(at)) = self.holes.get(id).map(|hole| hole.stage) {
                    self.move_on(*id, Stage::Used(at));
                }
            }
            Input::PinholeRefused { id, .. } => {
                match self.holes.get(id).map(|hole| hole.recorded) {
                    Some(true) => self.move_on(*id, Stage::Refused),
                    _ => drop(self.holes.remove(id)),
                }
            }
            Input::DataFinished { transfer, .. } if self.relay == Some(*transfer) => {
                self.relay = None;
            }
            Input::Received {
                from: Side::Client,
                bytes,
            } => {
                self.client_lines.push(bytes);
                while let Some(Ok(line)) = self.client_lines.next_line() {
                    let rest = line.bytes.get(..4).unwrap_or_default();
                    self.client_rests += u32::from(rest.eq_ignore_ascii_case(b"REST"));
                }
            }
            _ => {}
        }
    }

    fn move_on(&mut self, id: PinholeId, stage: Stage) {
        if let Some(hole) = self.holes.get_mut(&id) {
            hole.stage = stage;
        }
    }

    /// Judges an output that is performed now; a refused record and what follows it are not.
    pub fn asked(&mut self, output: &Output) {
        self.tls.asked(output);
        match output {
            Output::DialUpstream => {
                assert!(self.session_recorded, "a dial before the session's record");
            }
            Output::Send { to, bytes } => {
                assert!(
                    !self.closed[usize::from(*to == Side::Client)],
                    "bytes behind a close"
                );
                match to {
                    Side::Client => self.reply(bytes),
                    Side::Upstream => self.command(bytes),
                }
            }
            Output::ReservePinhole { id, pinhole } => {
                assert!(self.newest < Some(*id), "a pinhole's number used again");
                self.newest = Some(*id);
                let others = self.holes.values().map(|hole| hole.transfer);
                assert!(
                    others.clone().all(|other| other == pinhole.transfer),
                    "pinholes of two transfers"
                );
                assert!(
                    self.holes.values().all(|hole| hole.side != pinhole.side),
                    "two pinholes for one side"
                );
                let peer = match pinhole.side {
                    Side::Client => Some(self.facts.client.ip()),
                    Side::Upstream => self.upstream,
                };
                assert!(
                    peer.is_some_and(|peer| pinhole.from.contains(&peer)),
                    "a pinhole for a stranger"
                );
                if pinhole.carried == Carried::Forwarded {
                    self.forwards(pinhole);
                }
                let hole = Hole {
                    transfer: pinhole.transfer,
                    side: pinhole.side,
                    stage: Stage::Asked,
                    recorded: false,
                };
                self.holes.insert(*id, hole);
            }
            Output::OpenPinhole { id } => {
                let hole = self
                    .holes
                    .get_mut(id)
                    .expect("a pinhole that was asked for");
                assert!(hole.recorded, "a pinhole opens before its record");
                let Stage::Reserved(at) = hole.stage else {
                    panic!("opened in stage {:?}", hole.stage)
                };
                hole.stage = Stage::Opening(at);
            }
            Output::RelayInstead { id } => {
                let hole = self.holes.get(id).expect("a pinhole that is there");
                assert!(
                    matches!(hole.stage, Stage::Open(_)),
                    "taken back in stage {:?}",
                    hole.stage
                );
                assert_eq!(
                    self.forwarded,
                    Some(hole.transfer),
                    "taken back from nobody"
                );
                self.taken_back = Some(*id);
                self.count.taken_back += 1;
            }
            Output::ClosePinhole { id, .. } => {
                assert!(
                    self.holes.remove(id).is_some(),
                    "closed twice, or never opened"
                );
            }
            Output::DialData {
                transfer, side, to, ..
            } => {
                assert_ne!(
                    self.forwarded,
                    Some(*transfer),
                    "the kernel dials, and so do we"
                );
                let key = (*transfer, *side == Side::Client);
                assert_eq!(
                    self.dials.insert(key, true),
                    Some(false),
                    "a leg dialled twice, or before its record"
                );
                self.address(*side, *to);
            }
            Output::StartRelay { transfer, tls, .. } => {
                self.count.private += u32::from(*tls != Legs::default());
                assert_eq!(self.relay.replace(*transfer), None, "two transfers at once");
                let awaits = |side| self.holes.values().any(|hole| hole.side == side);
                let row = match (awaits(Side::Client), awaits(Side::Upstream)) {
                    (true, false) => 0,
                    (false, true) => 1,
                    (true, true) => 2,
                    (false, false) => 3,
                };
                self.count.rows[row] += 1;
                self.count.forwarded += u32::from(self.forwarded == Some(*transfer));
            }
            Output::EndData { transfer, manner } => {
                let linger = *manner == Manner::Linger;
                assert!(
                    self.relay == Some(*transfer) || !linger,
                    "nothing to linger for"
                );
            }
            Output::Write(record) => self.record(record),
            Output::Ask { id, question, .. } => {
                assert_eq!(self.asked, None, "two questions at once");
                assert!(
                    question.ends_with(b"\n") && !question[..question.len() - 1].contains(&b'\n')
                );
                let told = String::from_utf8_lossy(question).contains(SECRET);
                assert!(!(self.secret && told), "a password in a question");
                self.asked = Some(*id);
                self.count.asked += 1;
            }
            Output::MoveUpstream { .. } => panic!("there is no other upstream"),
            Output::StartTls { .. } => {
                assert!(self.session_recorded, "TLS before the session's record");
                self.count.secured += 1;
            }
            // Judged with the rest of TLS.
            Output::GiveTickets { .. } => {}
            Output::StartDataTls { transfer, .. } => {
                assert_eq!(self.relay, Some(*transfer), "no relay to protect");
            }
            Output::SeatUser { .. } => {}
            Output::Close { side } => {
                let closed = &mut self.closed[usize::from(*side == Side::Client)];
                assert!(!std::mem::replace(closed, true), "a side closed twice");
            }
        }
    }

    /// A data connection that the kernel is to carry: nobody but the two peers, one of each, in one address family.
    fn forwards(&mut self, pinhole: &Pinhole) {
        assert!(self.forwardable, "forwarded without a firewall");
        let to = pinhole.leads_to.expect("forwarded to nowhere");
        let (peer, other, ours) = match pinhole.side {
            Side::Client => (Some(self.facts.client.ip()), self.upstream, self.gateway),
            Side::Upstream => (
                self.upstream,
                Some(self.facts.client.ip()),
                Some(self.facts.target.ip()),
            ),
        };
        assert_eq!(Some(to.ip()), other, "forwarded to a stranger");
        assert_eq!(
            Some(pinhole.from),
            peer.map(IpNet::from),
            "more than one peer"
        );
        assert_eq!(pinhole.source.map(|source| source.ip()), ours);
        assert_eq!(
            to.is_ipv4(),
            pinhole.at.is_ipv4(),
            "forwarded between families"
        );
        assert!(to.port() >= 1024, "a port below 1024: {to}");
        self.forwarded = Some(pinhole.transfer);
    }

    /// A record tells payload of what we carried, and packets of what the kernel did.
    fn volume(&self, transfer: TransferId, volume: Volume) {
        let forwarded = self.forwarded == Some(transfer);
        let payload = matches!(volume, Volume::Payload { .. });
        assert_ne!(forwarded, payload, "{volume:?} of transfer {transfer}");
    }

    /// An address that is dialled: the port may be a peer's choice, the host never is.
    fn address(&self, side: Side, to: SocketAddr) {
        let (peer, foreign) = match side {
            Side::Client => (
                Some(self.facts.client.ip()),
                &self.settings.client_foreign_address,
            ),
            Side::Upstream => (self.upstream, &self.settings.upstream_foreign_address),
        };
        let own = peer == Some(to.ip());
        let allowed = match foreign {
            ForeignAddress::Allow(networks) => networks.iter().any(|net| net.contains(&to.ip())),
            ForeignAddress::Refuse | ForeignAddress::Ignore => false,
        };
        assert!(own || allowed, "{to} is dialled, which is not the {side}");
        assert!(to.port() >= 1024, "a port below 1024 is dialled: {to}");
    }

    fn open_at(&self, side: Side) -> Option<SocketAddr> {
        let mut holes = self.holes.values().filter(|hole| hole.side == side);
        match holes.next()?.stage {
            Stage::Open(at) => Some(at),
            _ => None,
        }
    }

    fn record(&mut self, record: &Record) {
        let shown = format!("{:?}", record.event);
        let told = self.secret && shown.contains(SECRET);
        assert!(!told, "a password in a record: {shown}");
        match &record.event {
            Event::SessionOpened { .. } => self.session_recorded = true,
            Event::SessionClosed { .. } => {
                self.session_closed = true;
                self.count.over += 1;
            }
            Event::PinholeOpened { hole, .. } => {
                assert!(self.journalled.insert(hole.pinhole), "recorded twice");
                self.holes
                    .get_mut(&hole.pinhole)
                    .expect("asked for")
                    .recorded = true;
                self.count.opened += 1;
            }
            Event::PinholeClosed { hole, volume, .. } => {
                self.volume(hole.transfer, *volume);
                assert!(
                    self.journalled.remove(&hole.pinhole),
                    "closed in the journal without opening"
                );
                assert!(
                    !self.holes.contains_key(&hole.pinhole),
                    "recorded as closed before it is"
                );
            }
            Event::DataDialled { transfer, side, .. } => {
                let key = (*transfer, *side == Side::Client);
                assert_eq!(self.dials.insert(key, false), None, "a dial recorded twice");
            }
            Event::TransferCompleted { transfer, .. } => {
                self.volume(transfer.transfer, transfer.volume);
                self.count.completed += 1;
            }
            Event::TlsFailed { .. } => self.count.insecure += 1,
            Event::TransferFailed { transfer, .. } => {
                self.volume(transfer.transfer, transfer.volume);
                self.count.failed += 1;
            }
            Event::CommandDenied { .. } => self.count.denied += 1,
            Event::AskAnswered { .. } | Event::AskFailed { .. } => self.asked = None,
            _ => {}
        }
    }

    /// Nothing outlives the session.
    pub fn ended(&self) {
        assert!(self.session_closed, "no record of the session's end");
        assert_eq!(self.closed, [true, true], "a side left open");
        assert!(
            self.holes.is_empty(),
            "pinholes outlive the session: {:?}",
            self.holes
        );
        assert!(
            self.journalled.is_empty(),
            "no closing record: {:?}",
            self.journalled
        );
        assert_eq!(self.relay, None, "a relay outlives the session");
    }
}
