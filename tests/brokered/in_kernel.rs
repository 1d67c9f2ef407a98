//! A broker with the kernel behind it, in a network namespace of its own, and the gateway's own client in front of it.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis::nft::broker::{Broker, Desk, InKernel, Patience, Signals};
use portcullis::nft::kernel::{Kernel, Layout};
use portcullis::nft::message::Report;
use portcullis::nft::{Client, FirewallHole, HoleKey, Opening};
use portcullis_netlab::{Lab, Node};

use crate::PATIENCE;
use crate::bounds::envelope;
use crate::fake::{FakeOffice, Outside};

/// The broker, its client, and what both need to live.
pub struct Rig {
    pub client: Client,
    /// The broker's thread.
    pub thread: i32,
    broker: JoinHandle<()>,
    terminate: UnixStream,
    hang_up: UnixStream,
    _outside: Outside,
    _lab: Lab,
}

impl Rig {
    pub fn start() -> Rig {
        let lab = Lab::new(&[]).expect("a network namespace");
        let (office, outside) = FakeOffice::new();
        let (terminate, hang_up, signals) = signals();
        let (tell, told) = channel();
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
            let thread = rustix::thread::gettid();
            tell.send(thread.as_raw_nonzero()).expect("heard");
            Broker::new(desk, signals, patience).run().expect("ran");
        };
        // A thread has the namespace of the one that made it.
        let broker = lab.inside(Node::Gateway, || std::thread::spawn(broker));
        let thread = told.recv_timeout(PATIENCE).expect("the broker's thread");
        let (_, desktop) = outside.started.recv_timeout(PATIENCE).expect("a gateway");
        let client = Client::new(desktop.requests, desktop.events).expect("a client");
        client.report(Report::Ready).expect("told");
        outside.news.recv_timeout(PATIENCE).expect("ready");
        Rig {
            client,
            thread: thread.get(),
            broker: broker.expect("inside"),
            terminate,
            hang_up,
            _outside: outside,
            _lab: lab,
        }
    }

    /// Has the broker read the config again, as HUP does.
    pub fn reload(&self) {
        (&self.hang_up).write_all(b"!").expect("rung");
    }

    /// Ends the broker as TERM does, and waits for that.
    pub fn ends(mut self) {
        self.terminate.write_all(b"!").expect("rung");
        self.broker.join().expect("ended");
    }
}

/// A passive client's hole, of one address for each key.
pub fn hole(key: u64) -> FirewallHole {
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

/// Our ends of TERM and HUP, and the broker's.
fn signals() -> (UnixStream, UnixStream, Signals) {
    let (ours, terminate) = UnixStream::pair().expect("a pair");
    let (hung, hang_up) = UnixStream::pair().expect("a pair");
    for signal in [&terminate, &hang_up] {
        signal.set_nonblocking(true).expect("set");
    }
    let signals = Signals { terminate, hang_up };
    (ours, hung, signals)
}
