//! Several pinholes settled and opened in one go: each ends as if it had been asked for by itself.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use portcullis::nft::kernel::{Error, Kernel};
use portcullis::nft::{FirewallHole, FlowState, Granted, HoleKey, Settled, Settling, Wish};
use portcullis_netlab::{Family, Lab, Node};

use crate::yard::{
    GATEWAY, LONGEST_WAY, PATIENCE, SILENCE, accept, at, at_gateway, dial, elements, install, lab,
    layout, listen, nft, passive, told,
};

fn together(kernel: &mut Kernel, wishes: &[Wish]) -> Vec<Result<Granted, Error>> {
    let done = kernel.together(|_| GATEWAY, wishes);
    assert_eq!(done.len(), wishes.len());
    done
}

fn opened(answer: &Result<Granted, Error>) -> bool {
    matches!(answer, Ok(Granted::Opened))
}

fn shut(answer: &Result<Granted, Error>) -> Settled {
    match answer {
        Ok(Granted::Settled(Settling::Shut(settled))) => *settled,
        other => panic!("{other:?}"),
    }
}

fn server(lab: &Lab) -> (SocketAddr, TcpListener) {
    let to = SocketAddr::new(Node::Server.address(Family::V4), 5000);
    (to, listen(lab, Node::Server, to))
}

/// A connection through a hole, to its end, as the client sees it.
fn transfer(lab: &Lab, server: &TcpListener, hole: &FirewallHole) {
    let mut client = dial(lab, Node::Client, 0, at(hole), PATIENCE).unwrap();
    drop(accept(server));
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn holes_are_opened_and_settled_in_one_go() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let (to, server) = server(&lab);
        let hole = |key: u64| passive(key, Family::V4, 21000 + (key % 16) as u16, to);
        let mut before: Vec<Wish> = Vec::new();
        for round in 0..20 {
            let keys = round * 3..round * 3 + 3;
            let mut wishes = before.clone();
            wishes.extend(keys.clone().map(|key| Wish::Open(hole(key))));
            let done = together(&mut kernel, &wishes);
            for answer in &done[..before.len()] {
                let settled = shut(answer);
                let client = Node::Client.address(Family::V4);
                assert_eq!(settled.by.map(|by| by.ip()), Some(client));
                assert!(settled.usage.is_some_and(|usage| usage.is_counted()));
            }
            assert!(done[before.len()..].iter().all(opened), "{done:?}");
            assert_eq!(elements(&lab).len(), 6, "{:?}", elements(&lab));
            for key in keys.clone() {
                transfer(&lab, &server, &hole(key));
            }
            before = keys.map(|key| Wish::Settle(HoleKey(key))).collect();
        }
        together(&mut kernel, &before);
        assert_eq!(elements(&lab), Vec::<String>::new());
        assert_eq!(told(&mut kernel), []);
    });
}

/// A hole of which all is not as usual: unknown, unused, still running, its packet dropped by somebody else's rule.
#[test]
fn each_has_its_own_answer() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        // Each leads to another place: a packet that the kernel shows no connection of is known by that.
        let to = |key: u64| SocketAddr::new(Node::Server.address(Family::V4), 5000 + key as u16);
        let hole = |key: u64| passive(key, Family::V4, 21000 + key as u16, to(key));
        let servers = [0, 1].map(|key| listen(&lab, Node::Server, to(key)));
        let opening: Vec<Wish> = (0..4).map(|key| Wish::Open(hole(key))).collect();
        assert!(together(&mut kernel, &opening).iter().all(opened));
        transfer(&lab, &servers[0], &hole(0));
        let runs = dial(&lab, Node::Client, 0, at(&hole(1)), PATIENCE).unwrap();
        let running = accept(&servers[1]);
        nft(
            &lab,
            "'add table ip b; add chain ip b p { type filter hook postrouting priority 200; }; add rule ip b p tcp flags syn drop'",
        );
        let dropped = dial(
            &lab,
            Node::Client,
            0,
            at(&hole(3)),
            Duration::from_millis(50),
        );
        assert!(dropped.is_err());
        let settling: Vec<Wish> = [3, 0, 1, 2, 9].map(|key| Wish::Settle(HoleKey(key))).into();
        let asked = Instant::now();
        let done = together(&mut kernel, &settling);
        // On a machine that stood still meanwhile it could have come through.
        let surely = asked.elapsed() < LONGEST_WAY;
        assert!(!surely || !shut(&done[0]).used(), "its packet was dropped");
        assert!(shut(&done[1]).used());
        let Ok(Granted::Settled(Settling::Runs(usage))) = &done[2] else {
            panic!("{done:?}");
        };
        assert_eq!(usage.state, FlowState::Open);
        assert!(!shut(&done[3]).used(), "nobody came");
        assert!(matches!(done[4], Err(Error::Gone(_))), "{done:?}");
        // What runs is as it was.
        let again = together(&mut kernel, &[Wish::Settle(HoleKey(1))]);
        assert!(matches!(
            again[..],
            [Ok(Granted::Settled(Settling::Runs(_)))]
        ));
        drop((runs, running));
    });
}

/// The batch is refused whole, and none but the one that is at fault is without its hole.
#[test]
fn one_that_is_refused_takes_no_other_down() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let (to, server) = server(&lab);
        let hole = |key: u64, port| passive(key, Family::V4, port, to);
        let first = [Wish::Open(hole(1, 21001)), Wish::Open(hole(2, 21002))];
        assert!(together(&mut kernel, &first).iter().all(opened));
        transfer(&lab, &server, &hole(2, 21002));
        let mixed = [
            Wish::Open(hole(3, 21003)),
            // The same peer, address and port as the first.
            Wish::Open(hole(4, 21001)),
            Wish::Settle(HoleKey(2)),
            Wish::Open(hole(5, 21005)),
            // The same as its forerunner's.
            Wish::Open(hole(6, 21005)),
            // Nothing that could be said to the kernel.
            Wish::Open(passive(7, Family::V4, 0, to)),
        ];
        let done = together(&mut kernel, &mixed);
        assert!(opened(&done[0]) && opened(&done[3]), "{done:?}");
        assert!(matches!(done[1], Err(Error::Exists(_))), "{done:?}");
        assert!(matches!(done[4], Err(Error::Exists(_))), "{done:?}");
        assert!(matches!(done[5], Err(Error::Unsuitable(_))), "{done:?}");
        assert!(shut(&done[2]).used());
        assert_eq!(elements(&lab).len(), 6, "{:?}", elements(&lab));
        // Each of the three lets one in, and no more.
        for (key, port) in [(1, 21001), (3, 21003), (5, 21005)] {
            let hole = hole(key, port);
            let client: io::Result<TcpStream> = dial(&lab, Node::Client, 0, at(&hole), PATIENCE);
            drop((client.unwrap(), accept(&server)));
        }
        let second = dial(&lab, Node::Client, 0, at(&hole(3, 21003)), SILENCE);
        assert!(second.is_err(), "two came through one hole");
        let left = [1, 3, 5].map(|key| Wish::Settle(HoleKey(key)));
        for answer in together(&mut kernel, &left) {
            assert!(shut(&answer).used());
        }
        assert_eq!(elements(&lab), Vec::<String>::new());
    });
}

/// The sets hold as many elements as they were made for, here three.
#[test]
fn a_set_that_is_full_for_one_of_them_refuses_that_one_and_leaves_nothing_of_it() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut small = layout();
        small.size = 3;
        let mut kernel = Kernel::install(&small).unwrap();
        let (to, server) = server(&lab);
        let hole = |key: u64| passive(key, Family::V4, 21000 + key as u16, to);
        let opening = |keys: std::ops::Range<u64>| -> Vec<Wish> {
            keys.map(|key| Wish::Open(hole(key))).collect()
        };
        assert!(together(&mut kernel, &opening(1..2)).iter().all(opened));
        let of_one = elements(&lab).len();
        let done = together(&mut kernel, &opening(2..5));
        assert!(opened(&done[0]) && opened(&done[1]), "{done:?}");
        assert!(matches!(done[2], Err(Error::Full(_))), "{done:?}");
        assert_eq!(elements(&lab).len(), 3 * of_one, "{:?}", elements(&lab));
        let refused = dial(&lab, Node::Client, 0, at(&hole(4)), SILENCE);
        assert!(refused.is_err(), "it was refused and lets somebody in");
        // It is not in the books either: its name is free, and there is nothing to settle.
        let settling = [Wish::Settle(HoleKey(4)), Wish::Settle(HoleKey(1))];
        let done = together(&mut kernel, &settling);
        assert!(matches!(done[0], Err(Error::Gone(_))), "{done:?}");
        assert!(!shut(&done[1]).used());
        // What one of them gives back, another has.
        assert!(together(&mut kernel, &opening(4..5)).iter().all(opened));
        for key in 2..5 {
            transfer(&lab, &server, &hole(key));
        }
        let left: Vec<Wish> = (2..5).map(|key| Wish::Settle(HoleKey(key))).collect();
        for answer in together(&mut kernel, &left) {
            assert!(shut(&answer).used());
        }
        assert_eq!(elements(&lab), Vec::<String>::new());
    });
}

/// Somebody has removed the table, and nobody has said so yet.
#[test]
fn a_table_that_is_gone_is_restored_before_anybody_is_told_that_his_hole_is_open() {
    let lab = lab();
    at_gateway(&lab, || {
        let mut kernel = install();
        let (to, server) = server(&lab);
        let hole = |key: u64| passive(key, Family::V4, 21000 + key as u16, to);
        nft(&lab, "delete table inet portcullis");
        let wishes = [1, 2].map(|key| Wish::Open(hole(key)));
        assert!(together(&mut kernel, &wishes).iter().all(opened));
        for key in [1, 2] {
            transfer(&lab, &server, &hole(key));
        }
    });
}
