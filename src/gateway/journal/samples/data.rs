//! Those of pinholes, data connections and transfers.

use super::{START, socket};
use crate::engine::{
    Carried, CloseReason, Event, PinholeId, RefusalReason, Side, TransferId, Volume, Wall,
};

fn payload(bytes_up: u64, bytes_down: u64) -> Volume {
    Volume::Payload {
        bytes_up,
        bytes_down,
    }
}

/// What the kernel counts of a mebibyte.
fn packets() -> Volume {
    Volume::Packets {
        wire_bytes_up: 19_140,
        wire_bytes_down: 1_086_312,
        packets_up: 368,
        packets_down: 728,
    }
}

pub(super) fn events() -> Vec<Event> {
    let pinhole = PinholeId(1);
    let transfer = TransferId(1);
    let hole = socket("203.0.113.10:21007");
    let from = "198.51.100.7/32".parse().expect("a network");
    vec![
        Event::PinholeOpened {
            pinhole,
            transfer,
            side: Side::Client,
            from,
            at: hole,
            leads_to: Some(socket("10.0.0.5:50006")),
            command: "EPSV",
            ttl: 30,
            carried: Carried::Relayed,
        },
        Event::PinholeOpened {
            pinhole: PinholeId(2),
            transfer: TransferId(2),
            side: Side::Upstream,
            from: "10.0.0.5/32".parse().expect("a network"),
            at: socket("10.0.0.1:22017"),
            leads_to: None,
            command: "PASV",
            ttl: 30,
            carried: Carried::Relayed,
        },
        Event::PinholeRefused {
            side: Side::Client,
            from,
            why: RefusalReason::NoPort { in_use: 16 },
        },
        Event::PinholeRefused {
            side: Side::Client,
            from,
            why: RefusalReason::Kernel,
        },
        Event::PinholeUsed {
            pinhole,
            side: Side::Client,
            peer: socket("198.51.100.7:40313"),
            at: hole,
        },
        Event::PinholeClosed {
            pinhole,
            transfer,
            side: Side::Client,
            from,
            at: hole,
            leads_to: Some(socket("10.0.0.5:50006")),
            command: "EPSV",
            opened: Wall(START + 17_123_456),
            used: Some(Wall(START + 17_165_456)),
            volume: payload(0, 1_048_576),
            reason: CloseReason::Completed,
            carried: Carried::Relayed,
        },
        Event::PinholeClosed {
            pinhole: PinholeId(2),
            transfer: TransferId(2),
            side: Side::Upstream,
            from: "10.0.0.5/32".parse().expect("a network"),
            at: socket("10.0.0.1:22017"),
            leads_to: None,
            command: "PASV",
            opened: Wall(START + 18_123_456),
            used: None,
            volume: payload(0, 0),
            reason: CloseReason::NeverUsed,
            carried: Carried::Relayed,
        },
        Event::PinholeClosed {
            pinhole: PinholeId(3),
            transfer: TransferId(3),
            side: Side::Client,
            from,
            at: hole,
            leads_to: Some(socket("10.0.0.5:50007")),
            command: "PASV",
            opened: Wall(START + 19_123_456),
            used: Some(Wall(START + 19_165_456)),
            volume: packets(),
            reason: CloseReason::Completed,
            carried: Carried::Forwarded,
        },
        Event::PinholeIntruder {
            from: socket("192.0.2.66:61000"),
            at: hole,
        },
        Event::DataDialled {
            transfer,
            side: Side::Upstream,
            to: socket("10.0.0.5:50006"),
        },
        Event::DataFailed {
            transfer,
            side: Side::Client,
            why: "connection refused".into(),
        },
        Event::TransferCompleted {
            transfer,
            command: "RETR",
            path: "reports/year end.pdf".into(),
            volume: payload(0, 1_048_576),
            micros: 412_345,
            unacknowledged: Some(0),
        },
        Event::TransferCompleted {
            transfer: TransferId(3),
            command: "RETR",
            path: "reports/year end.pdf".into(),
            volume: packets(),
            micros: 412_345,
            unacknowledged: None,
        },
        Event::TransferFailed {
            transfer,
            command: "STOR",
            path: "big.iso".into(),
            volume: payload(73_400_320, 0),
            micros: 9_000_001,
            code: Some(426),
            why: "the client broke it off".into(),
        },
        Event::TransferFailed {
            transfer,
            command: "STOR",
            path: "big.iso".into(),
            volume: Volume::Untold {},
            micros: 9_000_001,
            code: None,
            why: "the upstream hung up".into(),
        },
        Event::TransferFailed {
            transfer: TransferId(3),
            command: "RETR",
            path: "reports/year end.pdf".into(),
            volume: packets(),
            micros: 412_345,
            code: Some(426),
            why: "no byte moved for too long".into(),
        },
    ]
}
