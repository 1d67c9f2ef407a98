//! What a pinhole costs through the broker, with the kernel behind it.

use std::time::{Duration, Instant};

use portcullis::nft::{Client, Firewall as _, HoleKey};
use rustix::process::Pid;
use rustix::thread::sched_getaffinity;

use crate::PATIENCE;
use crate::in_kernel::{Rig, hole};

/// Pairs that are timed, and how many of them in a row: the best row counts, which nothing else on the machine has held up.
const PAIRS: u64 = 5000;
const ROW: usize = 100;

/// Holes that stand meanwhile, in the second half.
const STANDING: u64 = 10_000;

/// Times pairs of open and close; answers with the median and the pairs per second of the best row.
fn pairs(client: &Client, first: u64) -> (Duration, f64) {
    let times: Vec<Duration> = (first..first + PAIRS)
        .map(|key| {
            let begin = Instant::now();
            client.open(&hole(key)).expect("opened");
            client.close(HoleKey(key)).expect("closed");
            begin.elapsed()
        })
        .collect();
    let rows = times.chunks(ROW);
    let best = rows.min_by_key(|row| row.iter().sum::<Duration>());
    let mut best = best.expect("rows").to_vec();
    let all: Duration = best.iter().sum();
    best.sort_unstable();
    (best[ROW / 2], ROW as f64 / all.as_secs_f64())
}

/// The bounds are those of an optimised build; a debug build only has to be sane.
#[test]
fn a_pinhole_costs_less_than_60_us_and_5000_a_second_are_served() {
    let rig = Rig::start();
    let client = &rig.client;
    let alone = pairs(client, 0);
    for key in 0..STANDING {
        client.open(&hole(100_000 + key)).expect("opened");
    }
    let among = pairs(client, 0);
    println!(
        "open + close through the broker, best {ROW}: p50 {:?}, {:.0}/s",
        alone.0, alone.1
    );
    println!(
        "with {STANDING} standing: p50 {:?}, {:.0}/s",
        among.0, among.1
    );
    let (most, least) = if cfg!(debug_assertions) {
        (Duration::from_millis(2), 500.0)
    } else {
        (Duration::from_micros(60), 5000.0)
    };
    for (median, rate) in [alone, among] {
        assert!(median < most, "p50 {median:?}");
        assert!(rate > least, "{rate:.0} pairs per second");
    }
    rig.ends();
}

/// Both on one processor wake none for each other.
#[test]
fn the_broker_comes_beside_whoever_asks_and_neither_stays_for_ever() {
    let rig = Rig::start();
    let home = sched_getaffinity(None).expect("told");
    if home.count() < 2 {
        return;
    }
    let broker = Pid::from_raw(rig.thread).expect("the broker's thread");
    assert_eq!(sched_getaffinity(Some(broker)).expect("told"), home);
    rig.client.rest();
    for key in 0..20 {
        rig.client.open(&hole(key)).expect("opened");
        rig.client.close(HoleKey(key)).expect("closed");
    }
    let here = sched_getaffinity(None).expect("told");
    assert_eq!(here.count(), 1);
    assert_eq!(sched_getaffinity(Some(broker)).expect("told"), here);
    let begun = Instant::now();
    while sched_getaffinity(None).expect("told") != home {
        rig.client.rest();
        assert!(begun.elapsed() < PATIENCE, "it stays for ever");
    }
    rig.reload();
    let begun = Instant::now();
    while sched_getaffinity(Some(broker)).expect("told") != home {
        assert!(
            begun.elapsed() < PATIENCE,
            "it would start a process that stays here"
        );
        std::thread::yield_now();
    }
    rig.ends();
}
