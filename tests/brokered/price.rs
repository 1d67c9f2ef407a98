//! What a pinhole costs through the broker, with the kernel behind it.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use portcullis::nft::broker::{Broker, Desk, InKernel, Patience, Signals};
use portcullis::nft::kernel::{Kernel, Layout};
use portcullis::nft::message::Report;
use portcullis::nft::{Client, Firewall as _, FirewallHole, HoleKey, Opening};
use portcullis_netlab::{Lab, Node};

use crate::PATIENCE;
use crate::bounds::envelope;
use crate::fake::FakeOffice;

/// Pairs that are timed.
const PAIRS: u64 = 5000;

/// Holes that stand meanwhile, in the second half.
const STANDING: u64 = 10_000;

fn hole(key: u64) -> FirewallHole {
    let low = u32::try_from(key).expect("few keys");
    let port = 21000 + u16::try_from(key % 16).expect("a small number");
    FirewallHole {
        key: HoleKey(key),
        opening: Opening::Forward {
            peer: IpAddr::from(Ipv4Addr::from(0x0a00_0001 + low)),
            at: (Ipv4Addr::new(198, 51, 100, 1), port).into(),
            to: (Ipv4Addr::new(192, 0, 2, 7), 50000).into(),
            source: Some((Ipv4Addr::new(192, 0, 2, 1), 0).into()),
        },
        ttl: Duration::from_secs(32),
    }
}

fn layout() -> Layout {
    Layout {
        table: "portcullis".to_owned(),
        client_window: 21000..=21015,
        upstream_window: 22000..=22999,
        listeners: [21].into(),
        mark: 0x1000,
        group: 2100,
        size: 65_536,
    }
}

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
    let lab = Lab::new(&[Node::Client, Node::Server]).expect("a laboratory");
    let (office, desk) = FakeOffice::new();
    let (mut terminate, _hang_up, signals) = signals();
    let (code, ended) = channel();
    let broker = move || {
        let kernel = Kernel::install(&layout()).expect("a table");
        let mut bounds = envelope();
        bounds.holes = 20_000;
        let desk = Desk::new(InKernel::new(kernel).expect("hands"), office, bounds);
        let patience = Patience {
            start: PATIENCE,
            drain: Duration::ZERO,
            end: Duration::ZERO,
            long_life: Duration::ZERO,
        };
        let ran = Broker::new(desk, signals, patience).run();
        code.send(ran.expect("no error")).expect("waited for");
    };
    // A thread has the namespace of the one that made it.
    lab.inside(Node::Gateway, || std::thread::spawn(broker))
        .expect("inside");
    let (_, desktop) = desk.started.recv_timeout(PATIENCE).expect("a gateway");
    let client = Client::new(desktop.requests, desktop.events).expect("a client");
    client.report(Report::Ready).expect("told");
    desk.news.recv_timeout(PATIENCE).expect("ready");

    let alone = pairs(&client, 0);
    for key in 0..STANDING {
        client.open(&hole(100_000 + key)).expect("opened");
    }
    let among = pairs(&client, 0);
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
    terminate.write_all(b"!").expect("rung");
    ended.recv_timeout(PATIENCE).expect("ended");
}

/// Our ends of TERM and HUP, and the broker's.
fn signals() -> (UnixStream, UnixStream, Signals) {
    let (ours, terminate) = UnixStream::pair().expect("a pair");
    let (hung, hang_up) = UnixStream::pair().expect("a pair");
    for signal in [&ours, &hung] {
        signal.set_nonblocking(true).expect("set");
    }
    let signals = Signals {
        terminate: ours,
        hang_up: hung,
    };
    (terminate, hang_up, signals)
}
