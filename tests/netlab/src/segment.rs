//! TCP segments that no socket sent, for whoever does not want to finish what they begin.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// The flag of a first segment.
pub const SYN: u8 = 0x02;

/// The flag of an acknowledgement.
pub const ACK: u8 = 0x10;

/// A socket that sends packets as they are (raw(7)), from the namespace of the calling thread.
///
/// # Errors
/// When the caller is not root.
pub fn raw_socket() -> io::Result<Socket> {
    // IPPROTO_RAW: our header and no other, and nothing is ever received.
    Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))
}

/// Sends a packet.
///
/// # Errors
/// The kernel's.
pub fn send(socket: &Socket, packet: &[u8], to: SocketAddrV4) -> io::Result<()> {
    socket.send_to(packet, &SockAddr::from(to)).map(drop)
}

/// An empty segment with some flags (RFC 791 section 3.1, RFC 9293 section 3.1).
pub fn segment(from: SocketAddrV4, to: SocketAddrV4, sequence: u32, flags: u8) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    packet.extend_from_slice(&from.ip().octets());
    packet.extend_from_slice(&to.ip().octets());
    let mut tcp = Vec::new();
    tcp.extend_from_slice(&from.port().to_be_bytes());
    tcp.extend_from_slice(&to.port().to_be_bytes());
    tcp.extend_from_slice(&sequence.to_be_bytes());
    tcp.extend_from_slice(&[0, 0, 0, 0, 0x50, flags, 0xff, 0xff]);
    let mut sum = tcp.clone();
    sum.extend_from_slice(&[0, 0, 0, 0]);
    tcp.extend_from_slice(&checksum(*from.ip(), *to.ip(), &sum).to_be_bytes());
    tcp.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(&tcp);
    packet
}

fn checksum(from: Ipv4Addr, to: Ipv4Addr, tcp: &[u8]) -> u16 {
    let mut words = from.octets().to_vec();
    words.extend_from_slice(&to.octets());
    let length = u16::try_from(tcp.len()).unwrap_or(u16::MAX);
    words.extend_from_slice(&[0, 6]);
    words.extend_from_slice(&length.to_be_bytes());
    words.extend_from_slice(tcp);
    let sum: u32 = words
        .chunks(2)
        .map(|pair| {
            pair.iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        })
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum).unwrap_or(u16::MAX)
}
