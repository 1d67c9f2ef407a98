//! How relays end: what was cut off never looks complete.

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::relaying::{PATIENT, content, relay};
use super::*;
use crate::engine::{Direction, Manner, Outcome};
use crate::pinhole::RelayLimits;

const BRIEF: Duration = Duration::from_millis(50);

fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Reads to the end, whatever came before it, and tells whether it was a reset.
async fn was_reset(stream: &mut TcpStream) -> bool {
    let mut sink = tokio::io::sink();
    match within(tokio::io::copy(stream, &mut sink)).await {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            true
        }
    }
}

#[tokio::test]
async fn a_cut_upload_never_looks_complete_to_the_server() {
    for length in [0, 1000, 1_000_000] {
        let (mut client, mut server, mut relay) = relay(Direction::Upload, PATIENT).await;
        let sent = content(length);
        let mut got = vec![0; length];
        let passed = async { tokio::join!(client.write_all(&sent), server.read_exact(&mut got)) };
        tokio::select! {
            _ = &mut relay => panic!("nobody ended the transfer"),
            _ = within(passed) => {}
        }
        reset(client);
        let usage = within(relay).await;
        let side = Side::Client;
        assert_eq!(usage.outcome, Outcome::Broken { side });
        assert_eq!(usage.bytes_up, length as u64);
        assert!(was_reset(&mut server).await);
    }
}

#[tokio::test]
async fn a_receiver_that_closes_early_breaks_the_transfer() {
    let (mut server, client, relay) = relay(Direction::Download, PATIENT).await;
    drop(client);
    let send = async {
        let piece = content(100_000);
        while server.write_all(&piece).await.is_ok() {}
    };
    let (_, usage) = within(async { tokio::join!(send, relay) }).await;
    let side = Side::Client;
    assert_eq!(usage.outcome, Outcome::Broken { side });
}

#[tokio::test]
async fn a_receiver_that_resets_an_idle_transfer_is_noticed() {
    let (mut server, client, relay) = relay(Direction::Download, PATIENT).await;
    reset(client);
    let usage = within(relay).await;
    let side = Side::Client;
    assert_eq!(usage.outcome, Outcome::Broken { side });
    assert!(was_reset(&mut server).await);
}

#[tokio::test]
async fn abort_resets_both_legs_at_once() {
    let (mut server, mut client, mut relay) = relay(Direction::Download, PATIENT).await;
    server.write_all(b"half a li").await.unwrap();
    relay.end(Manner::Abort);
    assert!(was_reset(&mut server).await);
    assert!(was_reset(&mut client).await);
    assert_eq!(within(&mut relay).await.outcome, Outcome::Aborted);
    // What is over stays over.
    relay.end(Manner::Linger);
    assert_eq!(within(relay).await.outcome, Outcome::Aborted);
}

#[tokio::test]
async fn a_dropped_relay_resets_both_legs() {
    let (mut server, mut client, relay) = relay(Direction::Upload, PATIENT).await;
    drop(relay);
    assert!(was_reset(&mut server).await);
    assert!(was_reset(&mut client).await);
}

#[tokio::test]
async fn a_transfer_that_stands_still_is_stalled() {
    let limits = RelayLimits {
        stall: BRIEF,
        linger: BOUND,
    };
    let (mut server, mut client, relay) = relay(Direction::Download, limits).await;
    server.write_all(b"half a li").await.unwrap();
    let start = std::time::Instant::now();
    let usage = within(relay).await;
    assert_eq!(usage.outcome, Outcome::Stalled);
    assert_eq!(usage.bytes_down, 9);
    assert!(start.elapsed() >= BRIEF);
    assert!(was_reset(&mut client).await);
    assert!(was_reset(&mut server).await);
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_stalled() {
    let limits = RelayLimits {
        stall: BRIEF,
        linger: BOUND,
    };
    let (mut server, mut client, relay) = relay(Direction::Download, limits).await;
    let send = async {
        let piece = content(100_000);
        while server.write_all(&piece).await.is_ok() {}
    };
    let (_, usage) = within(async { tokio::join!(send, relay) }).await;
    assert_eq!(usage.outcome, Outcome::Stalled);
    assert!(usage.bytes_down > 0);
    assert!(was_reset(&mut client).await);
}

#[tokio::test]
async fn a_transfer_that_moves_a_little_is_not_stalled() {
    let limits = RelayLimits {
        stall: 8 * BRIEF,
        linger: BOUND,
    };
    let until = std::time::Instant::now() + BOUND;
    loop {
        let (mut server, mut client, relay) = relay(Direction::Download, limits).await;
        // The stimulus itself: a sender that is slow, and not as slow as the limit. Answers with its longest pause.
        let send = async {
            let (mut longest, mut last) = (Duration::ZERO, std::time::Instant::now());
            for _ in 0..10 {
                if server.write_all(b"x").await.is_err() {
                    return longest.max(last.elapsed());
                }
                longest = longest.max(last.elapsed());
                last = std::time::Instant::now();
                tokio::time::sleep(BRIEF).await;
            }
            server.shutdown().await.unwrap();
            longest.max(last.elapsed())
        };
        let receive = async {
            let mut got = Vec::new();
            // How it ends is the relay's outcome.
            let _ = client.read_to_end(&mut got).await;
            got
        };
        let (longest, got, usage) = within(async { tokio::join!(send, receive, relay) }).await;
        if longest < limits.stall / 2 {
            assert_eq!(usage.outcome, Outcome::Complete);
            assert_eq!(got, b"x".repeat(10));
            return;
        }
        // The machine stood still, and with it a sender that was not to: that was another test.
        assert!(std::time::Instant::now() < until, "a pause of {longest:?}");
    }
}

#[tokio::test]
async fn after_the_end_was_announced_the_linger_limit_counts() {
    let limits = RelayLimits {
        stall: BOUND,
        linger: BRIEF,
    };
    let (mut server, mut client, mut relay) = relay(Direction::Download, limits).await;
    server.write_all(b"half a li").await.unwrap();
    let mut got = [0; 9];
    tokio::select! {
        _ = &mut relay => panic!("nobody ended the transfer"),
        got = within(client.read_exact(&mut got)) => { got.unwrap(); }
    }
    relay.end(Manner::Linger);
    let usage = within(relay).await;
    assert_eq!(usage.outcome, Outcome::LingerOver);
    assert!(was_reset(&mut client).await);
}

#[tokio::test]
async fn what_still_comes_after_the_announcement_is_delivered() {
    let (mut server, mut client, mut relay) = relay(Direction::Download, PATIENT).await;
    relay.end(Manner::Linger);
    let send = async {
        server.write_all(b"the rest").await.unwrap();
        server.shutdown().await.unwrap();
    };
    let (_, got, usage) = within(async { tokio::join!(send, end_of(&mut client), relay) }).await;
    assert_eq!(usage.outcome, Outcome::Complete);
    assert_eq!(got, End::Finished(b"the rest".to_vec()));
}

#[tokio::test]
async fn complete_does_not_wait_for_the_receiver_and_tells_what_it_had_not_acknowledged() {
    let (mut server, mut client, relay) = relay(Direction::Download, PATIENT).await;
    let sent = content(500_000);
    let send = async {
        server.write_all(&sent).await.unwrap();
        server.shutdown().await.unwrap();
    };
    // The client reads nothing until the relay is over.
    let (_, usage) = within(async { tokio::join!(send, relay) }).await;
    assert_eq!(usage.outcome, Outcome::Complete);
    assert!(usage.unacknowledged > 0);
    assert!(usage.unacknowledged <= usage.bytes_down);
    assert!(end_of(&mut client).await == End::Finished(sent));
}

#[tokio::test]
async fn a_receiver_that_spoke_against_the_direction_still_gets_all() {
    let (mut server, mut client, relay) = relay(Direction::Download, PATIENT).await;
    client.write_all(b"early").await.unwrap();
    let sent = content(1_000_000);
    let send = async {
        server.write_all(&sent).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let (_, usage) = within(async { tokio::join!(send, relay) }).await;
    assert_eq!(usage.outcome, Outcome::Complete);
    assert_eq!(usage.wrong_direction, 5);
    // The relay is over, the client has read nothing, and speaks once more: closing here would reset it.
    client.write_all(b"late").await.unwrap();
    assert!(end_of(&mut client).await == End::Finished(sent));
}
