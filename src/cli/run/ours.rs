//! Which addresses are this host's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long an answer is good: addresses come and go, but not while a transfer is being set up.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// Most answers that are kept.
const MOST: usize = 4096;

/// Answers, and remembers answers.
#[derive(Debug, Default)]
pub(super) struct Ours {
    known: HashMap<IpAddr, (bool, Instant)>,
}

impl Ours {
    /// Tells whether an address is one of this host's.
    pub(super) fn holds(&mut self, address: IpAddr) -> bool {
        let now = Instant::now();
        if let Some((ours, until)) = self.known.get(&address)
            && now < *until
        {
            return *ours;
        }
        let ours = ask(address);
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(address, (ours, now + GOOD_FOR));
        ours
    }
}

/// Addresses that nobody has (RFC 2544, RFC 3849): where they can be bound, any address can.
const NOBODYS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 18, 255, 254)),
    IpAddr::V6(Ipv6Addr::new(
        0x2001, 0xdb8, 0xffff, 0xffff, 0, 0, 0, 0xfffe,
    )),
];

/// Asks the routing table, and sends nothing: only towards itself is a host's address its own peer.
///
/// Towards a second address of one network the kernel takes the first for its own, so there a `bind` is asked as well; it would
/// say yes to every address where ip_nonlocal_bind is set, and says so to a network's broadcast address, which nobody dials.
fn ask(address: IpAddr) -> bool {
    if address.is_loopback() {
        return true;
    }
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Any port but 0 will do.
    let toward = SocketAddr::new(address, 9);
    let asked = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(toward)?;
        socket.local_addr()
    });
    asked.is_ok_and(|from| from.ip() == address)
        || (binds(address) && !NOBODYS.into_iter().any(binds))
}

fn binds(address: IpAddr) -> bool {
    let may_be_a_hosts = !address.is_unspecified() && !address.is_multicast();
    may_be_a_hosts && UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_addresses_are_a_hosts() {
        let mut ours = Ours::default();
        for own in ["127.0.0.1", "127.8.8.8", "::1"] {
            assert!(ours.holds(own.parse().expect("an address")), "{own}");
        }
        for other in ["192.0.2.77", "0.0.0.0", "::", "2001:db8::77", "224.0.0.1"] {
            let other: IpAddr = other.parse().expect("an address");
            assert!(!ours.holds(other), "{other}");
            assert!(!ours.holds(other), "{other}, remembered");
        }
    }
}
