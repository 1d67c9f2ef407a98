//! The guard: who is not awaited gets nothing, with the filter and without it.

use super::*;

#[tokio::test]
async fn a_dial_from_a_third_address_is_dropped_and_the_hole_stays() {
    let field = Field::new(10, 21000..=21003);
    assert!(field.pinholes.guard() == GuardKind::SocketFilter);
    let (mut hole, at) = field.open(host(1));
    let mut stranger = tokio::spawn(connect(host(2), at));
    // The stranger's SYN came before the owner's: it gets no answer while the hole is open.
    let early = tokio::time::timeout(Duration::from_millis(200), &mut stranger).await;
    assert!(early.is_err(), "the stranger got an answer: {early:?}");
    let dialled = connect(host(1), at).await.unwrap();
    let (_admitted, peer) = accept(&mut hole).await;
    assert_eq!(peer, dialled.local_addr().unwrap());
    // Its next SYN finds the port shut; it never was connected.
    let end = within(stranger).await.unwrap();
    assert_eq!(end.unwrap_err(), DialError::Refused);
}

#[tokio::test]
async fn without_the_filter_a_third_address_is_reset_without_a_byte_and_reported() {
    let field = Field::without_filter(11, 21000..=21003);
    assert!(field.pinholes.guard() == GuardKind::AcceptAndReset);
    let (mut hole, at) = field.open(host(1));
    let mut stranger = connect(host(2), at).await.unwrap();
    let dialled = connect(host(1), at).await.unwrap();
    let (_admitted, peer) = accept(&mut hole).await;
    assert_eq!(peer, dialled.local_addr().unwrap());
    assert_eq!(
        field.intruders.recv_timeout(BOUND).unwrap(),
        Intruder {
            from: stranger.local_addr().unwrap(),
            at,
            untold: 0
        }
    );
    assert_eq!(end_of(&mut stranger).await, End::Reset);
}

#[tokio::test]
async fn over_ipv6_a_third_address_is_dropped() {
    let window = 24000..=24999;
    let field = Field::made_by(Pinholes::new, "::1".parse().unwrap(), window);
    for awaited in [
        "2001:db8::1/128",
        "2001:db8::/64",
        "::2/128",
        "::1:0:0:1/128",
    ] {
        let (hole, at) = field.open(awaited.parse::<IpNet>().unwrap());
        let mut stranger = tokio::spawn(connect("::1".parse().unwrap(), at));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut stranger).await;
        assert!(early.is_err(), "{awaited} let ::1 in: {early:?}");
        drop(hole);
        let end = within(stranger).await.unwrap();
        assert_eq!(end.unwrap_err(), DialError::Refused);
    }
}

#[tokio::test]
async fn over_ipv6_prefixes_of_every_length_admit_their_hosts() {
    let window = 25000..=25999;
    let field = Field::made_by(Pinholes::new, "::1".parse().unwrap(), window);
    for length in [0, 1, 31, 32, 33, 64, 65, 96, 127, 128] {
        let prefix = IpNet::new("::1".parse().unwrap(), length).unwrap();
        let (mut hole, at) = field.open(prefix);
        let _dialled = connect("::1".parse().unwrap(), at).await.unwrap();
        accept(&mut hole).await;
    }
}

#[tokio::test]
async fn the_last_of_a_full_ports_peers_is_admitted_and_a_stranger_is_not() {
    let field = Field::new(12, 21000..=21000);
    let mut holes: Vec<_> = (1..=128).map(|n| field.open(host(n))).collect();
    let (mut last, at) = holes.pop().unwrap();
    let mut stranger = tokio::spawn(connect(host(199), at));
    let _dialled = connect(host(128), at).await.unwrap();
    accept(&mut last).await;
    let early = tokio::time::timeout(Duration::from_millis(100), &mut stranger).await;
    assert!(early.is_err());
    drop(holes);
    let end = within(stranger).await.unwrap();
    assert_eq!(end.unwrap_err(), DialError::Refused);
}

#[tokio::test]
async fn a_handshake_finished_before_the_filter_changed_is_reset() {
    let field = Field::new(13, 21000..=21000);
    let (leaver, at) = field.open(host(1));
    let (mut stayer, _) = field.open(host(2));
    let mut late = connect(host(1), at).await.unwrap();
    let waiting = connect(host(2), at).await.unwrap();
    // Both handshakes are finished and nobody accepted yet.
    drop(leaver);
    assert_eq!(end_of(&mut late).await, End::Reset);
    let intruder = field.intruders.recv_timeout(BOUND).unwrap();
    assert_eq!(intruder.from, late.local_addr().unwrap());
    // The drain handed the other one to its owner.
    let (_admitted, peer) = accept(&mut stayer).await;
    assert_eq!(peer, waiting.local_addr().unwrap());
}

#[tokio::test]
async fn on_a_shared_port_a_peer_that_was_admitted_is_shut_out_at_once() {
    let field = Field::new(14, 21000..=21000);
    let (mut hole, at) = field.open(host(1));
    let (other, _) = field.open(host(2));
    let _dialled = connect(host(1), at).await.unwrap();
    accept(&mut hole).await;
    // The port listens on for the other peer; for this one it gives no answer any more.
    let mut again = tokio::spawn(connect(host(1), at));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut again).await;
    assert!(early.is_err(), "it got an answer: {early:?}");
    drop(other);
    let end = within(again).await.unwrap();
    assert_eq!(end.unwrap_err(), DialError::Refused);
}
