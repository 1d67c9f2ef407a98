//! Where the firewall of the gateway's own host keeps the gateway out as well: ports of a window that a peer on this host names.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::session::{Session, Step};
use super::{Event, Legs, Side};

/// Ports at which this host's firewall lets nobody in whom no pinhole awaits, this process neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    /// The windows.
    pub windows: Legs<RangeInclusive<u16>>,
    /// Which peer's address is surely this host's.
    pub here: Legs<bool>,
}

impl Session {
    /// Tells whether a dial of ours to where a peer says that it awaits us would surely run into our own firewall, and
    /// records it.
    pub(super) fn is_shut(&mut self, step: &mut Step, side: Side, to: SocketAddr) -> bool {
        let peer = match side {
            Side::Client => self.facts.client.ip(),
            Side::Upstream => self.upstream.ip(),
        };
        // Of another address that the config allows it is not known whether it is this host's.
        let shut = self.shut.as_ref();
        let shut = shut.filter(|shut| shut.here[side] && to.ip() == peer);
        let window = shut.and_then(|Shut { windows, .. }| {
            [&windows.client, &windows.upstream]
                .into_iter()
                .find(|window| window.contains(&to.port()))
        });
        let Some(window) = window else {
            return false;
        };
        let window = format!("{}-{}", window.start(), window.end());
        self.report(
            step,
            Event::AddressShut {
                side,
                address: to,
                window,
            },
        );
        true
    }
}
