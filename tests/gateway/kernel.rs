//! A kernel's firewall made of threads: it lets in, forwards, counts and ends connections on the loopback interface.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use portcullis::nft::{
    Firewall, FirewallHole, FlowState, FlowUsage, HoleKey, Opening, Settled, Settling,
};
use portcullis::pinhole::{OwnSockets, Sockets, SourcePortFallback};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::connect_unspec;
use socket2::{Domain, SockRef, Socket, Type};

/// Bytes that each made-up packet has besides its payload.
const HEADERS: u64 = 52;

/// Done by whoever asks for a hole, before he is answered.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// The firewall; what it was asked is kept in order.
#[derive(Default)]
pub struct Kernel {
    state: Arc<Mutex<State>>,
    meanwhile: Mutex<Option<Meanwhile>>,
}

#[derive(Default)]
struct State {
    asked: Vec<String>,
    openings: Vec<Opening>,
    holes: HashMap<HoleKey, Hole>,
    refuses: bool,
    /// Whether nobody is told that a hole was used.
    keeps_silent: bool,
    /// Whether a port was found listening before its hole was opened here.
    listened_early: bool,
}

#[derive(Default)]
struct Hole {
    /// Who is awaited, where it leads, and from where.
    leads: Option<(IpAddr, SocketAddr, Option<SocketAddr>)>,
    listener: Option<Arc<TcpListener>>,
    peer: Option<SocketAddr>,
    waker: Option<Waker>,
    ends: Vec<TcpStream>,
    from_peer: (u64, u64),
    to_peer: (u64, u64),
    ended: u32,
}

impl Hole {
    fn usage(&self) -> Option<FlowUsage> {
        self.peer.map(|_| FlowUsage {
            wire_bytes_from_peer: self.from_peer.0,
            packets_from_peer: self.from_peer.1,
            wire_bytes_to_peer: self.to_peer.0,
            packets_to_peer: self.to_peer.1,
            state: match self.ended {
                0 => FlowState::Open,
                1 => FlowState::Ending,
                _ => FlowState::Over,
            },
        })
    }

    fn shut(&mut self) {
        if let Some(listener) = self.listener.take() {
            // On a listening socket this is the end of it for every descriptor.
            let _ = SockRef::from(&*listener).shutdown(Shutdown::Both);
        }
    }
}

impl Kernel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// What it was asked to open, in order.
    pub fn openings(&self) -> Vec<Opening> {
        self.state().openings.clone()
    }

    /// Holes that nobody closed.
    pub fn standing(&self) -> usize {
        self.state().holes.len()
    }

    pub fn refuse(&self) {
        self.state().refuses = true;
    }

    pub fn accept(&self) {
        self.state().refuses = false;
    }

    /// Has the next question for a hole answered only when this was done.
    pub fn meanwhile(&self, what: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().expect("it") = Some(Box::new(what));
    }

    pub fn keep_silent(&self) {
        self.state().keeps_silent = true;
    }

    pub fn listened_early(&self) -> bool {
        self.state().listened_early
    }

    fn note(&self, what: &str) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.asked.push(what.to_owned());
        state
    }
}

impl Firewall for Kernel {
    fn open(&self, hole: &FirewallHole) -> io::Result<()> {
        let meanwhile = self.meanwhile.lock().expect("it").take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let mut state = self.note("open");
        state.openings.push(hole.opening);
        if state.refuses {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut made = Hole::default();
        match hole.opening {
            Opening::Relay { at, .. } => {
                state.listened_early |= TcpStream::connect(at).is_ok();
            }
            Opening::Forward {
                at,
                to,
                source,
                peer,
            } => {
                let listener = Arc::new(listen(at)?);
                made.listener = Some(Arc::clone(&listener));
                let (shared, key) = (Arc::clone(&self.state), hole.key);
                made.leads = Some((peer, to, source));
                std::thread::spawn(move || {
                    // It becomes ready when somebody comes, or when it is shut.
                    let mut ready = [PollFd::new(&*listener, PollFlags::IN)];
                    let woken = poll(&mut ready, None);
                    woken.expect("a listener can be waited for");
                    let mut state = shared.lock().expect("the state");
                    admit(&shared, &mut state, key);
                });
            }
        }
        state.holes.insert(hole.key, made);
        Ok(())
    }

    fn renew(&self, _: HoleKey, _: Duration) -> io::Result<()> {
        drop(self.note("renew"));
        Ok(())
    }

    fn used(&self, key: HoleKey, cx: &mut Context<'_>) -> Poll<SocketAddr> {
        let mut state = self.state();
        let silent = state.keeps_silent;
        match state.holes.get_mut(&key) {
            Some(hole) if !silent => match hole.peer {
                Some(peer) => return Poll::Ready(peer),
                None => hole.waker = Some(cx.waker().clone()),
            },
            _ => {}
        }
        Poll::Pending
    }

    fn usage(&self, key: HoleKey) -> io::Result<Option<FlowUsage>> {
        let mut state = self.note("usage");
        admit(&self.state, &mut state, key);
        let hole = state.holes.get(&key).ok_or(io::ErrorKind::NotFound)?;
        Ok(hole.usage())
    }

    fn kill(&self, key: HoleKey) -> io::Result<()> {
        let mut state = self.note("kill");
        let hole = state.holes.get_mut(&key).ok_or(io::ErrorKind::NotFound)?;
        for end in hole.ends.drain(..) {
            // With this the kernel resets, whoever else holds the socket (connect(2)); it may be over already.
            let _ = connect_unspec(&end);
        }
        Ok(())
    }

    fn close(&self, key: HoleKey) -> io::Result<Settled> {
        let mut state = self.note("close");
        admit(&self.state, &mut state, key);
        let mut hole = state.holes.remove(&key).ok_or(io::ErrorKind::NotFound)?;
        hole.shut();
        Ok(Settled {
            by: hole.peer,
            usage: hole.usage(),
        })
    }

    fn settle(&self, key: HoleKey) -> io::Result<Settling> {
        let mut state = self.note("settle");
        admit(&self.state, &mut state, key);
        let hole = state.holes.get(&key).ok_or(io::ErrorKind::NotFound)?;
        let peer = hole.peer;
        match hole.usage() {
            Some(usage) if !usage.state.has_begun_to_end() => Ok(Settling::Runs(usage)),
            usage => {
                if let Some(mut hole) = state.holes.remove(&key) {
                    hole.shut();
                }
                let by = usage.and(peer);
                Ok(Settling::Shut(Settled { by, usage }))
            }
        }
    }
}

/// Listens beside the gateway's own socket, which does not listen.
fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&at.into())?;
    socket.set_nonblocking(true)?;
    socket.listen(8)?;
    Ok(socket.into())
}

/// Takes the connection on that waits for a hole, if one does: as in the kernel, it counts from its first packet.
fn admit(shared: &Arc<Mutex<State>>, state: &mut State, key: HoleKey) {
    let silent = state.keeps_silent;
    let Some(hole) = state.holes.get_mut(&key) else {
        return;
    };
    let (Some(listener), Some((awaited, to, source))) = (&hole.listener, hole.leads) else {
        return;
    };
    let Ok((peer, from)) = listener.accept() else {
        return;
    };
    if from.ip() != awaited {
        return;
    }
    hole.shut();
    hole.peer = Some(from);
    let Ok(other) = dial(source, to) else {
        hole.ended = 2;
        return;
    };
    hole.ends = [&peer, &other]
        .map(|end| end.try_clone().expect("a clone"))
        .into();
    if let Some(waker) = hole.waker.take().filter(|_| !silent) {
        waker.wake();
    }
    let clone = |stream: &TcpStream| stream.try_clone().expect("a clone");
    let (back, forth) = (clone(&peer), clone(&other));
    for (inward, source, receiver) in [(true, peer, forth), (false, other, back)] {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || carry(&shared, key, inward, source, receiver));
    }
}

fn carry(
    shared: &Mutex<State>,
    key: HoleKey,
    inward: bool,
    mut source: TcpStream,
    mut receiver: TcpStream,
) {
    let mut buffer = [0; 8192];
    loop {
        let got = source.read(&mut buffer).unwrap_or(0);
        if let Some(hole) = shared.lock().expect("the state").holes.get_mut(&key) {
            let count = if inward {
                &mut hole.from_peer
            } else {
                &mut hole.to_peer
            };
            *count = (count.0 + got as u64 + HEADERS, count.1 + 1);
            hole.ended += u32::from(got == 0);
        }
        if got == 0 {
            // The other end may be gone.
            let _ = receiver.shutdown(Shutdown::Write);
            return;
        }
        if receiver.write_all(&buffer[..got]).is_err() {
            return;
        }
    }
}

fn dial(source: Option<SocketAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source.ip(), 0).into())?;
    }
    socket.connect(&to.into())?;
    Ok(socket.into())
}

/// Sockets of a host that has no address, so that everybody on the loopback interface is somebody else.
pub struct Elsewhere(pub OwnSockets);

impl Sockets for Elsewhere {
    fn control_listener(&self, at: SocketAddr) -> io::Result<TcpListener> {
        self.0.control_listener(at)
    }

    fn pinhole(&self, at: SocketAddr) -> io::Result<Socket> {
        self.0.pinhole(at)
    }

    fn dialler(&self, from: Option<SocketAddr>, to: SocketAddr) -> io::Result<Socket> {
        // Nobody is dialled at port 0: this asks whose address it is.
        if to.port() == 0 {
            return Err(rustix::io::Errno::ADDRNOTAVAIL.into());
        }
        self.0.dialler(from, to)
    }

    fn source_port_fallback(&self) -> &SourcePortFallback {
        self.0.source_port_fallback()
    }
}
