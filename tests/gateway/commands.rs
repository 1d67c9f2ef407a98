//! The dialogue on a real control connection: pieces, bursts, urgent data, peers that take nothing.

use std::io::Read as _;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::client::Client;
use crate::gate::Setup;
use crate::server::Server;

#[test]
fn one_byte_per_tcp_segment_or_forty_commands_in_one_the_same_result_in_order() {
    let server = Server::start().with_file("file", b"some content");
    let gate = Setup::to(server.at)
        .more("limits: {commands: 1000/s}")
        .start();
    let mut client = Client::login(gate.at);
    client.control.set_nodelay(true).expect("set");
    let mut script = String::new();
    for _ in 0..20 {
        script.push_str("NOOP\r\nBOGU\r\n");
    }
    client.send_raw(script.as_bytes());
    let burst: Vec<_> = (0..40).map(|_| client.reply()).collect();
    for byte in script.bytes() {
        client.send_raw(&[byte]);
    }
    let pieces: Vec<_> = (0..40).map(|_| client.reply()).collect();
    assert_eq!(burst, pieces);
    for pair in burst.chunks(2) {
        assert!(
            pair[0].starts_with("200") && pair[1].starts_with("50"),
            "{pair:?}"
        );
    }
    assert_eq!(client.download("file"), b"some content");
}

#[test]
fn abor_with_urgent_data_in_the_middle_of_a_retr_gets_426_and_226_and_the_next_command_works() {
    let server = Server::start().with_file("file", b"some content");
    let gate = Setup::to(server.at).start();
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let mut data = client.dial(at);
    client.asks("RETR endless", "150");
    data.read_exact(&mut [0; 100_000]).expect("bytes flow");
    client.send_urgent(b"\xff\xf4\xff");
    client.send_raw(b"\xf2ABOR\r\n");
    client.hears("426");
    client.hears("226");
    let closed = gate.journal.shows("pinhole.closed");
    assert_eq!(closed["reason"], "aborted");
    // What was cut off does not look complete, and in any case it ends.
    let _ = data.read_to_end(&mut Vec::new());
    assert_eq!(client.download("file"), b"some content");
    server.hears_at_last("ABOR");
}

#[test]
fn urgent_data_inline_never_leaves_a_command_behind_its_mark_unread() {
    let server = Server::start();
    let gate = Setup::to(server.at)
        .more("limits: {commands: 10000/s}")
        .start();
    let mut client = Client::login(gate.at);
    client.control.set_nodelay(true).expect("set");
    // The mark may stand anywhere: the kernel stops a read in front of it, whatever is behind.
    for round in 0..300 {
        client.send_raw(b"NOOP\r\nNO");
        client.send_urgent(b"O");
        client.send_raw(b"P\r\n");
        client.hears("200");
        client.hears("200");
        if round % 3 == 0 {
            client.send_urgent(b"NOOP\r\n");
            client.hears("200");
        }
    }
}

#[test]
fn a_client_that_takes_no_replies_is_closed_after_send_stall() {
    let server = Server::start();
    let gate = Setup::to(server.at)
        .more("timeouts: {send_stall: 300ms}")
        .more("limits: {commands: 100000/s, pipeline: 2000}")
        .start();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("small");
    socket.connect(&gate.at.into()).expect("connected");
    let mut client = Client::over(socket.into()).logged_in();
    // 1000 replies of 60 KiB each are far more than all buffers of the kernel on the way hold.
    // In one piece: the session may end while a slow client would still be sending.
    client.send(&["STAT"; 1000].join("\r\n"));
    assert_eq!(
        gate.journal.shows("session.closed")["reason"],
        "send_stalled"
    );
}

#[test]
fn a_client_that_vanishes_in_the_middle_leaves_no_pinhole_and_no_session() {
    let server = Server::start();
    let gate = Setup::to(server.at).start();
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let mut data = client.dial(at);
    client.asks("RETR endless", "150");
    data.read_exact(&mut [0; 100_000]).expect("bytes flow");
    drop((client, data));
    assert_eq!(
        gate.journal.shows("pinhole.closed")["reason"],
        "transfer_failed"
    );
    assert_eq!(
        gate.journal.shows("session.closed")["reason"],
        "client_closed"
    );
}

#[test]
fn idle_sessions_end_with_421_at_their_time_and_running_transfers_do_not() {
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let gate = Setup::to(server.at).start();
    let mut busy = Client::login(gate.at);
    let at = busy.passive();
    let data = busy.dial(at);
    busy.asks("RETR held", "150");
    let mut idle = Client::login(gate.at);
    // Only now, lest somebody idle who means to go on.
    gate.reload_with("timeouts: {idle: 300ms}");
    idle.hears("421");
    assert_eq!(idle.hears_the_end(), "");
    let closed = gate.journal.shows("session.closed");
    assert_eq!(closed["reason"], "idle_timeout");
    assert!(
        closed["seconds"].as_f64().expect("a number") >= Duration::from_millis(300).as_secs_f64()
    );
    drop(hold);
    assert_eq!(crate::client::read_all(data), b"first half, second half");
    busy.hears("226");
}
