//! One thread of the gateway: its own runtime, its own sessions, from their first byte to their last.
//!
//! Invariant: nothing of a session ever leaves its worker; what others want of it comes as a message. A panic in
//! one session ends that session alone.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ipnet::IpNet;
use socket2::SockRef;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc, oneshot};

use super::admission::TurnedAway;
use super::driver::{Driver, Order};
use super::guard::Guarded;
use super::listener;
use super::settings::Place;
use super::shared::Shared;
use super::status::SessionReport;
use super::stream::Control;
use super::wire::{self, Wire};
use crate::engine::{Event, Record, SessionEnd, SessionId};
use crate::pinhole::Wishes;

/// How long sessions that are ended at once may take to say so; peers that do not hang up can't hold up the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often a worker with sessions wakes for nothing.
///
/// The runtime makes a call to the kernel whenever a timer begins that is due before all others; with this one
/// always due first, none of the sessions' timers (10 s and more) costs that.
const PULSE: Duration = Duration::from_secs(1);

/// What a worker is told.
pub(super) enum Message {
    /// Show the sessions.
    Sessions(oneshot::Sender<Vec<SessionReport>>),
    /// End the session of this id; answers whether it was here.
    Kill(String, oneshot::Sender<bool>),
    /// New settings are in force; answered when every session here has them.
    Reload(oneshot::Sender<()>),
    /// A network is banned: end its sessions that are not logged in.
    Banned(IpNet),
    /// Somebody else has emptied the firewall.
    FirewallRestored,
    /// Take no new sessions; end when the last is over.
    Drain,
    /// End all sessions now.
    End,
}

/// One of the sockets where clients arrive, as one worker has it.
pub(super) struct Entrance {
    pub(super) place: Arc<Place>,
    pub(super) socket: TcpListener,
}

/// A worker's own state.
pub(super) struct Worker {
    shared: Arc<Shared>,
    sessions: RefCell<HashMap<SessionId, Rc<RefCell<Driver>>>>,
    draining: Cell<bool>,
    changed: Notify,
    /// What the sessions want of the firewall.
    wishes: Wishes,
}

/// Runs a worker until it was told to drain or end and its last session is over.
pub(super) fn run(
    runtime: tokio::runtime::Runtime,
    shared: Arc<Shared>,
    entrances: Vec<Entrance>,
    messages: mpsc::UnboundedReceiver<Message>,
) {
    shared.journal.hold_back();
    let journal = Arc::clone(&shared.journal);
    let worker = Rc::new(Worker {
        shared,
        sessions: RefCell::default(),
        draining: Cell::new(false),
        changed: Notify::new(),
        wishes: Wishes::default(),
    });
    let local = tokio::task::LocalSet::new();
    // A task of its own: what is blocked on is polled whenever any task is woken.
    let serving = local.spawn_local(worker.serve(entrances, messages));
    if let Err(panicked) = local.block_on(&runtime, serving) {
        std::panic::resume_unwind(panicked.into_panic());
    }
    drop(local);
    journal.flush();
    // A name that is still being resolved must not hold up the end.
    runtime.shutdown_background();
}

impl Worker {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// Asks the firewall for what sessions want, whenever those that are ready have had their turn: tasks of a worker run in the order
    /// in which they are woken, and the first wish wakes this one.
    async fn ask_together(self: Rc<Self>) {
        let asking = |cx: &mut Context<'_>| {
            self.shared.pinholes.ask(&self.wishes, cx);
            Poll::Pending
        };
        std::future::poll_fn::<(), _>(asking).await;
    }

    async fn serve(
        self: Rc<Self>,
        entrances: Vec<Entrance>,
        mut messages: mpsc::UnboundedReceiver<Message>,
    ) {
        let asking = tokio::task::spawn_local(Rc::clone(&self).ask_together());
        let mut open = self.open(entrances);
        let mut end_at = None;
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !(self.draining.get() && self.sessions.borrow().is_empty()) {
            let deadline = async {
                match end_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Drain) => {
                        open.clear();
                        self.draining.set(true);
                        self.order_all(Order::Drain);
                    }
                    Some(Message::End) | None => {
                        open.clear();
                        self.draining.set(true);
                        self.order_all(Order::End(SessionEnd::Shutdown));
                        end_at.get_or_insert(tokio::time::Instant::now() + LAST_WORDS);
                    }
                    Some(Message::Reload(done)) => {
                        self.reload(&open);
                        // Nobody may be waiting for it.
                        let _ = done.send(());
                    }
                    Some(Message::Banned(network)) => {
                        for driver in self.drivers() {
                            let is_guessing = driver.borrow().is_guessing_from(network);
                            if is_guessing {
                                driver.borrow_mut().order(Order::End(SessionEnd::Banned));
                            }
                        }
                    }
                    Some(Message::FirewallRestored) => {
                        for driver in self.drivers() {
                            driver.borrow_mut().break_off_flows();
                        }
                    }
                    Some(Message::Sessions(answer)) => {
                        // Whoever asked may have given up.
                        let _ = answer.send(self.reports());
                    }
                    Some(Message::Kill(id, answer)) => {
                        let _ = answer.send(self.kill(&id));
                    }
                },
                () = self.changed.notified() => {}
                _ = pulse.tick(), if !self.sessions.borrow().is_empty() => {}
                () = deadline => break,
            }
        }
        asking.abort();
    }

    fn open(self: &Rc<Self>, entrances: Vec<Entrance>) -> Vec<Open> {
        let opened = entrances.into_iter().filter_map(|Entrance { place, socket }| {
            match wire::register(socket, tokio::io::Interest::READABLE) {
                Ok(socket) => {
                    let socket = Rc::new(socket);
                    let accepting =
                        listener::accept_all(Rc::clone(self), place, Rc::clone(&socket));
                    let task = tokio::task::spawn_local(accepting);
                    Some(Open { socket, task })
                }
                Err(error) => {
                    tracing::error!(listener = %place.name, %error, "a worker cannot accept clients");
                    None
                }
            }
        });
        opened.collect()
    }

    /// Takes a client that has just connected.
    pub(super) fn arrive(
        self: &Rc<Self>,
        place: &Arc<Place>,
        stream: TcpStream,
        client: SocketAddr,
    ) {
        let shared = &self.shared;
        let now = shared.clock.now();
        let guarded = shared.guard.look_at(client.ip(), now.mono);
        let admission = &shared.admission;
        let admitted = match guarded {
            Guarded::Client => admission.admit(client.ip(), now.mono),
            Guarded::Probe => admission.admit_probe(client.ip(), now.mono),
            Guarded::Banned => Err(admission.turn_away_banned(client.ip(), now.mono)),
        };
        let permit = match admitted {
            Ok(permit) => permit,
            Err(away) => return self.turn_away(stream, client, away),
        };
        // A client that is gone again already.
        let Ok(target) = stream.local_addr() else {
            return;
        };
        let wire = match Wire::accepted(stream) {
            Ok(wire) => wire,
            Err(error) => {
                tracing::error!(%error, "a client's socket cannot be watched");
                return;
            }
        };
        let policy = place.policy.load();
        let mut facts = policy.facts(shared.names.next(now.wall), client, target);
        facts.may_be_probe = permit.is_probes();
        if !facts.may_be_probe && place.is_first_misled(&facts) {
            tracing::warn!(
                "listener {}: {} came over the internet and is told the private address {} for PASV, which it cannot reach; \
                 set listeners.{}.advertise to the public address, for example [{{to: any, address: 203.0.113.10}}]",
                place.name,
                client.ip(),
                facts.advertised,
                place.name,
            );
            self.record(
                client,
                Event::AddressMisleading {
                    announced: facts.advertised,
                    listener: Arc::clone(&place.name),
                },
            );
        }
        let id = facts.id;
        let driver = Driver::new(
            Rc::clone(self),
            Arc::clone(place),
            &policy,
            facts,
            Control::new(wire),
            permit,
        );
        let driver = Rc::new(RefCell::new(driver));
        if self.sessions.borrow().is_empty() {
            // The pulse begins.
            self.changed.notify_one();
        }
        self.sessions.borrow_mut().insert(id, Rc::clone(&driver));
        tokio::task::spawn_local(Running {
            worker: Rc::clone(self),
            id,
            driver,
        });
    }

    fn turn_away(&self, stream: TcpStream, client: SocketAddr, away: TurnedAway) {
        use std::io::Write as _;
        // An empty send queue takes it at once; a client that is gone needs it no more.
        let _ = (&stream).write(away.bound.reply().as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        if away.news {
            tracing::warn!(client = %client.ip(), limit = away.bound.key(), "a client was turned away");
            self.record(
                client,
                Event::LimitReached {
                    limit: away.bound.key(),
                },
            );
        }
    }

    fn record(&self, client: SocketAddr, event: Event) {
        let record = Record {
            at: super::clock::wall(),
            session: None,
            client: Some(client.ip()),
            user: None,
            event,
        };
        // No effect waits for it; the journal itself counts what it lost.
        let _ = self.shared.journal.write(&record);
    }

    fn drivers(&self) -> Vec<Rc<RefCell<Driver>>> {
        self.sessions.borrow().values().map(Rc::clone).collect()
    }

    fn order_all(&self, order: Order) {
        for driver in self.drivers() {
            driver.borrow_mut().order(order);
        }
    }

    fn reload(&self, open: &[Open]) {
        let keepalive = self.shared.tuning.load().keepalive;
        for entrance in open {
            if let Err(error) = wire::tune(&SockRef::from(&*entrance.socket), keepalive, true) {
                tracing::warn!(%error, "keepalive cannot be changed on a listener");
            }
        }
        for driver in self.drivers() {
            driver.borrow_mut().replace_settings();
        }
    }

    fn reports(&self) -> Vec<SessionReport> {
        let drivers = self.drivers();
        drivers
            .iter()
            .map(|driver| driver.borrow().report())
            .collect()
    }

    fn kill(&self, id: &str) -> bool {
        let sessions = self.sessions.borrow();
        let found = sessions.iter().find(|(known, _)| known.as_str() == id);
        if let Some((_, driver)) = found {
            driver.borrow_mut().order(Order::End(SessionEnd::Killed));
        }
        found.is_some()
    }
}

/// A listening socket with the task that accepts from it; dropping it shuts both.
struct Open {
    socket: Rc<AsyncFd<TcpListener>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A session's task.
struct Running {
    worker: Rc<Worker>,
    id: SessionId,
    driver: Rc<RefCell<Driver>>,
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let polled = catch_unwind(AssertUnwindSafe(|| this.driver.borrow_mut().poll(cx)));
        polled.unwrap_or_else(|_| {
            tracing::error!(session = %this.id, "this session was ended by a bug in Portcullis; please report it with the message above");
            Poll::Ready(())
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.sessions.borrow_mut().remove(&self.id);
        if self.worker.draining.get() {
            self.worker.changed.notify_one();
        }
    }
}
