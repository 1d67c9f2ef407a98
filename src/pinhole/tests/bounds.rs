//! A relay within bounds: how fast, how many bytes, and that it sleeps in between.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::relaying::{PATIENT, content, pair, relay};
use super::*;
use crate::engine::{Bounds, Direction, Outcome, Pace, Usage};
use crate::pinhole::Relay;
use crate::pinhole::meter::Meter;

fn bytes(bytes: u64) -> Bounds {
    Bounds {
        pace: None,
        bytes: Some(bytes),
    }
}

fn rate(rate: u64) -> Bounds {
    Bounds {
        pace: Some(Pace {
            rate,
            from: Duration::ZERO,
        }),
        bytes: None,
    }
}

/// Carries so many bytes within bounds; answers with the account, and what the receiver got before its end.
async fn carry(bounds: Bounds, direction: Direction, length: usize) -> (Usage, Vec<u8>, bool) {
    let (mut sender, mut receiver, relay) = relay(direction, PATIENT).await;
    let relay = relay.within(bounds, Duration::ZERO);
    let sent = content(length);
    let send = async {
        // It is reset when it is cut.
        let _ = sender.write_all(&sent).await;
        let _ = sender.shutdown().await;
    };
    let receive = async {
        let mut got = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match receiver.read(&mut piece).await {
                Ok(0) => return (got, true),
                Ok(read) => got.extend_from_slice(&piece[..read]),
                Err(_) => return (got, false),
            }
        }
    };
    let ((), (got, ended), usage) = within(async { tokio::join!(send, receive, relay) }).await;
    assert!(sent.starts_with(&got), "not what was sent");
    (usage, got, ended)
}

#[tokio::test]
async fn as_many_bytes_as_are_granted_are_complete() {
    for length in [0, 1, 1000, 200_000] {
        for direction in [Direction::Download, Direction::Upload] {
            let (usage, got, ended) = carry(bytes(200_000), direction, length).await;
            assert_eq!((got.len(), ended), (length, true));
            assert_eq!(usage.outcome, Outcome::Complete);
        }
    }
}

#[tokio::test]
async fn one_byte_more_is_cut_and_looks_complete_to_nobody() {
    for granted in [0, 1, 1000, 70_000, 2_000_000] {
        for direction in [Direction::Download, Direction::Upload] {
            let length = granted as usize + 1;
            let (usage, got, ended) = carry(bytes(granted), direction, length).await;
            assert!(!ended, "a FIN after {} bytes", got.len());
            assert!(got.len() <= granted as usize);
            assert_eq!(usage.bytes_up + usage.bytes_down, granted);
            assert_eq!(usage.outcome, Outcome::Exceeded);
        }
    }
}

/// Takes all that a meter gives for this long, by a made-up clock; each turn is late by some time.
fn taken(bounds: Bounds, span: Duration, late: impl Fn(u64) -> Duration) -> (u64, u64) {
    let mut meter = Meter::new(bounds, Duration::ZERO).expect("bounded");
    let begun = Instant::now();
    let (mut now, mut total, mut turns) = (begun, 0, 0);
    while now < begun + span {
        match meter.allowance(now) {
            Ok(allowed) => {
                assert!(meter.fetched(now, allowed));
                total += allowed as u64;
            }
            Err(due) => {
                assert!(due > now, "it would wake for nothing");
                turns += 1;
                now = due + late(turns);
            }
        }
    }
    (total, turns)
}

const TEN_SECONDS: Duration = Duration::from_secs(10);

#[test]
fn a_rate_is_held_within_five_per_cent_over_ten_seconds() {
    for per_second in [100, 1_000, 100_000, 10_000_000, 1_000_000_000] {
        let (total, turns) = taken(rate(per_second), TEN_SECONDS, |_| Duration::from_millis(1));
        let wanted = 10 * per_second;
        assert!(
            total.abs_diff(wanted) * 100 <= 5 * wanted,
            "{total} of {wanted} bytes"
        );
        // It sleeps in between: a timer is no finer than a millisecond.
        assert!(turns <= 10_000, "{turns}");
    }
}

#[test]
fn what_a_late_timer_kept_back_is_made_up_for_and_no_more() {
    let late = |turn| match turn % 10 {
        0 => Duration::from_millis(150),
        _ => Duration::ZERO,
    };
    let (total, _) = taken(rate(1_000_000), TEN_SECONDS, late);
    assert!((9_500_000..=10_500_000).contains(&total), "{total}");
    // Whoever was away for long starts anew.
    let away = |turn| match turn {
        20 => Duration::from_secs(5),
        _ => Duration::ZERO,
    };
    let (total, _) = taken(rate(1_000_000), TEN_SECONDS, away);
    assert!((4_700_000..=5_500_000).contains(&total), "{total}");
}

#[test]
fn what_is_paid_for_until_later_waits_until_then() {
    let bounds = Bounds {
        pace: Some(Pace {
            rate: 1000,
            from: Duration::from_secs(7),
        }),
        bytes: None,
    };
    let begun = Instant::now();
    let meter = Meter::new(bounds, Duration::from_secs(5)).expect("bounded");
    let due = meter.allowance(begun).expect_err("it has to wait");
    let waits = due - begun;
    assert!((2000..2100).contains(&waits.as_millis()), "{waits:?}");
    assert_eq!(meter.allowance(due), Ok(50));
}

#[tokio::test]
async fn nothing_is_held_while_the_schedule_is_awaited() {
    let (mut sender, client) = pair().await;
    let (upstream, mut receiver) = pair().await;
    let legs = Legs { client, upstream };
    let mut relay =
        Relay::start(legs, Direction::Upload, PATIENT).within(rate(1000), Duration::ZERO);
    sender.write_all(&content(100_000)).await.unwrap();
    let mut got = [0; 50];
    let receive = receiver.read_exact(&mut got);
    tokio::pin!(receive);
    within(poll_fn(|cx| {
        let _ = relay.poll_finish(cx);
        std::future::Future::poll(receive.as_mut(), cx).map(drop)
    }))
    .await;
    assert!(!relay.holds_anything());
}
