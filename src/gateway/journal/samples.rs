//! One record of each kind, for the docs page and the tests.

mod data;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::engine::{
    AskFault, BanReason, Check, Event, Record, Refusal, Ruling, SessionEnd, SessionId, Side,
    TlsFault, TlsVersion, TransferId, UnbanReason, Violation, Wall,
};
use crate::policy::{Moment, Origin};

/// 2026-11-21T04:00:00Z.
pub(super) const START: u64 = 1_795_233_600_000_000;

/// One record of each kind of event, in the catalogue's order, and a second one where fields may be absent.
pub(super) fn records() -> Vec<Record> {
    events()
        .into_iter()
        .enumerate()
        .map(|(number, event)| {
            let session = !event.id().starts_with("gateway.")
                && !event.id().starts_with("reload.")
                && !matches!(
                    event,
                    Event::JournalGap { .. }
                        | Event::PinholeIntruder { .. }
                        | Event::AddressBanned { .. }
                        | Event::AddressUnbanned { .. }
                );
            let early = matches!(
                event,
                Event::SessionOpened { .. }
                    | Event::ConnectionDenied { .. }
                    | Event::UpstreamConnected { .. }
                    | Event::UpstreamUnreachable { .. }
            );
            Record {
                at: Wall(START + 123_456 + 1_000_000 * number as u64),
                session: session.then_some(SessionId(*b"k3j2wq7m4pxa")),
                client: session.then(|| ip("198.51.100.7")),
                user: (session && !early).then(|| Arc::from("alice")),
                event,
            }
        })
        .collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

fn rule() -> Ruling {
    Ruling(Arc::new(Origin {
        name: "house/read-only".into(),
        rule: "read-only".into(),
        file: "/etc/portcullis/house.yaml".into(),
        line: 3,
    }))
}

fn by_default() -> Ruling {
    Ruling(Arc::new(Origin::default_verdict()))
}

fn events() -> Vec<Event> {
    let transfer = TransferId(1);
    let mut events = vec![
        Event::GatewayStarted {
            version: "0.1.0",
            config: "0b64c1a7d2f93e58".into(),
            rules: "93d1f0aa27c6be14".into(),
        },
        Event::GatewayReloaded {
            config: "5f2a9c01d47be386".into(),
            rules: "93d1f0aa27c6be14".into(),
        },
        Event::ReloadRefused {
            why: "/etc/portcullis/house.yaml:4:12: rules[0].then: nothing happens".into(),
        },
        Event::GatewayStopping { sessions: 3 },
        Event::SessionOpened {
            from: socket("198.51.100.7:40312"),
            target: socket("203.0.113.10:21"),
            listener: "main".into(),
            upstream: "legacy".into(),
        },
        Event::ConnectionDenied {
            from: socket("198.51.100.7:40312"),
            target: socket("203.0.113.10:21"),
            listener: "main".into(),
            upstream: "legacy".into(),
            rule: rule(),
            code: 421,
        },
        Event::ConnectionDenied {
            from: socket("198.51.100.7:40312"),
            target: socket("203.0.113.10:21"),
            listener: "main".into(),
            upstream: "legacy".into(),
            rule: by_default(),
            code: 421,
        },
        Event::UpstreamConnected {
            upstream: socket("10.0.0.5:21"),
            gateway: socket("10.0.0.1:51200"),
        },
        Event::UpstreamUnreachable {
            why: "connection refused".into(),
        },
        Event::TlsEstablished {
            side: Side::Client,
            transfer: None,
            tls: TlsVersion::V1_3,
            cipher: "TLS13_AES_256_GCM_SHA384",
            resumed: false,
            sni: Some("ftp.example.org".into()),
            certificate: Some("CN=alice".into()),
        },
        Event::TlsEstablished {
            side: Side::Upstream,
            transfer: Some(transfer),
            tls: TlsVersion::V1_2,
            cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            resumed: true,
            sni: None,
            certificate: None,
        },
        Event::CertificateExpiring {
            file: "/etc/portcullis/tls/fullchain.pem".into(),
            days: 13,
        },
        Event::TlsFailed {
            side: Side::Client,
            transfer: None,
            why: TlsFault::OldVersion,
            alert: Some("protocol_version"),
        },
        Event::TlsFailed {
            side: Side::Client,
            transfer: Some(transfer),
            why: TlsFault::NotResumed,
            alert: None,
        },
        Event::TlsDeclined {
            command: "AUTH",
            code: 502,
        },
        Event::LoginSucceeded { email: None },
        Event::LoginSucceeded {
            email: Some("guest@example.org".into()),
        },
        Event::LoginFailed { code: 530 },
        Event::AddressBanned {
            from: "198.51.100.7/32".parse().expect("a network"),
            reason: BanReason::Guessing,
            failures: Some(5),
            until: Wall(START + 900_000_000),
            in_kernel: true,
        },
        Event::AddressBanned {
            from: "198.51.100.0/24".parse().expect("a network"),
            reason: BanReason::Operator,
            failures: None,
            until: Wall(START + 3_600_000_000),
            in_kernel: true,
        },
        Event::AddressUnbanned {
            from: "198.51.100.7/32".parse().expect("a network"),
            reason: UnbanReason::Expired,
            turned_away: 12,
        },
        Event::CommandDenied {
            command: "DELE /srv/contract.pdf".into(),
            moment: Moment::Command,
            rule: rule(),
            code: 550,
        },
        Event::CommandDenied {
            command: "DELE /srv/contract.pdf".into(),
            moment: Moment::Command,
            rule: by_default(),
            code: 550,
        },
        Event::AskAnswered {
            command: "PASS ****".into(),
            moment: Moment::Command,
            rule: rule(),
            answer: "allow",
            upstream: Some("archive".into()),
            login_as: Some("svc-ftp".into()),
            start_in: Some("/pub".into()),
            micros: 12_500,
        },
        Event::AskAnswered {
            command: "DELE /srv/contract.pdf".into(),
            moment: Moment::Command,
            rule: rule(),
            answer: "deny_session",
            upstream: None,
            login_as: None,
            start_in: None,
            micros: 12_500,
        },
        Event::AskFailed {
            command: "DELE /srv/contract.pdf".into(),
            moment: Moment::Command,
            rule: rule(),
            why: AskFault::TimedOut,
            micros: 5_000_000,
        },
        Event::RuleObserved {
            command: Some("RETR /srv/contract.pdf".into()),
            moment: Moment::Transfer,
            rule: rule(),
            would: "deny",
        },
        Event::RuleObserved {
            command: None,
            moment: Moment::Connection,
            rule: by_default(),
            would: "close",
        },
        Event::CheckObserved {
            command: "TYPE X".into(),
            check: Check::Argument,
            code: 501,
        },
        Event::CommandRefused {
            command: "PORT 198,51,100,7,256,1".into(),
            why: Refusal::Malformed,
            code: 501,
        },
        Event::AddressBounce {
            address: socket("10.0.0.99:8080"),
            command: "PORT",
        },
        Event::AddressForeign {
            address: socket("192.168.1.20:50006"),
            refused: false,
        },
        Event::AddressMalformed {
            reply: "227 Entering Passive Mode (10,0,0,5,300,1).".into(),
        },
        Event::AddressShut {
            side: Side::Upstream,
            address: socket("10.0.0.1:21007"),
            window: "21000-21015".into(),
        },
        Event::AddressShut {
            side: Side::Client,
            address: socket("198.51.100.7:22017"),
            window: "22000-22999".into(),
        },
        Event::AddressMisleading {
            announced: ip("10.0.0.1"),
            listener: "main".into(),
        },
        Event::ProtocolForeign { protocol: "HTTP" },
        Event::ProtocolViolation {
            side: Side::Upstream,
            what: Violation::UnaskedReply,
        },
    ];
    events.extend(data::events());
    events.extend([
        Event::SessionClosed {
            reason: SessionEnd::Quit,
            micros: 61_000_250,
            commands: 14,
            transfers: 1,
            pinholes: 2,
        },
        Event::LimitReached {
            limit: "limits.sessions_per_address",
        },
        Event::JournalGap { lost: 12 },
    ]);
    events
}
