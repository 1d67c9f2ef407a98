//! The simulated network and the shell: latency, chunks, data connections, pinholes; no real time.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::engine::{
    Carried, Input, Manner, Outcome, Output, PinholeId, Session, SessionFacts, Settings, Side,
    Time, TlsMode, TransferId, Wall,
};

use super::client::{Client, Deed};
use super::data::Data;
use super::dice::Dice;
use super::server::{Act, Server};
use crate::stage::{GATEWAY, UPSTREAM};
use crate::watch::Watch;
use crate::words::tls_facts;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    ClientToGateway,
    GatewayToClient,
    GatewayToServer,
    ServerToGateway,
}

#[derive(Debug)]
pub(super) enum Event {
    Arrives(Wire, Vec<u8>),
    HungUp(Wire),
    UpstreamUp,
    /// A dial of ours is answered.
    Answered(TransferId, Side, SocketAddr),
    /// A peer's dial reaches one of our addresses.
    Dialled(Side, SocketAddr),
    Carried(TransferId),
    /// The handshake with the server is over.
    Secured,
    /// The server sees that this data connection of its ended: with all of it, or broken.
    Noticed(u32, Vec<u8>, bool),
    /// The linger time of a relay is over.
    Lingered(TransferId),
    Wake,
    Awake,
}

#[derive(Debug)]
struct Hole {
    id: PinholeId,
    side: Side,
    at: SocketAddr,
    open: bool,
}

pub struct World {
    pub(super) dice: Dice,
    pub(super) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    order: u64,
    /// When the last thing sent on each wire arrives.
    last: [u64; 4],
    latency: u64,
    pub session: Session,
    pub watch: Watch,
    pub(super) facts: VecDeque<Input<'static>>,
    holes: Vec<Hole>,
    next_port: u16,
    pub(super) data: Data,
    pub(super) server_listens: Option<u16>,
    /// The kernel can carry data connections.
    forwardable: bool,
    server_line: Vec<u8>,
    pub client: Client,
    pub server: Server,
    target: SocketAddr,
    /// The server is spoken to in TLS.
    pub secures_upstream: bool,
    pub log: Vec<String>,
}

impl World {
    pub fn new(
        dice: Dice,
        facts: SessionFacts,
        settings: Settings,
        client: Client,
        server: Server,
    ) -> World {
        let settings = Arc::new(settings);
        let mut world = World {
            dice,
            now: 0,
            queue: BTreeMap::new(),
            order: 0,
            last: [0; 4],
            latency: 0,
            watch: Watch::new(&facts, &settings),
            target: facts.target,
            secures_upstream: settings.upstream_tls.mode != TlsMode::None,
            session: Session::new(facts, settings),
            facts: VecDeque::new(),
            holes: Vec::new(),
            next_port: 21_000,
            data: Data::default(),
            server_listens: None,
            forwardable: false,
            server_line: Vec::new(),
            client,
            server,
            log: Vec::new(),
        };
        world.latency = 1 + world.dice.below(200_000);
        world.forwardable = world.dice.one_in(2);
        world.watch.hides = true;
        world
    }

    /// Runs until the client sees its connection closed and nothing is under way.
    pub fn run(&mut self) {
        self.tell(Input::ClientArrived);
        for _ in 0..20_000 {
            let Some(((at, _), event)) = self.queue.pop_first() else {
                break;
            };
            self.now = self.now.max(at);
            self.happen(event);
            if self.session.is_over() && self.client.closed {
                return;
            }
        }
        panic!(
            "nothing happens any more, and the session is not over: {:?}",
            self.session
        );
    }

    pub(super) fn after(&mut self, delay: u64, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + delay, self.order), event);
    }

    pub(super) fn jitter(&mut self) -> u64 {
        let most = self.latency;
        self.dice.below(most)
    }

    /// Puts bytes on a wire in chunks of any size; they arrive in order.
    fn send(&mut self, wire: Wire, bytes: &[u8], delay: u64) {
        let mut rest = bytes;
        let mut at = self.last[wire as usize].max(self.now) + delay * 1000;
        while !rest.is_empty() {
            let most = if self.dice.one_in(4) { 3 } else { 4096 };
            let length = (1 + self.dice.below(most) as usize).min(rest.len());
            let (chunk, behind) = rest.split_at(length);
            rest = behind;
            at += self.jitter();
            self.after(at - self.now, Event::Arrives(wire, chunk.to_vec()));
        }
        self.last[wire as usize] = at;
    }

    fn hang_up(&mut self, wire: Wire) {
        let delay = (self.last[wire as usize].max(self.now) - self.now) + 1;
        self.after(delay, Event::HungUp(wire));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(Wire::ClientToGateway, bytes) => self.arrives(Side::Client, bytes),
            Event::Arrives(Wire::ServerToGateway, bytes) => self.arrives(Side::Upstream, bytes),
            Event::Arrives(Wire::GatewayToClient, bytes) => {
                let deeds = self.client.heard(&bytes);
                self.client_does(deeds);
            }
            Event::Arrives(Wire::GatewayToServer, bytes) => {
                self.server_line.extend(bytes);
                while let Some(end) = self.server_line.windows(2).position(|two| two == b"\r\n") {
                    let line: Vec<u8> = self.server_line.drain(..end + 2).collect();
                    let line = String::from_utf8(line[..end].to_vec()).expect("text");
                    let acts = self.server.line(&line);
                    self.server_does(acts);
                }
            }
            Event::HungUp(Wire::GatewayToClient) => self.client.closed = true,
            Event::HungUp(Wire::ServerToGateway) => self.tell(Input::Closed { by: Side::Upstream }),
            Event::HungUp(_) => {}
            Event::UpstreamUp => {
                self.tell(Input::UpstreamConnected {
                    gateway: GATEWAY.parse().expect("constant"),
                    upstream: UPSTREAM.parse().expect("constant"),
                    forwardable: self.forwardable,
                    shut: None,
                });
                self.send(
                    Wire::ServerToGateway,
                    b"220-hello\r\n 220 not yet\r\n220 ready\r\n",
                    0,
                );
            }
            Event::Answered(transfer, side, to) => self.answered(transfer, side, to),
            Event::Dialled(side, to) => {
                let open = self
                    .holes
                    .iter_mut()
                    .find(|hole| hole.open && hole.at == to);
                let Some(hole) = open.filter(|hole| hole.side == side) else {
                    return;
                };
                hole.open = false;
                let id = hole.id;
                self.log.push(format!("{} {side} comes to {to}", self.now));
                self.tell(Input::PinholeUsed { id, peer: to });
                self.joined(side);
                self.kernel_dials(!side);
            }
            Event::Carried(transfer) => self.carried(transfer),
            Event::Secured => self.tell(secured(Side::Upstream)),
            Event::Noticed(connection, content, whole) => {
                if connection == self.server.connections {
                    let acts = self.server.data_ended(&content, whole);
                    self.server_does(acts);
                }
            }
            Event::Lingered(transfer) => self.lingered(transfer),
            Event::Wake => {
                let now = Duration::from_micros(self.now);
                if self.session.next_wake().is_some_and(|wake| wake.at <= now) {
                    self.tell(Input::TimePassed);
                    let next = self.session.next_wake();
                    assert!(
                        next.is_none_or(|wake| wake.at > now),
                        "no progress: {next:?}"
                    );
                }
            }
            Event::Awake => {
                let deeds = self.client.go_on();
                self.client_does(deeds);
            }
        }
        self.carry();
    }

    fn arrives(&mut self, from: Side, bytes: Vec<u8>) {
        if !self.session.is_over() {
            self.tell(Input::Received {
                from,
                bytes: &bytes,
            });
        }
    }

    pub(super) fn client_does(&mut self, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Say(line) => {
                    self.log.push(format!("{} C: {line:?}", self.now));
                    self.send(Wire::ClientToGateway, format!("{line}\r\n").as_bytes(), 0);
                }
                Deed::Dial(to) => {
                    let delay = self.jitter();
                    self.after(delay, Event::Dialled(Side::Client, to));
                }
                Deed::Data(content) => self.data.offered[Side::Client as usize] = Some(content),
                Deed::Sleep(time) => self.after(time, Event::Awake),
            }
        }
    }

    pub(super) fn server_does(&mut self, acts: Vec<Act>) {
        let delay = self.server.personality.delay;
        for act in acts {
            match act {
                Act::Say(text) => {
                    self.log.push(format!("{} U: {text:?}", self.now));
                    let text = format!("{text}\r\n");
                    self.send(Wire::ServerToGateway, text.as_bytes(), delay);
                }
                Act::Listen(port) => self.server_listens = Some(port),
                Act::Dial(to) => {
                    let delay = self.jitter();
                    self.after(delay, Event::Dialled(Side::Upstream, to));
                }
                Act::Data(content) => self.data.offered[Side::Upstream as usize] = Some(content),
                Act::Shut => {
                    self.server_listens = None;
                    if self.data.offered[Side::Upstream as usize].is_none() {
                        self.break_off(Outcome::Broken {
                            side: Side::Upstream,
                        });
                    }
                }
                Act::HangUp => self.hang_up(Wire::ServerToGateway),
            }
        }
    }

    /// Hands one fact in, performs what comes out, and hands in the facts that follow at once.
    pub(super) fn tell(&mut self, input: Input<'_>) {
        self.give(input);
        self.tell_rest();
    }

    pub(super) fn tell_rest(&mut self) {
        while let Some(fact) = self.facts.pop_front() {
            self.give(fact);
        }
        if let Some(wake) = self.session.next_wake() {
            let at = u64::try_from(wake.at.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
            let delay = at.saturating_sub(self.now);
            self.after(delay, Event::Wake);
        }
        if self.session.is_over() {
            self.watch.ended();
        }
    }

    fn give(&mut self, input: Input<'_>) {
        let time = Time {
            mono: Duration::from_micros(self.now),
            wall: Wall(1_795_000_000_000_000 + self.now),
        };
        self.watch.told(&input);
        for output in self.session.handle(time, input) {
            self.watch.asked(&output);
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::DialUpstream => {
                let delay = self.jitter();
                self.after(delay, Event::UpstreamUp);
            }
            Output::Send { to, bytes } => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.log.push(format!("{} to {to}: {text:?}", self.now));
                let wire = match to {
                    Side::Client => Wire::GatewayToClient,
                    Side::Upstream => Wire::GatewayToServer,
                };
                self.send(wire, &bytes, 0);
            }
            Output::ReservePinhole { id, pinhole } => {
                self.data = Data::default();
                self.data.kernel = pinhole
                    .leads_to
                    .filter(|_| pinhole.carried == Carried::Forwarded);
                self.next_port += 1;
                let ip = match pinhole.side {
                    Side::Client => self.target.ip(),
                    Side::Upstream => pinhole.at,
                };
                let (side, at) = (pinhole.side, SocketAddr::new(ip, self.next_port));
                self.holes.push(Hole {
                    id,
                    side,
                    at,
                    open: false,
                });
                self.facts.push_back(Input::PinholeReserved { id, at });
            }
            Output::OpenPinhole { id } => {
                for hole in self.holes.iter_mut().filter(|hole| hole.id == id) {
                    hole.open = true;
                }
                self.facts.push_back(Input::PinholeOpened { id });
            }
            Output::RelayInstead { id } => {
                self.log
                    .push(format!("{} pinhole {id} is relayed instead", self.now));
                self.data.kernel = None;
                self.facts.push_back(Input::PinholeOpened { id });
            }
            Output::ClosePinhole { id, reason } => {
                self.log
                    .push(format!("{} pinhole {id} closed: {reason:?}", self.now));
                self.holes.retain(|hole| hole.id != id);
            }
            Output::DialData {
                transfer, side, to, ..
            } => {
                let delay = self.jitter();
                self.after(delay, Event::Answered(transfer, side, to));
            }
            Output::StartRelay {
                transfer,
                direction,
                tls,
                bounds: _,
            } => {
                self.data.tls = tls;
                self.data.relay = Some((transfer, direction));
                self.data.scheduled = false;
            }
            // The client waits for the 234, which arrives later; the upstream's handshake takes its time.
            Output::StartTls {
                with: Side::Client, ..
            } => self.facts.push_back(secured(Side::Client)),
            Output::StartTls {
                with: Side::Upstream,
                ..
            } => {
                let delay = self.jitter() * 3;
                self.after(delay, Event::Secured);
            }
            Output::GiveTickets { .. } => {}
            Output::StartDataTls { .. } => {
                self.data.begun = true;
                self.carry();
            }
            Output::EndData {
                transfer,
                manner: Manner::Linger,
            } => {
                self.data.lingers = true;
                match self.data.over.take() {
                    Some(usage) => self
                        .facts
                        .push_back(Input::DataFinished { transfer, usage }),
                    None => self.after(10_000_000, Event::Lingered(transfer)),
                }
            }
            Output::EndData { transfer, .. } => {
                if let Some(usage) = self.data.over.take() {
                    self.facts
                        .push_back(Input::DataFinished { transfer, usage });
                } else if let Some((transfer, usage)) = self.cut() {
                    self.facts
                        .push_back(Input::DataFinished { transfer, usage });
                }
            }
            Output::Ask { .. } | Output::MoveUpstream { .. } => {
                panic!("no rule of the simulation asks")
            }
            Output::Write(record) => {
                if record.gates_effect() {
                    self.facts.push_back(Input::RecordAccepted);
                }
            }
            Output::SeatUser { .. } => {
                self.facts.push_back(Input::UserSeated { granted: true });
            }
            Output::Close { side } => match side {
                Side::Client => self.hang_up(Wire::GatewayToClient),
                Side::Upstream => {}
            },
        }
    }

    /// Pinholes that are reserved, open or used and not closed.
    pub fn holes(&self) -> usize {
        self.holes.len()
    }
}

fn secured(with: Side) -> Input<'static> {
    let facts = tls_facts(&[]).expect("words");
    Input::TlsEstablished { with, facts }
}
