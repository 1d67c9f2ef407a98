//! Replies, bounds and refusals on the control connection.

use std::time::Duration;

use super::super::server::Limits;
use super::{Talk, server};

#[tokio::test]
async fn every_command_has_its_reply() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::new(&server).await;
    for (command, code) in [
        ("PWD", 530),
        ("RETR README.txt", 530),
        ("NOOP", 200),
        ("USER nobody", 331),
        ("PASS secret", 530),
        ("USER demo", 331),
        ("PASS wrong", 530),
        ("USER demo", 331),
        ("PASS demo", 230),
        ("USER demo", 503),
        ("SYST", 215),
        ("FEAT", 211),
        ("HELP", 214),
        ("OPTS UTF8 ON", 200),
        ("OPTS MLST size;", 200),
        ("OPTS NONE", 501),
        ("SITE CHMOD 777 x", 502),
        ("AUTH TLS", 502),
        ("XYZZY", 500),
        ("", 500),
        ("TYPE E", 504),
        ("MODE S", 200),
        ("MODE B", 504),
        ("STRU F", 200),
        ("STRU R", 504),
        ("ALLO 100", 202),
        ("ABOR", 226),
        ("REST 5", 504),
        ("SIZE README.txt", 550),
        ("TYPE I", 200),
        ("REST x", 501),
        ("REST -1", 501),
        ("REST 99999999999999999999999", 501),
        ("REST 0", 350),
        ("SIZE", 501),
        ("SIZE none", 550),
        ("SIZE Grüße", 550),
        ("MDTM README.txt", 213),
        ("MLST README.txt", 250),
        ("STAT", 211),
        ("STAT /", 213),
        ("CWD none", 550),
        ("CWD README.txt", 550),
        ("MKD a", 257),
        ("XMKD a/b", 257),
        ("MKD a", 550),
        ("CWD a/b", 250),
        ("XCUP", 250),
        ("RMD /a", 550),
        ("RNTO x", 503),
        ("RNFR b", 350),
        ("NOOP", 200),
        ("RNTO c", 503),
        ("RNFR b", 350),
        ("RNTO /c", 250),
        ("CDUP", 250),
        ("RMD c", 250),
        ("XRMD a", 250),
        ("DELE empty.bin", 250),
        ("DELE empty.bin", 550),
        ("DELE \u{7f}", 553),
        ("RETR README.txt", 425),
        ("PORT 127,0,0,1,3,255", 504),
        ("PORT 127,0,0,2,31,144", 504),
        ("PORT 127,0,0,1,31", 501),
        ("EPRT |1|127.0.0.2|8080|", 504),
        ("EPRT |1|127.0.0.1|8080", 501),
        ("EPRT |3|x|8080|", 522),
        ("EPSV 2", 522),
        ("EPSV 3", 501),
        ("EPSV 1", 229),
        ("EPSV ALL", 200),
        ("PASV", 503),
        ("PORT 127,0,0,1,31,144", 503),
        ("EPSV", 229),
        ("QUIT", 221),
    ] {
        talk.ask(command, code).await;
    }
    talk.hung_up().await;
}

#[tokio::test]
async fn a_directory_with_a_quote_is_told_with_two() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    talk.ask("MKD a\"b ü", 257).await;
    talk.ask("CWD a\"b ü", 250).await;
    let reply = talk.ask("PWD", 257).await;
    assert!(reply.starts_with("257 \"/a\"\"b ü\" "), "{reply}");
}

#[tokio::test]
async fn commands_in_one_piece_are_answered_in_order() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    talk.say(b"NOOP\r\nPWD\nTYPE A\r\n\xff\xf4\xff\xf2ABOR\r\n")
        .await;
    for code in [200, 257, 200, 226] {
        talk.hear(code).await;
    }
    talk.say(b"DELE README.txt\rX\r\n").await;
    talk.hear(501).await;
}

#[tokio::test]
async fn urgent_data_stands_in_its_place() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    for (urgent, plain) in [
        (&b"\xff\xf4\xff\xf2"[..], &b"ABOR\r\n"[..]),
        (b"ABOR\r\n", b""),
    ] {
        let sent = socket2::SockRef::from(talk.0.get_ref()).send_out_of_band(urgent);
        assert_eq!(sent.unwrap(), urgent.len());
        talk.say(plain).await;
        talk.hear(226).await;
    }
}

#[tokio::test]
async fn a_line_has_a_greatest_length() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::new(&server).await;
    talk.say(&[b'A'; 5000]).await;
    talk.hear(500).await;
    let mut talk = Talk::new(&server).await;
    let line = [&[b'A'; 4097][..], b"\r\n"].concat();
    talk.say(&line).await;
    talk.hear(500).await;
}

#[tokio::test]
async fn passwords_are_not_guessed_without_end() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::new(&server).await;
    for code in [530, 530, 530, 530, 421] {
        talk.ask("USER demo", 331).await;
        talk.ask("PASS guess", code).await;
    }
    talk.hung_up().await;
}

#[tokio::test]
async fn a_silent_session_ends() {
    let limits = Limits {
        idle: Duration::from_millis(20),
        ..Limits::default()
    };
    let server = server(limits).await;
    let mut talk = Talk::new(&server).await;
    talk.hear(421).await;
    talk.hung_up().await;
}

#[tokio::test]
async fn sessions_are_bounded_and_come_free_again() {
    let limits = Limits {
        sessions: 1,
        ..Limits::default()
    };
    let server = server(limits).await;
    let mut first = Talk::new(&server).await;
    let stream = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    let mut second = Talk(tokio::io::BufReader::new(stream));
    second.hear(421).await;
    first.ask("QUIT", 221).await;
    first.hung_up().await;
    drop(first);
    // The place is free once the server has seen the end of the first session's task.
    loop {
        let stream = tokio::net::TcpStream::connect(server.address())
            .await
            .unwrap();
        let greeting = Talk(tokio::io::BufReader::new(stream)).line().await;
        if greeting.starts_with("220 ") {
            break;
        }
        assert!(greeting.starts_with("421 "), "{greeting}");
    }
}

#[tokio::test]
async fn a_dropped_server_ends_its_sessions() {
    let server = server(Limits::default()).await;
    let address = server.address();
    let mut talk = Talk::new(&server).await;
    drop(server);
    talk.hung_up().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
