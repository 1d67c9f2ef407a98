//! A session's legs by a made-up clock, before a firewall that says what it is told to say.

mod forwarded;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;

use super::*;
use crate::engine::{Bounds, Carried, DataTls};
use crate::nft::{Firewall, FirewallHole, FlowState, FlowUsage, HoleKey, Settled, Settling};
use crate::pinhole::{MARGIN, OwnSockets};

const TTL: Duration = Duration::from_secs(30);
const LIMITS: RelayLimits = RelayLimits {
    stall: Duration::from_secs(300),
    linger: Duration::from_secs(10),
};
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 41_000);
const ID: PinholeId = PinholeId(1);
const TRANSFER: TransferId = TransferId(1);

/// A firewall that says what it is told to say, and writes down what it is asked.
#[derive(Default)]
struct Script {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Vec<&'static str>,
    lasts: Option<Duration>,
    used: Option<SocketAddr>,
    usage: Option<FlowUsage>,
    dead: bool,
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn note(&self, what: &'static str) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.asked.push(what);
        match state.dead {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(state),
        }
    }
}

impl Firewall for Script {
    fn open(&self, hole: &FirewallHole) -> io::Result<()> {
        self.note("open")?.lasts = Some(hole.ttl);
        Ok(())
    }

    fn renew(&self, _: HoleKey, ttl: Duration) -> io::Result<()> {
        self.note("renew")?.lasts = Some(ttl);
        Ok(())
    }

    fn used(&self, _: HoleKey, _: &mut Context<'_>) -> Poll<SocketAddr> {
        self.state().used.map_or(Poll::Pending, Poll::Ready)
    }

    fn usage(&self, _: HoleKey) -> io::Result<Option<FlowUsage>> {
        Ok(self.note("usage")?.usage)
    }

    fn kill(&self, _: HoleKey) -> io::Result<()> {
        self.note("kill").map(drop)
    }

    fn close(&self, _: HoleKey) -> io::Result<Settled> {
        let usage = self.note("close")?.usage;
        let by = usage.map(|_| PEER);
        Ok(Settled { by, usage })
    }

    fn settle(&self, _: HoleKey) -> io::Result<Settling> {
        let usage = self.note("settle")?.usage;
        let by = usage.map(|_| PEER);
        Ok(match usage {
            Some(usage) if !usage.state.has_begun_to_end() => Settling::Runs(usage),
            usage => Settling::Shut(Settled { by, usage }),
        })
    }
}

/// The legs of a session with one forwarded pinhole, and a clock.
struct Scene {
    script: Arc<Script>,
    pinholes: Arc<Pinholes>,
    sockets: Arc<dyn Sockets>,
    gauges: Arc<Gauges>,
    legs: DataLegs,
    wishes: Wishes,
    now: Duration,
}

impl Scene {
    /// A pinhole that is to be opened, at an address that no other test and no other process has.
    fn opening(test: u8) -> Scene {
        let [.., high, low] = std::process::id().to_be_bytes();
        let at = IpAddr::from(Ipv4Addr::new(127, 192 + test, high, low));
        let sockets: Arc<dyn Sockets> = Arc::new(OwnSockets::new());
        let script = Arc::new(Script::default());
        let windows = Legs {
            client: 21_000..=21_003,
            upstream: 22_000..=22_003,
        };
        let firewall: Arc<dyn Firewall> = script.clone();
        let told = Box::new(|_| ());
        let pinholes = Pinholes::behind(firewall, TTL, windows, Arc::clone(&sockets), told);
        let mut scene = Scene {
            script,
            pinholes,
            sockets,
            gauges: Arc::default(),
            legs: DataLegs::default(),
            wishes: Wishes::default(),
            now: Duration::from_secs(1000),
        };
        let pinhole = Pinhole {
            transfer: TRANSFER,
            side: Side::Client,
            from: IpAddr::from(Ipv4Addr::new(198, 51, 100, 7)).into(),
            at,
            leads_to: Some(SocketAddr::from(([10, 0, 0, 5], 50_000))),
            carried: Carried::Forwarded,
            source: None,
            tls: DataTls::Clear,
        };
        scene.with(|legs, ground, cx| {
            legs.reserve(ground, ID, &pinhole).unwrap();
            assert_eq!(legs.open(ground, cx, ID), Ok(Opening::Underway));
            assert!(legs.is_opening() && legs.poll_opening(cx, ground).is_none());
        });
        assert!(scene.asked().is_empty());
        scene
    }

    /// The same, and the firewall has opened it.
    fn new(test: u8) -> Scene {
        let mut scene = Scene::opening(test);
        scene.ask();
        let fact = scene.with(|legs, ground, cx| legs.poll_opening(cx, ground));
        assert!(matches!(fact, Some(Input::PinholeOpened { id: ID })));
        assert!(!scene.legs.is_opening());
        assert_eq!(scene.asked(), ["open"]);
        scene
    }

    /// The worker asks for what was gathered.
    fn ask(&mut self) {
        let cx = Context::from_waker(Waker::noop());
        self.pinholes.ask(&self.wishes, &cx);
    }

    fn with<T>(
        &mut self,
        what: impl FnOnce(&mut DataLegs, &Ground<'_>, &mut Context<'_>) -> T,
    ) -> T {
        let ground = Ground {
            secure: None,
            wishes: &self.wishes,
            pinholes: &self.pinholes,
            sockets: &self.sockets,
            gauges: &self.gauges,
            now: self.now,
            connect: Duration::from_secs(10),
            limits: LIMITS,
        };
        let mut cx = Context::from_waker(Waker::noop());
        what(&mut self.legs, &ground, &mut cx)
    }

    fn poll(&mut self) -> Option<Input<'static>> {
        self.ask();
        let fact = self.with(|legs, ground, cx| legs.poll(cx, ground));
        if fact.is_some() {
            return fact;
        }
        // What was wished for then.
        self.ask();
        self.with(|legs, ground, cx| legs.poll(cx, ground))
    }

    /// Lets time pass, polling whenever the legs want it; what they told, and when.
    fn pass(&mut self, time: Duration) -> Option<(Duration, Input<'static>)> {
        let (began, until) = (self.now, self.now + time);
        while let Some(at) = self.legs.deadline().filter(|at| *at <= until) {
            assert!(at > self.now || self.now == began, "no progress at {at:?}");
            self.now = self.now.max(at);
            if let Some(fact) = self.poll() {
                return Some((self.now - began, fact));
            }
        }
        self.now = until;
        None
    }

    fn start(&mut self) {
        self.with(|legs, ground, _| {
            legs.start(
                ground,
                TRANSFER,
                Direction::Download,
                Legs::default(),
                Bounds::default(),
            )
        });
    }

    fn end(&mut self, manner: Manner) -> Ended {
        self.with(|legs, ground, cx| legs.end(ground, cx, TRANSFER, manner))
    }

    /// The transfer was answered, and the firewall is asked what became of its connection; whatever is told of it.
    fn linger(&mut self) -> Vec<Input<'static>> {
        let ended = self.end(Manner::Linger);
        assert!(ended.used.is_none() && ended.usage.is_none());
        assert_eq!(self.legs.deadline(), None, "its answer wakes it");
        std::iter::from_fn(|| self.poll()).collect()
    }

    /// The awaited peer dials, and that is told.
    fn dialled(&mut self) {
        self.script.state().used = Some(PEER);
        self.carries(1, FlowState::Open);
        assert!(matches!(
            self.poll(),
            Some(Input::PinholeUsed { id: ID, .. })
        ));
    }

    fn carries(&self, packets: u64, state: FlowState) {
        self.script.state().usage = Some(FlowUsage {
            wire_bytes_from_peer: 52 * packets,
            packets_from_peer: packets,
            wire_bytes_to_peer: 1500 * packets,
            packets_to_peer: packets,
            state,
        });
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.script.state().asked)
    }
}

fn usage_of(fact: Option<(Duration, Input<'static>)>) -> (Duration, Usage) {
    match fact {
        Some((after, Input::DataFinished { usage, .. })) => (after, usage),
        other => panic!("{other:?} instead of an end"),
    }
}
