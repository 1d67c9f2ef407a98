//! Those of pinholes, data connections and transfers.

use super::{START, socket};
use crate::engine::{
    Carried, CloseReason, Event, HoleFacts, PinholeId, RefusalReason, Side, TransferFacts,
    TransferId, Volume, Wall,
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

fn hole() -> HoleFacts {
    HoleFacts {
        pinhole: PinholeId(1),
        transfer: TransferId(1),
        side: Side::Client,
        from: "198.51.100.7/32".parse().expect("a network"),
        at: socket("203.0.113.10:21007"),
        leads_to: Some(socket("10.0.0.5:50006")),
        command: "EPSV",
        carried: Carried::Relayed,
    }
}

fn upstreams_hole() -> HoleFacts {
    HoleFacts {
        pinhole: PinholeId(2),
        transfer: TransferId(2),
        side: Side::Upstream,
        from: "10.0.0.5/32".parse().expect("a network"),
        at: socket("10.0.0.1:22017"),
        leads_to: None,
        command: "PASV",
        carried: Carried::Relayed,
    }
}

/// A download that was forwarded.
fn forwarded() -> TransferFacts {
    TransferFacts {
        transfer: TransferId(3),
        command: "RETR",
        path: "reports/year end.pdf".into(),
        volume: packets(),
        micros: 412_345,
    }
}

/// An upload that ended early.
fn broken(volume: Volume) -> TransferFacts {
    TransferFacts {
        transfer: TransferId(1),
        command: "STOR",
        path: "big.iso".into(),
        volume,
        micros: 9_000_001,
    }
}

pub(super) fn events() -> Vec<Event> {
    let HoleFacts {
        pinhole,
        transfer,
        from,
        at,
        ..
    } = hole();
    vec![
        Event::PinholeOpened {
            hole: hole(),
            ttl: 30,
        },
        Event::PinholeOpened {
            hole: upstreams_hole(),
            ttl: 30,
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
            at,
        },
        Event::PinholeClosed {
            hole: hole(),
            opened: Wall(START + 17_123_456),
            used: Some(Wall(START + 17_165_456)),
            volume: payload(0, 1_048_576),
            reason: CloseReason::Completed,
        },
        Event::PinholeClosed {
            hole: upstreams_hole(),
            opened: Wall(START + 18_123_456),
            used: None,
            volume: payload(0, 0),
            reason: CloseReason::NeverUsed,
        },
        Event::PinholeClosed {
            hole: HoleFacts {
                pinhole: PinholeId(3),
                transfer: TransferId(3),
                leads_to: Some(socket("10.0.0.5:50007")),
                command: "PASV",
                carried: Carried::Forwarded,
                ..hole()
            },
            opened: Wall(START + 19_123_456),
            used: Some(Wall(START + 19_165_456)),
            volume: packets(),
            reason: CloseReason::Completed,
        },
        Event::PinholeIntruder {
            from: socket("192.0.2.66:61000"),
            at,
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
            transfer: TransferFacts {
                transfer,
                volume: payload(0, 1_048_576),
                ..forwarded()
            },
            unacknowledged: Some(0),
        },
        Event::TransferCompleted {
            transfer: forwarded(),
            unacknowledged: None,
        },
        Event::TransferFailed {
            transfer: broken(payload(73_400_320, 0)),
            code: Some(426),
            why: "the client broke it off".into(),
        },
        Event::TransferFailed {
            transfer: broken(Volume::Untold {}),
            code: None,
            why: "the upstream hung up".into(),
        },
        Event::TransferFailed {
            transfer: forwarded(),
            code: Some(426),
            why: "no byte moved for too long".into(),
        },
    ]
}
