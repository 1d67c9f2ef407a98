//! Every byte that leaves the gateway towards the server, read from the server's network card (packet(7)).

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use portcullis_netlab::{Failure, Lab, Node};
use socket2::{Domain, Protocol, Socket, Type};

/// `ETH_P_ALL`, in network order as the kernel wants it.
const EVERYTHING: i32 = (3_u16).to_be() as i32;

/// What the kernel may hold for us while we do something else.
const HELD: usize = 512 << 20;

/// The bytes of one direction of one connection, by their place in it.
#[derive(Default)]
struct Flow {
    first: Option<u32>,
    segments: BTreeMap<u32, Vec<u8>>,
}

type Flows = HashMap<(SocketAddr, SocketAddr), Flow>;

/// A capture that is running.
pub struct Capture {
    over: Arc<AtomicBool>,
    reader: JoinHandle<Result<Flows, Failure>>,
}

/// One direction of one connection, whole.
pub struct Stream {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Begins at the server, with the next packet.
    pub fn begin(lab: &Lab) -> Result<Self, Failure> {
        let socket = lab.inside(Node::Server, || -> std::io::Result<Socket> {
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(EVERYTHING)))?;
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, HELD)?;
            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
            Ok(socket)
        })?;
        let socket = socket.map_err(|error| format!("a packet socket: {error}"))?;
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let reader = std::thread::spawn(move || read(socket, &until));
        Ok(Self { over, reader })
    }

    /// Ends when nothing more comes, and returns all that was sent by and to the gateway.
    pub fn end(self) -> Result<Vec<Stream>, Failure> {
        self.over.store(true, Ordering::Relaxed);
        let flows = self
            .reader
            .join()
            .map_err(|_| "the capture panicked".to_owned())??;
        flows
            .into_iter()
            .map(|((from, to), flow)| {
                let bytes = flow
                    .whole()
                    .map_err(|failure| format!("{from} to {to}: {failure}"))?;
                Ok(Stream { from, to, bytes })
            })
            .collect()
    }
}

fn read(mut socket: Socket, over: &AtomicBool) -> Result<Flows, Failure> {
    let mut flows = Flows::new();
    // Segments come in bundles of up to 64 KiB (GSO).
    let mut frame = vec![0; 1 << 17];
    loop {
        match socket.read(&mut frame) {
            Ok(length) => add(&mut flows, frame.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if over.load(Ordering::Relaxed) {
                    return Ok(flows);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("the capture: {error}")),
        }
    }
}

fn add(flows: &mut Flows, frame: &[u8]) {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        return;
    };
    let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) = (packet.net, packet.transport)
    else {
        return;
    };
    let from = SocketAddr::from((ip.header().source_addr(), tcp.source_port()));
    let to = SocketAddr::from((ip.header().destination_addr(), tcp.destination_port()));
    let flow = flows.entry((from, to)).or_default();
    let number = tcp.sequence_number();
    if tcp.syn() {
        flow.first = Some(number.wrapping_add(1));
    } else if !tcp.payload().is_empty()
        && let Some(first) = flow.first
    {
        flow.keep(number.wrapping_sub(first), tcp.payload());
    }
}

impl Flow {
    /// Keeps what came for one place. What is sent again may be shorter than the bundle that it repeats (GSO), or longer.
    fn keep(&mut self, place: u32, bytes: &[u8]) {
        let kept = self.segments.entry(place).or_default();
        if kept.len() < bytes.len() {
            *kept = bytes.to_vec();
        }
    }

    /// Puts the segments together. What was sent twice counts once; a hole is an error: something went by unseen.
    fn whole(self) -> Result<Vec<u8>, Failure> {
        let mut bytes: Vec<u8> = Vec::new();
        for (place, segment) in self.segments {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let seen = bytes
                .len()
                .checked_sub(place)
                .ok_or_else(|| format!("the capture has a hole at {}", bytes.len()))?;
            bytes.extend(segment.get(seen..).unwrap_or_default());
        }
        Ok(bytes)
    }
}

impl Stream {
    /// Reads this as TLS records from the first byte to the last (RFC 8446 section 5.1).
    pub fn is_tls_alone(&self) -> Result<(), Failure> {
        records(&self.bytes).map_err(|place| {
            format!(
                "{} to {}: no TLS at byte {place}: {}",
                self.from,
                self.to,
                String::from_utf8_lossy(self.bytes.get(place..).unwrap_or_default())
            )
        })
    }

    /// Expects some words in clear, and behind them TLS records and nothing else.
    pub fn is_tls_behind(&self, words: &[u8]) -> Result<(), Failure> {
        let shown =
            || String::from_utf8_lossy(self.bytes.get(..60).unwrap_or(&self.bytes)).into_owned();
        let rest = self.bytes.strip_prefix(words);
        let rest = rest.ok_or_else(|| format!("something else left in clear: {:?}", shown()))?;
        records(rest).map_err(|place| format!("no TLS at byte {place} behind AUTH: {:?}", shown()))
    }
}

/// Where the records end and something else begins, if anywhere.
fn records(mut rest: &[u8]) -> Result<(), usize> {
    let whole = rest.len();
    while !rest.is_empty() {
        let length = match rest {
            [20..=23, 3, 1..=4, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => return Err(whole - rest.len()),
        };
        // A connection that was reset may end within a record.
        rest = rest.get(5 + length..).unwrap_or_default();
    }
    Ok(())
}

#[test]
fn a_shorter_repetition_makes_no_hole() {
    let mut flow = Flow::default();
    flow.keep(0, b"abcdef");
    flow.keep(6, b"ghi");
    flow.keep(0, b"abc");
    flow.keep(3, b"de");
    assert_eq!(flow.whole().expect("no hole"), b"abcdefghi");
}

#[test]
fn what_went_by_unseen_is_an_error() {
    let mut flow = Flow::default();
    flow.keep(0, b"abc");
    flow.keep(4, b"e");
    assert!(flow.whole().is_err());
}
