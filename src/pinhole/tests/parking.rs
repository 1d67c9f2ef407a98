//! Sockets kept bound and shut between two pinholes on a port.

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::*;
use crate::pinhole::{PARKED, Sockets, SourcePortFallback};

/// Ports of this address at which somebody listens, as the kernel tells it.
fn listening(at: IpAddr) -> Vec<u16> {
    let IpAddr::V4(at) = at else {
        panic!("an IPv4 address is expected")
    };
    let address = format!("{:08X}", u32::from_ne_bytes(at.octets()));
    fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (held, port) = fields.get(1)?.split_once(':')?;
            let listens = *fields.get(3)? == "0A";
            (listens && held == address).then(|| u16::from_str_radix(port, 16).unwrap())
        })
        .collect()
}

/// Whether a socket of ours, listening or not, holds the port: then who shares with nobody can't bind it.
pub(super) fn is_bound(at: SocketAddr) -> bool {
    let other = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
    other.bind(&at.into()).is_err()
}

async fn nothing_waits(hole: &mut OpenPinhole) -> bool {
    // The runtime looks for events before it comes back to a task that yielded.
    for _ in 0..4 {
        if poll_fn(|cx| Poll::Ready(hole.poll_accept(cx).is_ready())).await {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

/// Sockets that counts what it binds, and may want for descriptors.
struct Counting {
    own: OwnSockets,
    bound: AtomicUsize,
    fails_at: usize,
}

impl Counting {
    fn new(fails_at: usize) -> Arc<Counting> {
        Arc::new(Counting {
            own: OwnSockets::new(),
            bound: AtomicUsize::new(0),
            fails_at,
        })
    }

    fn bound(&self) -> usize {
        self.bound.load(Ordering::Relaxed)
    }
}

impl Sockets for Counting {
    fn control_listener(&self, at: SocketAddr) -> io::Result<TcpListener> {
        self.own.control_listener(at)
    }

    fn pinhole(&self, at: SocketAddr) -> io::Result<Socket> {
        if self.bound.fetch_add(1, Ordering::Relaxed) + 1 == self.fails_at {
            return Err(Errno::MFILE.into());
        }
        self.own.pinhole(at)
    }

    fn dialler(&self, from: Option<SocketAddr>, to: SocketAddr) -> io::Result<Socket> {
        self.own.dialler(from, to)
    }

    fn source_port_fallback(&self) -> &SourcePortFallback {
        self.own.source_port_fallback()
    }
}

fn counted(test: u8, window: RangeInclusive<u16>, fails_at: usize) -> (Field, Arc<Counting>) {
    let counting = Counting::new(fails_at);
    let given = counting.clone();
    let make = |windows, _, tell| Pinholes::new(windows, given, tell);
    (Field::made_by(make, ours(test), window), counting)
}

#[tokio::test]
async fn nothing_listens_while_no_pinhole_awaits() {
    let field = Field::new(40, 21000..=21003);
    for n in 1..=20 {
        let (mut used, at) = field.open(host(n));
        let (dropped, other) = field.open(host(n));
        let mut ports = listening(field.at);
        ports.sort_unstable();
        let mut expected = [at.port(), other.port()];
        expected.sort_unstable();
        assert_eq!(ports, expected);
        let _dialled = connect(host(n), at).await.unwrap();
        accept(&mut used).await;
        drop(dropped);
        assert!(listening(field.at).is_empty());
        for shut in [at, other] {
            assert!(is_bound(shut));
            let refused = connect(host(n), shut).await.unwrap_err();
            assert_eq!(refused, DialError::Refused);
        }
    }
}

#[tokio::test]
async fn one_socket_serves_many_pinholes_of_its_port() {
    let (field, counting) = counted(41, 21000..=21000, usize::MAX);
    // One more is the guard's question whether filters work.
    let before = counting.bound();
    for round in 0..100 {
        let peer = host(1 + round % 3);
        let (mut hole, at) = field.open(peer);
        let mut dialled = connect(peer, at).await.unwrap();
        let (admitted, from) = accept(&mut hole).await;
        assert_eq!(from, dialled.local_addr().unwrap());
        drop(admitted);
        assert_eq!(end_of(&mut dialled).await, End::Finished(Vec::new()));
    }
    assert_eq!(counting.bound() - before, 1);
}

#[tokio::test]
async fn the_peer_of_an_earlier_pinhole_is_shut_out_of_the_next_one_there() {
    let field = Field::new(42, 21000..=21000);
    for (awaited, stranger) in [(1, 2), (1, 3), (2, 1), (3, 1)] {
        let (mut hole, at) = field.open(host(awaited));
        let mut stranger = tokio::spawn(connect(host(stranger), at));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut stranger).await;
        assert!(early.is_err(), "the stranger got an answer: {early:?}");
        let dialled = connect(host(awaited), at).await.unwrap();
        let (_admitted, peer) = accept(&mut hole).await;
        assert_eq!(peer, dialled.local_addr().unwrap());
        let refused = within(stranger).await.unwrap().unwrap_err();
        assert_eq!(refused, DialError::Refused);
    }
}

#[tokio::test]
async fn without_the_filter_an_earlier_peer_is_reset_at_the_next_pinhole() {
    let field = Field::without_filter(43, 21000..=21000);
    for (awaited, stranger) in [(1, 2), (2, 1), (1, 2)] {
        let (mut hole, at) = field.open(host(awaited));
        let mut stranger = connect(host(stranger), at).await.unwrap();
        let dialled = connect(host(awaited), at).await.unwrap();
        let (_admitted, peer) = accept(&mut hole).await;
        assert_eq!(peer, dialled.local_addr().unwrap());
        assert_eq!(end_of(&mut stranger).await, End::Reset);
    }
}

#[tokio::test]
async fn what_waited_at_one_pinhole_is_no_event_of_the_next() {
    let field = Field::new(44, 21000..=21000);
    for _ in 0..20 {
        let (mut hole, at) = field.open(host(1));
        let _first = connect(host(1), at).await.unwrap();
        let mut second = connect(host(1), at).await.unwrap();
        accept(&mut hole).await;
        assert_eq!(end_of(&mut second).await, End::Reset);

        // Never polled, with a connection that waits.
        let (unused, at) = field.open(host(1));
        let mut third = connect(host(1), at).await.unwrap();
        drop(unused);
        assert_eq!(end_of(&mut third).await, End::Reset);

        let (mut next, at) = field.open(host(1));
        assert!(nothing_waits(&mut next).await);
        let dialled = connect(host(1), at).await.unwrap();
        let (_admitted, peer) = accept(&mut next).await;
        assert_eq!(peer, dialled.local_addr().unwrap());
    }
}

#[tokio::test]
async fn a_parked_port_can_be_shared_again() {
    let (field, counting) = counted(45, 21000..=21000, usize::MAX);
    let before = counting.bound();
    for _ in 0..20 {
        drop(field.open(host(1)));
        let mut holes: Vec<_> = (1..=5).map(|n| field.open(host(n))).collect();
        let mut dialled = Vec::new();
        for (n, (_, at)) in (1..=5).zip(&holes) {
            dialled.push(connect(host(n), *at).await.unwrap());
        }
        for ((hole, _), dialled) in holes.iter_mut().zip(&dialled) {
            let (_admitted, peer) = accept(hole).await;
            assert_eq!(peer, dialled.local_addr().unwrap());
        }
        assert!(listening(field.at).is_empty());
    }
    assert_eq!(counting.bound() - before, 1);
}

#[test]
fn pinholes_move_between_threads() {
    let (field, counting) = counted(46, 21000..=21001, usize::MAX);
    let before = counting.bound();
    for n in 0..40 {
        let (pinholes, at) = (field.pinholes.clone(), field.at);
        let one = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let reservation = pinholes.reserve(&Pinhole {
                    transfer: TransferId(1),
                    side: Side::Client,
                    from: host(1 + n % 2).into(),
                    at,
                    leads_to: None,
                    tls: DataTls::Clear,
                    carried: Carried::Relayed,
                    source: None,
                });
                let reservation = reservation.unwrap();
                let at = reservation.at();
                let mut hole = reservation.open().unwrap();
                let (dialled, (_admitted, peer)) =
                    tokio::join!(connect(host(1 + n % 2), at), accept(&mut hole));
                assert_eq!(peer, dialled.unwrap().local_addr().unwrap());
            });
        });
        one.join().unwrap();
    }
    assert_eq!(counting.bound() - before, 2);
    assert!(listening(field.at).is_empty());
}

#[test]
fn parked_sockets_are_bounded_and_go_with_their_owner() {
    let window = 21000..=21199;
    let field = Field::new(47, window.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let holes: Vec<_> = window.clone().map(|_| field.open(host(1))).collect();
    drop(holes);
    let at = field.at;
    let bound = move || {
        let held = |port: &u16| is_bound(SocketAddr::new(at, *port));
        window.clone().filter(held).count()
    };
    assert_eq!(bound(), PARKED);
    drop(field);
    assert_eq!(bound(), 0);
}

#[test]
fn for_want_of_descriptors_parked_sockets_are_given_up() {
    // The first is the guard's question, the second the first hole's; the third fails.
    let (mut field, counting) = counted(48, 21000..=21000, 3);
    let reservation = field.reserve(host(1)).unwrap();
    let parked = reservation.at();
    drop(reservation);
    assert!(is_bound(parked));
    field.at = ours(50);
    let reserved = field.reserve(host(1)).unwrap();
    assert!(is_bound(reserved.at()));
    assert!(!is_bound(parked));
    assert_eq!(counting.bound(), 4);
}

#[test]
fn once_somebody_listens_on_a_parked_port_none_is_parked_for_a_while() {
    let field = Field::new(49, 21000..=21003);
    drop([(); 4].map(|()| field.open(host(1))));
    // The standard library asks for SO_REUSEADDR, so that it may listen where nobody else does.
    let held = [21000, 21001].map(|port| TcpListener::bind((field.at, port)).unwrap());
    let mut refused = 0;
    for _ in 0..200 {
        let reservation = field.reserve(host(1)).unwrap();
        let at = reservation.at();
        match reservation.open() {
            Ok(open) => {
                assert!(at.port() >= 21002);
                drop(open);
                assert!(refused == 0 || !is_bound(at));
            }
            Err(why) => {
                assert_eq!(why, RefusalReason::Kernel);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 1);
    drop(held);
    let ports: std::collections::HashSet<_> =
        (0..200).map(|_| field.open(host(1)).1.port()).collect();
    assert_eq!(ports, (21000..=21003).collect());
}
