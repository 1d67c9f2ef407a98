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
    use rustix::thread::{CpuSet, Pid, sched_setaffinity};
    use serde_json::{Value, json};

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
        // The first ones find cold caches.
        pairs(&rig.client, 0..PAIRS / 10);
        let free = measure(&rig);
        let own = rustix::thread::gettid();
        let broker = Pid::from_raw(rig.thread).expect("the broker's thread");
        stay_on_one_processor([own, broker]);
        let together = measure(&rig);
        rig.ends();

        println!("| Pinholes through the broker | p50 us | p99 us |\n|---|---|---|");
        let ways = [
            ("on one processor", &together),
            ("wherever the kernel runs both", &free),
        ];
        for (way, measured) in ways {
            let (alone, among) = (measured.alone, measured.among);
            println!("| open + close, {way} | {:.1} | {:.1} |", alone.0, alone.1);
            println!(
                "| the same, {STANDING} standing | {:.1} | {:.1} |",
                among.0, among.1
            );
        }
        println!();
        for (way, Measured { sustained, .. }) in ways {
            println!(
                "{RATE} pinholes a second for {SECONDS} s, {way}: {} opened and closed, at worst {:.1} ms late; broker {:.1} us of CPU each, {:.0} % of a core",
                sustained.pairs, sustained.late, sustained.each, sustained.share
            );
        }
        for (way, measured) in ways {
            let said = if measured.reached() {
                "reached"
            } else {
                "MISSED"
            };
            println!("p50 below {GOAL} us and {RATE} a second, {way}: {said}");
        }
        if let Some(file) = std::env::var_os("PORTCULLIS_BENCH_JSON") {
            let figures = json!({
                "standing": STANDING, "rate": RATE, "seconds": SECONDS,
                "one_processor": together.figures(), "any_processor": free.figures(),
            });
            fs::write(file, figures.to_string()).expect("the figures written");
        }
    }

    /// One way in which gateway and broker were run.
    struct Measured {
        alone: (f64, f64),
        among: (f64, f64),
        sustained: Sustained,
    }

    impl Measured {
        fn reached(&self) -> bool {
            self.alone.0 < GOAL && self.among.0 < GOAL && self.sustained.kept_up()
        }

        fn figures(&self) -> Value {
            json!({
                "p50_us": self.alone.0, "p99_us": self.alone.1,
                "p50_us_standing": self.among.0, "p99_us_standing": self.among.1,
                "pairs": self.sustained.pairs, "latest_ms": self.sustained.late,
                "broker_us_each": self.sustained.each, "broker_core_percent": self.sustained.share,
                "reached": self.reached(),
            })
        }
    }

    fn measure(rig: &Rig) -> Measured {
        let client = &rig.client;
        let alone = pairs(client, 0..PAIRS);
        let sustained = sustained(client, || processor_time(rig.thread));
        for key in 0..STANDING {
            client.open(&hole(100_000 + key)).expect("opened");
        }
        let among = pairs(client, 0..PAIRS);
        for key in 0..STANDING {
            client.close(HoleKey(100_000 + key)).expect("closed");
        }
        Measured {
            alone,
            among,
            sustained,
        }
    }

    /// As systemd's `CPUAffinity=` has it: no other processor has to be woken for a question or its answer.
    fn stay_on_one_processor(threads: [Pid; 2]) {
        let mut one = CpuSet::new();
        one.set(rustix::thread::sched_getcpu());
        for thread in threads {
            sched_setaffinity(Some(thread), &one).expect("one of our processors");
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
