//! Many clients, few ports.

use std::collections::HashSet;
use std::net::TcpListener;
use std::task::Poll;

use super::*;

fn client(n: u8) -> IpAddr {
    Ipv4Addr::new(127, 9, 9, n).into()
}

#[tokio::test]
async fn two_hundred_clients_share_a_ten_port_window() {
    let field = Field::new(20, 21000..=21009);
    let mut holes: Vec<_> = (1..=200).map(|n| field.open(client(n))).collect();
    let ports: HashSet<_> = holes.iter().map(|(_, at)| at.port()).collect();
    assert_eq!(ports.len(), 10);
    let mut dialled = Vec::new();
    for (n, (_, at)) in (1..=200).zip(&holes) {
        dialled.push(connect(client(n), *at).await.unwrap());
    }
    for ((hole, _), dialled) in holes.iter_mut().zip(&dialled) {
        let (_admitted, peer) = accept(hole).await;
        assert_eq!(peer, dialled.local_addr().unwrap());
    }
}

#[tokio::test]
async fn one_address_beyond_its_ten_ports_is_refused_at_once() {
    let field = Field::new(21, 21000..=21009);
    let holes: Vec<_> = (0..10).map(|_| field.open(client(1))).collect();
    let ports: HashSet<_> = holes.iter().map(|(_, at)| at.port()).collect();
    assert_eq!(ports.len(), 10);
    let refused = field.reserve(client(1)).unwrap_err();
    assert_eq!(refused, RefusalReason::NoPort { in_use: 10 });
    // A prefix that holds the address is the same peer, another address is not.
    let prefix: IpNet = "127.9.9.0/24".parse().unwrap();
    let refused = field.reserve(prefix).unwrap_err();
    assert_eq!(refused, RefusalReason::NoPort { in_use: 10 });
    assert!(field.reserve(client(2)).is_ok());
}

#[test]
fn holes_on_different_threads_share_a_port() {
    let field = Arc::new(Field::new(22, 21000..=21000).pinholes);
    let at = ours(22);
    let threads: Vec<_> = (0..4u8)
        .map(|thread| {
            let pinholes = field.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    for round in 0..50 {
                        let peer = client(10 * thread + round % 10);
                        let pinhole = Pinhole {
                            transfer: TransferId(1),
                            side: Side::Client,
                            from: peer.into(),
                            at,
                            leads_to: None,
                            tls: DataTls::Clear,
                            carried: Carried::Relayed,
                            source: None,
                        };
                        let reservation = pinholes.reserve(&pinhole).unwrap();
                        let to = reservation.at();
                        let mut hole = reservation.open().unwrap();
                        let (dialled, (_admitted, from)) =
                            tokio::join!(connect(peer, to), accept(&mut hole));
                        assert_eq!(from, dialled.unwrap().local_addr().unwrap());
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_reservation_outlives_the_open_hole_on_its_port() {
    let field = Field::new(23, 21000..=21000);
    let (mut hole, at) = field.open(client(1));
    let reservation = field.reserve(client(2)).unwrap();
    let _dialled = connect(client(1), at).await.unwrap();
    accept(&mut hole).await;
    // Nobody awaits: nobody listens, although the port is kept.
    assert_eq!(
        connect(client(2), at).await.unwrap_err(),
        DialError::Refused
    );
    let mut hole = reservation.open().unwrap();
    let dialled = connect(client(2), at).await.unwrap();
    let (_admitted, peer) = accept(&mut hole).await;
    assert_eq!(peer, dialled.local_addr().unwrap());
    assert_eq!(
        connect(client(2), at).await.unwrap_err(),
        DialError::Refused
    );
}

#[tokio::test]
async fn a_reservation_opens_while_used_holes_of_its_port_have_not_let_go() {
    let field = Field::new(27, 21000..=21000);
    let (mut first, at) = field.open(client(1));
    assert!(poll_fn(|cx| Poll::Ready(first.poll_accept(cx).is_pending())).await);
    let (mut second, _) = field.open(client(2));
    let reservation = field.reserve(client(3)).unwrap();
    let _one = connect(client(1), at).await.unwrap();
    let _two = connect(client(2), at).await.unwrap();
    // The second hole accepts for both; the first one still watches the socket.
    accept(&mut second).await;
    let mut third = reservation.open().unwrap();
    let dialled = connect(client(3), at).await.unwrap();
    let (_admitted, peer) = accept(&mut third).await;
    assert_eq!(peer, dialled.local_addr().unwrap());
    assert_eq!(
        connect(client(3), at).await.unwrap_err(),
        DialError::Refused
    );
    accept(&mut first).await;
}

#[tokio::test]
async fn a_port_held_by_another_program_is_passed_over() {
    let field = Field::new(24, 21000..=21001);
    let held = TcpListener::bind((field.at, 21000)).unwrap();
    for _ in 0..20 {
        let reservation = field.reserve(client(1)).unwrap();
        assert_eq!(reservation.at().port(), 21001);
    }
    let kept = field.open(client(1));
    let refused = field.reserve(client(1)).unwrap_err();
    assert_eq!(refused, RefusalReason::NoPort { in_use: 2 });
    drop(held);
    assert_eq!(field.reserve(client(1)).unwrap().at().port(), 21000);
    drop(kept);
}

#[test]
fn alg_ports_are_never_offered() {
    let field = Field::new(25, 5058..=5062);
    let offered: Vec<_> = (0..3).map(|_| field.reserve(client(1)).unwrap()).collect();
    let ports: HashSet<_> = offered.iter().map(|kept| kept.at().port()).collect();
    assert_eq!(ports, HashSet::from([5058, 5059, 5062]));
    let refused = field.reserve(client(1)).unwrap_err();
    assert_eq!(refused, RefusalReason::NoPort { in_use: 3 });
}

#[test]
fn each_side_has_its_own_window() {
    let field = Field::new(26, 21000..=21000);
    let _client = field.reserve(client(1)).unwrap();
    let mut ports = HashSet::new();
    let mut kept = Vec::new();
    for _ in 31000..=31010 {
        let reservation = field.pinholes.reserve(&Pinhole {
            transfer: TransferId(1),
            side: Side::Upstream,
            from: client(1).into(),
            at: field.at,
            leads_to: None,
            tls: DataTls::Clear,
            carried: Carried::Relayed,
            source: None,
        });
        kept.push(reservation.unwrap());
        ports.insert(kept.last().unwrap().at().port());
    }
    assert_eq!(ports, (31000..=31010).collect());
}
