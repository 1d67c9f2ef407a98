//! When legs are dialled, and what passes in which order around the data.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::client::{Client, read_all};
use crate::host;
use crate::scripted::{Peer, Upstream, accept, expect_nobody, listener, setup, told};
use crate::server::Server;

/// The client sends PORT for a port of its own; answers with where the gateway will dial it, and where the server may.
fn active(client: &mut Client, peer: &mut Peer) -> (std::net::TcpListener, SocketAddr) {
    let listens = listener(client.control.local_addr().expect("ours").ip());
    let port = listens.local_addr().expect("an address").port();
    client.send(&format!("PORT 127,0,0,1,{},{}", port >> 8, port & 255));
    let told = peer.line();
    let fields: Vec<u16> = told
        .strip_prefix("PORT ")
        .expect("PORT")
        .split(',')
        .map(|field| field.parse().expect("a number"))
        .collect();
    assert_eq!(fields[..4], [127, 0, 0, 1]);
    peer.says("200 I shall dial.");
    client.hears("200");
    (
        listens,
        SocketAddr::new(host(1), fields[4] << 8 | fields[5]),
    )
}

#[test]
fn the_upstreams_port_is_dialled_with_the_command_not_before_and_not_after_150() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(10));
    let (mut client, mut peer) = upstream.session(&gate);
    let (at, listens) = peer.passive(&mut client);
    let data = client.dial(at);
    gate.journal.shows("pinhole.used");
    peer.answers(&mut client, "NOOP", "200 Fine.");
    expect_nobody(&listens);
    client.send("RETR file");
    peer.hears("RETR file");
    // As vsftpd and Pure-FTPd do: the connection first, the 150 then.
    let mut leg = accept(&listens);
    peer.says("150 Here it comes.");
    client.hears("150");
    leg.write_all(b"content").expect("sent");
    drop(leg);
    peer.says("226 Done.");
    assert_eq!(read_all(data), b"content");
    client.hears("226");
}

#[test]
fn the_clients_active_port_is_dialled_at_150_and_never_for_a_550() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(11));
    let (mut client, mut peer) = upstream.session(&gate);
    let (listens, _) = active(&mut client, &mut peer);
    client.send("RETR missing");
    peer.hears("RETR missing");
    peer.answers(&mut client, "NOOP", "200 Fine.");
    peer.says("550 No such file.");
    client.hears("550");
    expect_nobody(&listens);

    let (listens, hole) = active(&mut client, &mut peer);
    client.send("RETR file");
    peer.hears("RETR file");
    peer.answers(&mut client, "NOOP", "200 Fine.");
    expect_nobody(&listens);
    peer.says("150 Here it comes.");
    let data = accept(&listens);
    client.hears("150");
    let mut leg = std::net::TcpStream::connect(hole).expect("the upstream's pinhole");
    leg.write_all(b"content").expect("sent");
    drop(leg);
    peer.says("226 Done.");
    assert_eq!(read_all(data), b"content");
    client.hears("226");
}

#[test]
fn a_clients_port_that_cannot_be_dialled_is_a_final_425_instead_of_150() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(12));
    let (mut client, mut peer) = upstream.session(&gate);
    let (listens, _) = active(&mut client, &mut peer);
    drop(listens);
    client.send("RETR file");
    peer.hears("RETR file");
    peer.says("150 Here it comes.");
    client.hears("425");
    peer.says("426 Nobody is there.");
    peer.answers(&mut client, "NOOP", "200 Fine.");
}

#[test]
fn data_before_its_150_and_a_226_before_the_data_is_read_lose_nothing() {
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(13));
    let (mut client, mut peer) = upstream.session(&gate);

    let (at, listens) = peer.passive(&mut client);
    client.send("RETR file");
    peer.hears("RETR file");
    let mut leg = accept(&listens);
    leg.write_all(b"all of it").expect("sent");
    drop(leg);
    peer.says("150 Late.");
    client.hears("150");
    peer.says("226 Done.");
    assert_eq!(read_all(client.dial(at)), b"all of it");
    client.hears("226");

    let (at, listens) = peer.passive(&mut client);
    client.send("RETR file");
    peer.hears("RETR file");
    let mut leg = accept(&listens);
    peer.says("150 Here it comes.\r\n226 Done.");
    client.hears("150");
    let sent = content.clone();
    let sending = std::thread::spawn(move || leg.write_all(&sent).expect("sent"));
    assert!(read_all(client.dial(at)) == content);
    client.hears("226");
    sending.join().expect("the sender");
}

#[test]
fn an_upstream_that_is_gone_in_the_middle_lets_all_bytes_through_and_then_is_a_421() {
    let upstream = Upstream::new();
    let gate = upstream.start(upstream.setup(14));
    for farewell in [None, Some("421 I am shutting down.")] {
        let (mut client, mut peer) = upstream.session(&gate);
        let (at, listens) = peer.passive(&mut client);
        let data = client.dial(at);
        client.send("RETR file");
        peer.hears("RETR file");
        let mut leg = accept(&listens);
        peer.says("150 Here it comes.");
        client.hears("150");
        leg.write_all(b"the first half, ").expect("sent");
        if let Some(words) = farewell {
            peer.says(words);
        }
        drop(peer);
        leg.write_all(b"the second half").expect("sent");
        drop(leg);
        assert_eq!(read_all(data), b"the first half, the second half");
        let heard = client.hears("421");
        assert!(
            farewell.is_none_or(|words| words == heard),
            "the upstream's own words, not {heard}"
        );
        assert_eq!(client.hears_the_end(), "");
    }
}

#[test]
fn a_whole_session_in_one_segment_is_answered_in_order() {
    let server = Server::start().with_file("file", b"some content");
    let gate = setup(server.at, 15).start();
    let mut client = Client::connect(gate.at);
    client.send_raw(b"USER bob\r\nPASS secret\r\nTYPE I\r\nPASV\r\nRETR file\r\nNOOP\r\nQUIT\r\n");
    for code in ["220", "331", "230", "200"] {
        client.hears(code);
    }
    let at = told(&client.hears("227"));
    let data = client.dial(at);
    client.hears("150");
    assert_eq!(read_all(data), b"some content");
    // NOOP and QUIT may pass while the transfer runs, and a server answers them when it likes; QUIT ends it all.
    let rest = client.hears_the_end();
    let mut codes: Vec<_> = rest.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes.pop(), Some("221"));
    codes.sort_unstable();
    assert_eq!(codes, ["200", "226"]);
}
