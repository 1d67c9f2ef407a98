//! Forwarded connections by a made-up clock: when the kernel is asked, and what is told of its answers.

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
        let used = usage.is_some();
        Ok(Settled { used, usage })
    }

    fn settle(&self, _: HoleKey) -> io::Result<Settling> {
        let usage = self.note("settle")?.usage;
        let used = usage.is_some();
        Ok(match usage {
            Some(usage) if !usage.state.has_begun_to_end() => Settling::Runs(usage),
            usage => Settling::Shut(Settled { used, usage }),
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
    now: Duration,
}

impl Scene {
    /// A pinhole that was opened just now, at an address that no other test and no other process has.
    fn new(test: u8) -> Scene {
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
        scene.with(|legs, ground, _| {
            legs.reserve(ground, ID, &pinhole).unwrap();
            legs.open(ground, ID).unwrap();
        });
        assert_eq!(scene.asked(), ["open"]);
        scene
    }

    fn with<T>(
        &mut self,
        what: impl FnOnce(&mut DataLegs, &Ground<'_>, &mut Context<'_>) -> T,
    ) -> T {
        let ground = Ground {
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
            legs.start(ground, TRANSFER, Direction::Download, Bounds::default())
        });
    }

    fn end(&mut self, manner: Manner) -> Ended {
        self.with(|legs, ground, cx| legs.end(ground, cx, TRANSFER, manner))
    }

    /// The awaited peer dials, and that is told.
    fn dialled(&mut self) {
        self.script.state().used = Some(SocketAddr::from(([198, 51, 100, 7], 41_000)));
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

#[test]
fn the_kernel_keeps_an_unused_pinhole_a_little_longer_than_its_owner_and_is_asked_again_only_while_it_is_wanted()
 {
    let mut scene = Scene::new(0);
    assert_eq!(scene.script.state().lasts, Some(TTL + MARGIN));
    assert!(scene.pass(TTL).is_none());
    assert!(scene.asked().is_empty(), "the pinhole could end by itself");
    // The transfer command has come, and the 1xx takes its time.
    scene.start();
    assert!(scene.pass(MARGIN - Duration::from_millis(1)).is_none());
    assert_eq!(scene.asked(), ["renew"], "the kernel's entry would be gone");
    assert_eq!(scene.script.state().lasts, Some(TTL + MARGIN));
    assert!(scene.pass(4 * TTL).is_none());
    assert_eq!(scene.asked().len(), 3);
    scene.dialled();
    assert!(scene.pass(LIMITS.stall / 8).is_none());
    assert!(scene.asked().is_empty());
}

#[test]
fn a_small_file_costs_one_question_besides_its_opening() {
    let mut scene = Scene::new(1);
    scene.start();
    scene.dialled();
    assert_eq!(scene.gauges.transfers(), 1);
    scene.carries(9, FlowState::Ending);
    let ended = scene.end(Manner::Linger);
    assert_eq!(scene.asked(), ["settle"]);
    let usage = ended.usage.unwrap();
    assert_eq!(usage.outcome, Outcome::Complete);
    let wire = usage.wire.unwrap();
    assert_eq!((wire.bytes_up, wire.bytes_down), (52 * 9, 1500 * 9));
    assert!(ended.used.is_none() && scene.legs.is_empty());
    scene.with(|legs, _, _| legs.close(ID));
    assert!(scene.asked().is_empty());
    assert_eq!(scene.gauges.transfers(), 0);
}

#[test]
fn an_answered_connection_is_watched_until_it_ends_and_cut_off_when_it_stands_still() {
    let mut scene = Scene::new(2);
    scene.start();
    scene.dialled();
    assert!(scene.end(Manner::Linger).usage.is_none());
    // Something moves every two seconds.
    for packets in 2..20 {
        assert!(scene.pass(Duration::from_secs(2)).is_none());
        scene.carries(packets, FlowState::Open);
    }
    scene.asked();
    let (after, usage) = usage_of(scene.pass(Duration::from_secs(30)));
    assert!((10..12).contains(&after.as_secs()), "{after:?}");
    assert_eq!(usage.outcome, Outcome::LingerOver);
    let asked = scene.asked();
    assert_eq!(asked[asked.len() - 2..], ["kill", "close"]);

    let mut scene = Scene::new(3);
    scene.start();
    scene.dialled();
    assert!(scene.end(Manner::Linger).usage.is_none());
    assert!(scene.pass(Duration::from_secs(1)).is_none());
    scene.carries(9, FlowState::Over);
    let (after, usage) = usage_of(scene.pass(Duration::from_secs(1)));
    assert!(after <= Duration::from_millis(100), "{after:?}");
    assert_eq!(usage.outcome, Outcome::Complete);
    assert!(!scene.asked().contains(&"kill"));
}

#[test]
fn a_connection_that_stands_still_is_cut_off_after_the_stall_time_and_one_that_moves_is_not() {
    let mut scene = Scene::new(4);
    scene.start();
    scene.dialled();
    for packets in 2..8 {
        assert!(scene.pass(LIMITS.stall / 2).is_none());
        scene.carries(packets, FlowState::Open);
    }
    let asked = scene.asked();
    assert_eq!(
        asked,
        vec!["usage"; 12],
        "four looks in the time of a stall"
    );
    let (after, usage) = usage_of(scene.pass(2 * LIMITS.stall));
    assert!(
        after >= LIMITS.stall && after <= LIMITS.stall * 5 / 4,
        "{after:?}"
    );
    assert_eq!(usage.outcome, Outcome::Stalled);
    let asked = scene.asked();
    assert_eq!(asked[asked.len() - 2..], ["kill", "close"]);
}

#[test]
fn an_end_that_nobody_announced_is_found() {
    let mut scene = Scene::new(5);
    scene.start();
    scene.dialled();
    scene.carries(5, FlowState::Over);
    let (_, usage) = usage_of(scene.pass(LIMITS.stall));
    assert_eq!(usage.outcome, Outcome::Complete);
    assert!(usage.wire.is_some());
}

#[test]
fn a_used_pinhole_that_is_not_wanted_any_more_is_killed() {
    let mut scene = Scene::new(6);
    scene.dialled();
    scene.asked();
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["kill", "close"]);
    assert!(scene.legs.is_empty());
}

#[test]
fn of_a_time_that_is_over_and_a_connection_that_came_one_wins() {
    // Nobody came.
    let mut scene = Scene::new(7);
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["settle"]);
    // Somebody came, and we have not heard of it: the time wins, so the connection ends.
    let mut scene = Scene::new(8);
    scene.carries(1, FlowState::Open);
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["settle", "kill", "close"]);
}

#[test]
fn a_use_that_was_not_told_is_told_before_the_account() {
    let mut scene = Scene::new(9);
    scene.start();
    scene.carries(3, FlowState::Over);
    let ended = scene.end(Manner::Linger);
    let Some(Input::PinholeUsed { id: ID, peer }) = ended.used else {
        panic!("not told: {:?}", ended.used);
    };
    assert_eq!(peer, SocketAddr::from(([198, 51, 100, 7], 0)));
    assert!(ended.usage.unwrap().wire.is_some());

    // The same, when the answer came before the connection began to end.
    let mut scene = Scene::new(10);
    scene.start();
    scene.carries(3, FlowState::Open);
    let ended = scene.end(Manner::Linger);
    assert!(ended.used.is_none() && ended.usage.is_none());
    scene.carries(5, FlowState::Ending);
    let (_, fact) = scene.pass(Duration::from_secs(1)).unwrap();
    assert!(matches!(fact, Input::PinholeUsed { .. }), "{fact:?}");
    let (_, usage) = usage_of(scene.pass(Duration::from_secs(1)));
    assert_eq!(usage.outcome, Outcome::Complete);
}

#[test]
fn an_answer_without_any_connection_ends_at_once_with_an_account_of_nothing() {
    let mut scene = Scene::new(11);
    scene.start();
    let ended = scene.end(Manner::Linger);
    assert!(ended.used.is_none());
    let usage = ended.usage.unwrap();
    assert_eq!(usage.wire.unwrap().packets_down, 0);
    assert_eq!(scene.asked(), ["settle"]);
}

#[test]
fn abort_kills_and_drop_kills_only_what_still_runs() {
    let mut scene = Scene::new(12);
    scene.start();
    scene.dialled();
    let aborted = scene.end(Manner::Abort).usage.unwrap();
    assert_eq!(aborted.outcome, Outcome::Aborted);
    assert_eq!(scene.asked(), ["kill", "close"]);
    for (state, asked) in [
        (FlowState::Ending, &["settle"][..]),
        (FlowState::Open, &["settle", "kill", "close"]),
    ] {
        let mut scene = Scene::new(13);
        scene.start();
        scene.dialled();
        scene.carries(2, state);
        let dropped = scene.end(Manner::Drop).usage.unwrap();
        assert_eq!(dropped.outcome, Outcome::Aborted);
        assert_eq!(scene.asked(), asked);
    }
}

#[test]
fn a_firewall_that_does_not_answer_leaves_running_connections_alone_and_sessions_end_without_their_account()
 {
    let mut scene = Scene::new(14);
    scene.start();
    scene.dialled();
    scene.script.state().dead = true;
    assert!(
        scene.pass(10 * LIMITS.stall).is_none(),
        "it was guessed to stand still"
    );
    assert!(!scene.asked().contains(&"kill"));
    let usage = scene.end(Manner::Linger).usage.unwrap();
    assert_eq!((usage.outcome, usage.wire), (Outcome::Complete, None));
    assert!(scene.legs.is_empty());
}

#[test]
fn a_pinhole_that_is_taken_back_listens_here_at_the_same_port() {
    let mut scene = Scene::new(15);
    scene.start();
    let taken = scene.with(|legs, ground, _| legs.relay_instead(ground, ID));
    assert_eq!(taken, Some(Ok(())));
    assert_eq!(scene.asked(), ["settle", "open"]);
    let leg = &scene.legs.transfers[0].legs.client;
    assert!(matches!(
        leg,
        Leg::Awaiting {
            renew_at: Some(_),
            ..
        }
    ));
    scene.with(|legs, _, _| legs.close(ID));
    assert_eq!(scene.asked(), ["close"]);

    // Not when its connection has come.
    let mut scene = Scene::new(16);
    scene.start();
    scene.carries(1, FlowState::Open);
    let taken = scene.with(|legs, ground, _| legs.relay_instead(ground, ID));
    assert_eq!(taken, None);
    scene.dialled();
    assert_eq!(scene.asked(), ["settle"]);
    // Nor when the firewall does not answer.
    let mut scene = Scene::new(17);
    scene.start();
    scene.script.state().dead = true;
    let taken = scene.with(|legs, ground, _| legs.relay_instead(ground, ID));
    assert_eq!(taken, Some(Err(RefusalReason::Kernel)));
}
