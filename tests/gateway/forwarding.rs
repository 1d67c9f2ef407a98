//! Data connections that the kernel carries, and pinholes behind its firewall.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;

use portcullis::nft::{Happening, Opening};
use serde_json::Value;

use crate::PATIENCE;
use crate::client::{Client, read_all};
use crate::gate::{Gate, Setup, until, window};
use crate::kernel::Kernel;
use crate::server::Server;

/// A gateway behind a firewall that forwards.
fn behind(kernel: &Arc<Kernel>, setup: Setup) -> Gate {
    Setup {
        firewall: Some(Arc::clone(kernel)),
        ..setup
    }
    .start()
}

/// All records, when the gateway has ended.
fn records(gate: Gate) -> Vec<Value> {
    gate.running.shutdown();
    gate.journal.to_the_end()
}

fn of<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    let of_it = |record: &&Value| record["event"] == event;
    records.iter().filter(of_it).collect()
}

/// Reads until the connection ends, which must be by a reset.
fn is_reset(mut data: TcpStream) {
    let mut rest = Vec::new();
    let ended = data.read_to_end(&mut rest);
    let error = ended.expect_err("the connection ended as if it were complete");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_passive_file_is_forwarded_with_two_questions_to_the_kernel_and_no_dial_of_ours() {
    let content = vec![7; 300_000];
    let server = Server::start().with_file("file", &content);
    let kernel = Arc::new(Kernel::default());
    let gate = behind(&kernel, Setup::to(server.at));
    let from = IpAddr::from([127, 0, 0, 2]);
    let mut client = Client::connect_from(from, gate.at).logged_in();
    for _ in 0..3 {
        assert_eq!(client.download("file"), content);
    }
    client.upload("up", b"some bytes");
    client.asks("QUIT", "221");
    drop(client);
    let records = records(gate);
    assert_eq!(server.file("up").expect("a file"), b"some bytes");
    assert!(of(&records, "data.dialled").is_empty());
    let completed = of(&records, "transfer.completed");
    assert_eq!(completed.len(), 4);
    for record in &completed[..3] {
        assert!(
            record["wire_bytes_down"].as_u64() > Some(300_000),
            "{record}"
        );
        assert!(record["packets_down"].as_u64() > Some(3), "{record}");
        assert!(record["bytes_down"].is_null(), "{record}");
    }
    let closed = of(&records, "pinhole.closed");
    assert!(closed.iter().all(|record| record["carried"] == "forwarded"));
    assert_eq!(of(&records, "pinhole.used").len(), 4);
    let asked = kernel.asked();
    let opened = asked.iter().filter(|asked| *asked == "open").count();
    // An answer that overtakes the end of the data costs another look.
    let looks = asked.iter().filter(|asked| *asked == "settle").count();
    assert_eq!(opened + looks, asked.len(), "{asked:?}");
    assert_eq!(opened, 4);
    assert_eq!(kernel.standing(), 0);
    let Some(Opening::Forward {
        peer, to, source, ..
    }) = kernel.openings().first().copied()
    else {
        panic!("not forwarded: {:?}", kernel.openings());
    };
    assert_eq!((peer, to.ip()), (from, server.at.ip()));
    let gateway = SocketAddr::from(([127, 0, 0, 1], 0));
    assert_eq!(source, Some(gateway), "the server sees the gateway");
}

#[test]
fn an_active_file_is_forwarded_to_the_client() {
    let server = Server::start().with_file("file", b"some content");
    let kernel = Arc::new(Kernel::default());
    let gate = behind(&kernel, Setup::to(server.at));
    let mut client = Client::login(gate.at);
    let listener = client.active();
    client.asks("RETR file", "150");
    let (data, _) = listener.accept().expect("the kernel dials");
    assert_eq!(read_all(data), b"some content");
    client.hears("226");
    let to = listener.local_addr().expect("an address");
    assert!(matches!(
        kernel.openings()[..],
        [Opening::Forward { to: told, .. }] if told == to
    ));
    drop(client);
    let records = records(gate);
    let closed = of(&records, "pinhole.closed");
    assert_eq!(
        (&closed[0]["side"], &closed[0]["carried"]),
        (&"upstream".into(), &"forwarded".into())
    );
    assert!(of(&records, "data.dialled").is_empty());
}

#[test]
fn epsv_over_ipv6_is_forwarded_and_between_two_families_it_is_relayed() {
    let server = Server::start().with_file("file", b"some content");
    let server6 = Server::at(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0)))
        .with_file("file", b"some content");
    for (at, forwarded) in [(server6.at, true), (server.at, false)] {
        let kernel = Arc::new(Kernel::default());
        let mut setup = Setup::to(at);
        setup.listen = "[::1]:0".to_owned();
        let gate = behind(&kernel, setup);
        let mut client = Client::login(gate.at);
        let at = client.extended_passive();
        let data = client.dial(at);
        client.asks("RETR file", "150");
        assert_eq!(read_all(data), b"some content");
        client.hears("226");
        let opening = kernel.openings()[0];
        assert_eq!(matches!(opening, Opening::Forward { .. }), forwarded);
    }
}

#[test]
fn a_relayed_pinhole_is_let_in_before_it_listens_and_shut_when_its_connection_came() {
    let server = Server::start().with_file("file", b"some content");
    let kernel = Arc::new(Kernel::default());
    let mut setup = Setup::to(server.at);
    setup.upstream_more = "    data_mode: active".to_owned();
    let gate = behind(&kernel, setup);
    let mut client = Client::login(gate.at);
    assert_eq!(client.download("file"), b"some content");
    assert!(!kernel.listened_early());
    assert_eq!(kernel.standing(), 0);
    let relays = kernel.openings();
    assert!(matches!(
        relays[..],
        [Opening::Relay { .. }, Opening::Relay { .. }]
    ));
    assert_eq!(gate.journal.shows("pinhole.closed")["carried"], "relayed");
}

#[test]
fn a_firewall_that_refuses_means_425_and_nothing_listens() {
    for mode in ["passive", "active"] {
        let server = Server::start();
        let kernel = Arc::new(Kernel::default());
        kernel.refuse();
        let mut setup = Setup::to(server.at);
        setup.upstream_more = format!("    data_mode: {mode}");
        let gate = behind(&kernel, setup);
        let mut client = Client::login(gate.at);
        client.asks("PASV", "425");
        let record = gate.journal.shows("pinhole.opened");
        let at: SocketAddr = record["at"]
            .as_str()
            .expect("text")
            .parse()
            .expect("an address");
        assert!(TcpStream::connect(at).is_err());
        assert_eq!(gate.journal.shows("pinhole.refused")["why"], "kernel");
        assert_eq!(
            gate.journal.shows("pinhole.closed")["reason"],
            "open_refused"
        );
        client.asks("NOOP", "200");
    }
}

#[test]
fn abor_and_the_end_of_a_session_reset_both_sides_of_a_forwarded_connection() {
    let server = Server::start();
    let kernel = Arc::new(Kernel::default());
    let gate = behind(&kernel, Setup::to(server.at));
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let data = client.dial(at);
    client.asks("RETR endless", "150");
    client.send("ABOR");
    client.hears("426");
    client.hears("226");
    is_reset(data);
    assert_eq!(gate.journal.shows("pinhole.closed")["reason"], "aborted");

    let at = client.passive();
    let data = client.dial(at);
    client.asks("RETR endless", "150");
    gate.running.end();
    client.hears("421");
    is_reset(data);
    assert_eq!(
        gate.journal.shows("pinhole.closed")["reason"],
        "session_closed"
    );
    let kills = kernel.asked().into_iter().filter(|asked| asked == "kill");
    assert_eq!(kills.count(), 2);
    assert_eq!(kernel.standing(), 0);
}

#[test]
fn a_drain_waits_for_a_forwarded_transfer() {
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let kernel = Arc::new(Kernel::default());
    let gate = behind(&kernel, Setup::to(server.at));
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let data = client.dial(at);
    client.asks("RETR held", "150");
    gate.running.drain();
    gate.journal.shows("gateway.stopping");
    drop(hold);
    assert_eq!(read_all(data), b"first half, second half");
    client.hears("226");
    client.hears("421");
    assert_eq!(gate.journal.shows("pinhole.closed")["reason"], "completed");
}

#[test]
fn a_use_that_is_told_late_is_recorded_before_the_end() {
    let server = Server::start().with_file("file", b"some content");
    let kernel = Arc::new(Kernel::default());
    kernel.keep_silent();
    let gate = behind(&kernel, Setup::to(server.at));
    let mut client = Client::login(gate.at);
    assert_eq!(client.download("file"), b"some content");
    client.asks("QUIT", "221");
    drop(client);
    let records = records(gate);
    let used = of(&records, "pinhole.used");
    let peer = used[0]["peer"].as_str().unwrap();
    let port = peer.strip_prefix("127.0.0.1:").unwrap();
    assert_ne!(port, "0", "who came was told with the account");
    assert!(of(&records, "pinhole.closed")[0]["used"].is_string());
}

#[test]
fn a_pinhole_that_is_shut_while_its_connection_comes_ends_it() {
    let server = Server::start();
    let kernel = Arc::new(Kernel::default());
    // The kernel has let the connection in, and nobody knows yet: shutting the pinhole wins.
    kernel.keep_silent();
    let gate = behind(&kernel, Setup::to(server.at));
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let mut data = client.dial(at);
    while kernel.asked().len() < 2 {
        client.passive();
    }
    is_reset_or_never_joined(&mut data);
    assert!(
        kernel.asked().contains(&"kill".to_owned()),
        "{:?}",
        kernel.asked()
    );
    assert_eq!(kernel.standing(), 1, "the newest pinhole alone");
}

fn is_reset_or_never_joined(data: &mut TcpStream) {
    // Writing shows it as well as reading does.
    let mut byte = [0];
    let ended = data.read(&mut byte).and_then(|_| data.write(&byte));
    assert!(!matches!(ended, Ok(1..)), "the connection lives");
}

#[test]
fn status_names_the_firewall_as_the_guard() {
    let server = Server::start();
    let kernel = Arc::new(Kernel::default());
    let directory = tempfile::tempdir().expect("a directory");
    let mut setup = Setup::to(server.at);
    let socket = directory.path().join("control.sock");
    setup.control = socket.display().to_string();
    let _gate = behind(&kernel, setup);
    let mut control = std::os::unix::net::UnixStream::connect(&socket).expect("the control socket");
    control.write_all(b"{\"ask\":\"status\"}\n").expect("asked");
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(control), &mut answer)
        .expect("an answer");
    assert!(answer.contains("\"guard\":\"nftables\""), "{answer}");
}

#[test]
fn a_server_that_wants_the_connection_first_and_a_client_that_wants_the_150_first_get_on() {
    let server = Server::start().with_file("shy", b"some content");
    let kernel = Arc::new(Kernel::default());
    let gate = behind(&kernel, Setup::to(server.at));
    let mut client = Client::login(gate.at);
    let at = client.passive();
    client.asks("RETR shy", "150");
    let data = client.dial(at);
    assert_eq!(read_all(data), b"some content");
    client.hears("226");
    assert_eq!(gate.journal.shows("data.dialled")["side"], "upstream");
    let closed = gate.journal.shows("pinhole.closed");
    assert_eq!(
        (&closed["carried"], &closed["bytes_down"]),
        (&"relayed".into(), &12.into())
    );
    assert_eq!(kernel.standing(), 0);
}

#[test]
fn what_the_kernel_carried_when_somebody_emptied_the_firewall_is_ended_and_the_next_transfer_works()
{
    let server = Server::start()
        .with_file("held", b"first half, second half")
        .with_file("file", b"some content");
    let hold = server.hold();
    let kernel = Arc::new(Kernel::default());
    let gate = behind(&kernel, Setup::to(server.at));
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let mut data = client.dial(at);
    client.asks("RETR held", "150");
    data.read_exact(&mut [0; 11]).expect("the first half");
    let mut idle = Client::login(gate.at);
    let hole = idle.passive();
    gate.running.remote().happened(Happening::Restored);
    is_reset(data);
    drop(hold);
    // This server may leave when its data connection breaks.
    let reply = client.reply();
    assert!(
        reply.starts_with("426") || reply.starts_with("421"),
        "{reply}"
    );
    let mut client = Client::login(gate.at);
    assert_eq!(client.download("file"), b"some content");
    // A hole that nobody had used yet was restored with the table.
    let data = idle.dial(hole);
    idle.asks("RETR file", "150");
    assert_eq!(read_all(data), b"some content");
    idle.hears("226");
    drop((client, idle));
    let records = records(gate);
    let failed = of(&records, "transfer.failed");
    assert_eq!(failed.len(), 1);
    assert_eq!(of(&records, "transfer.completed").len(), 2);
    assert_eq!(kernel.standing(), 0);
}

#[test]
fn a_port_that_an_active_client_names_twice_is_reached_from_another_port_the_second_time() {
    let server = Server::start().with_file("file", b"some content");
    let kernel = Arc::new(Kernel::default());
    let mut setup = Setup::to(server.at);
    setup.listen = "127.0.0.4:0".to_owned();
    let gate = behind(&kernel, setup);
    let mut client = Client::login(gate.at);
    let listener = client.active();
    let at = listener.local_addr().expect("an address");
    for again in [false, true] {
        if again {
            let (high, low) = (at.port() >> 8, at.port() & 255);
            client.asks(&format!("PORT 127,0,0,1,{high},{low}"), "200");
        }
        client.asks("RETR file", "150");
        let (data, _) = listener.accept().expect("the kernel dials");
        assert_eq!(read_all(data), b"some content");
        client.hears("226");
    }
    let sources = kernel.openings().into_iter().map(|opening| match opening {
        Opening::Forward { source, .. } => source.expect("ours").port(),
        Opening::Relay { .. } => panic!("relayed"),
    });
    let fixed = gate.at.port() - 1;
    assert_eq!(sources.collect::<Vec<_>>(), [fixed, 0]);
}

/// Nobody is heard while the firewall is asked, so that an end is heard of behind the answer.
#[test]
fn a_session_that_ends_while_its_pinhole_opens_leaves_neither_hole_nor_place_behind() {
    for (refused, hangs_up) in [(false, true), (false, false), (true, true), (true, false)] {
        let server = Server::start().with_file("file", b"some content");
        let kernel = Arc::new(Kernel::default());
        if refused {
            kernel.refuse();
        }
        // Room for one.
        let mut setup = Setup::to(server.at);
        setup.window = window(1);
        let limits = "limits: {sessions: 1, connects_per_address: 100000/s}";
        let gate = behind(&kernel, setup.more(limits));
        let mut client = Client::login(gate.at);
        let ((asked, is_asked), (answer, may_answer)) = (channel(), channel());
        kernel.meanwhile(move || {
            asked.send(()).expect("the test");
            may_answer.recv_timeout(PATIENCE).expect("the test");
        });
        client.send("PASV");
        is_asked
            .recv_timeout(PATIENCE)
            .expect("the firewall is asked");
        if hangs_up {
            drop(client);
        } else {
            gate.running.end();
        }
        answer.send(()).expect("the gateway");
        let opened = gate.journal.shows("pinhole.opened");
        let closed = gate.journal.shows("pinhole.closed");
        assert_eq!(
            (&opened["pinhole"], &opened["at"]),
            (&closed["pinhole"], &closed["at"])
        );
        let reason = match refused {
            true => "open_refused",
            false => "session_closed",
        };
        assert_eq!(
            (&closed["reason"], &closed["used"]),
            (&reason.into(), &Value::Null)
        );
        gate.journal.shows("session.closed");
        assert_eq!(kernel.standing(), 0, "{:?}", kernel.asked());
        assert_eq!(kernel.openings().len(), 1);
        if !hangs_up {
            continue;
        }
        kernel.accept();
        // The record is written just before the place is free.
        until("the place is never free again", || {
            let mut next = Client::connect(gate.at);
            if !next.reply().starts_with("220") {
                return false;
            }
            next.asks("USER bob", "331");
            next.asks("PASS secret", "230");
            assert_eq!(next.download("file"), b"some content");
            true
        });
    }
}
