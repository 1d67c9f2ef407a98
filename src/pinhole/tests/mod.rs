//! Tests on real sockets: loopback addresses that this process has for itself, events instead of sleeps.

mod admission;
mod bounds;
mod dialling;
mod filter;
mod firewall;
mod forwarding;
mod parking;
mod relaying;
mod relaying_ends;
mod relaying_little;
mod relaying_tls;
mod sharing;
mod window_model;
mod wishes;

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{GuardKind, Intruder, OpenPinhole, OwnSockets, Pinholes, Reservation, dial_within};
use crate::engine::{Carried, DataTls, DialError, Legs, Pinhole, RefusalReason, Side, TransferId};

/// Every wait of a test ends within this, or fails it.
const BOUND: Duration = Duration::from_secs(20);

/// A loopback address for listeners of the test with this number: no other test has it, nor other processes that run
/// these tests now.
fn ours(test: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + test, high, low).into()
}

/// A loopback address to dial from.
fn host(n: u8) -> IpAddr {
    Ipv4Addr::new(127, 7, 7, n).into()
}

/// Pinholes with a window for clients, and what they told of intruders.
struct Field {
    at: IpAddr,
    pinholes: Arc<Pinholes>,
    intruders: Receiver<Intruder>,
}

impl Field {
    fn new(test: u8, window: RangeInclusive<u16>) -> Field {
        Field::made_by(Pinholes::new, ours(test), window)
    }

    fn without_filter(test: u8, window: RangeInclusive<u16>) -> Field {
        Field::made_by(Pinholes::without_filter, ours(test), window)
    }

    fn made_by(
        make: impl FnOnce(
            Legs<RangeInclusive<u16>>,
            Arc<dyn super::Sockets>,
            Box<dyn Fn(Intruder) + Send + Sync>,
        ) -> Arc<Pinholes>,
        at: IpAddr,
        window: RangeInclusive<u16>,
    ) -> Field {
        let (told, intruders) = channel();
        let windows = Legs {
            client: window,
            upstream: 31000..=31010,
        };
        let tell = Box::new(move |intruder| told.send(intruder).unwrap());
        Field {
            at,
            pinholes: make(windows, Arc::new(OwnSockets::new()), tell),
            intruders,
        }
    }

    fn reserve(&self, from: impl Into<IpNet>) -> Result<Reservation, RefusalReason> {
        self.pinholes.reserve(&Pinhole {
            transfer: TransferId(1),
            side: Side::Client,
            from: from.into(),
            at: self.at,
            leads_to: None,
            tls: DataTls::Clear,
            carried: Carried::Relayed,
            source: None,
        })
    }

    fn open(&self, from: impl Into<IpNet>) -> (OpenPinhole, SocketAddr) {
        let reservation = self.reserve(from).unwrap();
        let at = reservation.at();
        (reservation.open().unwrap(), at)
    }
}

/// Dials from an address; the error is the kernel's word on it.
async fn connect(from: IpAddr, to: SocketAddr) -> Result<TcpStream, DialError> {
    dial_within(
        &OwnSockets::new(),
        Some(SocketAddr::new(from, 0)),
        to,
        BOUND,
    )
    .await
}

async fn accept(hole: &mut OpenPinhole) -> (TcpStream, SocketAddr) {
    within(poll_fn(|cx| hole.poll_accept(cx))).await.unwrap()
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, what)
        .await
        .expect("nothing happened in time")
}

/// How a connection ended, seen from its peer.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Reset,
    Finished(Vec<u8>),
}

async fn end_of(stream: &mut TcpStream) -> End {
    let mut bytes = Vec::new();
    match within(stream.read_to_end(&mut bytes)).await {
        Ok(_) => End::Finished(bytes),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            assert!(bytes.is_empty(), "a byte came before the reset");
            End::Reset
        }
        Err(error) => panic!("{error}"),
    }
}
