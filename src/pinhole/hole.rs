//! All pinholes of the program: which ports are taken, by whom, and what guards them.
//!
//! Invariant: a hole's claim on its port ends when its connection is handed out or its value is dropped,
//! and by then nobody can reach it; there is one socket at most on one port. This module must not know why a hole
//! opens.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use ipnet::IpNet;
use rustix::io::Errno;

use super::forward;
use super::grant::{Asked, Gatekeeper, Grant};
use super::guard::{Guard, GuardKind};
use super::here::is_here;
use super::intruder::{Intruder, Intruders};
use super::listener::Listener;
use super::opened::Reservation;
use super::parking::Parking;
use super::sockets::Sockets;
use super::sources::Sources;
use super::window::Window;
use super::wishes::Wishes;
use crate::engine::{Carried, DataTls, Legs, Pinhole, RefusalReason, Shut, Side};
use crate::nft::{Admits, Firewall, Opening};

/// All pinholes of the program: its windows, its listeners, its guard.
pub struct Pinholes {
    sockets: Arc<dyn Sockets>,
    pub(super) guard: Guard,
    gatekeeper: Option<Gatekeeper>,
    /// All ports of the windows, also those that are never offered.
    ranges: Legs<RangeInclusive<u16>>,
    pub(super) sources: Arc<Sources>,
    pub(super) intruders: Intruders,
    taken: Mutex<Taken>,
}

/// Which ports are taken, and the listeners there.
struct Taken {
    windows: Legs<Window>,
    listeners: HashMap<(SocketAddr, Side), Arc<Listener>>,
    /// Those of the listeners that have no hole.
    parking: Parking<(SocketAddr, Side)>,
}

impl Pinholes {
    /// Makes the windows; `on_intruder` is told, in bounded numbers, of strangers who got through to a listener.
    pub fn new(
        windows: Legs<RangeInclusive<u16>>,
        sockets: Arc<dyn Sockets>,
        on_intruder: Box<dyn Fn(Intruder) + Send + Sync>,
    ) -> Arc<Pinholes> {
        let guard = Guard::new(&*sockets);
        Pinholes::with_guard(windows, sockets, on_intruder, guard, None)
    }

    /// Makes windows behind the kernel's firewall, with the time that an unused pinhole lives.
    pub fn behind(
        firewall: Arc<dyn Firewall>,
        ttl: Duration,
        windows: Legs<RangeInclusive<u16>>,
        sockets: Arc<dyn Sockets>,
        on_intruder: Box<dyn Fn(Intruder) + Send + Sync>,
    ) -> Arc<Pinholes> {
        if forward::binds_anything(&*sockets) {
            tracing::warn!(
                "net.ipv4.ip_nonlocal_bind or net.ipv6.ip_nonlocal_bind is on: whether a peer is this host itself cannot be told, \
                 so all data is relayed; set both to 0 to let the kernel carry it"
            );
        }
        // A second guard would do no harm, but a confined process may not be allowed to attach one.
        let guard = Guard::without_filters();
        let gatekeeper = Some(Gatekeeper::new(firewall, ttl));
        Pinholes::with_guard(windows, sockets, on_intruder, guard, gatekeeper)
    }

    /// Makes windows on a kernel that refuses socket filters.
    #[cfg(test)]
    pub(super) fn without_filter(
        windows: Legs<RangeInclusive<u16>>,
        sockets: Arc<dyn Sockets>,
        on_intruder: Box<dyn Fn(Intruder) + Send + Sync>,
    ) -> Arc<Pinholes> {
        let guard = Guard::without_filters();
        Pinholes::with_guard(windows, sockets, on_intruder, guard, None)
    }

    fn with_guard(
        windows: Legs<RangeInclusive<u16>>,
        sockets: Arc<dyn Sockets>,
        on_intruder: Box<dyn Fn(Intruder) + Send + Sync>,
        guard: Guard,
        gatekeeper: Option<Gatekeeper>,
    ) -> Arc<Pinholes> {
        Arc::new(Pinholes {
            sockets,
            guard,
            gatekeeper,
            ranges: windows.clone(),
            sources: Arc::default(),
            intruders: Intruders::new(on_intruder),
            taken: Mutex::new(Taken {
                windows: Legs {
                    client: Window::new(windows.client),
                    upstream: Window::new(windows.upstream),
                },
                listeners: HashMap::new(),
                parking: Parking::default(),
            }),
        })
    }

    /// Tells what keeps the ports shut to strangers.
    pub fn guard(&self) -> GuardKind {
        match (&self.gatekeeper, self.guard.in_force()) {
            (Some(_), _) => GuardKind::Nftables,
            (None, true) => GuardKind::SocketFilter,
            (None, false) => GuardKind::AcceptAndReset,
        }
    }

    /// Tells whether the kernel can carry connections between these two: it has a firewall for it, and both are surely
    /// other hosts. Packets of this host itself take another way through the firewall.
    pub fn can_forward(&self, client: IpAddr, upstream: IpAddr) -> bool {
        let peers = [client, upstream];
        self.gatekeeper.is_some()
            && peers
                .into_iter()
                .all(|peer| forward::is_elsewhere(&*self.sockets, peer))
    }

    /// Tells at which ports of which peers the kernel's firewall lets nobody in, this process neither: those of both
    /// windows, where a peer is surely this host itself. `ours` are our addresses on the connections with them.
    pub fn shut_at(&self, ours: Legs<IpAddr>, peers: Legs<IpAddr>) -> Option<Shut> {
        self.gatekeeper.as_ref()?;
        let here = Legs {
            client: is_here(&*self.sockets, ours.client, peers.client),
            upstream: is_here(&*self.sockets, ours.upstream, peers.upstream),
        };
        (here.client || here.upstream).then(|| Shut {
            windows: self.ranges.clone(),
            here,
        })
    }

    /// Notes a dial of ours from a fixed port: what is forwarded to that peer's port soon after comes from another.
    pub fn note_dial(&self, from: SocketAddr, to: SocketAddr) {
        if self.gatekeeper.is_some() && from.port() != 0 {
            drop(self.sources.take(from, to));
        }
    }

    /// Tells how long after its opening, and after each renewal, a pinhole that is still awaited has to be renewed.
    pub fn renewal(&self) -> Option<Duration> {
        self.gatekeeper.as_ref().map(Gatekeeper::renewal)
    }

    /// Sets a random free port of the side's window aside; nothing listens there for this pinhole yet.
    ///
    /// # Errors
    /// `NoPort` when no port is free for this peer, else what the kernel lacks.
    pub fn reserve(self: &Arc<Self>, pinhole: &Pinhole) -> Result<Reservation, RefusalReason> {
        if pinhole.at.is_ipv4() != pinhole.from.addr().is_ipv4() {
            tracing::error!(at = %pinhole.at, from = %pinhole.from, "a pinhole of two families");
            return Err(RefusalReason::Kernel);
        }
        let forward = match (pinhole.carried, pinhole.leads_to) {
            (Carried::Relayed, _) => None,
            (Carried::Forwarded, Some(to)) => Some(Opening::Forward {
                peer: pinhole.from.addr(),
                at: SocketAddr::new(pinhole.at, 0),
                to,
                source: pinhole.source,
            }),
            (Carried::Forwarded, None) => {
                tracing::error!("a pinhole is to be forwarded to nowhere");
                return Err(RefusalReason::Kernel);
            }
        };
        let mut passed_over = Vec::new();
        loop {
            let listener = self.claim(pinhole, &passed_over)?;
            let at = listener.at();
            let admits = match pinhole.tls {
                DataTls::Clear | DataTls::Tls => Admits::One,
                // Whoever resumes the session's own TLS is the right one.
                DataTls::Resumed => Admits::Several,
            };
            match listener.reserve(pinhole.from, admits, &*self.sockets) {
                Ok(number) => {
                    return Ok(Reservation {
                        hold: Hold {
                            pinholes: self.clone(),
                            listener,
                            number,
                            from: pinhole.from,
                            admits,
                            side: pinhole.side,
                        },
                        forward,
                    });
                }
                Err(error) => {
                    self.release(at, pinhole.side, pinhole.from);
                    if lacks_descriptors(&error) && self.clear_parking() {
                        continue;
                    }
                    if Errno::from_io_error(&error) != Some(Errno::ADDRINUSE) {
                        return Err(refusal(&error, at));
                    }
                    // Another program has it.
                    passed_over.push(at.port());
                }
            }
        }
    }

    /// Asks the firewall, if there is one, to let the peer in.
    pub(super) fn admit(&self, opening: Opening) -> Result<Option<Grant>, RefusalReason> {
        let (Opening::Forward { at, .. } | Opening::Relay { at, .. }) = opening;
        let gatekeeper = self.gatekeeper.as_ref();
        let asked = gatekeeper.map(|gatekeeper| gatekeeper.ask(opening));
        asked.transpose().map_err(|error| refusal(&error, at))
    }

    /// Begins to ask the firewall, if there is one, to let the peer in, together with what others of the worker want.
    pub(super) fn begin_to_admit(
        &self,
        opening: Opening,
        wishes: &Wishes,
        cx: &Context<'_>,
    ) -> Option<Asked> {
        let gatekeeper = self.gatekeeper.as_ref()?;
        Some(gatekeeper.begin_to_ask(opening, wishes, cx))
    }

    /// Asks the firewall, if there is one, for what the sessions of a worker want by now; the task of this context is woken when they
    /// want more. To be called by one task of each worker, whenever it is woken.
    pub fn ask(&self, wishes: &Wishes, cx: &Context<'_>) {
        if let Some(gatekeeper) = &self.gatekeeper {
            gatekeeper.ask_for(wishes, cx);
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(
        &self,
        pinhole: &Pinhole,
        passed_over: &[u16],
    ) -> Result<Arc<Listener>, RefusalReason> {
        let mut taken = self.taken();
        let window = &mut taken.windows[pinhole.side];
        let in_use = window.size();
        let port = window
            .claim(pinhole.at, pinhole.from, passed_over)
            .ok_or(RefusalReason::NoPort { in_use })?;
        let at = SocketAddr::new(pinhole.at, port);
        taken.parking.leave((at, pinhole.side));
        let listener = taken
            .listeners
            .entry((at, pinhole.side))
            .or_insert_with(|| Arc::new(Listener::new(at)));
        Ok(listener.clone())
    }

    fn release(&self, at: SocketAddr, side: Side, from: IpNet) {
        let mut taken = self.taken();
        if !taken.windows[side].release(at.ip(), at.port(), from) {
            return;
        }
        let bound = taken.listeners.get(&(at, side));
        let goes = if bound.is_some_and(|listener| listener.is_bound()) {
            taken.parking.park((at, side))
        } else {
            Some((at, side))
        };
        let closed = goes.and_then(|goes| taken.listeners.remove(&goes));
        // Closing is a call to the kernel: others need not wait for it.
        drop(taken);
        drop(closed);
    }

    /// Gives up what is parked, since somebody else (another gateway, while one takes over from the other) listens on the
    /// same ports at times: only a bind() at each hole notices that before the port is named to anybody.
    pub(super) fn distrust_parking(&self) {
        self.taken().parking.close();
        self.clear_parking();
    }

    /// Closes the sockets that no hole needs now, and tells whether there were any.
    pub(super) fn clear_parking(&self) -> bool {
        let mut taken = self.taken();
        let Taken {
            parking, listeners, ..
        } = &mut *taken;
        let closed: Vec<_> = parking
            .clear()
            .filter_map(|goes| listeners.remove(&goes))
            .collect();
        drop(taken);
        !closed.is_empty()
    }
}

impl fmt::Debug for Pinholes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinholes").finish_non_exhaustive()
    }
}

/// A hole's place at a listener and its claim on the port; both end when this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) pinholes: Arc<Pinholes>,
    pub(super) listener: Arc<Listener>,
    pub(super) number: u64,
    pub(super) from: IpNet,
    pub(super) admits: Admits,
    side: Side,
}

impl Hold {
    /// Tells the address that is awaited; of a network, its first.
    pub(super) fn peer(&self) -> IpAddr {
        self.from.addr()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let at = self.listener.at();
        let intruders = self.listener.leave(self.number, &self.pinholes.guard);
        self.pinholes.release(at, self.side, self.from);
        self.pinholes.intruders.report(&intruders, at);
    }
}

pub(super) fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

pub(super) fn refusal(error: &io::Error, at: SocketAddr) -> RefusalReason {
    tracing::warn!(%at, %error, "no pinhole");
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            RefusalReason::Resources
        }
        _ => RefusalReason::Kernel,
    }
}
