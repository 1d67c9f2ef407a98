//! Peers that send too much, nothing, or what is no FTP: bounded, ended, recorded, and nobody else is harmed.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::PATIENCE;
use crate::client::Client;
use crate::scripted::{Upstream, setup};
use crate::server::Server;

#[test]
fn a_mebibyte_without_a_line_feed_is_500_and_close() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(30));
    let (mut client, _peer) = upstream.session(&gate);
    // The gateway may hang up before all of it is sent.
    let _ = client.control.write_all(&vec![b'x'; 1 << 20]);
    client.hears("500");
    assert_eq!(
        gate.journal.shows("protocol.violation")["what"],
        "line_too_long"
    );
    assert_eq!(gate.journal.shows("session.closed")["reason"], "violation");
}

#[test]
fn a_reply_of_a_hundred_thousand_lines_is_421_and_close() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(31));
    let (mut client, mut peer) = upstream.session(&gate);
    client.send("STAT");
    peer.hears("STAT");
    let flood = std::thread::spawn(move || {
        // The gateway may hang up before all of it is sent.
        let _ = peer
            .control
            .write_all(format!("211-Status\r\n{}", "\r\n".repeat(100_000)).as_bytes());
    });
    client.hears("421");
    assert_eq!(client.hears_the_end(), "");
    assert_eq!(
        gate.journal.shows("protocol.violation")["what"],
        "reply_too_long"
    );
    flood.join().expect("the flood");
}

#[test]
fn an_upstream_that_floods_a_client_who_does_not_read_is_read_no_further_and_the_session_ends() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(32).more("timeouts: {send_stall: 3s}"));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("small");
    socket.connect(&gate.at.into()).expect("connected");
    let (mut client, mut peer) = upstream.login(Client::over(socket.into()));
    client.send("SITE HELP");
    peer.hears("SITE HELP");
    // Preliminary replies may come in any number.
    let line = format!("150 {}\r\n", "y".repeat(1000));
    peer.control
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("set");
    let (mut taken, mut waited) = (0, false);
    // It goes on until the session is closed, since it may wait as well because the machine stands still.
    loop {
        match peer.control.write(line.as_bytes()) {
            Ok(written) => taken += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => waited = true,
            Err(_) => break,
        }
        // What the kernel's buffers hold is all that may be taken; a session that has ended takes more, to throw it away.
        assert!(
            waited || taken < 100_000_000,
            "the gateway reads without end"
        );
    }
    assert_eq!(
        gate.journal.shows("session.closed")["reason"],
        "send_stalled"
    );
}

#[test]
fn a_client_that_pipelines_without_end_to_an_upstream_that_does_not_answer_is_read_no_further() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(33).more("limits: {commands: 1000000/s}"));
    let (mut client, mut peer) = upstream.session(&gate);
    client.control.set_nonblocking(true).expect("set");
    let line = format!("CWD {}\r\n", "d".repeat(4000));
    let mut taken = 0;
    loop {
        // Where a line was taken in part, its rest comes next.
        let rest = line.as_bytes().get(taken % line.len()..);
        match client.control.write(rest.expect("a rest")) {
            Ok(written) => taken += written,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
        assert!(taken < 100_000_000, "the gateway reads without end");
    }
    for _ in 0..64 {
        assert_eq!(peer.line(), line.trim_end());
    }
    client.control.set_nonblocking(false).expect("set");
    // The 65th goes on when one is answered.
    peer.says("250 Done.");
    assert_eq!(client.reply(), "250 Done.");
    assert_eq!(peer.line(), line.trim_end());
}

#[test]
fn user_of_ten_kilobytes_formats_paths_and_escapes_are_one_escaped_line_each() {
    let server = Server::start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut setup = setup(server.at, 34);
    setup.journal = path.display().to_string();
    let gate = setup.more("limits: {line: 16KiB}").start_with(directory);
    let names: [&[u8]; 6] = [
        b"\x1b[2J\x1b]0;owned\x07",
        b"%n%s%x{}{0}",
        b"../../../etc/passwd",
        b"quote\"back\\slash",
        b"\xc2\x9b31m\xe2\x80\xae\xff\xfe",
        &[b'u'; 10_000],
    ];
    for name in names {
        let mut client = Client::connect(gate.at);
        client.hears("220");
        client.send_raw(&[b"USER ", name, b"\r\n"].concat());
        client.hears("331");
        client.asks("PASS hunter2", "230");
        client.asks("QUIT", "221");
        client.hears_the_end();
    }
    gate.running.shutdown();
    let journal = std::fs::read(&path).expect("a journal");
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\n';
    assert!(journal.iter().all(plain), "a byte that a terminal may obey");
    let journal = String::from_utf8(journal).expect("text");
    let records: Vec<Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect();
    let logins: Vec<_> = records
        .iter()
        .filter(|record| record["event"] == "login.succeeded")
        .collect();
    assert_eq!(logins.len(), names.len());
    assert_eq!(logins[1]["user"], "%n%s%x{}{0}");
    assert!(!journal.contains("hunter2"), "a password");
    let longest = journal.lines().map(str::len).max().expect("lines");
    assert!(longest < 20_000, "{longest}");
}

#[test]
fn a_slow_loris_before_its_login_is_ended_and_others_are_unharmed() {
    let server = Server::start();
    let gate = setup(server.at, 35).start();
    let mut other = Client::login(gate.at);
    // One says nothing, one stops within a line, one sends a byte now and then. Each of the two time-outs is there only when
    // whom it is for has come so far.
    let mut silent = Client::connect(gate.at);
    silent.hears("220");
    let mut stopped = Client::connect(gate.at);
    stopped.hears("220");
    let mut dripping = Client::connect(gate.at);
    dripping.hears("220");
    gate.reload_with("timeouts: {command: 200ms}");
    stopped.send_raw(b"USER b");
    let began = std::time::Instant::now();
    loop {
        let sent = dripping.control.write_all(b"x");
        other.asks("NOOP", "200");
        if sent.is_err() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "it drips on");
    }
    stopped.hears("421");
    gate.reload_with("timeouts: {login: 400ms}");
    silent.hears("421");
    let mut reasons: Vec<_> = (0..3)
        .map(|_| {
            gate.journal.shows("session.closed")["reason"]
                .as_str()
                .expect("a reason")
                .to_owned()
        })
        .collect();
    reasons.sort();
    assert_eq!(
        reasons,
        ["command_timeout", "command_timeout", "login_timeout"]
    );
    other.asks("NOOP", "200");
}

#[test]
fn a_tls_client_hello_on_the_plain_port_is_closed_at_once_without_a_reply() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(36));
    let mut client = Client::connect(gate.at);
    let _peer = upstream.accept();
    client.hears("220");
    client.send_raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(client.hears_the_end(), "");
    assert_eq!(gate.journal.shows("protocol.foreign")["protocol"], "tls");
}

#[test]
fn bytes_behind_auth_in_one_segment_are_answered_in_clear_and_in_their_turn() {
    // TLS is not offered: whatever came behind AUTH is a command like any other, judged after the 534.
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(37));
    let mut client = Client::connect(gate.at);
    let mut peer = upstream.accept();
    client.hears("220");
    client.send_raw(b"AUTH TLS\r\nUSER root\r\n");
    client.hears("534");
    peer.hears("USER root");
    peer.says("331 Password?");
    client.hears("331");
}

#[test]
fn a_flood_of_connections_from_one_address_leaves_a_running_session_unharmed() {
    let server = Server::start().with_file("file", b"some content");
    let gate = setup(server.at, 38)
        .more("limits: {sessions_per_address: 8, connects_per_address: 20/s}")
        .start();
    let mut other = Client::connect_from(crate::host(2), gate.at).logged_in();
    let flood: Vec<_> = (0..500)
        .map(|_| TcpStream::connect(gate.at).expect("the backlog"))
        .collect();
    assert_eq!(other.download("file"), b"some content");
    drop(flood);
    assert_eq!(other.download("file"), b"some content");
    let mut third = Client::connect_from(crate::host(3), gate.at).logged_in();
    assert_eq!(third.download("file"), b"some content");
}
