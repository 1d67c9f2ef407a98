//! A relay carries every byte, in one direction.

use tokio::io::AsyncWriteExt;

use super::*;
use crate::engine::{Direction, Manner, Outcome, Usage};
use crate::pinhole::{Relay, RelayLimits};

pub(super) const PATIENT: RelayLimits = RelayLimits {
    stall: BOUND,
    linger: BOUND,
};

/// Two connected sockets; the first is the peer's end, the second ours.
pub(super) async fn pair() -> (TcpStream, TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let (peer, ours) = tokio::join!(TcpStream::connect(to), listener.accept());
    (peer.unwrap(), ours.unwrap().0)
}

/// A relay between two peers: who sends, who receives, and what carries.
pub(super) async fn relay(
    direction: Direction,
    limits: RelayLimits,
) -> (TcpStream, TcpStream, Relay) {
    let (client, client_leg) = pair().await;
    let (upstream, upstream_leg) = pair().await;
    let legs = Legs {
        client: client_leg,
        upstream: upstream_leg,
    };
    let relay = Relay::start(legs, direction, limits);
    match direction {
        Direction::Download => (upstream, client, relay),
        Direction::Upload => (client, upstream, relay),
    }
}

/// Bytes that repeat at no page, buffer or pipe size.
pub(super) fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251 + n / 65_521) as u8).collect()
}

async fn carry(direction: Direction, length: usize) -> Usage {
    let (mut sender, mut receiver, relay) = relay(direction, PATIENT).await;
    let sent = content(length);
    let send = async {
        sender.write_all(&sent).await.unwrap();
        sender.shutdown().await.unwrap();
        end_of(&mut sender).await
    };
    let (end, got, usage) =
        within(async { tokio::join!(send, end_of(&mut receiver), relay) }).await;
    assert!(got == End::Finished(sent), "not what was sent");
    assert_eq!(end, End::Finished(Vec::new()));
    usage
}

#[tokio::test]
async fn every_size_arrives_whole_in_both_directions() {
    let sizes = [
        0, 1, 1024, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 5_000_000,
    ];
    for length in sizes {
        for direction in [Direction::Download, Direction::Upload] {
            let usage = carry(direction, length).await;
            let (up, down) = match direction {
                Direction::Download => (0, length as u64),
                Direction::Upload => (length as u64, 0),
            };
            let wanted = Usage {
                bytes_up: up,
                bytes_down: down,
                wrong_direction: 0,
                unacknowledged: usage.unacknowledged,
                wire: None,
                outcome: Outcome::Complete,
            };
            assert_eq!(usage, wanted);
        }
    }
}

#[tokio::test]
async fn a_slow_receiver_gets_all_of_a_large_file() {
    let (mut sender, mut receiver, mut relay) = relay(Direction::Download, PATIENT).await;
    let length = 30_000_000;
    let sent = content(length);
    let send = async {
        sender.write_all(&sent).await.unwrap();
        sender.shutdown().await.unwrap();
    };
    let receive = async {
        let (mut got, mut piece) = (Vec::new(), vec![0; 10_007]);
        loop {
            match receiver.read(&mut piece).await.unwrap() {
                0 => break got,
                n => got.extend_from_slice(&piece[..n]),
            }
            tokio::task::yield_now().await;
        }
    };
    let (_, got, usage) = within(async { tokio::join!(send, receive, &mut relay) }).await;
    assert!(got == sent, "not what was sent");
    assert_eq!(usage.bytes_down, length as u64);
    assert_eq!(relay.progress(), length as u64);
}

#[tokio::test]
async fn direction_lock_bytes_against_a_download_go_nowhere_and_are_counted() {
    let (mut server, mut client, mut relay) = relay(Direction::Download, PATIENT).await;
    client.write_all(&content(100_000)).await.unwrap();
    // The relay has dropped them before the first byte of the file is there.
    let dropped = poll_fn(|cx| {
        assert!(relay.poll_finish(cx).is_pending());
        match relay.wrong_direction() {
            100_000 => std::task::Poll::Ready(()),
            _ => std::task::Poll::Pending,
        }
    });
    within(dropped).await;
    let sent = content(3_000_000);
    let send = async {
        server.write_all(&sent).await.unwrap();
        server.shutdown().await.unwrap();
        end_of(&mut server).await
    };
    let (to_server, got, usage) =
        within(async { tokio::join!(send, end_of(&mut client), relay) }).await;
    assert!(got == End::Finished(sent), "not what was sent");
    assert_eq!(to_server, End::Finished(Vec::new()));
    assert_eq!(usage.wrong_direction, 100_000);
    assert_eq!(usage.bytes_up, 0);
    assert_eq!(usage.bytes_down, 3_000_000);
    assert_eq!(usage.outcome, Outcome::Complete);
}

#[tokio::test]
async fn direction_lock_holds_for_uploads() {
    let (mut client, mut server, relay) = relay(Direction::Upload, PATIENT).await;
    server.write_all(b"not for the client").await.unwrap();
    let send = async {
        client.write_all(b"file").await.unwrap();
        client.shutdown().await.unwrap();
        end_of(&mut client).await
    };
    let (to_client, got, usage) =
        within(async { tokio::join!(send, end_of(&mut server), relay) }).await;
    assert_eq!(got, End::Finished(b"file".to_vec()));
    assert_eq!(to_client, End::Finished(Vec::new()));
    assert_eq!(usage.wrong_direction, 18);
    assert_eq!((usage.bytes_up, usage.bytes_down), (4, 0));
}

#[tokio::test]
async fn direction_lock_reads_a_bounded_part_of_a_flood() {
    let (_server, mut client, mut relay) = relay(Direction::Download, PATIENT).await;
    let flood = vec![0; 64 * 1024 * 1024];
    let flooding = client.write_all(&flood);
    tokio::pin!(flooding);
    let mut quiet = 0;
    within(poll_fn(|cx| {
        assert!(relay.poll_finish(cx).is_pending());
        assert!(std::future::Future::poll(flooding.as_mut(), cx).is_pending());
        quiet = if relay.wrong_direction() < 1024 * 1024 {
            0
        } else {
            quiet + 1
        };
        if quiet < 100 {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(())
    }))
    .await;
    assert!(relay.wrong_direction() < 2 * 1024 * 1024);
    relay.end(Manner::Abort);
}

#[tokio::test]
async fn an_end_of_file_against_the_direction_means_nothing() {
    let (mut server, mut client, relay) = relay(Direction::Download, PATIENT).await;
    client.shutdown().await.unwrap();
    let send = async {
        server.write_all(b"listing").await.unwrap();
        server.shutdown().await.unwrap();
    };
    let (_, got, usage) = within(async { tokio::join!(send, end_of(&mut client), relay) }).await;
    assert_eq!(got, End::Finished(b"listing".to_vec()));
    assert_eq!(usage.outcome, Outcome::Complete);
}

#[tokio::test]
async fn an_idle_relay_holds_no_buffer_and_no_pipe() {
    let (mut server, mut client, mut relay) = relay(Direction::Download, PATIENT).await;
    let sent = content(1_000_000);
    let mut got = vec![0; sent.len()];
    let passed = async { tokio::join!(server.write_all(&sent), client.read_exact(&mut got)) };
    tokio::select! {
        _ = &mut relay => panic!("nobody ended the transfer"),
        _ = within(passed) => {}
    }
    assert!(!relay.holds_anything());
    assert_eq!(relay.progress(), 1_000_000);
}

#[tokio::test]
async fn without_pipes_it_copies() {
    let (mut server, mut client, relay) = relay(Direction::Download, PATIENT).await;
    let mut all = Vec::new();
    while let Some(pipe) = crate::pinhole::splice::Pipe::take() {
        all.push(pipe);
    }
    let sent = content(2_000_000);
    let send = async {
        server.write_all(&sent).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let (_, got, usage) = within(async { tokio::join!(send, end_of(&mut client), relay) }).await;
    assert!(got == End::Finished(sent), "not what was sent");
    assert_eq!(usage.outcome, Outcome::Complete);
    assert!(all.len() <= crate::pinhole::PIPES);
}
