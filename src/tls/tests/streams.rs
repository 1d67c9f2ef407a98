//! Bytes, their end, and ends that are none.

use super::*;
use std::io::ErrorKind;
use tokio::io::AsyncWriteExt as _;

/// Shakes hands for a data connection.
async fn data(halves: &Halves, of_listener: &str) -> (End, End) {
    let (client, server) = halves.sessions(of_listener, "");
    let (_, _, client, server) = shake(
        client.data(false).expect("one"),
        server.data().expect("one"),
    )
    .await;
    (client, server)
}

#[tokio::test]
async fn megabytes_arrive_whole_in_both_directions() {
    let halves = Halves::new();
    let (mut client, mut server) = data(&halves, "").await;
    let sent: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    for _ in 0..2 {
        let writing = async {
            for part in sent.chunks(100_001) {
                client.write(part).await.expect("sent");
            }
        };
        let reading = async {
            let mut got = Vec::new();
            while got.len() < sent.len() {
                let part = server.read().await.expect("read");
                assert!(!part.is_empty());
                got.extend(part);
            }
            got
        };
        let ((), got) = tokio::join!(writing, reading);
        assert!(got == sent, "other bytes");
        std::mem::swap(&mut client, &mut server);
    }
}

#[tokio::test]
async fn an_end_is_only_one_with_close_notify() {
    let halves = Halves::new();
    let (mut client, mut server) = data(&halves, "").await;
    client.write(b"all of it").await.expect("sent");
    client.end().await;
    assert_eq!(server.read().await.expect("read"), b"all of it");
    assert_eq!(server.read().await.expect("the end"), b"");

    let (mut client, mut server) = data(&halves, "").await;
    client.write(b"half of it").await.expect("sent");
    client.socket.shutdown().await.expect("a FIN");
    assert_eq!(server.read().await.expect("read"), b"half of it");
    let cut = server.read().await.expect_err("cut off");
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn an_end_without_close_notify_counts_where_that_is_accepted() {
    let halves = Halves::new();
    let (mut client, mut server) = data(&halves, ", missing_close_notify: accept").await;
    client.write(b"all of it").await.expect("sent");
    client.socket.shutdown().await.expect("a FIN");
    assert_eq!(server.read().await.expect("read"), b"all of it");
    assert_eq!(server.read().await.expect("the end"), b"");
}

#[tokio::test]
async fn a_changed_byte_is_an_error_and_nothing_of_it_is_handed_out() {
    let halves = Halves::new();
    let (mut client, mut server) = data(&halves, "").await;
    client
        .socket
        .write_all(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
        .await
        .expect("sent");
    let bad = server.read().await.expect_err("forged");
    assert_eq!(bad.kind(), ErrorKind::InvalidData);
}
