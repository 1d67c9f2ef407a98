//! Handshakes that fail: one record with the alert's name and the client's address, and room for the next.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::client::{Client, config, connect, line_of};
use crate::field::Field;

/// Says AUTH TLS, and shakes hands as a client with this config that asks for this name.
fn shake(field: &Field, config: ClientConfig, name: &str) -> bool {
    let mut socket = connect(field.at);
    line_of(&mut socket);
    socket.write_all(b"AUTH TLS\r\n").expect("sent");
    assert!(line_of(&mut socket).starts_with("234 "));
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
    while tls.is_handshaking() {
        if tls.complete_io(&mut socket).is_err() {
            return false;
        }
    }
    // A client may be the last to speak in the handshake: the server's word on it comes behind.
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.write_all(b"NOOP\r\n").is_ok() && matches!(stream.read(&mut [0; 64]), Ok(1..))
}

/// One record tells of it, with these; nothing in it is a program's own talk.
fn told_once(field: &Field, why: &str, alert: &str) {
    let line = field.journal_shows(&["tls.failed", why, alert]);
    assert!(line.contains("\"client\":\"127.0.0.1"), "{line}");
    for talk in ["panicked", ".rs:", "stack", "Error("] {
        assert!(!line.contains(talk), "{line}");
    }
    assert_eq!(field.journal_lines("tls.failed").len(), 1, "{line}");
}

#[test]
fn a_name_that_is_none_of_ours_is_one_record() {
    let field = Field::new("mode: explicit");
    let good = || ClientConfig::clone(&config(&field.ca, true));
    assert!(shake(&field, good(), "localhost"));
    assert!(!shake(&field, good(), "other.example"));
    told_once(&field, "server_name", "\"alert\":\"access_denied\"");
}

#[test]
fn alpn_without_ftp_is_one_record() {
    let field = Field::new("mode: explicit");
    let offers = |name: &str| {
        let mut config = ClientConfig::clone(&config(&field.ca, true));
        config.alpn_protocols = vec![name.into()];
        config
    };
    assert!(shake(&field, offers("ftp"), "localhost"));
    assert!(!shake(&field, offers("http/1.1"), "localhost"));
    told_once(&field, "alpn", "\"alert\":\"no_application_protocol\"");
}

#[test]
fn a_client_that_does_not_believe_us_is_one_record_with_its_alert() {
    let field = Field::new("mode: explicit");
    let stranger = Field::new("mode: explicit");
    let other = ClientConfig::clone(&config(&stranger.ca, true));
    assert!(!shake(&field, other, "localhost"));
    // Both issuers have the same name, so it is the signature that is wrong.
    told_once(&field, "\"why\":\"alert\"", "\"alert\":\"decrypt_error\"");
}

#[test]
fn what_is_no_tls_is_one_record() {
    let field = Field::new("mode: implicit");
    let mut socket = connect(field.at);
    socket.write_all(b"USER root\r\n").expect("sent");
    let mut rest = Vec::new();
    let _reset = socket.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"220"), "a word in clear");
    told_once(&field, "not_tls", "");
}

fn is_ended(mut socket: TcpStream) -> bool {
    let mut rest = Vec::new();
    // The error would be the test's own patience.
    match socket.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Connects as soon as there is a place for a session.
fn admitted(field: &Field) -> TcpStream {
    let until = Instant::now() + crate::PATIENCE;
    loop {
        let mut socket = connect(field.at);
        let mut first = [0];
        // A session begins with 220; whoever finds no place hears 421, or nothing.
        if matches!(socket.read(&mut first), Ok(1)) && line_of(&mut socket).starts_with("20 ") {
            return socket;
        }
        assert!(Instant::now() < until, "no session");
        std::thread::yield_now();
    }
}

const BEGUN: [&[u8]; 2] = [b"", b"\x16\x03\x01\x02\x00\x01"];

#[test]
fn a_stalled_client_hello_is_ended_and_its_place_is_free_again() {
    let more = "timeouts: {command: 300ms}\nlimits: {sessions: 1}";
    let field = Field::with("mode: explicit", more);
    for begun in BEGUN {
        // The only place there is.
        let mut socket = admitted(&field);
        socket.write_all(b"AUTH TLS\r\n").expect("sent");
        assert!(line_of(&mut socket).starts_with("234 "));
        socket.write_all(begun).expect("sent");
        assert!(is_ended(socket));
    }
    admitted(&field);
    field.journal_shows(&["tls.failed", "timed_out", "127.0.0.1"]);
}

#[test]
fn a_stalled_client_hello_of_an_implicit_client_is_ended_too() {
    let field = Field::with("mode: implicit", "timeouts: {command: 300ms}");
    for begun in BEGUN {
        let mut socket = connect(field.at);
        socket.write_all(begun).expect("sent");
        assert!(is_ended(socket));
    }
    field.journal_shows(&["tls.failed", "timed_out", "127.0.0.1"]);
}

#[test]
fn a_stalled_data_handshake_is_ended_in_time_and_the_session_goes_on() {
    let field = Field::with("mode: explicit", "timeouts: {connect: 300ms}");
    let mut client = Client::login(&field, true);
    let at = client.passive();
    let silent = connect(at);
    client.send("STOR file");
    let first = client.reply();
    let last = if first.starts_with("150") {
        client.reply()
    } else {
        first
    };
    assert!(last.starts_with('4') || last.starts_with('5'), "{last}");
    assert!(is_ended(silent));
    assert_eq!(field.file("file"), None);
    field.journal_shows(&["tls.failed", "timed_out"]);
    assert!(client.upload("file", b"content"), "not resumed");
}
