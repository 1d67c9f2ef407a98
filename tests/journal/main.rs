//! The journal against real files, pipes and full disks.

mod files;
mod full;
mod pipes;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis::engine::{
    Carried, CloseReason, Event, HoleFacts, PinholeId, Record, SessionId, Side, TransferId, Volume,
    Wall,
};
use portcullis::gateway::journal::{Addresses, JournalSettings, Target};
use serde_json::Value;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(target: Target) -> JournalSettings {
    JournalSettings {
        target,
        mode: 0o640,
        rotate_size: None,
        keep: None,
        warn_free: Some(10),
        anonymous_email: false,
        addresses: Addresses::Full,
    }
}

fn to_file(path: &Path) -> JournalSettings {
    settings(Target::File(path.to_owned()))
}

fn record(user: &str, event: Event) -> Record {
    Record {
        at: Wall(1_795_233_600_000_000),
        session: Some(SessionId(*b"k3j2wq7m4pxa")),
        client: Some("198.51.100.7".parse().expect("an address")),
        user: Some(Arc::from(user)),
        event,
    }
}

fn hole(number: u32) -> HoleFacts {
    HoleFacts {
        pinhole: PinholeId(number),
        transfer: TransferId(number),
        side: Side::Client,
        from: "198.51.100.7/32".parse().expect("a network"),
        at: "203.0.113.10:21007".parse().expect("an address"),
        leads_to: None,
        command: "PASV",
        carried: Carried::Relayed,
    }
}

/// A record that gates an effect.
fn opened(number: u32) -> Record {
    let event = Event::PinholeOpened {
        hole: hole(number),
        ttl: 30,
    };
    record("alice", event)
}

/// A record that gates nothing.
fn closed(number: u32) -> Record {
    let event = Event::PinholeClosed {
        hole: hole(number),
        opened: Wall(1_795_233_590_000_000),
        used: None,
        volume: Volume::Payload {
            bytes_up: 0,
            bytes_down: 0,
        },
        reason: CloseReason::NeverUsed,
    };
    record("alice", event)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("read");
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    lines
        .iter()
        .map(|line| line["seq"].as_u64().expect("a number"))
        .collect()
}
