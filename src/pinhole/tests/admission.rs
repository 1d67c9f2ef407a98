//! One connection, from the awaited peer, while the hole is open.

use std::task::Poll;

use super::*;

#[tokio::test]
async fn the_awaited_peer_is_admitted_once_and_the_port_is_shut_then() {
    let field = Field::new(0, 21000..=21003);
    let (mut hole, at) = field.open(host(1));
    let mut dialled = connect(host(1), at).await.unwrap();
    let (mut admitted, peer) = accept(&mut hole).await;
    assert_eq!(peer, dialled.local_addr().unwrap());
    assert_eq!(admitted.local_addr().unwrap(), at);
    assert_eq!(connect(host(1), at).await.unwrap_err(), DialError::Refused);

    tokio::io::AsyncWriteExt::write_all(&mut admitted, b"listing")
        .await
        .unwrap();
    drop(admitted);
    let end = end_of(&mut dialled).await;
    assert_eq!(end, End::Finished(b"listing".to_vec()));
}

#[tokio::test]
async fn nothing_listens_before_the_hole_opens_nor_after_it_is_dropped() {
    let field = Field::new(1, 21000..=21000);
    let reservation = field.reserve(host(1)).unwrap();
    let at = reservation.at();
    assert_eq!(connect(host(1), at).await.unwrap_err(), DialError::Refused);
    let hole = reservation.open().unwrap();
    let mut dialled = connect(host(1), at).await.unwrap();
    drop(hole);
    assert_eq!(end_of(&mut dialled).await, End::Reset);
    assert_eq!(connect(host(1), at).await.unwrap_err(), DialError::Refused);
}

#[tokio::test]
async fn a_second_dial_is_refused() {
    let field = Field::new(2, 21000..=21003);
    let (mut hole, at) = field.open(host(1));
    let first = connect(host(1), at).await.unwrap();
    let mut second = connect(host(1), at).await.unwrap();
    let (_admitted, peer) = accept(&mut hole).await;
    assert_eq!(peer, first.local_addr().unwrap());
    assert_eq!(end_of(&mut second).await, End::Reset);
}

#[tokio::test]
async fn a_second_dial_is_refused_on_a_shared_port() {
    let field = Field::new(3, 21000..=21000);
    let (mut hole, at) = field.open(host(1));
    let (mut other, _) = field.open(host(2));
    let first = connect(host(1), at).await.unwrap();
    let mut second = connect(host(1), at).await.unwrap();
    let (_admitted, peer) = accept(&mut hole).await;
    assert_eq!(peer, first.local_addr().unwrap());
    assert_eq!(end_of(&mut second).await, End::Reset);

    let waiting = connect(host(2), at).await.unwrap();
    let (_admitted, peer) = accept(&mut other).await;
    assert_eq!(peer, waiting.local_addr().unwrap());
}

#[tokio::test]
async fn a_prefix_admits_its_hosts_and_nobody_else() {
    let field = Field::new(4, 21000..=21000);
    let (mut hole, at) = field.open("127.7.7.0/24".parse::<IpNet>().unwrap());
    let stranger = tokio::spawn(connect("127.7.8.1".parse().unwrap(), at));
    let dialled = connect(host(200), at).await.unwrap();
    let (_admitted, peer) = accept(&mut hole).await;
    assert_eq!(peer, dialled.local_addr().unwrap());
    assert_eq!(
        within(stranger).await.unwrap().unwrap_err(),
        DialError::Refused
    );
}

#[tokio::test]
async fn over_ipv6_a_hole_awaits_and_admits() {
    let window = 23000..=23999;
    let field = Field::made_by(Pinholes::new, "::1".parse().unwrap(), window);
    let (mut hole, at) = field.open("::1".parse::<IpAddr>().unwrap());
    let dialled = connect("::1".parse().unwrap(), at).await.unwrap();
    let (_admitted, peer) = accept(&mut hole).await;
    assert_eq!(peer, dialled.local_addr().unwrap());
}

#[tokio::test]
async fn a_pinhole_of_two_families_is_refused() {
    let field = Field::new(5, 21000..=21000);
    let refused = field.reserve("::1".parse::<IpAddr>().unwrap());
    assert_eq!(refused.unwrap_err(), RefusalReason::Kernel);
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_refused() {
    let mut field = Field::new(6, 21000..=21003);
    field.at = "192.0.2.1".parse().unwrap();
    let refused = field.reserve(host(1));
    assert_eq!(refused.unwrap_err(), RefusalReason::Kernel);
}

#[tokio::test]
async fn ten_thousand_pasv_without_a_transfer_keep_one_port_in_use() {
    let field = Field::new(7, 21000..=21001);
    let mut hole = None;
    for _ in 0..10_000 {
        drop(hole.take());
        hole = Some(field.open(host(1)));
    }
    let (mut hole, at) = hole.unwrap();
    let (_other, _) = field.open(host(1));
    let none = field.reserve(host(1)).unwrap_err();
    assert_eq!(none, RefusalReason::NoPort { in_use: 2 });
    let _dialled = connect(host(1), at).await.unwrap();
    accept(&mut hole).await;
}

#[tokio::test]
async fn a_used_hole_frees_its_port_for_the_same_peer_at_once() {
    let field = Field::new(8, 21000..=21000);
    let mut kept = Vec::new();
    for _ in 0..50 {
        let (mut hole, at) = field.open(host(1));
        kept.push(connect(host(1), at).await.unwrap());
        kept.push(accept(&mut hole).await.0);
        // The connection lives on, and so does the used-up value.
        let after = poll_fn(|cx| Poll::Ready(hole.poll_accept(cx).is_pending())).await;
        assert!(after);
    }
}
