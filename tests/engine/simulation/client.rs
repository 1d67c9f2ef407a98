//! The simulated client: one step of its script after the other, and what it sees.

use std::collections::VecDeque;
use std::net::SocketAddr;

use portcullis::ftp::address::{eprt_argument, parse_227, parse_229, port_argument};
use portcullis::ftp::{LineFramer, Reply, ReplyAssembler};

use super::script::{Dials, Mode, Plan, Step};

/// What came of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Final replies, in order, as text.
    pub finals: Vec<String>,
    /// Preliminary replies.
    pub marks: u32,
    /// What came on a data connection, and whether it ended well.
    pub content: Option<(Vec<u8>, bool)>,
}

/// What the client does.
#[derive(Debug)]
pub enum Deed {
    Say(String),
    Dial(SocketAddr),
    /// What it has to send on the data connection, and its end.
    Data(Vec<u8>),
    Sleep(u64),
}

#[derive(Clone, Debug)]
enum Part {
    Greeting,
    Lines(Vec<&'static str>),
    Line(String),
    Negotiate(Mode),
    Verb(Plan),
    Sleep,
}

pub struct Client {
    address: SocketAddr,
    target: SocketAddr,
    steps: VecDeque<Step>,
    parts: VecDeque<Part>,
    current: Option<Plan>,
    /// Replies that are owed.
    owed: usize,
    passive_at: Option<SocketAddr>,
    pub listens: Option<SocketAddr>,
    /// All was answered, and what the server sent has not come yet.
    awaits_data: bool,
    next_port: u16,
    framer: LineFramer,
    assembler: ReplyAssembler,
    /// One for each step begun.
    pub views: Vec<View>,
    pub closed: bool,
}

impl Client {
    pub fn new(address: SocketAddr, target: SocketAddr, steps: Vec<Step>) -> Client {
        Client {
            address,
            target,
            steps: steps.into(),
            parts: VecDeque::from([Part::Greeting]),
            current: None,
            owed: 1,
            passive_at: None,
            listens: None,
            awaits_data: false,
            next_port: 41_000,
            framer: LineFramer::new(4096),
            assembler: ReplyAssembler::new(65536, 1000),
            views: vec![View::default()],
            closed: false,
        }
    }

    fn view(&mut self) -> &mut View {
        self.views.last_mut().expect("never empty")
    }

    /// Bytes on the control connection.
    pub fn heard(&mut self, bytes: &[u8]) -> Vec<Deed> {
        self.framer.push(bytes);
        let mut deeds = Vec::new();
        while let Some(line) = self.framer.next_line() {
            let line = line.expect("a bounded line");
            if let Some(reply) = self.assembler.push(line).expect("a reply") {
                deeds.extend(self.reply(&reply));
            }
        }
        deeds
    }

    fn reply(&mut self, reply: &Reply) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if reply.is_preliminary() {
            self.view().marks += 1;
            if let (1, Some(plan)) = (self.view().marks, self.current.clone()) {
                if plan.dials == Dials::After150 {
                    deeds.extend(self.passive_at.take().map(Deed::Dial));
                }
                if let Some(line) = plan.meanwhile {
                    self.owed += 1;
                    deeds.push(Deed::Say(line.to_owned()));
                }
            }
            return deeds;
        }
        let text = String::from_utf8_lossy(reply.final_line()).into_owned();
        self.view().finals.push(text);
        assert!(self.owed > 0, "a reply that nothing asked for: {reply}");
        self.owed -= 1;
        match reply.code().get() {
            227 => self.passive_at = parse_227(reply.final_text()).ok().map(SocketAddr::from),
            229 => {
                let port = parse_229(reply.final_text()).expect("a port");
                self.passive_at = Some(SocketAddr::new(self.target.ip(), port));
            }
            421 => self.steps.clear(),
            _ => {}
        }
        if self.owed == 0 {
            // What the kernel carries may come after the reply.
            let view = self.view();
            let sent = view
                .finals
                .iter()
                .any(|reply| reply.starts_with("226 sent"));
            self.awaits_data = sent && view.content.is_none();
            if !self.awaits_data {
                deeds.extend(self.go_on());
            }
        }
        deeds
    }

    /// Begins the next part, and with the last one the next step.
    pub fn go_on(&mut self) -> Vec<Deed> {
        self.current = None;
        if self.parts.is_empty() {
            let Some(step) = self.steps.pop_front() else {
                return Vec::new();
            };
            self.views.push(View::default());
            self.parts = parts_of(step);
        }
        match self.parts.pop_front() {
            None => Vec::new(),
            Some(Part::Greeting) => self.go_on(),
            Some(Part::Sleep) => vec![Deed::Sleep(35_000_000)],
            Some(Part::Lines(lines)) => {
                self.owed = lines.len();
                vec![Deed::Say(lines.join("\r\n"))]
            }
            Some(Part::Line(line)) => {
                self.owed = 1;
                vec![Deed::Say(line)]
            }
            Some(Part::Negotiate(mode)) => {
                self.owed = 1;
                self.next_port += 1;
                let own = SocketAddr::new(self.address.ip(), self.next_port);
                (self.listens, self.passive_at) = (None, None);
                vec![Deed::Say(match (mode, own) {
                    (Mode::Pasv, _) => "PASV".to_owned(),
                    (Mode::Epsv, _) => "EPSV".to_owned(),
                    (Mode::Port, SocketAddr::V4(v4)) => {
                        self.listens = Some(own);
                        format!("PORT {}", port_argument(v4))
                    }
                    (Mode::Port | Mode::Eprt, _) => {
                        self.listens = Some(own);
                        format!("EPRT {}", eprt_argument(own))
                    }
                })]
            }
            Some(Part::Verb(plan)) => {
                self.owed = 1;
                let mut deeds = Vec::new();
                if plan.dials == Dials::BeforeCommand {
                    deeds.extend(self.passive_at.take().map(Deed::Dial));
                }
                deeds.push(Deed::Say(format!("{} {}", plan.verb, plan.name)));
                if plan.dials == Dials::WithCommand {
                    deeds.extend(self.passive_at.take().map(Deed::Dial));
                }
                if plan.verb != "RETR" {
                    deeds.push(Deed::Data(plan.content.clone()));
                }
                self.current = Some(plan);
                deeds
            }
        }
    }

    /// What came on the data connection.
    pub fn received(&mut self, content: Vec<u8>, whole: bool) -> Vec<Deed> {
        let before = self.view().content.replace((content, whole));
        assert_eq!(before, None, "two data connections in one step");
        match std::mem::take(&mut self.awaits_data) {
            true => self.go_on(),
            false => Vec::new(),
        }
    }
}

fn parts_of(step: Step) -> VecDeque<Part> {
    let mut parts = VecDeque::new();
    match step {
        Step::Lines(lines) => parts.push_back(Part::Lines(lines)),
        Step::Lapse(mode) => {
            parts.extend([
                Part::Negotiate(mode),
                Part::Sleep,
                Part::Line("RETR one".to_owned()),
            ]);
        }
        Step::Transfer(plan) => {
            let rest = |before| {
                let (offset, _) = plan.rest.filter(|(_, first)| *first == before)?;
                Some(Part::Line(format!("REST {offset}")))
            };
            parts.extend(rest(true));
            parts.push_back(Part::Negotiate(plan.mode));
            parts.extend(rest(false));
            parts.push_back(Part::Verb(plan));
        }
    }
    parts
}
