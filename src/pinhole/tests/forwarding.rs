//! Who may be forwarded, and what a forwarded pinhole holds here.

use std::net::TcpListener;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use socket2::Socket;

use super::firewall::Open;
use super::parking::is_bound;
use super::*;
use crate::nft::{Admits, Opening};
use crate::pinhole::{ForwardedPinhole, Opened, Reservation, Sockets, SourcePortFallback, Wishes};

/// Sockets whose dials fail in one way.
struct Failing {
    own: OwnSockets,
    with: Errno,
}

impl Sockets for Failing {
    fn control_listener(&self, at: SocketAddr) -> io::Result<TcpListener> {
        self.own.control_listener(at)
    }

    fn pinhole(&self, at: SocketAddr) -> io::Result<Socket> {
        self.own.pinhole(at)
    }

    fn dialler(&self, _: Option<SocketAddr>, _: SocketAddr) -> io::Result<Socket> {
        Err(self.with.into())
    }

    fn source_port_fallback(&self) -> &SourcePortFallback {
        self.own.source_port_fallback()
    }
}

fn behind(firewall: Arc<Open>, sockets: Arc<dyn Sockets>) -> Arc<Pinholes> {
    let windows = Legs {
        client: 21000..=21000,
        upstream: 22000..=22000,
    };
    Pinholes::behind(
        firewall,
        Duration::from_secs(30),
        windows,
        sockets,
        Box::new(|_| ()),
    )
}

/// Opens a pinhole into the kernel as a worker with this one session does.
fn forwarded(pinholes: &Pinholes, reservation: Reservation) -> ForwardedPinhole {
    let (wishes, mut cx) = (Wishes::default(), Context::from_waker(Waker::noop()));
    let Ok(Opened::InTheKernel(mut forwarding)) = reservation.open_as_asked(&wishes, &cx) else {
        panic!("it is not the kernel's");
    };
    assert!(
        forwarding.poll_open(&mut cx).is_pending(),
        "open before it was asked for"
    );
    pinholes.ask(&wishes, &cx);
    match forwarding.poll_open(&mut cx) {
        Poll::Ready(Ok(hole)) => hole,
        other => panic!("{other:?}"),
    }
}

#[test]
fn peers_on_this_host_are_never_forwarded() {
    let elsewhere = ["198.18.7.7", "198.18.7.8"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let pinholes = behind(Arc::default(), Arc::new(OwnSockets::new()));
    assert!(pinholes.can_forward(elsewhere[0], elsewhere[1]));
    for here in ["127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::"] {
        let here = here.parse().unwrap();
        assert!(!pinholes.can_forward(here, elsewhere[0]), "{here}");
        assert!(!pinholes.can_forward(elsewhere[0], here), "{here}");
    }
    // Reached only over one link, which nobody forwards.
    assert!(!pinholes.can_forward("fe80::1".parse().unwrap(), elsewhere[0]));
}

#[test]
fn what_cannot_be_told_is_relayed() {
    let elsewhere = host(1);
    for (with, forwarded) in [
        (Errno::ADDRNOTAVAIL, true),
        (Errno::MFILE, false),
        (Errno::ACCESS, false),
        (Errno::PERM, false),
    ] {
        let own = OwnSockets::new();
        let pinholes = behind(Arc::default(), Arc::new(Failing { own, with }));
        assert_eq!(
            pinholes.can_forward(elsewhere, elsewhere),
            forwarded,
            "{with}"
        );
    }
    // Without a firewall nothing is.
    let field = Field::new(50, 21000..=21000);
    assert!(!field.pinholes.can_forward(elsewhere, elsewhere));
}

#[test]
fn a_forwarded_pinhole_holds_its_port_and_never_listens() {
    let firewall = Arc::<Open>::default();
    let pinholes = behind(firewall.clone(), Arc::new(OwnSockets::new()));
    assert_eq!(pinholes.guard(), GuardKind::Nftables);
    let to = SocketAddr::from(([198, 18, 7, 8], 50_000));
    let source = Some(SocketAddr::from(([198, 18, 7, 1], 20)));
    let pinhole = Pinhole {
        transfer: TransferId(1),
        side: Side::Client,
        from: host(1).into(),
        at: ours(51),
        leads_to: Some(to),
        carried: Carried::Forwarded,
        source,
        tls: DataTls::Clear,
    };
    let reservation = pinholes.reserve(&pinhole).unwrap();
    let at = reservation.at();
    assert!(firewall.openings.lock().unwrap().is_empty());
    let hole = forwarded(&pinholes, reservation);
    let peer = host(1);
    let wanted = Opening::Forward {
        peer,
        at,
        to,
        source,
    };
    assert_eq!(*firewall.openings.lock().unwrap(), [wanted]);
    assert!(
        is_bound(at),
        "a program that shares its port with nobody could have it"
    );
    assert!(
        std::net::TcpStream::connect(at).is_err(),
        "somebody listens"
    );
    let again = pinholes.reserve(&pinhole).unwrap_err();
    assert_eq!(again, RefusalReason::NoPort { in_use: 1 });
    drop(hole);
    // The kernel still has the connection from port 20 to that port of the client's: this one comes from another.
    let _again = forwarded(&pinholes, pinholes.reserve(&pinhole).unwrap());
    let openings = firewall.openings.lock().unwrap();
    let Some(Opening::Forward { source, .. }) = openings.last() else {
        panic!("not forwarded: {openings:?}");
    };
    assert_eq!(*source, Some(SocketAddr::from(([198, 18, 7, 1], 0))));
}

#[test]
fn a_pinhole_that_is_to_be_forwarded_to_nowhere_or_without_a_firewall_is_refused() {
    let pinhole = |at, leads_to| Pinhole {
        transfer: TransferId(1),
        side: Side::Client,
        from: host(1).into(),
        at,
        leads_to,
        carried: Carried::Forwarded,
        source: None,
        tls: DataTls::Clear,
    };
    let pinholes = behind(Arc::default(), Arc::new(OwnSockets::new()));
    let refused = pinholes.reserve(&pinhole(ours(52), None)).unwrap_err();
    assert_eq!(refused, RefusalReason::Kernel);
    let field = Field::new(53, 21000..=21000);
    let to = Some(SocketAddr::from(([198, 18, 7, 8], 50_000)));
    let reservation = field.pinholes.reserve(&pinhole(field.at, to)).unwrap();
    let cx = Context::from_waker(Waker::noop());
    let refused = reservation.open_as_asked(&Wishes::default(), &cx);
    let refused = refused.unwrap_err();
    assert_eq!(refused, RefusalReason::Kernel);
}

/// A stranger at the owner's address must not use up the kernel's hole.
#[tokio::test]
async fn the_firewall_lets_in_all_candidates_of_a_pinhole_for_the_sessions_own() {
    let firewall = Arc::new(Open::default());
    let pinholes = behind(firewall.clone(), Arc::new(OwnSockets::new()));
    let here = host(1);
    let pinhole = Pinhole {
        transfer: TransferId(1),
        side: Side::Client,
        from: here.into(),
        at: ours(12),
        leads_to: None,
        tls: DataTls::Resumed,
        carried: Carried::Relayed,
        source: None,
    };
    let mut hole = pinholes.reserve(&pinhole).unwrap().open().unwrap();
    let openings = firewall.openings.lock().unwrap().clone();
    let [
        Opening::Relay {
            at,
            admits: Admits::Several,
            ..
        },
    ] = openings[..]
    else {
        panic!("{openings:?}");
    };
    for _ in 1..=3 {
        let _dialled = connect(here, at).await.unwrap();
        let candidate_of = std::future::poll_fn(|cx| hole.poll_candidate(cx));
        let _admitted = within(candidate_of).await.unwrap();
        assert_eq!(*firewall.openings.lock().unwrap(), openings);
    }
    drop(hole);
    assert_eq!(*firewall.standing.lock().unwrap(), []);
    // Any other pinhole is for one.
    let pinhole = Pinhole {
        tls: DataTls::Tls,
        ..pinhole
    };
    let _hole = pinholes.reserve(&pinhole).unwrap().open().unwrap();
    let last = firewall.openings.lock().unwrap().last().copied();
    let for_one = matches!(
        last,
        Some(Opening::Relay {
            admits: Admits::One,
            ..
        })
    );
    assert!(for_one, "{last:?}");
}
