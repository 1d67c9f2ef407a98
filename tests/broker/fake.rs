//! A firewall and an office of values, and a broker on a thread of its own with them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use portcullis::nft::broker::{Broker, Desk, Hands, Kept, News, Office, Patience, Signals, Staff};
use portcullis::nft::envelope::Envelope;
use portcullis::nft::message::{Keep, Notice, Page};
use portcullis::nft::socket::{self, Arrived};
use portcullis::nft::{
    Client, FirewallHole, FlowState, FlowUsage, Happening, HoleKey, Settled, sealed,
};

use crate::PATIENCE;
use crate::bounds::{envelope, is_ours};

/// Who comes through every hole that is used.
pub const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), 4000);

/// A firewall of values.
#[derive(Debug)]
pub struct FakeHands {
    pub state: Arc<Mutex<Firewall>>,
    /// Can be read when something has happened.
    bell: UnixDatagram,
}

/// What is in it.
#[derive(Debug, Default)]
pub struct Firewall {
    pub open: BTreeMap<HoleKey, FirewallHole>,
    /// Those that were used, with how far they are.
    pub used: BTreeMap<HoleKey, FlowState>,
    pub killed: Vec<HoleKey>,
    pub closed: Vec<HoleKey>,
    pub banned: Vec<IpNet>,
    pub happenings: Vec<Happening>,
    /// What the kernel says to the next opening.
    pub refusal: Option<i32>,
    /// How many holes there is room for, if not for all.
    pub room: Option<usize>,
}

/// Makes something happen from outside.
#[derive(Debug)]
pub struct World {
    pub state: Arc<Mutex<Firewall>>,
    bell: UnixDatagram,
}

impl FakeHands {
    pub fn new() -> (FakeHands, World) {
        let (bell, rope) = UnixDatagram::pair().expect("a pair");
        bell.set_nonblocking(true).expect("set");
        let state = Arc::new(Mutex::default());
        let world = World {
            state: Arc::clone(&state),
            bell: rope,
        };
        (FakeHands { state, bell }, world)
    }

    fn firewall(&self) -> std::sync::MutexGuard<'_, Firewall> {
        self.state.lock().expect("nobody panicked")
    }
}

impl World {
    pub fn firewall(&self) -> std::sync::MutexGuard<'_, Firewall> {
        self.state.lock().expect("nobody panicked")
    }

    pub fn happens(&self, happening: Happening) {
        self.firewall().happenings.push(happening);
        self.bell.send(b"!").expect("rung");
    }
}

pub fn usage(state: FlowState) -> FlowUsage {
    FlowUsage {
        wire_bytes_from_peer: 100,
        packets_from_peer: 2,
        wire_bytes_to_peer: 3000,
        packets_to_peer: 4,
        state,
    }
}

/// Shows it in the log of a broker that is a process; the top of the name says which gateway it is.
fn tell(what: &str, key: HoleKey) {
    eprintln!("hands: {what} {}", key.0 & 0xffff_ffff);
}

impl Hands for FakeHands {
    fn open(&mut self, hole: &FirewallHole) -> io::Result<()> {
        if let Some(errno) = self.firewall().refusal.take() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let full = |firewall: &Firewall| {
            firewall
                .room
                .is_some_and(|room| firewall.open.len() >= room)
        };
        if full(&self.firewall()) {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        tell("open", hole.key);
        let before = self.firewall().open.insert(hole.key, *hole);
        assert_eq!(before, None, "a name was used twice");
        Ok(())
    }

    fn renew(&mut self, key: HoleKey, ttl: Duration) -> io::Result<()> {
        match self.firewall().open.get_mut(&key) {
            Some(hole) => hole.ttl = ttl,
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn usage(&mut self, key: HoleKey) -> io::Result<Option<FlowUsage>> {
        Ok(self.firewall().used.get(&key).copied().map(usage))
    }

    fn kill(&mut self, key: HoleKey) -> io::Result<()> {
        self.firewall().killed.push(key);
        Ok(())
    }

    fn close(&mut self, key: HoleKey) -> io::Result<Settled> {
        tell("close", key);
        let mut firewall = self.firewall();
        firewall.open.remove(&key);
        firewall.closed.push(key);
        let used = firewall.used.remove(&key);
        Ok(Settled {
            by: used.map(|_| PEER),
            usage: used.map(usage),
        })
    }

    fn ban(&mut self, network: IpNet, _: Duration) -> io::Result<()> {
        self.firewall().banned.push(network);
        Ok(())
    }

    fn unban(&mut self, network: IpNet) -> io::Result<()> {
        self.firewall().banned.retain(|banned| *banned != network);
        Ok(())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.bell.as_fd()]
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }

    fn happenings(&mut self, _: Option<usize>, out: &mut Vec<Happening>) -> io::Result<()> {
        while self.bell.recv(&mut [0]).is_ok() {}
        out.append(&mut self.firewall().happenings);
        Ok(())
    }
}

/// What a gateway would be handed.
#[derive(Debug)]
pub struct Desktop {
    pub events: OwnedFd,
    pub requests: Vec<OwnedFd>,
}

/// An office whose gateways are processes that do nothing: the test speaks for them.
#[derive(Debug)]
pub struct FakeOffice {
    inputs: Sender<ChildStdin>,
    started: Sender<(u32, Desktop)>,
    news: Sender<News>,
    /// What the config says when it is read again.
    next: Arc<Mutex<Result<Envelope, String>>>,
    settled: Arc<Mutex<Vec<bool>>>,
    renewed_at: Arc<Mutex<Option<Instant>>>,
}

/// What a test has in hand of an office.
pub struct Outside {
    /// The gateways' standard inputs: each lives as long as its own.
    pub inputs: Receiver<ChildStdin>,
    pub started: Receiver<(u32, Desktop)>,
    pub news: Receiver<News>,
    pub next: Arc<Mutex<Result<Envelope, String>>>,
    pub settled: Arc<Mutex<Vec<bool>>>,
    /// When files that the config names will have been renewed.
    pub renewed_at: Arc<Mutex<Option<Instant>>>,
}

impl FakeOffice {
    pub fn new() -> (FakeOffice, Outside) {
        let (started, starts) = channel();
        let (news, told) = channel();
        let (inputs, given) = channel();
        let outside = Outside {
            inputs: given,
            started: starts,
            news: told,
            next: Arc::new(Mutex::new(Err("no config".to_owned()))),
            settled: Arc::default(),
            renewed_at: Arc::default(),
        };
        let office = FakeOffice {
            inputs,
            started,
            news,
            next: Arc::clone(&outside.next),
            settled: Arc::clone(&outside.settled),
            renewed_at: Arc::clone(&outside.renewed_at),
        };
        (office, outside)
    }
}

impl Office for FakeOffice {
    fn is_ours(&mut self, address: IpAddr) -> bool {
        is_ours(address)
    }

    fn dialler(&mut self, _: SocketAddr) -> io::Result<OwnedFd> {
        sealed::seal(b"a socket")
    }

    fn reread(&mut self) -> Result<(Envelope, OwnedFd), String> {
        let next = self.next.lock().expect("nobody panicked").clone()?;
        Ok((next, sealed::seal(b"a bundle").expect("a memory file")))
    }

    fn settle(&mut self, in_force: bool) {
        self.settled.lock().expect("nobody panicked").push(in_force);
    }

    fn keep(&mut self, wish: Keep) -> io::Result<Option<Kept>> {
        match wish {
            Keep::Open => Ok(Some(Kept {
                file: sealed::seal(b"a journal")?,
                torn: true,
                shared: false,
            })),
            Keep::PutAside { .. } => Err(io::ErrorKind::AlreadyExists.into()),
            Keep::Expire => Ok(None),
        }
    }

    fn renewed(&mut self) -> bool {
        let mut renewed_at = self.renewed_at.lock().expect("nobody panicked");
        renewed_at.take_if(|at| *at <= Instant::now()).is_some()
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    fn next_wake(&self) -> Option<Instant> {
        *self.renewed_at.lock().expect("nobody panicked")
    }

    fn resolved(&mut self) -> Vec<(String, Vec<IpAddr>)> {
        Vec::new()
    }

    fn start(&mut self) -> io::Result<Staff> {
        // It lives until it is killed, or its input ends with the test.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn()?;
        if let Some(input) = child.stdin.take() {
            let _ = self.inputs.send(input);
        }
        let (events, theirs) = socket::pair()?;
        let pairs: Vec<_> = (0..2).map(|_| socket::pair()).collect::<Result<_, _>>()?;
        let (requests, desks) = pairs.into_iter().unzip();
        let desktop = Desktop {
            events: theirs,
            requests: desks,
        };
        // A test that has seen enough takes no more.
        let _ = self.started.send((child.id(), desktop));
        Ok(Staff {
            child,
            events,
            requests,
        })
    }

    fn tell(&mut self, news: News) {
        let _ = self.news.send(news);
    }
}

/// A broker on a thread of its own.
pub struct Rig {
    pub world: World,
    pub outside: Outside,
    pub terminate: UnixStream,
    pub hang_up: UnixStream,
    thread: Option<JoinHandle<io::Result<u8>>>,
}

impl Rig {
    pub fn start() -> Rig {
        Rig::with_life(Duration::ZERO)
    }

    /// A gateway that lives as long as this is started anew at once.
    pub fn with_life(long_life: Duration) -> Rig {
        let (hands, world) = FakeHands::new();
        let (office, outside) = FakeOffice::new();
        let (ours, terminate) = UnixStream::pair().expect("a pair");
        let (hung, hang_up) = UnixStream::pair().expect("a pair");
        for signal in [&ours, &hung] {
            signal.set_nonblocking(true).expect("set");
        }
        let signals = Signals {
            terminate: ours,
            hang_up: hung,
        };
        let patience = Patience {
            start: PATIENCE,
            drain: Duration::from_millis(200),
            end: Duration::from_millis(50),
            long_life,
        };
        let desk = Desk::new(hands, office, envelope());
        let broker = Broker::new(desk, signals, patience);
        let thread = std::thread::spawn(move || broker.run());
        Rig {
            world,
            outside,
            terminate,
            hang_up,
            thread: Some(thread),
        }
    }

    /// Waits for a gateway to be started; answers with its process id too.
    pub fn gateway(&self) -> (u32, Desktop) {
        let started = self.outside.started.recv_timeout(PATIENCE);
        started.expect("a gateway is started")
    }

    /// A gateway that has started and says so.
    pub fn client(&self) -> Client {
        let (_, desktop) = self.gateway();
        let client = Client::new(desktop.requests, desktop.events).expect("a client");
        client
            .report(portcullis::nft::message::Report::Ready)
            .expect("told");
        assert_eq!(self.hears(), News::Ready);
        client
    }

    pub fn hears(&self) -> News {
        self.outside.news.recv_timeout(PATIENCE).expect("news")
    }

    /// Waits for the broker's end; answers with its exit code.
    pub fn ends(mut self) -> u8 {
        let thread = self.thread.take().expect("it was not waited for");
        thread.join().expect("no panic").expect("no error")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        use std::io::Write as _;
        if let Some(thread) = self.thread.take() {
            // A gateway that never was ready ends its broker by its death, which the deadline brings.
            let _ = self.terminate.write_all(b"!");
            let _ = thread.join();
        }
    }
}

/// Takes the next page from a socket.
pub fn next_page(socket: &OwnedFd) -> Option<Page> {
    socket::set_patience(socket, PATIENCE).expect("set");
    match socket::receive(socket).expect("a page") {
        Arrived::Page(page, _) => Some(*page),
        Arrived::Scrap => panic!("a scrap"),
        Arrived::End => None,
    }
}

/// Takes the next notice from a gateway's socket; none when the broker has cut it off.
pub fn next_notice(desktop: &Desktop) -> Option<Notice> {
    next_page(&desktop.events).map(|page| Notice::parse(&page).expect("a notice"))
}
