//! Drives one session: hands facts to the engine, and performs what it asks for, strictly in order.
//!
//! One task on one worker holds everything of a session: both control connections, the dial of its upstream,
//! its pinholes and its relay. While nothing happens it holds no buffer and one timer, which is moved only
//! when a deadline comes nearer.
//!
//! Invariant: an output is performed after all that stood before it; a gating record that was not accepted ends
//! its list. This module must not look into the bytes that it carries.

mod errand;
mod perform;
mod talking;
mod timer;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Sleep;

use super::admission::Permit;
use super::legs::DataLegs;
use super::secure::Secure;
use super::settings::{Place, Policy};
use super::status::SessionReport;
use super::stream::Control;
use super::upstream::{Seat, Upstream};
use super::users::UserSeat;
use super::worker::Worker;
use crate::engine::{Input, Legs, Session, SessionEnd, SessionFacts, Settings, Side};
use errand::Errand;

/// How often a task goes round before it lets the others of its worker run.
const ROUNDS: usize = 64;

/// Where facts come from, in the order in which they are looked for. Each answers whether there was one.
const SOURCES: [fn(&mut Driver, &mut Context<'_>) -> bool; 5] = [
    Driver::poll_order,
    Driver::poll_errand,
    Driver::poll_data,
    |driver, cx| driver.poll_control(cx, Side::Upstream),
    |driver, cx| driver.poll_control(cx, Side::Client),
];

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
    controls: Legs<Option<Control>>,
    /// The upstream is dialled, or somebody is asked: never both at once.
    errand: Option<Errand>,
    /// Its presence counts the session towards the upstream's `max_sessions`.
    upstream_seat: Option<Seat>,
    data: DataLegs,
    /// TLS, once there is any.
    secure: Option<Box<Secure>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer will fire.
    armed: Option<Duration>,
    order: Option<Order>,
    waker: Option<Waker>,
    arrived: bool,
    /// The client is still to be sent something that was held back.
    held: bool,
    permit: Permit,
    /// Its presence counts the session towards `limits.sessions_per_user`.
    user_seat: Option<Box<UserSeat>>,
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
            session: Session::new(facts, Arc::clone(&policy.settings)),
            upstream: Arc::clone(&policy.upstream),
            worker,
            place,
            controls: Legs {
                client: Some(client),
                upstream: None,
            },
            errand: None,
            upstream_seat: None,
            data: DataLegs::default(),
            secure: None,
            timer: None,
            armed: None,
            order: None,
            waker: None,
            arrived: false,
            held: false,
            permit,
            user_seat: None,
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
            if !self.poll_opening(cx) {
                return Poll::Pending;
            }
            let mut moved = false;
            for source in SOURCES {
                moved |= !self.data.is_opening() && source(self, cx);
            }
            let moved = moved || self.send_held(cx);
            if self.is_over() {
                return Poll::Ready(());
            }
            if !moved && !self.poll_timer(cx) {
                return Poll::Pending;
            }
        }
        self.send_held(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for the firewall's answer to an opening; until then, a few tens of microseconds, nobody is heard. Answers whether there
    /// is none to wait for.
    fn poll_opening(&mut self, cx: &mut Context<'_>) -> bool {
        while self.data.is_opening() {
            let now = self.worker.shared().clock.mono();
            let (data, ground) = self.data_and_ground(now);
            let Some(fact) = data.poll_opening(cx, &ground) else {
                return false;
            };
            self.tell(cx, fact);
        }
        true
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

    fn poll_data(&mut self, cx: &mut Context<'_>) -> bool {
        if self.data.is_empty() {
            return false;
        }
        let now = self.worker.shared().clock.mono();
        let (data, ground) = self.data_and_ground(now);
        let Some(fact) = data.poll(cx, &ground) else {
            return false;
        };
        self.tell(cx, fact);
        true
    }

    /// Tells whether nobody is left: each control connection is closed, or its peer is gone, and nothing runs.
    fn is_over(&self) -> bool {
        let gone = |control: &Option<Control>| control.as_ref().is_none_or(Control::is_gone);
        let Legs { client, upstream } = &self.controls;
        let idle = self.data.is_empty() && self.errand.is_none();
        match (client, upstream) {
            // Both are closed; the engine may still want to hear how a relay ended.
            (None, None) => self.session.is_over() || idle,
            _ => gone(client) && gone(upstream) && (self.session.is_over() || idle),
        }
    }

    /// Ends a transfer that the kernel carried until somebody else emptied the firewall.
    pub(super) fn break_off_flows(&mut self) {
        self.data.break_off_flows();
        self.wake();
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

    /// Tells whether this is a session from a network that is not logged in.
    pub(super) fn is_guessing_from(&self, network: IpNet) -> bool {
        let client = self.session.facts().client.ip().to_canonical();
        network.contains(&client) && !self.session.summary().logged_in
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
            .saturating_sub(self.session.arrived());
        let state = match (&self.controls.upstream, summary.transfer, summary.logged_in) {
            _ if self.session.is_over() => "closing",
            (_, Some(_), _) => "transferring",
            (None, None, _) => "connecting",
            (Some(_), None, false) => "logging_in",
            (Some(_), None, true) => "idle",
        };
        SessionReport {
            id: self.session.facts().id.to_string(),
            listener: self.place.name.to_string(),
            client: self.session.facts().client.to_string(),
            user: summary.user.map(|user| user.to_string()),
            upstream: self.upstream.name().to_string(),
            state: state.to_owned(),
            age_seconds: age.as_secs(),
            command: summary.transfer.map(str::to_owned),
            commands: summary.commands,
            transfers: summary.transfers,
            bytes: summary.bytes + self.data.progress(),
        }
    }
}
