//! The simulated upstream: an FTP server with a disk, one thread, and a personality.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use portcullis::ftp::address::{parse_eprt, parse_port};

pub type Disk = BTreeMap<String, Vec<u8>>;

/// In what ways servers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abor {
    /// 426 for the transfer and 226 for ABOR.
    Both,
    /// One answer for both.
    Single,
    /// 426, 226, and another 226 that nothing asked for.
    Surplus,
    /// 502 at once; the transfer's own final comes later.
    Refused,
}

/// One server's habits.
#[derive(Clone, Copy, Debug)]
pub struct Personality {
    pub name: &'static str,
    pub abor: Abor,
    pub epsv: bool,
    /// Says 150 only once the data connection is there (vsftpd), or before it (ProFTPD).
    pub connects_first: bool,
    /// Answers STAT and NOOP at once during a transfer.
    pub answers_early: bool,
    /// Names another host in its 227.
    pub lies: bool,
    /// Milliseconds before each reply.
    pub delay: u64,
    /// Hangs up instead of answering the command of this number.
    pub hangs_up: Option<u32>,
}

const PLAIN: Personality = Personality {
    name: "vsftpd-like",
    abor: Abor::Both,
    epsv: true,
    connects_first: true,
    answers_early: false,
    lies: false,
    delay: 0,
    hangs_up: None,
};

pub const PERSONALITIES: [Personality; 9] = [
    PLAIN,
    Personality {
        name: "proftpd-like",
        connects_first: false,
        ..PLAIN
    },
    Personality {
        name: "slow",
        delay: 3000,
        connects_first: false,
        ..PLAIN
    },
    Personality {
        name: "answers STAT early",
        answers_early: true,
        ..PLAIN
    },
    Personality {
        name: "one answer to ABOR",
        abor: Abor::Single,
        ..PLAIN
    },
    Personality {
        name: "one answer to ABOR too many",
        abor: Abor::Surplus,
        ..PLAIN
    },
    Personality {
        name: "refuses ABOR",
        abor: Abor::Refused,
        ..PLAIN
    },
    Personality {
        name: "without EPSV",
        epsv: false,
        connects_first: false,
        ..PLAIN
    },
    Personality {
        name: "lies about its address",
        lies: true,
        epsv: false,
        ..PLAIN
    },
];

/// What the server does.
#[derive(Debug)]
pub enum Act {
    Say(String),
    Listen(u16),
    Dial(SocketAddr),
    /// What it has to send on the data connection, and its end.
    Data(Vec<u8>),
    /// It closes its data socket, or stops listening.
    Shut,
    HangUp,
}

#[derive(Debug)]
struct Running {
    verb: String,
    name: String,
    from: usize,
    begun: bool,
}

pub struct Server {
    pub personality: Personality,
    pub disk: Disk,
    pub lines: Vec<String>,
    rest: usize,
    next_port: u16,
    passive: bool,
    active: Option<SocketAddr>,
    connected: bool,
    /// Counts data connections, so that the end of an old one is not taken for that of a new one.
    pub connections: u32,
    running: Option<Running>,
    /// An upload that was over before its command was heard.
    arrived: Option<(Vec<u8>, bool)>,
    waiting: VecDeque<String>,
    heard: u32,
}

impl Server {
    pub fn new(personality: Personality, disk: Disk) -> Server {
        Server {
            personality,
            disk,
            lines: Vec::new(),
            rest: 0,
            next_port: 50_000,
            passive: false,
            active: None,
            connected: false,
            connections: 0,
            running: None,
            arrived: None,
            waiting: VecDeque::new(),
            heard: 0,
        }
    }

    /// Hears a line; what can't be answered during a transfer waits.
    pub fn line(&mut self, line: &str) -> Vec<Act> {
        self.lines.push(line.to_owned());
        let early = matches!(line, "STAT" | "NOOP") && self.personality.answers_early;
        if self.running.is_some() && line != "ABOR" && !early {
            self.waiting.push_back(line.to_owned());
            return Vec::new();
        }
        self.obey(line)
    }

    fn obey(&mut self, line: &str) -> Vec<Act> {
        self.heard += 1;
        if self.personality.hangs_up == Some(self.heard) {
            return vec![Act::Shut, Act::HangUp];
        }
        let say = |text: &str| vec![Act::Say(text.to_owned())];
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "AUTH" => say("234 go on"),
            "PBSZ" | "PROT" => say("200 ok"),
            "USER" => say("331 password please"),
            "PASS" => say("230-welcome\r\n227 not an address (1,2,3,4,5,6)\r\n230 in"),
            "TYPE" | "NOOP" => say("200 ok"),
            "PWD" => say("257 \"/\" is here"),
            "STAT" => say("211 fine"),
            "DELE" => match self.disk.remove(argument) {
                Some(_) => say("250 gone"),
                None => say("550 no such file"),
            },
            "SIZE" => match self.disk.get(argument) {
                Some(content) => say(&format!("213 {}", content.len())),
                None => say("550 no such file"),
            },
            "REST" => {
                self.rest = argument.parse().unwrap_or(0);
                say("350 go on")
            }
            "EPSV" if self.personality.epsv => {
                let port = self.listen();
                vec![
                    Act::Listen(port),
                    Act::Say(format!("229 here (|||{port}|)")),
                ]
            }
            "PASV" => {
                let port = self.listen();
                let host = if self.personality.lies {
                    "192,0,2,66"
                } else {
                    "10,0,0,5"
                };
                let (high, low) = (port / 256, port % 256);
                vec![
                    Act::Listen(port),
                    Act::Say(format!("227 here ({host},{high},{low})")),
                ]
            }
            "PORT" | "EPRT" => {
                let told = match verb {
                    "PORT" => parse_port(argument.as_bytes()).map(SocketAddr::from),
                    _ => parse_eprt(argument.as_bytes()),
                };
                let mut acts = vec![Act::Shut];
                (self.passive, self.connected, self.active) = (false, false, told.ok());
                acts.extend(say("200 noted"));
                acts
            }
            "RETR" | "STOR" | "APPE" => self.begin(verb, argument),
            "ABOR" => self.abort(),
            "QUIT" => vec![Act::Say("221 bye".to_owned()), Act::HangUp],
            _ => say("502 what"),
        }
    }

    fn listen(&mut self) -> u16 {
        self.next_port += 1;
        (self.passive, self.connected, self.active) = (true, false, None);
        self.next_port
    }

    fn begin(&mut self, verb: &str, name: &str) -> Vec<Act> {
        if verb == "RETR" && !self.disk.contains_key(name) {
            self.rest = 0;
            return self.over("550 no such file");
        }
        let set_up = self.passive || self.active.is_some();
        if !set_up {
            return vec![Act::Say("425 use PASV or PORT".to_owned())];
        }
        self.running = Some(Running {
            verb: verb.to_owned(),
            name: name.to_owned(),
            from: std::mem::take(&mut self.rest),
            begun: false,
        });
        let mut acts = Vec::new();
        if let Some(to) = self.active {
            acts.push(Act::Dial(to));
        }
        if !self.personality.connects_first {
            acts.extend(self.mark());
        }
        acts.extend(self.flow());
        acts
    }

    fn mark(&mut self) -> Option<Act> {
        let running = self.running.as_mut().filter(|running| !running.begun)?;
        running.begun = true;
        Some(Act::Say("150 here it comes".to_owned()))
    }

    /// The data connection is there.
    pub fn connected(&mut self) -> Vec<Act> {
        self.connected = true;
        self.connections += 1;
        self.flow()
    }

    fn flow(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        if !self.connected {
            return acts;
        }
        acts.extend(self.mark());
        let Some(running) = &self.running else {
            return acts;
        };
        if running.verb == "RETR" {
            let content = self.disk.get(&running.name).cloned().unwrap_or_default();
            let from = running.from.min(content.len());
            acts.push(Act::Data(content[from..].to_vec()));
            // A small file is gone at once; of a large one the end has to be waited for.
            if self.personality.connects_first && content.len() % 2 == 0 {
                acts.extend(self.over("226 sent"));
            }
        } else if let Some((content, whole)) = self.arrived.take() {
            acts.extend(self.data_ended(&content, whole));
        }
        acts
    }

    /// The data connection ended: with all that came on it, or broken.
    pub fn data_ended(&mut self, content: &[u8], whole: bool) -> Vec<Act> {
        let Some(running) = &self.running else {
            self.arrived = self.connected.then(|| (content.to_vec(), whole));
            return Vec::new();
        };
        if running.verb == "RETR" {
            return match whole {
                true => self.over("226 sent"),
                false => self.over("426 cut off"),
            };
        }
        let file = self.disk.entry(running.name.clone()).or_default();
        let from = match running.verb.as_str() {
            "APPE" => file.len(),
            _ => running.from.min(file.len()),
        };
        file.truncate(from);
        file.extend_from_slice(content);
        self.over(if whole { "226 stored" } else { "426 cut off" })
    }

    fn over(&mut self, words: &str) -> Vec<Act> {
        let was_running = self.running.take().is_some();
        (self.passive, self.connected, self.active) = (false, false, None);
        let mut acts = vec![Act::Say(words.to_owned())];
        if !was_running || words.starts_with('4') || words.starts_with('5') {
            acts.push(Act::Shut);
        }
        while self.running.is_none()
            && let Some(line) = self.waiting.pop_front()
        {
            acts.extend(self.obey(&line));
        }
        acts
    }

    fn abort(&mut self) -> Vec<Act> {
        if self.running.is_none() {
            return vec![Act::Say("225 nothing to abort".to_owned())];
        }
        let extra = match self.personality.abor {
            Abor::Refused => return vec![Act::Say("502 no ABOR here".to_owned())],
            Abor::Single => "",
            Abor::Both => "226 ABOR done",
            Abor::Surplus => "226 ABOR done\r\n226 done again",
        };
        let mut acts = self.over("426 aborted");
        if !extra.is_empty() {
            acts.insert(1, Act::Say(extra.to_owned()));
        }
        acts
    }
}
