//! Lives of pinholes, put together from lines.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use memchr::memmem;
use serde::Deserialize;

use crate::engine::Wall;

use super::PinholeQuery;

/// Most pinholes that are followed at once.
const MOST_OPEN: usize = 100_000;

/// What is known of one pinhole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    pub pinhole: String,
    pub client: String,
    pub user: String,
    pub command: String,
    pub side: String,
    pub at: String,
    pub leads_to: String,
    pub opened: Wall,
    pub used: Option<Wall>,
    /// Up and down; none while it is open, and where the kernel carried and did not tell.
    pub bytes: Option<Bytes>,
    pub end: Option<End>,
    /// Orders those that are open.
    number: u64,
}

/// How much went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// Data that the gateway carried.
    Data { up: u64, down: u64 },
    /// Whole packets that the kernel carried.
    Wire { up: u64, down: u64 },
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub at: Wall,
    pub reason: String,
}

impl Life {
    /// Tells whether it is among what is asked for.
    pub(super) fn answers(&self, query: &PinholeQuery) -> bool {
        let open = self.end.is_none();
        let ended = self.end.as_ref().map_or(Wall(u64::MAX), |end| end.at);
        let client = query.client.is_none_or(|wanted| {
            network(&self.client)
                .is_some_and(|client| wanted.contains(&client) || client.contains(&wanted))
        });
        (open || !query.open) && query.since.is_none_or(|since| ended >= since) && client
    }
}

/// Reads a client, which is a network where the journal cuts addresses.
fn network(client: &str) -> Option<IpNet> {
    client
        .parse()
        .ok()
        .or_else(|| client.parse().ok().map(|address: IpAddr| address.into()))
}

/// One line, as far as it matters here; unknown fields are passed over.
#[derive(Debug, Deserialize)]
struct Line {
    time: Stamp,
    event: String,
    #[serde(default)]
    client: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    pinhole: String,
    #[serde(default)]
    side: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    leads_to: String,
    #[serde(default)]
    command: String,
    opened: Option<Stamp>,
    used: Option<Stamp>,
    bytes_up: Option<u64>,
    bytes_down: Option<u64>,
    wire_bytes_up: Option<u64>,
    wire_bytes_down: Option<u64>,
    #[serde(default)]
    reason: String,
}

/// A time as it stands in a line.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Stamp(Wall);

impl TryFrom<String> for Stamp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time: jiff::Timestamp = text.parse().map_err(|_| format!("{text:?} is no time"))?;
        let micros = u64::try_from(time.as_microsecond()).unwrap_or(0);
        Ok(Stamp(Wall(micros)))
    }
}

/// A line that is no record.
#[derive(Debug)]
pub(super) struct Unreadable;

/// The pinholes that are open.
#[derive(Debug)]
pub(super) struct Lives {
    open: HashMap<String, Life>,
    count: u64,
    untracked: u64,
    /// Whether a life is shown when it begins, too.
    beginnings: bool,
}

impl Lives {
    /// Begins with none.
    pub(super) fn new(beginnings: bool) -> Self {
        Lives {
            open: HashMap::new(),
            count: 0,
            untracked: 0,
            beginnings,
        }
    }

    /// Takes a line; gives the lives that are to be shown because of it.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Vec<Life>, Unreadable> {
        let line = line.trim_ascii();
        if !(line.starts_with(b"{") && line.ends_with(b"}")) {
            return Err(Unreadable);
        }
        // Most lines are about something else, and parsing is what costs.
        if memmem::find(line, b"pinhole.").is_none()
            && memmem::find(line, b"gateway.started").is_none()
        {
            return Ok(Vec::new());
        }
        let line: Line = serde_json::from_slice(line).map_err(|_| Unreadable)?;
        Ok(match line.event.as_str() {
            "pinhole.opened" => self.opened(line),
            "pinhole.used" => {
                if let Some(life) = self.open.get_mut(&line.pinhole) {
                    life.used = Some(line.time.0);
                }
                Vec::new()
            }
            "pinhole.closed" => vec![self.closed(line)],
            "gateway.started" => self.ended_with_the_gateway(line.time.0),
            _ => Vec::new(),
        })
    }

    fn opened(&mut self, line: Line) -> Vec<Life> {
        let life = Life {
            opened: line.time.0,
            number: self.count,
            ..life(line)
        };
        self.count += 1;
        if self.open.len() < MOST_OPEN {
            self.open.insert(life.pinhole.clone(), life.clone());
        } else {
            self.untracked += 1;
        }
        if self.beginnings {
            vec![life]
        } else {
            Vec::new()
        }
    }

    fn closed(&mut self, line: Line) -> Life {
        let before = self.open.remove(&line.pinhole);
        let end = End {
            at: line.time.0,
            reason: line.reason.clone(),
        };
        let data = line.bytes_up.zip(line.bytes_down);
        let wire = line.wire_bytes_up.zip(line.wire_bytes_down);
        let bytes = data
            .map(|(up, down)| Bytes::Data { up, down })
            .or(wire.map(|(up, down)| Bytes::Wire { up, down }));
        let (opened, used) = (line.opened.map(|it| it.0), line.used.map(|it| it.0));
        Life {
            opened: opened
                .or(before.as_ref().map(|life| life.opened))
                .unwrap_or(end.at),
            used: used.or(before.and_then(|life| life.used)),
            bytes,
            end: Some(end),
            ..life(line)
        }
    }

    /// Ends what an earlier process left open: its sockets went with it.
    fn ended_with_the_gateway(&mut self, at: Wall) -> Vec<Life> {
        let mut ended = self.open();
        self.open.clear();
        for life in &mut ended {
            life.end = Some(End {
                at,
                reason: "gateway_ended".into(),
            });
        }
        ended
    }

    /// Gives what is open, in the order of opening.
    pub(super) fn open(&self) -> Vec<Life> {
        let mut open: Vec<Life> = self.open.values().cloned().collect();
        open.sort_by_key(|life| life.number);
        open
    }

    /// Tells how many opened while too many were open already.
    pub(super) fn untracked(&self) -> u64 {
        self.untracked
    }
}

fn life(line: Line) -> Life {
    Life {
        pinhole: line.pinhole,
        client: line.client,
        user: line.user,
        command: line.command,
        side: line.side,
        at: line.at,
        leads_to: line.leads_to,
        ..Life::default()
    }
}
