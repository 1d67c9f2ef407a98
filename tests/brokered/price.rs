//! What a pinhole costs through the broker, with the kernel behind it.

use std::time::{Duration, Instant};

use portcullis::nft::{Client, Firewall as _, HoleKey};

use crate::in_kernel::{Rig, hole};

/// Pairs that are timed.
const PAIRS: u64 = 5000;

/// Holes that stand meanwhile, in the second half.
const STANDING: u64 = 10_000;

/// Times pairs of open and close; answers with the median and the pairs per second.
fn pairs(client: &Client, first: u64) -> (Duration, f64) {
    let begin = Instant::now();
    let mut times: Vec<Duration> = (first..first + PAIRS)
        .map(|key| {
            let begin = Instant::now();
            client.open(&hole(key)).expect("opened");
            client.close(HoleKey(key)).expect("closed");
            begin.elapsed()
        })
        .collect();
    let rate = f64::from(u32::try_from(PAIRS).expect("few")) / begin.elapsed().as_secs_f64();
    times.sort_unstable();
    (times[times.len() / 2], rate)
}

/// The bounds are those of an optimised build on a machine that is not too busy; a debug build only has to be sane.
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
        "open + close through the broker: p50 {:?}, {:.0}/s",
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
