//! Dials that work, and what is to blame for those that don't.

use std::net::TcpListener;

use socket2::{SockFilter, Socket};

use super::*;
use crate::pinhole::{Sockets, SourcePortFallback, dial};

fn listener(test: u8) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ours(test), 0)).unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

#[tokio::test]
async fn a_dial_comes_from_the_address_that_was_asked_for() {
    let (listener, at) = listener(40);
    let stream = connect(host(3), at).await.unwrap();
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer, stream.local_addr().unwrap());
    assert_eq!(peer.ip(), host(3));
}

#[tokio::test]
async fn a_dial_that_nobody_answers_is_refused() {
    // Never a listener: a process that another test starts would hold it open for a moment.
    let nobody = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::new(ours(41), 0).into()).unwrap();
    let at = nobody.local_addr().unwrap().as_socket().unwrap();
    assert_eq!(connect(host(1), at).await.unwrap_err(), DialError::Refused);
}

#[tokio::test]
async fn a_dial_without_an_answer_times_out() {
    let (listener, at) = listener(42);
    let drop_all = SockFilter::new(0x06, 0, 0, 0);
    socket2::SockRef::from(&listener)
        .attach_filter(&[drop_all])
        .unwrap();
    let sockets = OwnSockets::new();
    let timeout = Duration::from_millis(50);
    let dialled = within(dial_within(&sockets, None, at, timeout)).await;
    assert_eq!(dialled.unwrap_err(), DialError::TimedOut);
}

#[tokio::test]
async fn a_data_dial_that_is_given_up_does_not_look_like_an_empty_file() {
    let (listener, at) = listener(59);
    let sockets = OwnSockets::new();
    let mut dialling = Box::pin(dial(&sockets, None, at));
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(dialling.as_mut().poll(cx)));
    assert!(first.await.is_pending());
    // On this host the kernel has connected it by now.
    let (mut stream, _) = listener.accept().unwrap();
    drop(dialling);
    let error = std::io::Read::read(&mut stream, &mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dial_from_an_address_that_is_not_ours_is_the_local_address_s_fault() {
    let (_listener, at) = listener(43);
    let sockets = OwnSockets::new();
    for port in [0, 2020] {
        let from = SocketAddr::new("192.0.2.1".parse().unwrap(), port);
        let dialled = dial_within(&sockets, Some(from), at, BOUND).await;
        assert_eq!(dialled.unwrap_err(), DialError::LocalAddress);
    }
    assert!(!sockets.source_port_fallback().happened());
}

#[tokio::test]
async fn many_dials_share_the_control_port_minus_one() {
    let (listener, at) = listener(44);
    let (other, elsewhere) = (TcpListener::bind((ours(45), 0)).unwrap(), ours(45));
    let elsewhere = SocketAddr::new(elsewhere, other.local_addr().unwrap().port());
    let sockets = OwnSockets::new();
    let from = SocketAddr::new(ours(46), 2020);
    let first = dial_within(&sockets, Some(from), at, BOUND).await.unwrap();
    let second = dial_within(&sockets, Some(from), elsewhere, BOUND)
        .await
        .unwrap();
    assert_eq!(first.local_addr().unwrap(), from);
    assert_eq!(second.local_addr().unwrap(), from);
    assert_eq!(listener.accept().unwrap().1, from);
    assert!(!sockets.source_port_fallback().happened());
}

#[tokio::test]
async fn a_source_port_that_is_taken_gives_way_to_a_random_one() {
    let (_listener, at) = listener(47);
    let sockets = OwnSockets::new();
    let from = SocketAddr::new(ours(48), 2020);
    let _held = TcpListener::bind(from).unwrap();
    let stream = dial_within(&sockets, Some(from), at, BOUND).await.unwrap();
    let used = stream.local_addr().unwrap();
    assert_eq!(used.ip(), from.ip());
    assert_ne!(used.port(), from.port());
    assert!(sockets.source_port_fallback().happened());
    assert!(sockets.source_port_fallback().is_news());
    assert!(!sockets.source_port_fallback().is_news());
}

#[tokio::test]
async fn the_same_pair_of_ports_twice_gives_way_to_a_random_one() {
    let (_listener, at) = listener(49);
    let sockets = OwnSockets::new();
    let from = SocketAddr::new(ours(50), 2020);
    let _first = dial_within(&sockets, Some(from), at, BOUND).await.unwrap();
    let second = dial_within(&sockets, Some(from), at, BOUND).await.unwrap();
    assert_eq!(second.local_addr().unwrap().ip(), from.ip());
    assert!(sockets.source_port_fallback().happened());
}

/// A process that may not have ports below 1024.
#[derive(Default)]
struct Unprivileged(OwnSockets);

impl Sockets for Unprivileged {
    fn control_listener(&self, at: SocketAddr) -> io::Result<TcpListener> {
        self.0.control_listener(at)
    }

    fn pinhole(&self, at: SocketAddr) -> io::Result<Socket> {
        self.0.pinhole(at)
    }

    fn dialler(&self, from: Option<SocketAddr>, to: SocketAddr) -> io::Result<Socket> {
        if from.is_some_and(|from| (1..1024).contains(&from.port())) {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        self.0.dialler(from, to)
    }

    fn source_port_fallback(&self) -> &SourcePortFallback {
        self.0.source_port_fallback()
    }
}

#[tokio::test]
async fn a_source_port_that_is_not_permitted_gives_way_to_a_random_one() {
    let (_listener, at) = listener(51);
    let sockets = Unprivileged::default();
    let from = SocketAddr::new(host(1), 20);
    let stream = dial_within(&sockets, Some(from), at, BOUND).await.unwrap();
    assert_ne!(stream.local_addr().unwrap().port(), 20);
    assert!(sockets.source_port_fallback().happened());
}

#[test]
fn two_gateways_never_share_a_port() {
    let (one, other) = (OwnSockets::new(), OwnSockets::new());
    for (first, second) in [(&one, &other), (&other, &one)] {
        let holder = first.pinhole("127.0.0.1:0".parse().unwrap()).unwrap();
        holder.listen(1).unwrap();
        let at = holder.local_addr().unwrap().as_socket().unwrap();
        let error = second.pinhole(at).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }
}
