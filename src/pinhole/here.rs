//! Whether a peer is this host itself.

use std::net::IpAddr;

use super::forward::{binds_anything, takes};
use super::sockets::Sockets;

/// Tells whether a peer's address is surely one of this host's; `ours` is ours on the connection with it.
///
/// What cannot be told counts as another host. Where any address can be bound (`ip_nonlocal_bind`), only a connection
/// that stayed at one address shows it.
pub(super) fn is_here(sockets: &dyn Sockets, ours: IpAddr, peer: IpAddr) -> bool {
    peer.is_loopback()
        || ours == peer
        // Of a second address of the same network the kernel dials from the first one.
        || (takes(sockets, peer).is_ok() && !binds_anything(sockets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pinhole::OwnSockets;

    #[test]
    fn only_what_is_surely_this_host_is_here() {
        let sockets = OwnSockets::new();
        let here = |gateway: &str, upstream: &str| {
            let [gateway, upstream] = [gateway, upstream].map(|ip| ip.parse().expect("an address"));
            is_here(&sockets, gateway, upstream)
        };
        assert!(here("127.0.0.1", "127.0.0.1"));
        assert!(here("127.0.0.1", "127.8.8.8"));
        assert!(here("::1", "::1"));
        assert!(here("192.0.2.77", "192.0.2.77"));
        assert!(!here("192.0.2.77", "192.0.2.78"));
        assert!(!here("2001:db8::77", "2001:db8::78"));
    }
}
