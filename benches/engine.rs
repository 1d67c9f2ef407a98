//! The engine alone: lines per second and allocations per command, without a socket.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use portcullis::engine::{
    Checks, ClientTls, DataMode, ForeignAddress, Input, Logins, Outcome, Output, PeerMatch,
    Session, SessionFacts, SessionId, Settings, Side, SourcePort, Time, Timeouts, TransferId,
    UpstreamTls, Usage, Wall,
};
use portcullis::policy::Default as DefaultVerdict;
use portcullis::rules::built_in;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn address(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), port))
}

fn session() -> Session {
    let long = Duration::from_secs(3600);
    let settings = Settings {
        listener: Arc::from("main"),
        upstream: Arc::from("legacy"),
        data_mode: DataMode::AsClient,
        data_source_port: SourcePort::ControlMinusOne,
        peer: PeerMatch::Exact,
        client_foreign_address: ForeignAddress::Refuse,
        upstream_foreign_address: ForeignAddress::Ignore,
        accept_bare_lf: false,
        line: 4096,
        reply: 65536,
        pipeline: 64,
        commands_per_second: 1_000_000_000,
        paths: None,
        observe: Checks::default(),
        guest: None,
        anonymous_email: false,
        client_tls: ClientTls::default(),
        upstream_tls: UpstreamTls::default(),
        timeouts: Timeouts {
            login: long,
            idle: long,
            command: long,
            upstream_dial: long,
            final_reply: long,
            linger: long,
            ttl: long,
        },
        logins: Logins::default(),
        rules: Arc::new(built_in(
            DefaultVerdict::Allow,
            &["everything-but-dangerous"],
        )),
        elsewhere: BTreeMap::new(),
        passwords: Arc::default(),
    };
    let facts = SessionFacts {
        id: SessionId(*b"abcdefghijkl"),
        client: address(7, 40000),
        target: address(10, 21),
        advertised: address(10, 21).ip(),
        may_be_probe: false,
    };
    let mut session = Session::new(facts, Arc::new(settings));
    for input in [
        Input::ClientArrived,
        Input::RecordAccepted,
        Input::UpstreamConnected {
            gateway: address(11, 33000),
            upstream: address(12, 21),
            forwardable: false,
            shut: None,
        },
    ] {
        drop(session.handle(NOW, input));
    }
    received(&mut session, Side::Upstream, b"220 ready\r\n");
    received(&mut session, Side::Client, b"USER bob\r\n");
    received(&mut session, Side::Upstream, b"230 in\r\n");
    session
}

const NOW: Time = Time {
    mono: Duration::from_secs(1),
    wall: Wall(1_795_000_000_000_000),
};

fn received(session: &mut Session, from: Side, bytes: &[u8]) {
    drop(black_box(session.handle(
        NOW,
        Input::Received {
            from,
            bytes: black_box(bytes),
        },
    )));
    let _ = black_box(session.next_wake());
}

/// One command and its reply.
#[divan::bench]
fn noop(bencher: Bencher<'_, '_>) {
    let mut session = session();
    bencher
        .counter(divan::counter::ItemsCount::new(2_usize))
        .bench_local(|| {
            received(&mut session, Side::Client, b"NOOP\r\n");
            received(&mut session, Side::Upstream, b"200 NOOP ok.\r\n");
        });
}

/// Forty commands in one segment and their replies in another.
#[divan::bench]
fn pipelined_noop(bencher: Bencher<'_, '_>) {
    let mut session = session();
    let (commands, replies) = (b"NOOP\r\n".repeat(40), b"200 ok\r\n".repeat(40));
    bencher
        .counter(divan::counter::ItemsCount::new(80_usize))
        .bench_local(|| {
            received(&mut session, Side::Client, &commands);
            received(&mut session, Side::Upstream, &replies);
        });
}

/// A whole passive download: PASV, pinhole, RETR, data, final reply, four records and more.
#[divan::bench]
fn passive_download(bencher: Bencher<'_, '_>) {
    let mut session = session();
    let usage = Usage {
        bytes_up: 0,
        bytes_down: 1024,
        wrong_direction: 0,
        unacknowledged: 0,
        wire: None,
        outcome: Outcome::Complete,
    };
    bencher
        .counter(divan::counter::ItemsCount::new(5_usize))
        .bench_local(|| {
            received(&mut session, Side::Client, b"PASV\r\n");
            let outputs = session.handle(
                NOW,
                Input::Received {
                    from: Side::Upstream,
                    bytes: b"227 Entering Passive Mode (192,0,2,12,195,80)\r\n",
                },
            );
            let id = outputs
                .iter()
                .find_map(|output| match output {
                    Output::ReservePinhole { id, .. } => Some(*id),
                    _ => None,
                })
                .expect("a pinhole is asked for");
            let mut transfer = TransferId(0);
            for input in [
                Input::PinholeReserved {
                    id,
                    at: address(10, 21005),
                },
                Input::RecordAccepted,
                Input::PinholeOpened { id },
                Input::Received {
                    from: Side::Client,
                    bytes: b"RETR some/file/name.bin\r\n",
                },
                Input::RecordAccepted,
                Input::PinholeUsed {
                    id,
                    peer: address(7, 40001),
                },
            ] {
                for output in session.handle(NOW, input) {
                    if let Output::StartRelay {
                        transfer: started, ..
                    } = output
                    {
                        transfer = started;
                    }
                }
            }
            received(
                &mut session,
                Side::Upstream,
                b"150 Opening BINARY mode data connection (1024 bytes).\r\n",
            );
            drop(black_box(
                session.handle(NOW, Input::DataFinished { transfer, usage }),
            ));
            received(&mut session, Side::Upstream, b"226 Transfer complete.\r\n");
        });
}
