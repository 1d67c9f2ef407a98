//! Whole sessions: transfers, their ends, both modes, reload.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use crate::client::{Client, connect, is_resumed, line_of, protect};
use crate::field::Field;

#[test]
fn transfers_resume_and_arrive_whole_in_both_versions() {
    let field = Field::new("mode: explicit, resumption: require");
    for new in [false, true] {
        let mut client = Client::login(&field, new);
        for number in 0..25 {
            let content: Vec<u8> = (0..number * 20_011_u32)
                .flat_map(|n| n.to_le_bytes())
                .collect();
            assert!(
                client.upload("file", &content),
                "{new} {number}: not resumed"
            );
            assert!(
                field.file("file").as_deref() == Some(&*content),
                "{new} {number}: other bytes"
            );
            let (got, resumed) = client.download("file");
            assert!(resumed && got == content, "{new} {number}");
        }
        client.asks("QUIT", "221");
        let mut rest = Vec::new();
        let ended = client.control.read_to_end(&mut rest);
        ended.expect("an end with close_notify");
    }
    field.journal_shows(&[
        "tls.established",
        "\"transfer\":1",
        "\"tls\":\"1.2\"",
        "\"resumed\":true",
    ]);
    field.journal_shows(&[
        "tls.established",
        "\"sni\":\"localhost\"",
        "TLS13_",
        "\"resumed\":false",
    ]);
}

/// Tickets that such a client has not read when it closes would reset the connection, and its last megabytes be lost.
#[test]
fn an_upload_of_a_client_that_never_reads_arrives_whole() {
    let field = Field::new("mode: explicit");
    for new in [false, true] {
        let mut client = Client::login(&field, new);
        let content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
        client.throw("file", &content);
        assert!(field.file("file").as_deref() == Some(&*content), "{new}");
    }
}

/// The ticket for its next connection is there before it hears that its upload begins: where resumption is demanded, it never lacks one.
#[test]
fn a_client_that_uses_each_ticket_once_can_upload_as_often_as_it_likes() {
    let field = Field::new("mode: explicit, resumption: require");
    let mut client = Client::login(&field, true);
    for number in 0..50_u8 {
        let content = vec![number; 1 + 100 * usize::from(number)];
        assert_eq!(client.haste("file", &content), (true, true), "{number}");
        assert!(field.file("file").as_deref() == Some(&*content), "{number}");
    }
}

/// The same client as above, where its tickets would do harm: whoever shakes hands behind the 150 gets them at the end.
#[test]
fn an_upload_of_a_client_that_must_resume_and_never_reads_arrives_whole() {
    let field = Field::new("mode: explicit, resumption: require");
    let mut client = Client::login(&field, true);
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    client.throw("file", &content);
    assert!(field.file("file").as_deref() == Some(&*content));
}

#[test]
fn an_upload_that_is_cut_off_is_never_reported_complete() {
    for (setting, complete) in [("refuse", false), ("accept", true)] {
        let field = Field::new(&format!("mode: explicit, missing_close_notify: {setting}"));
        let mut client = Client::login(&field, true);
        let at = client.passive();
        let socket = connect(at);
        client.send("STOR half");
        let mut data = protect(&client.config, socket).expect("TLS");
        assert!(client.reply().starts_with("150"));
        data.write_all(b"half of it").expect("sent");
        data.flush().expect("sent");
        // A FIN without close_notify: anybody on the way can send one.
        data.sock.shutdown(Shutdown::Write).expect("a FIN");
        let reply = client.reply();
        assert_eq!(reply.starts_with("226"), complete, "{setting}: {reply}");
        assert_eq!(field.file("half").is_some(), complete, "{setting}");
    }
}

#[test]
fn data_may_be_in_clear_only_where_that_is_allowed() {
    let field = Field::new("mode: explicit, require: login");
    field.put("file", b"in clear");
    let mut client = Client::login(&field, true);
    client.asks("PROT C", "200");
    let at = client.passive();
    let mut data = connect(at);
    client.asks("RETR file", "150");
    let mut got = Vec::new();
    data.read_to_end(&mut got).expect("read");
    assert_eq!(got, b"in clear");
    assert!(client.reply().starts_with("226"));

    let field = Field::new("mode: explicit, require: all");
    let mut client = Client::login(&field, true);
    client.asks("PROT C", "534");
    let mut clear = connect(field.at);
    line_of(&mut clear);
    clear.write_all(b"USER bob\r\n").expect("sent");
    let refused = line_of(&mut clear);
    assert!(refused.starts_with('5'), "{refused}");
}

#[test]
fn implicit_tls_begins_with_the_first_byte() {
    let field = Field::new("mode: implicit");
    let mut client = Client::over(&field, true, connect(field.at));
    assert!(client.reply().starts_with("220"));
    client.asks("USER bob", "331");
    client.asks("PASS secret", "230");
    client.asks("PBSZ 0", "200");
    client.asks("PROT P", "200");
    client.upload("file", b"content");
    assert_eq!(client.download("file").0, b"content");
}

#[test]
fn what_came_in_clear_behind_auth_ends_the_session() {
    let field = Field::new("mode: explicit");
    let mut socket = connect(field.at);
    line_of(&mut socket);
    socket
        .write_all(b"AUTH TLS\r\nUSER root\r\n")
        .expect("sent");
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).expect("the end");
    let rest = String::from_utf8_lossy(&rest);
    assert!(!rest.contains("331") && !rest.contains("234"), "{rest}");
}

#[test]
fn a_reload_brings_new_certificates_and_cuts_no_session() {
    let field = Field::new("mode: explicit");
    let serial = |client: &Client| {
        let shown = client
            .control
            .get_ref()
            .conn
            .peer_certificates()
            .expect("some");
        shown[0].to_vec()
    };
    let mut before = Client::login(&field, true);
    field.renew(2);
    field.running.reload().expect("good files");
    let after = Client::login(&field, true);
    assert_ne!(serial(&before), serial(&after));
    // The old session goes on, with what it began with.
    assert!(before.upload("file", b"content"), "not resumed");
    field.spoil_key();
    let why = field.running.reload().expect_err("a bad key");
    assert!(why.contains("key.pem: no private key is in it"), "{why}");
    Client::login(&field, true);
}

#[test]
fn a_client_certificate_that_is_not_asked_for_changes_nothing_and_a_data_handshake_in_clear_is_refused()
 {
    let field = Field::new("mode: explicit");
    let mut client = Client::login(&field, true);
    let at = client.passive();
    let mut data = connect(at);
    client.send("STOR file");
    data.write_all(b"in clear, against PROT P").expect("sent");
    let first = client.reply();
    let last = if first.starts_with("150") {
        client.reply()
    } else {
        first
    };
    assert!(last.starts_with('4') || last.starts_with('5'), "{last}");
    assert_eq!(field.file("file"), None);
    field.journal_shows(&["tls.failed", "not_tls"]);
    // The next one works.
    assert!(client.upload("file", b"content") || !is_resumed(client.control.get_ref()));
}
