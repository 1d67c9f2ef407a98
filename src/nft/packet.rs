//! The first bytes of a packet: who dials where.
//!
//! Invariant: a packet comes from the network and may hold anything; reading it stays in bounds and never panics. This
//! module must not know what the packet means for a hole.

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// Who sent a packet, and to where: as it was when it was logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dial {
    /// Who dialled.
    pub from: SocketAddr,
    /// Where the packet goes.
    pub to: SocketAddr,
}

/// Reads who dialled where from an IP packet, of which the end may be missing.
#[must_use]
pub fn dial(packet: &[u8]) -> Option<Dial> {
    let sliced = LaxSlicedPacket::from_ip(packet).ok()?;
    let (source, destination): (IpAddr, IpAddr) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        Some(LaxNetSlice::Ipv6(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        Some(LaxNetSlice::Arp(_)) | None => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else {
        return None;
    };
    Some(Dial {
        from: SocketAddr::new(source, tcp.source_port()),
        to: SocketAddr::new(destination, tcp.destination_port()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Dial, dial};

    /// A SYN from 192.0.2.9:1000 to 198.51.100.1:21000, without its last four bytes of options.
    const SYN: [u8; 40] = [
        0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 9, 198, 51, 100, 1, 0x03, 0xe8,
        0x52, 0x08, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0,
    ];

    #[test]
    fn a_cut_packet_still_tells_who_dialled() {
        let expected = Dial {
            from: ([192, 0, 2, 9], 1000).into(),
            to: ([198, 51, 100, 1], 21000).into(),
        };
        assert_eq!(dial(&SYN), Some(expected));
    }

    #[test]
    fn what_is_no_tcp_over_ip_is_nothing() {
        let mut udp = SYN;
        udp[9] = 17;
        let mut fragment = SYN;
        fragment[7] = 9;
        let short = &SYN[..24];
        for packet in [&udp[..], &fragment, short, &[], &[0x60], &[0xff; 60]] {
            assert_eq!(dial(packet), None, "{packet:?}");
        }
    }
}
