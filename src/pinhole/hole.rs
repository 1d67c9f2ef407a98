//! Pinholes made real: reserved, open, used, and gone with their value.
//!
//! Invariant: a hole's claim on its port ends when its connection is handed out or its value is dropped,
//! and by then nobody can reach it; there is one socket at most on one port. This module must not know why a hole
//! opens.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ipnet::IpNet;
use rustix::io::Errno;
use socket2::SockRef;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use super::guard::Guard;
use super::intruder::{Intruder, Intruders};
use super::kernel;
use super::listener::{Listener, Watched};
use super::parking::Parking;
use super::sockets::Sockets;
use super::window::Window;
use crate::engine::{DataTls, Legs, Pinhole, RefusalReason, Side};

/// All pinholes of the program: its windows, its listeners, its guard.
pub struct Pinholes {
    sockets: Arc<dyn Sockets>,
    guard: Guard,
    intruders: Intruders,
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
        Pinholes::with_guard(windows, sockets, on_intruder, guard)
    }

    /// Makes windows on a kernel that refuses socket filters.
    #[cfg(test)]
    pub(super) fn without_filter(
        windows: Legs<RangeInclusive<u16>>,
        sockets: Arc<dyn Sockets>,
        on_intruder: Box<dyn Fn(Intruder) + Send + Sync>,
    ) -> Arc<Pinholes> {
        Pinholes::with_guard(windows, sockets, on_intruder, Guard::refused())
    }

    fn with_guard(
        windows: Legs<RangeInclusive<u16>>,
        sockets: Arc<dyn Sockets>,
        on_intruder: Box<dyn Fn(Intruder) + Send + Sync>,
        guard: Guard,
    ) -> Arc<Pinholes> {
        Arc::new(Pinholes {
            sockets,
            guard,
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

    /// Tells whether the kernel takes socket filters from us; if not, strangers are accepted and reset.
    pub fn filter_in_force(&self) -> bool {
        self.guard.in_force()
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
        let mut passed_over = Vec::new();
        loop {
            let listener = self.claim(pinhole, &passed_over)?;
            let at = listener.at();
            let several = pinhole.tls == DataTls::Resumed;
            match listener.reserve(pinhole.from, several, &*self.sockets) {
                Ok(number) => {
                    return Ok(Reservation {
                        hold: Hold {
                            pinholes: self.clone(),
                            listener,
                            number,
                            from: pinhole.from,
                            side: pinhole.side,
                        },
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
    fn distrust_parking(&self) {
        self.taken().parking.close();
        self.clear_parking();
    }

    /// Closes the sockets that no hole needs now, and tells whether there were any.
    fn clear_parking(&self) -> bool {
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
struct Hold {
    pinholes: Arc<Pinholes>,
    listener: Arc<Listener>,
    number: u64,
    from: IpNet,
    side: Side,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let at = self.listener.at();
        let intruders = self.listener.leave(self.number, &self.pinholes.guard);
        self.pinholes.release(at, self.side, self.from);
        self.pinholes.intruders.report(&intruders, at);
    }
}

/// A port set aside for a pinhole that is not open yet; dropping it gives the port back.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    hold: Hold,
}

impl Reservation {
    /// Tells the address and port.
    pub fn at(&self) -> SocketAddr {
        self.hold.listener.at()
    }

    /// Opens the pinhole: from now on its peer, and nobody else, can connect.
    ///
    /// # Errors
    /// When the kernel refuses to listen; the port is given back.
    pub fn open(self) -> Result<OpenPinhole, RefusalReason> {
        let Reservation { hold } = self;
        match hold.listener.open(hold.number, &hold.pinholes.guard) {
            Ok(watched) => Ok(OpenPinhole {
                watched: Some(Watch::Descriptor(watched)),
                hold: Some(hold),
            }),
            Err(error) => {
                if Errno::from_io_error(&error) == Some(Errno::ADDRINUSE) {
                    hold.pinholes.distrust_parking();
                }
                Err(refusal(&error, hold.listener.at()))
            }
        }
    }
}

/// An open pinhole; dropping it shuts it.
#[derive(Debug)]
#[must_use]
pub struct OpenPinhole {
    // Dropped first: with it, an unshared listener closes; then the claim on its port may end.
    watched: Option<Watch>,
    hold: Option<Hold>,
}

/// What is waited on: registered with the runtime of whoever polls first.
#[derive(Debug)]
enum Watch {
    Descriptor(Watched),
    Registered(AsyncFd<Watched>),
}

impl OpenPinhole {
    /// Waits for the one connection of the awaited peer; when it resolves, the hole is shut.
    ///
    /// To be polled in the runtime that shall own the connection, whenever its task is woken, until it resolves or is
    /// dropped; never again afterwards: then it stays pending.
    ///
    /// # Errors
    /// The kernel's, when it can't accept: the hole is shut then, too.
    pub fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = ready!(self.poll_admitted(cx));
        self.watched = None;
        self.hold = None;
        Poll::Ready(accepted.and_then(|(socket, peer)| {
            let stream = std::net::TcpStream::from(socket);
            Ok((TcpStream::from_std(stream)?, peer))
        }))
    }

    /// Waits for the next connection of the awaited peer to a hole with [`DataTls::Resumed`]; the hole stays open until it is
    /// dropped.
    ///
    /// # Errors
    /// As [`OpenPinhole::poll_accept`].
    pub fn poll_candidate(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (socket, peer) = ready!(self.poll_admitted(cx))?;
        Poll::Ready(TcpStream::from_std(socket.into()).map(|stream| (stream, peer)))
    }

    /// Resets a candidate that has not proved to be the right one, and tells of it as of an intruder.
    pub fn turn_away(&self, candidate: &TcpStream, peer: SocketAddr) {
        if let Err(error) = SockRef::from(candidate).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "no reset");
        }
        if let Some(hold) = &self.hold {
            hold.pinholes.intruders.report(&[peer], hold.listener.at());
        }
    }

    fn poll_admitted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(OwnedFd, SocketAddr)>> {
        let Some(hold) = &self.hold else {
            return Poll::Pending;
        };
        loop {
            if let Some(admitted) = hold.listener.look(hold.number, cx.waker()) {
                return Poll::Ready(Ok(admitted));
            }
            let Some(watched) = registered(&mut self.watched)? else {
                return Poll::Pending;
            };
            let mut ready = ready!(watched.poll_read_ready(cx))?;
            let swept = match hold.listener.sweep(hold.number, &hold.pinholes.guard) {
                Err(error) if lacks_descriptors(&error) && hold.pinholes.clear_parking() => {
                    continue;
                }
                swept => swept?,
            };
            if swept.emptied {
                ready.clear_ready();
            }
            hold.pinholes
                .intruders
                .report(&swept.intruders, hold.listener.at());
        }
    }
}

/// Registers the descriptor with this task's runtime if that was not done yet.
fn registered(watch: &mut Option<Watch>) -> io::Result<Option<&AsyncFd<Watched>>> {
    if let Some(Watch::Descriptor(_)) = watch
        && let Some(Watch::Descriptor(watched)) = watch.take()
    {
        let watched = kernel::watch(watched)?;
        *watch = Some(Watch::Registered(watched));
    }
    match watch {
        Some(Watch::Registered(watched)) => Ok(Some(watched)),
        Some(Watch::Descriptor(_)) | None => Ok(None),
    }
}

fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

fn refusal(error: &io::Error, at: SocketAddr) -> RefusalReason {
    tracing::warn!(%at, %error, "no pinhole");
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            RefusalReason::Resources
        }
        _ => RefusalReason::Kernel,
    }
}
