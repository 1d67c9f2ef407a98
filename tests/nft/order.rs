//! When the entries of a used pinhole go: its first packet is logged before the rule that gives it its source, so a broker that
//! removed them as soon as it hears of the packet would have it dropped.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use portcullis::nft::kernel::Kernel;
use portcullis::nft::{FirewallHole, Happening, HoleKey, Settling};
use portcullis_netlab::{Family, Lab, Node};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::yard::{
    GATEWAY, LONGEST_WAY, PATIENCE, at, at_gateway, await_descriptors, connect, dial, elements,
    expect_used, install, lab, listen, nft, passive, told,
};

/// An operator's chain behind ours takes the packet: it was logged, and never passes all rules.
const BEHIND: &str = "'add table ip b; add chain ip b p { type filter hook postrouting priority 200; }; add rule ip b p tcp flags syn drop'";

/// Opens a hole, has its client dial, and hears of the packet once; answers with the moment before that.
fn dialled(lab: &Lab, kernel: &mut Kernel, key: u64, port: u16) -> (FirewallHole, Instant) {
    let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
    let hole = passive(key, Family::V4, port, to);
    kernel.open(GATEWAY, &hole).unwrap();
    // Nobody answers it.
    let at = at(&hole);
    let dialled = lab.inside(Node::Client, || connect(0, at, Duration::from_millis(1)));
    assert!(dialled.unwrap().is_err());
    await_descriptors(kernel, PATIENCE);
    let heard = Instant::now();
    assert_eq!(told(kernel), []);
    (hole, heard)
}

#[test]
fn the_entries_of_a_used_pinhole_stay_while_its_packet_is_on_its_way() {
    let lab = lab();
    at_gateway(&lab, || {
        nft(&lab, BEHIND);
        let mut kernel = install();
        let (_, heard) = dialled(&lab, &mut kernel, 1, 21000);
        assert_eq!(elements(&lab).len(), 2, "{:?}", elements(&lab));
        // It is looked for again, and told of only when it can't come any more.
        let used = loop {
            let due = kernel.next_wake().expect("something is due");
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Some(happening) = told(&mut kernel).pop() {
                break happening;
            }
        };
        assert!(
            matches!(
                used,
                Happening::Used {
                    key: HoleKey(1),
                    ..
                }
            ),
            "{used:?}"
        );
        assert!(
            heard.elapsed() >= LONGEST_WAY,
            "after {:?}",
            heard.elapsed()
        );
        assert_eq!(elements(&lab), Vec::<String>::new());
    });
}

/// Shut while its packet is on its way: of the two the shutting wins, for the kernel shows no connection.
#[test]
fn a_pinhole_whose_packet_never_came_through_was_not_used() {
    let lab = lab();
    at_gateway(&lab, || {
        nft(&lab, BEHIND);
        let mut kernel = install();
        for key in 1.. {
            assert!(key < 100, "the machine is never quick enough");
            let (_, heard) = dialled(&lab, &mut kernel, key, 21000);
            let settling = kernel.settle(HoleKey(key)).unwrap();
            // On a machine that stood still meanwhile the packet could have come through; that is not what is tried here.
            if heard.elapsed() >= LONGEST_WAY {
                continue;
            }
            match settling {
                Settling::Shut(settled) => assert!(!settled.used(), "{settled:?}"),
                Settling::Runs(usage) => panic!("{usage:?}"),
            }
            break;
        }
        assert_eq!(told(&mut kernel), []);
        let left = elements(&lab);
        assert!(
            left.iter().all(|one| one.starts_with('d')),
            "more than dead and dying: {left:?}"
        );
    });
}

/// What is over before it was told of is told with its account, who came included, and leaves nothing.
#[test]
fn a_connection_that_is_over_at_once_is_told_of_once() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
        let server = listen(&lab, Node::Server, to);
        let (mut once, mut twice) = (0, 0);
        for round in 0..200_u64 {
            let hole = passive(round, Family::V4, 21000 + (round % 16) as u16, to);
            kernel.open(GATEWAY, &hole).unwrap();
            let client = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
            let from = client.local_addr().unwrap();
            drop((client, server.accept().unwrap()));
            // Every other time it is told of by itself before.
            if round % 2 == 1 {
                assert_eq!(expect_used(&mut kernel, round), from);
            }
            let settled = loop {
                match kernel.settle(HoleKey(round)).unwrap() {
                    Settling::Shut(settled) => break settled,
                    // The FIN is on its way.
                    Settling::Runs(_) => thread::yield_now(),
                }
            };
            assert_eq!(settled.by, Some(from));
            assert!(
                settled.usage.is_some_and(|usage| usage.is_counted()),
                "{settled:?}"
            );
            match told(&mut kernel).as_slice() {
                [] => once += 1,
                other => {
                    twice += 1;
                    println!("{other:?}");
                }
            }
        }
        assert_eq!((once, twice), (200, 0));
        assert_eq!(elements(&lab), Vec::<String>::new());
    });
}

/// A port is free for its peer when its use is told: a peer that dials many at once does not wait for all of them.
#[test]
fn of_many_uses_by_one_peer_most_are_told_at_once() {
    const MANY: u16 = 14;
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
        let server = listen(&lab, Node::Server, to);
        let dialled: Vec<_> = (0..MANY)
            .map(|number| {
                let hole = passive(number.into(), Family::V4, 21000 + number, to);
                kernel.open(GATEWAY, &hole).unwrap();
                let client = dial(&lab, Node::Client, 0, at(&hole), PATIENCE).unwrap();
                (client, server.accept().unwrap())
            })
            .collect();
        // All of them are heard of, and those beyond half of the window's 16 ports are due.
        assert_eq!(told(&mut kernel), []);
        let due = told(&mut kernel).len();
        assert!(due >= usize::from(MANY) - 8, "{due} were told");
        drop(dialled);
    });
}

/// Every batch is announced to whoever listens to changes: a broker that each pinhole woke twice would do nothing else.
#[test]
fn what_is_opened_and_shut_wakes_nobody() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
        for (key, port) in [(1, 21000), (2, 21001)] {
            kernel
                .open(GATEWAY, &passive(key, Family::V4, port, to))
                .unwrap();
        }
        kernel.close(HoleKey(1)).unwrap();
        assert!(!is_ready(&kernel));
        // What somebody else changes still does.
        nft(&lab, "add table ip somebody");
        assert!(is_ready(&kernel));
    });
}

/// Tells whether one of the descriptors can be read.
fn is_ready(kernel: &Kernel) -> bool {
    let descriptors = kernel.descriptors();
    let polled = descriptors.iter();
    let mut polled: Vec<PollFd<'_>> = polled
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    poll(&mut polled, Some(&Timespec::default())).unwrap() > 0
}
