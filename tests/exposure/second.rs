//! A second process at the client's own address: two dials at once to each pinhole, of which exactly one gets through.
//!
//! The guard lets in an address, and this one is the right one; what must hold is that it lets in one connection. The
//! kernel's half has the same race 100,000 times by itself (`tests/nft`); here the whole gateway is raced.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{Family, Node};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::dialogue::Dialogue;
use crate::peer::Peer;
use crate::site::{Site, contents, name};
use crate::{PATIENCE, control};

/// How long it goes on.
const LONG: Duration = Duration::from_secs(30);

/// Fewer rounds are no attempt.
const FEWEST: usize = 100;

#[test]
fn no_second_connection_gets_through_a_forwarded_pinhole() {
    race(Peer::Portcullis);
}

#[test]
fn no_second_connection_gets_through_a_relayed_pinhole() {
    race(Peer::Relayed);
}

fn race(peer: Peer) {
    let mut site = Site::new(Family::V4);
    let running = site.start(peer);
    let begin = Instant::now();
    let rounds = site.lab.inside(Node::Client, || rounds(begin)).unwrap();
    println!(
        "{rounds} rounds in {:?}: one connection got through in each",
        begin.elapsed()
    );
    let exposure = running.finish(&site, begin.elapsed());
    println!("exposure: {exposure}");
    assert!(rounds >= FEWEST, "only {rounds} rounds");
    assert!(exposure.holes() >= rounds);
}

/// Runs inside the client's namespace.
fn rounds(begin: Instant) -> usize {
    let mut dialogue = Dialogue::login(control(Family::V4), USER, PASSWORD).unwrap();
    let expected = contents(0);
    let together = Arc::new(Barrier::new(2));
    thread::scope(|scope| {
        let (tell, dialled) = channel();
        let diallers: [Sender<SocketAddr>; 2] = std::array::from_fn(|_| {
            let (ask, asked): (_, Receiver<SocketAddr>) = channel();
            let (tell, together) = (tell.clone(), Arc::clone(&together));
            scope.spawn(move || {
                for at in asked {
                    let socket = prepare(at);
                    together.wait();
                    // It is on its way, or else it comes to nothing: the poll tells.
                    let _ = socket.connect(&at.into());
                    tell.send(socket).unwrap();
                }
            });
            ask
        });
        let mut rounds = 0;
        while begin.elapsed() < LONG {
            let at = dialogue.epsv().unwrap();
            for dialler in &diallers {
                dialler.send(at).unwrap();
            }
            let sockets: [Socket; 2] = [dialled.recv().unwrap(), dialled.recv().unwrap()];
            let (winner, loser) = first(sockets);
            let got = dialogue.retrieve_over(&name(0), winner).unwrap();
            assert!(got == expected, "{} bytes in round {rounds}", got.len());
            // It was there all the time while the file was taken.
            assert!(!is_connected(&loser), "two got through in round {rounds}");
            rounds += 1;
        }
        drop(diallers);
        rounds
    })
}

fn prepare(at: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Waits until one of two is connected; the other one must not be.
fn first(sockets: [Socket; 2]) -> (TcpStream, Socket) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut polled: Vec<PollFd<'_>> = sockets
            .iter()
            .map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT))
            .collect();
        let patience = Timespec::try_from(Duration::from_millis(100)).unwrap();
        poll(&mut polled, Some(&patience)).unwrap();
        drop(polled);
        let connected = sockets.each_ref().map(is_connected);
        assert_ne!(connected, [true, true], "two got through");
        if connected.contains(&true) {
            let [one, other] = sockets;
            let (winner, loser) = if connected[0] {
                (one, other)
            } else {
                (other, one)
            };
            winner.set_nonblocking(false).unwrap();
            winner.set_read_timeout(Some(PATIENCE)).unwrap();
            return (winner.into(), loser);
        }
        assert!(Instant::now() < deadline, "none got through");
    }
}

fn is_connected(socket: &Socket) -> bool {
    socket.peer_addr().is_ok()
}
