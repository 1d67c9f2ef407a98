//! What a pinhole costs: opened and closed by the gateway's own client, through the broker, in the kernel.
//!
//! Runs as root in a network namespace of its own. Prints a table; `PORTCULLIS_BENCH_JSON=FILE` gets the same figures
//! as JSON, which is what `scripts/bench` asks for.
#![cfg_attr(
    not(feature = "nftables"),
    expect(unused, reason = "there is nothing to measure")
)]

#[cfg(feature = "nftables")]
#[path = "../tests/broker/bounds.rs"]
#[expect(dead_code, reason = "the broker's own tests use the rest")]
mod bounds;
#[cfg(feature = "nftables")]
#[path = "../tests/broker/fake.rs"]
#[expect(dead_code, reason = "the broker's own tests use the rest")]
mod fake;
#[cfg(feature = "nftables")]
#[path = "../tests/brokered/in_kernel.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod in_kernel;

use std::time::Duration;

/// How long anything may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(not(feature = "nftables"))]
fn main() {
    println!("this build has no pinholes in the kernel");
}

#[cfg(feature = "nftables")]
fn main() {
    measuring::run();
}

#[cfg(feature = "nftables")]
mod measuring {
    use std::fs;
    use std::thread;
    use std::time::{Duration, Instant};

    use portcullis::nft::{Client, Firewall as _, HoleKey};
    use serde_json::json;

    use crate::in_kernel::{Rig, hole};

    /// Pairs of open and close that are timed one by one.
    const PAIRS: u64 = 20_000;

    /// Holes that stand meanwhile, the second time.
    const STANDING: u64 = 10_000;

    /// Pinholes in a second, and for how many seconds.
    const RATE: u32 = 5_000;
    const SECONDS: u32 = 5;

    /// The median pair must be faster (microseconds).
    const GOAL: f64 = 60.0;

    pub fn run() {
        let rig = Rig::start();
        let client = &rig.client;
        // The first ones find cold caches.
        pairs(client, 0..PAIRS / 10);
        let alone = pairs(client, 0..PAIRS);
        let sustained = sustained(client, || processor_time(rig.thread));
        for key in 0..STANDING {
            client.open(&hole(100_000 + key)).expect("opened");
        }
        let among = pairs(client, 0..PAIRS);
        rig.ends();

        println!("| Pinholes through the broker | p50 us | p99 us |\n|---|---|---|");
        println!("| open + close | {:.1} | {:.1} |", alone.0, alone.1);
        println!(
            "| the same, {STANDING} standing | {:.1} | {:.1} |",
            among.0, among.1
        );
        println!();
        println!(
            "{RATE} pinholes a second for {SECONDS} s: {} opened and closed, at worst {:.1} ms late; broker {:.1} us of CPU each, {:.0} % of a core",
            sustained.pairs, sustained.late, sustained.each, sustained.share
        );
        let reached = alone.0 < GOAL && among.0 < GOAL && sustained.kept_up();
        let said = if reached { "reached" } else { "MISSED" };
        println!("p50 below {GOAL} us and {RATE} a second: {said}");
        if let Some(file) = std::env::var_os("PORTCULLIS_BENCH_JSON") {
            let figures = json!({
                "standing": STANDING, "rate": RATE, "seconds": SECONDS,
                "p50_us": alone.0, "p99_us": alone.1,
                "p50_us_standing": among.0, "p99_us_standing": among.1,
                "pairs": sustained.pairs, "latest_ms": sustained.late,
                "broker_us_each": sustained.each, "broker_core_percent": sustained.share,
                "reached": reached,
            });
            fs::write(file, figures.to_string()).expect("the figures written");
        }
    }

    /// Times pairs of open and close; the median and the 99th percentile in microseconds.
    fn pairs(client: &Client, keys: std::ops::Range<u64>) -> (f64, f64) {
        let mut times: Vec<Duration> = keys
            .map(|key| {
                let begin = Instant::now();
                pair(client, key);
                begin.elapsed()
            })
            .collect();
        times.sort_unstable();
        let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
        (at(50), at(99))
    }

    fn pair(client: &Client, key: u64) {
        client.open(&hole(key)).expect("opened");
        client.close(HoleKey(key)).expect("closed");
        // As a worker does before it sleeps.
        client.rest();
    }

    struct Sustained {
        pairs: u32,
        /// Milliseconds behind the plan, at worst.
        late: f64,
        /// Microseconds of the broker's processor time for each pair.
        each: f64,
        /// Percent of a core.
        share: f64,
        took: Duration,
    }

    impl Sustained {
        /// All was done in its time, but for half a second of a busy machine.
        fn kept_up(&self) -> bool {
            self.took < Duration::from_secs(SECONDS.into()) + Duration::from_millis(500)
        }
    }

    /// Opens and closes at a steady rate, each when its time has come.
    fn sustained(client: &Client, busy: impl Fn() -> Duration) -> Sustained {
        let (begin, before) = (Instant::now(), busy());
        let mut late = Duration::ZERO;
        for number in 0..RATE * SECONDS {
            let due = begin + Duration::from_secs(1) * number / RATE;
            let now = Instant::now();
            match due.checked_duration_since(now) {
                Some(early) => thread::sleep(early),
                None => late = late.max(now - due),
            }
            pair(client, number.into());
        }
        let (took, spent) = (begin.elapsed(), busy() - before);
        Sustained {
            pairs: RATE * SECONDS,
            late: late.as_secs_f64() * 1e3,
            each: spent.as_secs_f64() * 1e6 / f64::from(RATE * SECONDS),
            share: spent.as_secs_f64() / took.as_secs_f64() * 100.0,
            took,
        }
    }

    /// How long a thread of this process has run (proc(5), schedstat: nanoseconds).
    fn processor_time(thread: i32) -> Duration {
        let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"));
        let text = text.expect("the kernel's figures");
        let spent = text
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok());
        Duration::from_nanos(spent.expect("a number"))
    }
}
