//! The listener on one port of a window, shared by all holes there.
//!
//! It listens only while some hole awaits. Each hole polls it from its own runtime; whoever accepts hands
//! the connection to the hole that awaits its sender, and wakes it. Every removal of a hole swaps the filter
//! first and empties the accept queue then: handshakes that finished under the old filter go to those who
//! are still awaited, or are reset without a byte.
//!
//! When nobody awaits, the socket is shut down, not closed: that ends listening and resets what waits, as closing
//! does, but the port stays bound and the filter attached. For the next hole there, `listen` is all that is left
//! to do; a filter costs more than that, since the kernel compiles it each time.
//!
//! Invariant: nothing listens while no hole awaits; the filter never lets in a peer whom no hole awaits; a hole
//! admits one connection, or hands out candidates, of which it keeps a bounded number. This module must not know which ports there are.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use ipnet::IpNet;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{SockRef, Socket};

use super::guard::Guard;
use super::sockets::Sockets;
use crate::nft::Admits;

/// How many connections of awaited peers may wait to be accepted.
const BACKLOG: i32 = 128;
/// Most connections that a hole keeps which looks at several; the oldest goes for a newer one.
const CANDIDATES: usize = 16;
/// Most connections that one sweep accepts before others get their turn.
const SWEEP: usize = 256;

/// One port at one address of ours, while at least one hole is there.
#[derive(Debug)]
pub(super) struct Listener {
    at: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    socket: Option<Arc<Socket>>,
    listening: bool,
    /// Whether more than one hole polls this socket.
    shared: bool,
    /// Whom alone the attached filter lets in; none when that is not exactly one.
    lets_in: Option<IpNet>,
    holes: Vec<Hole>,
    born: u64,
}

#[derive(Debug)]
struct Hole {
    number: u64,
    from: IpNet,
    stage: Stage,
    /// Connections that came to a hole which stays open until one of them has proved to be the right one.
    candidates: Option<VecDeque<(OwnedFd, SocketAddr)>>,
}

#[derive(Debug)]
enum Stage {
    Reserved,
    Awaiting { waker: Option<Waker> },
    Admitted { socket: OwnedFd, peer: SocketAddr },
}

/// What a sweep through the accept queue did.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Who was turned away.
    pub(super) intruders: Vec<SocketAddr>,
    /// Whether the queue was empty at the end.
    pub(super) emptied: bool,
}

/// A descriptor of the listening socket to wait on: one socket may be in one epoll set only once per descriptor.
#[derive(Debug)]
pub(super) enum Watched {
    Own(Arc<Socket>),
    Copy(OwnedFd),
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Watched::Own(socket) => socket.as_raw_fd(),
            Watched::Copy(fd) => fd.as_raw_fd(),
        }
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Watched::Own(socket) => socket.as_fd(),
            Watched::Copy(fd) => fd.as_fd(),
        }
    }
}

impl Listener {
    /// Makes the port's place; nothing is bound yet.
    pub(super) fn new(at: SocketAddr) -> Listener {
        Listener {
            at,
            state: Mutex::default(),
        }
    }

    /// Tells its address and port.
    pub(super) fn at(&self) -> SocketAddr {
        self.at
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether it has a socket that can be used again, so that it is worth keeping without a hole.
    pub(super) fn is_bound(&self) -> bool {
        self.state().socket.is_some()
    }

    /// Reserves a hole for a peer: the port is bound, nothing listens for it. Returns the hole's number.
    ///
    /// A hole that admits several hands out connections until it is taken away.
    pub(super) fn reserve(
        &self,
        from: IpNet,
        admits: Admits,
        sockets: &dyn Sockets,
    ) -> io::Result<u64> {
        let mut state = self.state();
        if state.socket.is_none() {
            state.socket = Some(Arc::new(sockets.pinhole(self.at)?));
            state.listening = false;
            state.shared = false;
            state.lets_in = None;
        }
        state.born += 1;
        let number = state.born;
        state.holes.push(Hole {
            number,
            from,
            stage: Stage::Reserved,
            candidates: (admits == Admits::Several).then(VecDeque::new),
        });
        Ok(number)
    }

    /// Opens a reserved hole: filter first, then listen, so that no stranger fits in between.
    pub(super) fn open(&self, number: u64, guard: &Guard) -> io::Result<Watched> {
        let mut state = self.state();
        let socket = state.socket.clone().ok_or(io::ErrorKind::NotConnected)?;
        // Ours, the state's, and perhaps that of a hole that was here before and has not let go yet.
        let watched_elsewhere = Arc::strong_count(&socket) > 2;
        let watched = if state.listening || watched_elsewhere {
            state.shared = true;
            Watched::Copy(socket.as_fd().try_clone_to_owned()?)
        } else {
            Watched::Own(socket.clone())
        };
        if let Some(hole) = state.holes.iter_mut().find(|hole| hole.number == number) {
            hole.stage = Stage::Awaiting { waker: None };
        }
        state.admit_awaited(guard);
        if !state.listening {
            if let Err(error) = socket.listen(BACKLOG) {
                // Another program may have begun to listen here while we did not: the next bind() will say so.
                state.socket = None;
                return Err(error);
            }
            state.listening = true;
        }
        Ok(watched)
    }

    /// Looks for the hole's connection, and leaves a waker for when another hole accepts it.
    ///
    /// With the connection the hole is gone from here, unless it looks at several.
    pub(super) fn look(&self, number: u64, waker: &Waker) -> Option<(OwnedFd, SocketAddr)> {
        let mut state = self.state();
        let place = state.place(number)?;
        let hole = state.holes.get_mut(place)?;
        if let Some(candidate) = hole.candidates.as_mut().and_then(VecDeque::pop_front) {
            return Some(candidate);
        }
        match &mut hole.stage {
            Stage::Reserved => None,
            Stage::Awaiting { waker: kept } => {
                match kept {
                    Some(kept) => kept.clone_from(waker),
                    None => *kept = Some(waker.clone()),
                }
                None
            }
            Stage::Admitted { .. } => match state.holes.swap_remove(place).stage {
                Stage::Admitted { socket, peer } => Some((socket, peer)),
                Stage::Reserved | Stage::Awaiting { .. } => None,
            },
        }
    }

    /// Accepts what waits for `number`, who calls, and for others: each connection goes to its hole or is reset.
    ///
    /// # Errors
    /// The kernel's, when it can't accept, for instance for want of descriptors.
    pub(super) fn sweep(&self, number: u64, guard: &Guard) -> io::Result<Swept> {
        self.state().sweep(Some(number), guard)
    }

    /// Takes a hole away, whatever its stage; the caller has let go of what it watched.
    ///
    /// For a hole that got its connection this ends listening, if nobody else awaits there.
    pub(super) fn leave(&self, number: u64, guard: &Guard) -> Vec<SocketAddr> {
        let mut state = self.state();
        if let Some(place) = state.place(number) {
            // Who was admitted and is not wanted any more is hung up on by dropping it.
            let left = state.holes.swap_remove(place);
            let unheard = left.candidates.into_iter().flatten();
            let mut intruders: Vec<_> = unheard.map(turned_away).collect();
            if matches!(left.stage, Stage::Awaiting { .. }) && state.awaits_anybody() {
                state.admit_awaited(guard);
                let swept = state.sweep(None, guard);
                intruders.extend(swept.map(|swept| swept.intruders).unwrap_or_default());
                return intruders;
            }
            if !state.awaits_anybody() {
                state.shut();
            }
            return intruders;
        }
        if !state.awaits_anybody() {
            state.shut();
        }
        Vec::new()
    }
}

impl State {
    fn place(&self, number: u64) -> Option<usize> {
        self.holes.iter().position(|hole| hole.number == number)
    }

    fn awaited(&self) -> impl Iterator<Item = IpNet> {
        let awaits = |hole: &&Hole| matches!(hole.stage, Stage::Awaiting { .. });
        self.holes.iter().filter(awaits).map(|hole| hole.from)
    }

    fn who_awaits(&mut self, peer: IpAddr) -> Option<&mut Hole> {
        self.holes
            .iter_mut()
            .find(|hole| matches!(hole.stage, Stage::Awaiting { .. }) && hole.from.contains(&peer))
    }

    fn awaits_anybody(&self) -> bool {
        self.awaited().next().is_some()
    }

    /// Lets in those who are awaited, and shuts out those who are awaited no more.
    fn admit_awaited(&mut self, guard: &Guard) {
        let Some(socket) = &self.socket else {
            return;
        };
        let only = {
            let mut awaited = self.awaited();
            awaited.next().filter(|_| awaited.next().is_none())
        };
        if only.is_some() && only == self.lets_in {
            return;
        }
        let attached = guard.admit_only(socket, self.awaited());
        self.lets_in = only.filter(|_| attached);
    }

    /// Ends listening, since nobody awaits, and resets what waits; the port stays bound.
    fn shut(&mut self) {
        if mem::take(&mut self.listening)
            && let Some(socket) = &self.socket
            // On a listening socket this is the end of it for every descriptor.
            && let Err(error) = socket.shutdown(Shutdown::Both)
        {
            tracing::error!(%error, "a listener could not be shut");
            self.socket = None;
        }
        if self.holes.is_empty() {
            self.shared = false;
        }
    }

    fn sweep(&mut self, caller: Option<u64>, guard: &Guard) -> io::Result<Swept> {
        let mut swept = Swept::default();
        for _ in 0..SWEEP {
            let listening = self.listening && self.awaits_anybody();
            let Some(socket) = self.socket.as_ref().filter(|_| listening) else {
                swept.emptied = true;
                break;
            };
            match acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, peer)) => {
                    if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        self.judge(socket, peer, caller, guard, &mut swept.intruders);
                    }
                }
                Err(Errno::AGAIN) => {
                    swept.emptied = true;
                    break;
                }
                // What broke was the connection, not the listener (accept(2), "Error handling").
                Err(
                    Errno::CONNABORTED
                    | Errno::INTR
                    | Errno::PERM
                    | Errno::PROTO
                    | Errno::NOPROTOOPT
                    | Errno::OPNOTSUPP
                    | Errno::NETDOWN
                    | Errno::NETUNREACH
                    | Errno::NONET
                    | Errno::HOSTDOWN
                    | Errno::HOSTUNREACH
                    | Errno::TIMEDOUT,
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(swept)
    }

    fn judge(
        &mut self,
        socket: OwnedFd,
        peer: SocketAddr,
        caller: Option<u64>,
        guard: &Guard,
        intruders: &mut Vec<SocketAddr>,
    ) {
        let Some(hole) = self.who_awaits(peer.ip()) else {
            intruders.push(turned_away((socket, peer)));
            return;
        };
        if let (Some(candidates), Stage::Awaiting { waker }) =
            (&mut hole.candidates, &mut hole.stage)
        {
            candidates.push_back((socket, peer));
            if candidates.len() > CANDIDATES {
                intruders.extend(candidates.pop_front().map(turned_away));
            }
            if let Some(waker) = waker.as_ref().filter(|_| caller != Some(hole.number)) {
                waker.wake_by_ref();
            }
            return;
        }
        let mine = caller == Some(hole.number);
        let before = mem::replace(&mut hole.stage, Stage::Admitted { socket, peer });
        if let Stage::Awaiting { waker: Some(waker) } = before
            && !mine
        {
            waker.wake();
        }
        if self.awaits_anybody() {
            self.admit_awaited(guard);
        } else if self.shared {
            self.shut();
        }
        // Else the caller is the only one who watches this socket, and about to leave: shut then, it is no event any more.
    }
}

/// Closes a connection with a reset: not a byte, and no FIN that looks like an empty file.
fn turned_away((socket, peer): (OwnedFd, SocketAddr)) -> SocketAddr {
    if let Err(error) = SockRef::from(&socket).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "no reset");
    }
    peer
}
