//! Data connections of the demo's server: contents, bounds, faults.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::super::client::{DataMode, DemoClient};
use super::super::server::{DemoServer, Limits, PATTERN_NAME, pattern};
use super::super::tour::{TourFault, make_transfers};
use super::{Talk, all, server};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn every_mode_carries_every_transfer() {
    for (address, expected) in [("127.0.0.1:0", 12), ("[::1]:0", 6)] {
        let address = address.parse().unwrap();
        let server = DemoServer::start(address).await.unwrap();
        let made = make_transfers(server.address(), async |_| Ok::<(), TourFault>(()))
            .await
            .unwrap();
        assert_eq!(made.len(), expected, "{address}");
    }
}

#[tokio::test]
async fn the_samples_are_there() {
    let server = server(Limits::default()).await;
    let mut client = DemoClient::log_in(server.address(), "ftp", "")
        .await
        .unwrap();
    let got = client.download(DataMode::Epsv, PATTERN_NAME).await.unwrap();
    assert_eq!(got, pattern(0, MIB));
    let note = client.download(DataMode::Port, "Grüße/日本語.txt").await;
    assert_eq!(note.unwrap(), b"Names may be UTF-8.\n");
    let empty = client.download(DataMode::Eprt, "empty.bin").await.unwrap();
    assert_eq!(empty, b"");
    client.quit().await.unwrap();
}

#[tokio::test]
async fn listings_take_options_names_and_files() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let list = text(talk.fetch("LIST -la").await);
    assert_eq!(list.lines().count(), 4, "{list}");
    assert!(
        list.lines()
            .any(|line| line.starts_with("drwx") && line.ends_with(" Grüße"))
    );
    let list = text(talk.fetch("LIST README.txt").await);
    assert!(list.ends_with(" README.txt\r\n"), "{list}");
    assert_eq!(text(talk.fetch("NLST Grüße").await), "Grüße/日本語.txt\r\n");
    assert_eq!(text(talk.fetch("NLST README.txt").await), "README.txt\r\n");
    talk.ask("OPTS MLST type;size;", 200).await;
    let facts = text(talk.fetch("MLSD").await);
    assert!(facts.contains("type=dir; Grüße\r\n"), "{facts}");
    assert!(
        facts.contains("type=file;size=1048576; pattern-1MiB.bin\r\n"),
        "{facts}"
    );
    talk.passive().await;
    talk.ask("MLSD README.txt", 501).await;
    talk.passive().await;
    talk.ask("LIST none", 550).await;
    talk.ask("LIST", 425).await;
}

#[tokio::test]
async fn transfers_can_be_resumed_and_appended() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    talk.give("STOR f", b"0123456789").await;
    talk.ask("REST 4", 350).await;
    assert_eq!(talk.fetch("RETR f").await, b"456789");
    assert_eq!(
        talk.fetch("RETR f").await,
        b"0123456789",
        "REST counts once"
    );
    talk.ask("REST 8", 350).await;
    talk.give("STOR f", b"abc").await;
    talk.give("APPE f", b"def").await;
    assert_eq!(talk.fetch("RETR f").await, b"01234567abcdef");
    talk.ask("REST 15", 350).await;
    talk.passive().await;
    talk.ask("RETR f", 554).await;
    talk.ask("REST 15", 350).await;
    talk.passive().await;
    talk.ask("STOR f", 554).await;
    let first = talk.give("STOU", b"u").await;
    let second = talk.give("STOU", b"v").await;
    assert!(first.starts_with("150 FILE: upload-1\r\n"), "{first}");
    assert!(second.starts_with("150 FILE: upload-2\r\n"), "{second}");
    assert_eq!(talk.fetch("RETR upload-2").await, b"v");
}

#[tokio::test]
async fn ascii_transfers_change_line_ends() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    talk.ask("TYPE A", 200).await;
    talk.give("STOR f", b"a\r\nb\r\n").await;
    assert_eq!(talk.fetch("RETR f").await, b"a\r\nb\r\n");
    talk.ask("TYPE I", 200).await;
    assert_eq!(talk.fetch("RETR f").await, b"a\nb\n");
}

#[tokio::test]
async fn a_full_store_says_452_and_has_room_again() {
    let limits = Limits {
        bytes: 2 * MIB,
        ..Limits::default()
    };
    let server = server(limits).await;
    let mut talk = Talk::logged_in(&server).await;
    let mut data = talk.passive().await;
    talk.ask("STOR big", 150).await;
    // The server stops reading when it is full, and the write may see that.
    let _ = data.write_all(&pattern(1, 2 * MIB)).await;
    drop(data);
    talk.hear(452).await;
    talk.ask("DELE big", 250).await;
    talk.ask(&format!("DELE {PATTERN_NAME}"), 250).await;
    let bytes = pattern(2, MIB + MIB / 2);
    talk.give("STOR big", &bytes).await;
    assert_eq!(talk.fetch("RETR big").await, bytes);
}

#[tokio::test]
async fn abor_ends_a_transfer_and_the_next_works() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    talk.give("STOR large", &pattern(3, 24 * MIB)).await;
    let mut data = talk.passive().await;
    talk.ask("RETR large", 150).await;
    data.read_exact(&mut [0; 10]).await.unwrap();
    talk.ask("NOOP", 200).await;
    talk.ask("STAT", 211).await;
    talk.say(b"\xff\xf4\xff\xf2ABOR\r\n").await;
    talk.hear(426).await;
    talk.hear(226).await;
    let mut rest = Vec::new();
    let _ = data.read_to_end(&mut rest).await;
    assert!(rest.len() < 24 * MIB - 10, "{} bytes came", rest.len());
    let mut data = talk.passive().await;
    talk.ask("STOR part", 150).await;
    data.write_all(b"some").await.unwrap();
    talk.ask("ABOR", 426).await;
    talk.hear(226).await;
    drop(data);
    assert_eq!(talk.fetch("RETR empty.bin").await, b"");
}

#[tokio::test]
async fn abor_ends_waiting_for_a_dial() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    talk.awaited().await;
    talk.ask("RETR README.txt", 150).await;
    talk.ask("ABOR", 426).await;
    talk.hear(226).await;
    talk.ask("RETR README.txt", 425).await;
}

#[tokio::test]
async fn a_client_may_dial_only_after_150_and_pipeline_behind() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    let at = talk.awaited().await;
    talk.say(b"RETR README.txt\r\nPWD\r\nQUIT\r\n").await;
    talk.hear(150).await;
    let mut data = tokio::net::TcpStream::connect(at).await.unwrap();
    assert!(all(&mut data).await.starts_with(b"This is"));
    for code in [226, 257, 221] {
        talk.hear(code).await;
    }
    talk.hung_up().await;
}

#[tokio::test]
async fn a_dial_from_another_address_gets_nothing() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    let at = talk.awaited().await;
    let stranger = TcpSocket::new_v4().unwrap();
    stranger.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stranger = stranger.connect(at).await.unwrap();
    let mut owner = tokio::net::TcpStream::connect(at).await.unwrap();
    talk.ask("RETR README.txt", 150).await;
    assert!(all(&mut owner).await.starts_with(b"This is"));
    talk.hear(226).await;
    assert_eq!(all(&mut stranger).await, b"");
}

#[tokio::test]
async fn a_failed_dial_is_a_plain_425() {
    let server = server(Limits::default()).await;
    let mut talk = Talk::logged_in(&server).await;
    // Bound, and never a listener: a process that another test starts would hold it open for a moment.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = nobody.local_addr().unwrap();
    talk.ask(&format!("EPRT |1|127.0.0.1|{}|", at.port()), 200)
        .await;
    talk.ask("LIST", 425).await;
}
