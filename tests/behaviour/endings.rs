//! What was cut off never looks complete; ABOR; transfers that outlast every time-out.

use std::io::{Read as _, Write as _};

use crate::client::{Client, read_all};
use crate::host;
use crate::scripted::{Upstream, accept, expect_shut, reset, setup};
use crate::server::Server;

/// Reads until the end; says whether it was an orderly one.
fn ends_well(mut data: std::net::TcpStream) -> bool {
    data.read_to_end(&mut Vec::new()).is_ok()
}

#[test]
fn an_upload_that_the_client_resets_never_looks_complete_to_the_server() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(20));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let mut data = client.dial(at);
    client.send("STOR file");
    peer.hears("STOR file");
    let mut leg = accept(&listens);
    peer.says("150 Go on.");
    client.hears("150");
    data.write_all(b"the first half").expect("sent");
    leg.read_exact(&mut [0; 14]).expect("what was sent");
    reset(data);
    assert!(!ends_well(leg), "the server saw the end of a file");
    // A server that believes all the same is not believed.
    peer.says("226 Got it.");
    client.hears("426");
    let failed = gate.journal.shows("transfer.failed");
    assert_eq!(failed["bytes_up"], 14);
    peer.answers(&mut client, "NOOP", "200 Fine.");
}

#[test]
fn a_download_that_the_server_resets_never_looks_complete_to_the_client() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(21));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let mut data = client.dial(at);
    client.send("RETR file");
    peer.hears("RETR file");
    let mut leg = accept(&listens);
    peer.says("150 Here it comes.");
    client.hears("150");
    leg.write_all(b"the first half").expect("sent");
    data.read_exact(&mut [0; 14]).expect("what was sent");
    reset(leg);
    assert!(!ends_well(data), "the client saw the end of a file");
    peer.says("226 Done.");
    client.hears("426");
    assert_eq!(gate.journal.shows("transfer.failed")["bytes_down"], 14);
    peer.answers(&mut client, "NOOP", "200 Fine.");
}

#[test]
fn the_upstreams_426_after_the_client_broke_off_a_download_passes() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(22));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let data = client.dial(at);
    client.send("RETR file");
    peer.hears("RETR file");
    let mut leg = accept(&listens);
    peer.says("150 Here it comes.");
    client.hears("150");
    reset(data);
    while leg.write_all(&[b'x'; 65_536]).is_ok() {}
    peer.says("426 Failure writing network stream.");
    assert_eq!(client.reply(), "426 Failure writing network stream.");
    peer.answers(&mut client, "NOOP", "200 Fine.");
}

#[test]
fn abor_closes_both_legs_and_the_pinhole_also_when_the_server_answers_once_and_late() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(23));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let mut data = client.dial(at);
    client.send("RETR file");
    peer.hears("RETR file");
    let mut leg = accept(&listens);
    peer.says("150 Here it comes.");
    client.hears("150");
    leg.write_all(b"a beginning").expect("sent");
    data.read_exact(&mut [0; 11]).expect("what was sent");
    client.send_urgent(b"\xff\xf4\xff");
    client.send_raw(b"\xf2ABOR\r\nPWD\r\n");
    peer.hears("ABOR");
    assert!(!ends_well(data), "the client saw the end of a file");
    assert!(!ends_well(leg), "the server is told");
    peer.says("426 Broken off.");
    client.hears("426");
    assert_eq!(gate.journal.shows("pinhole.closed")["reason"], "aborted");
    expect_shut(host(1), at);
    // The second final is missing: after two seconds a NOOP asks for it.
    peer.hears("NOOP");
    peer.says("200 Fine.");
    client.hears("226");
    peer.hears("PWD");
    peer.says("257 \"/\"");
    assert_eq!(client.reply(), "257 \"/\"");
}

#[test]
fn a_transfer_longer_than_three_idle_time_outs_keeps_its_control_connections() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(24));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let mut data = client.dial(at);
    client.send("RETR file");
    peer.hears("RETR file");
    let mut leg = accept(&listens);
    peer.says("150 Here it comes.");
    client.hears("150");
    // Each of these sessions idles for a whole idle time-out while the transfer runs. There is such a time-out only meanwhile:
    // else it would be over as well whenever this test is slow.
    for _ in 0..4 {
        gate.reload_with("");
        let (mut idle, _peer) = upstream.session(&gate);
        gate.reload_with("timeouts: {idle: 250ms}");
        idle.hears("421");
        leg.write_all(b"x").expect("sent");
        data.read_exact(&mut [0; 1]).expect("what was sent");
    }
    gate.reload_with("");
    drop(leg);
    peer.says("226 Done.");
    client.hears("226");
    peer.answers(&mut client, "NOOP", "200 Fine.");
}

#[test]
fn three_thousand_small_files_in_one_session_with_the_default_limits() {
    let mut server = Server::start();
    let content = |n: usize| format!("file {n} {}", "x".repeat(n % 97)).into_bytes();
    for n in 0..100 {
        server = server.with_file(&n.to_string(), &content(n));
    }
    let gate = setup(server.at, 25).start();
    let mut client = Client::login(gate.at);
    for n in 0..3_000 {
        assert_eq!(
            client.download(&(n % 100).to_string()),
            content(n % 100),
            "file {n}"
        );
    }
    client.asks("QUIT", "221");
    let closed = gate.journal.shows("session.closed");
    assert_eq!(
        (&closed["transfers"], &closed["pinholes"]),
        (&3_000.into(), &3_000.into())
    );
}

#[test]
fn the_end_of_an_upload_is_told_after_the_servers_226_only() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(26));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let mut data = client.dial(at);
    client.send("STOR file");
    peer.hears("STOR file");
    let leg = accept(&listens);
    peer.says("150 Go on.");
    client.hears("150");
    data.write_all(b"content").expect("sent");
    drop(data);
    assert_eq!(read_all(leg), b"content");
    // All data is there, and the server has the last word.
    peer.says("552 The disk is full.");
    assert_eq!(client.reply(), "552 The disk is full.");
    assert_eq!(gate.journal.shows("transfer.failed")["code"], 552);
}

#[test]
fn control_connections_of_both_sides_are_kept_alive() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(27));
    let (client, peer) = upstream.session(&gate);
    let ends = |stream: &std::net::TcpStream| {
        let address = |at: std::io::Result<std::net::SocketAddr>| match at.expect("an address") {
            std::net::SocketAddr::V4(at) => {
                let ip = u32::from_le_bytes(at.ip().octets());
                format!("{ip:08X}:{:04X}", at.port())
            }
            std::net::SocketAddr::V6(at) => panic!("{at} is not IPv4"),
        };
        // As the gateway's end sees it.
        format!(
            "{} {} 01 ",
            address(stream.peer_addr()),
            address(stream.local_addr())
        )
    };
    let began = std::time::Instant::now();
    for stream in [&client.control, &peer.control] {
        let ends = ends(stream);
        loop {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
            let line = table
                .lines()
                .find(|line| line.contains(&ends))
                .expect("the gateway's end");
            // `tr`, the timer that is active: 1 while an acknowledgement is awaited, then 2 for keepalive (proc(5)).
            let timer = line.split_whitespace().nth(5).expect("tr:when");
            if timer.starts_with("02:") {
                break;
            }
            assert!(timer.starts_with("01:"), "no keepalive: {line}");
            assert!(began.elapsed() < crate::PATIENCE, "{line}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_client_that_half_closes_its_control_connection_still_gets_its_transfer_and_replies() {
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let gate = setup(server.at, 28).start();
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let mut data = client.dial(at);
    client.asks("RETR held", "150");
    data.read_exact(&mut [0; 11]).expect("the first half");
    client
        .control
        .shutdown(std::net::Shutdown::Write)
        .expect("half closed");
    drop(hold);
    assert_eq!(read_all(data), b" second half");
    client.hears("226");
    assert_eq!(client.hears_the_end(), "");
    let closed = gate.journal.shows("session.closed");
    assert_eq!(
        (&closed["reason"], &closed["transfers"]),
        (&"client_closed".into(), &1.into())
    );
}
