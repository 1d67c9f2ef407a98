//! Drives one session: hands facts to the engine, and performs what it asks for, strictly in order.
//!
//! One task on one worker holds everything of a session: both control connections, the dial of its upstream,
//! its pinholes and its relay. While nothing happens it holds no buffer and one timer, which is moved only
//! when a deadline comes nearer.
//!
//! Invariant: an output is performed after all that stood before it; a gating record that was not accepted ends
//! its list. This module must not look into the bytes that it carries.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Sleep;

use super::admission::Permit;
use super::legs::{DataLegs, Ground};
use super::settings::{Place, Policy};
use super::status::SessionReport;
use super::stream::{Control, Flushed, MOST_WAITING};
use super::upstream::{Connected, Seat, Upstream};
use super::worker::Worker;
use crate::engine::{
    DialError, Input, Legs, Output, Session, SessionEnd, SessionFacts, Settings, Side, Time,
};

/// How often a task goes round before it lets the others of its worker run.
const ROUNDS: usize = 64;

/// How much is read at once.
const READ: usize = 16 * 1024;

thread_local! {
    /// What is read goes through this buffer of the worker's: sessions hold none.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

type Dial = Pin<Box<dyn Future<Output = Result<Connected, DialError>>>>;

/// Something that the gateway wants of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Finish what runs, begin nothing.
    Drain,
    /// End now.
    End(SessionEnd),
}

/// A session with its sockets.
pub(super) struct Driver {
    session: Session,
    worker: Rc<Worker>,
    place: Arc<Place>,
    upstream: Arc<Upstream>,
    facts: SessionFacts,
    controls: Legs<Option<Control>>,
    dial: Option<Dial>,
    /// Its presence counts the session towards the upstream's `max_sessions`.
    upstream_seat: Option<Seat>,
    data: DataLegs,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer will fire.
    armed: Option<Duration>,
    order: Option<Order>,
    waker: Option<Waker>,
    began: Time,
    arrived: bool,
    carried: u64,
    _permit: Permit,
}

impl Driver {
    /// Makes the driver of an admitted client.
    pub(super) fn new(
        worker: Rc<Worker>,
        place: Arc<Place>,
        policy: &Policy,
        facts: SessionFacts,
        client: Control,
        permit: Permit,
    ) -> Driver {
        Driver {
            session: Session::new(facts.clone(), Arc::clone(&policy.settings)),
            upstream: Arc::clone(&policy.upstream),
            began: worker.shared().clock.now(),
            worker,
            place,
            facts,
            controls: Legs {
                client: Some(client),
                upstream: None,
            },
            dial: None,
            upstream_seat: None,
            data: DataLegs::default(),
            timer: None,
            armed: None,
            order: None,
            waker: None,
            arrived: false,
            carried: 0,
            _permit: permit,
        }
    }

    /// Goes on with everything that can go on. Ready when the session is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waker.is_none() {
            self.waker = Some(cx.waker().clone());
        }
        if !self.arrived {
            self.arrived = true;
            self.tell(cx, Input::ClientArrived);
        }
        for _ in 0..ROUNDS {
            let moved = self.poll_order(cx)
                | self.poll_dial(cx)
                | self.poll_data(cx)
                | self.poll_control(cx, Side::Upstream)
                | self.poll_control(cx, Side::Client);
            if self.is_over() {
                return Poll::Ready(());
            }
            if !moved && !self.poll_timer(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands in a fact, performs what follows, and goes on until nothing follows any more.
    fn tell(&mut self, cx: &mut Context<'_>, input: Input<'_>) {
        let now = self.worker.shared().clock.now();
        let outputs = self.session.handle(now, input);
        self.act(cx, now, outputs);
    }

    fn act(&mut self, cx: &mut Context<'_>, now: Time, outputs: Vec<Output>) {
        let mut facts = VecDeque::new();
        self.perform(cx, now, outputs, &mut facts);
        while let Some(fact) = facts.pop_front() {
            let outputs = self.session.handle(now, fact);
            self.perform(cx, now, outputs, &mut facts);
        }
    }

    fn perform(
        &mut self,
        cx: &mut Context<'_>,
        now: Time,
        outputs: Vec<Output>,
        facts: &mut VecDeque<Input<'static>>,
    ) {
        // Bytes for one side in a row leave in one call.
        let mut unsent = None;
        for output in outputs {
            let next = match &output {
                Output::Send { to, .. } => Some(*to),
                _ => None,
            };
            if let Some(side) = unsent.take_if(|side| next != Some(*side)) {
                self.flush(cx, now.mono, side, facts);
            }
            match output {
                Output::Send { to, bytes } => {
                    if let Some(control) = &mut self.controls[to] {
                        control.queue(bytes);
                        unsent = Some(to);
                    }
                }
                Output::Write(record) => {
                    let accepted = self.worker.shared().journal.write(&record).is_ok();
                    if record.gates_effect() {
                        if !accepted {
                            facts.push_back(Input::RecordRefused);
                            break;
                        }
                        facts.push_back(Input::RecordAccepted);
                    }
                }
                Output::DialUpstream => {
                    let upstream = Arc::clone(&self.upstream);
                    let shared = Arc::clone(self.worker.shared());
                    self.dial = Some(Box::pin(async move { upstream.dial(&shared).await }));
                }
                Output::ReservePinhole { id, pinhole } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    facts.push_back(match data.reserve(&ground, id, &pinhole) {
                        Ok(at) => Input::PinholeReserved { id, at },
                        Err(why) => Input::PinholeRefused { id, why },
                    });
                }
                Output::OpenPinhole { id } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    facts.push_back(match data.open(&ground, id) {
                        Ok(()) => Input::PinholeOpened { id },
                        Err(why) => Input::PinholeRefused { id, why },
                    });
                }
                Output::ClosePinhole { id, reason: _ } => self.data.close(id),
                Output::DialData {
                    transfer,
                    side,
                    to,
                    from,
                } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    data.dial(&ground, transfer, side, from, to);
                }
                Output::StartRelay {
                    transfer,
                    direction,
                } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    data.start(&ground, transfer, direction);
                }
                Output::EndData { transfer, manner } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    if let Some(usage) = data.end(&ground, cx, transfer, manner) {
                        self.carried += usage.bytes_up + usage.bytes_down;
                        facts.push_back(Input::DataFinished { transfer, usage });
                    }
                }
                Output::Close { side } => {
                    if side == Side::Upstream {
                        self.dial = None;
                    }
                    if let Some(control) = &mut self.controls[side] {
                        control.close(now.mono);
                    }
                }
            }
        }
        if let Some(side) = unsent {
            self.flush(cx, now.mono, side, facts);
        }
    }

    fn data_and_ground(&mut self, now: Duration) -> (&mut DataLegs, Ground<'_>) {
        let shared = self.worker.shared();
        let tuning = shared.tuning.load();
        let ground = Ground {
            pinholes: &shared.pinholes,
            sockets: &shared.sockets,
            gauges: &shared.gauges,
            now,
            connect: tuning.connect,
            limits: tuning.relay,
        };
        (&mut self.data, ground)
    }

    fn flush(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        side: Side,
        facts: &mut VecDeque<Input<'static>>,
    ) {
        let patience = self.worker.shared().tuning.load().send_stall;
        let Some(control) = &mut self.controls[side] else {
            return;
        };
        if control.flush(cx, now, patience) == Flushed::Broken && control.end() {
            facts.push_back(Input::Closed { by: side });
        }
    }

    fn poll_order(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(order) = self.order.take() else {
            return false;
        };
        match order {
            Order::Drain => self.tell(cx, Input::ShutdownRequested),
            Order::End(reason) => self.tell(cx, Input::KillRequested { reason }),
        }
        true
    }

    fn poll_dial(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(dial) = &mut self.dial else {
            return false;
        };
        let Poll::Ready(result) = dial.as_mut().poll(cx) else {
            return false;
        };
        self.dial = None;
        match result {
            Ok(connected) => {
                let (gateway, upstream) = (connected.gateway, connected.upstream);
                self.controls.upstream = Some(Control::new(connected.wire));
                self.upstream_seat = Some(connected.seat);
                self.tell(cx, Input::UpstreamConnected { gateway, upstream });
            }
            Err(why) => self.tell(cx, Input::UpstreamUnreachable { why }),
        }
        true
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> bool {
        if self.data.is_empty() {
            return false;
        }
        let now = self.worker.shared().clock.mono();
        let (data, ground) = self.data_and_ground(now);
        let Some(fact) = data.poll(cx, &ground) else {
            return false;
        };
        if let Input::DataFinished { usage, .. } = &fact {
            self.carried += usage.bytes_up + usage.bytes_down;
        }
        self.tell(cx, fact);
        true
    }

    /// Sends and reads on one control connection, or goes on with closing it.
    fn poll_control(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        let Some(control) = &mut self.controls[side] else {
            return false;
        };
        if control.is_closing() {
            let now = self.worker.shared().clock.mono();
            let closed = BUFFER.with_borrow_mut(|buffer| control.poll_closed(cx, now, buffer));
            if closed.is_ready() {
                self.controls[side] = None;
            }
            return closed.is_ready();
        }
        if control.waiting() > 0 && self.send_waiting(cx, side) {
            return true;
        }
        self.may_read(side) && self.read(cx, side)
    }

    /// Answers whether there was news.
    fn send_waiting(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        let now = self.worker.shared().clock.mono();
        let mut facts = VecDeque::new();
        self.flush(cx, now, side, &mut facts);
        let news = !facts.is_empty();
        while let Some(fact) = facts.pop_front() {
            self.tell(cx, fact);
        }
        news
    }

    /// Tells whether a side may be read: the engine takes its bytes, and nothing that they could add to is full.
    fn may_read(&self, side: Side) -> bool {
        let full = |side: Side| {
            let waiting = self.controls[side].as_ref().map_or(0, Control::waiting);
            waiting > MOST_WAITING
        };
        let open = self.controls[side].as_ref().is_some_and(Control::is_open);
        // What a client sends may be answered by us or be passed on; what the upstream sends goes to the client.
        open && !full(Side::Client)
            && (side == Side::Upstream || !full(Side::Upstream))
            && self.session.accepts(side)
    }

    fn read(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        let now = self.worker.shared().clock.now();
        let Some(control) = &mut self.controls[side] else {
            return false;
        };
        let outputs = BUFFER.with_borrow_mut(|buffer| match control.poll_read(cx, buffer) {
            Poll::Pending => None,
            Poll::Ready(Ok(read)) if read > 0 => {
                let bytes = buffer.get(..read).unwrap_or_default();
                Some(
                    self.session
                        .handle(now, Input::Received { from: side, bytes }),
                )
            }
            Poll::Ready(Ok(_) | Err(_)) => {
                control.end();
                Some(self.session.handle(now, Input::Closed { by: side }))
            }
        });
        let Some(outputs) = outputs else {
            return false;
        };
        self.act(cx, now, outputs);
        true
    }

    /// Waits for the nearest deadline. Answers whether one was over and something was told.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.deadline() else {
            return false;
        };
        loop {
            // A timer that fires too early costs one wakeup; moving it at every command would cost more.
            if self.armed.is_none_or(|armed| at < armed) {
                let instant = self.worker.shared().clock.instant(at);
                match &mut self.timer {
                    Some(timer) => timer.as_mut().reset(instant),
                    None => self.timer = Some(Box::pin(tokio::time::sleep_until(instant))),
                }
                self.armed = Some(at);
            }
            let Some(timer) = &mut self.timer else {
                return false;
            };
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.armed = None;
            let now = self.worker.shared().clock.mono();
            if at <= now {
                self.expire(cx, now);
                return true;
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let controls = [&self.controls.client, &self.controls.upstream];
        let sending = controls.into_iter().flatten().filter_map(Control::deadline);
        let engine = self.session.next_wake().map(|wake| wake.at);
        sending.chain(engine).chain(self.data.deadline()).min()
    }

    fn expire(&mut self, cx: &mut Context<'_>, now: Duration) {
        for side in [Side::Client, Side::Upstream] {
            let stalled = |control: &mut Control| control.has_stalled(now);
            if self.controls[side].as_mut().is_some_and(stalled) {
                self.tell(cx, Input::SendStalled { to: side });
            }
        }
        // Whoever closes or lingers looks at the clock by itself.
        if self.session.next_wake().is_some_and(|wake| wake.at <= now) {
            self.tell(cx, Input::TimePassed);
        }
    }

    /// Tells whether nobody is left: each control connection is closed, or its peer is gone, and nothing runs.
    fn is_over(&self) -> bool {
        let gone = |control: &Option<Control>| control.as_ref().is_none_or(Control::is_gone);
        let Legs { client, upstream } = &self.controls;
        let idle = self.data.is_empty() && self.dial.is_none();
        match (client, upstream) {
            // Both are closed; the engine may still want to hear how a relay ended.
            (None, None) => self.session.is_over() || idle,
            _ => gone(client) && gone(upstream) && (self.session.is_over() || idle),
        }
    }

    /// Leaves an order for the next poll, and has it polled.
    pub(super) fn order(&mut self, order: Order) {
        // An end is never taken back by a later drain.
        if !matches!(self.order, Some(Order::End(_))) {
            self.order = Some(order);
        }
        self.wake();
    }

    /// Gives the session other settings for its next command.
    pub(super) fn replace_settings(&mut self) {
        let settings: Arc<Settings> = Arc::clone(&self.place.policy.load().settings);
        self.session.replace_settings(settings);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Shows what the session is doing.
    pub(super) fn report(&self) -> SessionReport {
        let summary = self.session.summary();
        let age = self
            .worker
            .shared()
            .clock
            .mono()
            .saturating_sub(self.began.mono);
        let state = match (&self.controls.upstream, summary.transfer, summary.logged_in) {
            _ if self.session.is_over() => "closing",
            (_, Some(_), _) => "transferring",
            (None, None, _) => "connecting",
            (Some(_), None, false) => "logging_in",
            (Some(_), None, true) => "idle",
        };
        SessionReport {
            id: self.facts.id.to_string(),
            listener: self.place.name.to_string(),
            client: self.facts.client.to_string(),
            user: summary.user.map(|user| user.to_string()),
            upstream: self.upstream.name().to_string(),
            state: state.to_owned(),
            age_seconds: age.as_secs(),
            command: summary.transfer.map(str::to_owned),
            commands: summary.commands,
            transfers: summary.transfers,
            bytes: self.carried + self.data.progress(),
        }
    }
}
