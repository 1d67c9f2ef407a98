//! What the gateway may ask of the firewall at most, as plain values from the config.
//!
//! Invariant: a request that is not permitted here never reaches the kernel, whoever asks. So a gateway that has been
//! broken into can open at most what the config allows. This module must not know the config, sockets or the kernel.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::message::Reason;
use super::{Admits, FirewallHole, Opening};

/// Ports below this are never the end of a data connection (RFC 2577, 3).
const FIRST_DATA_PORT: u16 = 1024;

/// Most addresses that are remembered of one upstream's name.
const MOST_OF_A_NAME: usize = 64;

/// The longest ban.
const LONGEST_BAN: Duration = Duration::from_secs(24 * 3600);

/// The widest networks that can be banned.
const WIDEST_BAN: (u8, u8) = (24, 64);

/// The widest networks of which anybody may use a pinhole: what `peer: prefix` means.
const WIDEST_PEER: (u8, u8) = (24, 64);

/// Tells whether an address is one of this host's.
pub type IsOurs<'a> = &'a mut dyn FnMut(IpAddr) -> bool;

/// The bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The window for clients.
    pub client_window: RangeInclusive<u16>,
    /// The window for upstreams; none where no upstream ever dials us.
    pub upstream_window: Option<RangeInclusive<u16>>,
    /// Where listeners are: an unspecified address stands for all of its family.
    pub listeners: Vec<IpAddr>,
    /// The addresses of upstreams.
    pub upstreams: Vec<IpAddr>,
    /// Upstreams that are given by name, with the addresses that were resolved so far.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Networks that an upstream's 227 may name besides the upstream.
    pub foreign: Vec<IpNet>,
    /// Whether a /24 or /64 may share a client's pinhole.
    pub prefix_peers: bool,
    /// Whether a client's pinhole may let in several, among whom the gateway finds its owner.
    pub candidates: bool,
    /// Whether everybody may be one of those.
    pub any_peer: bool,
    /// Whether an upstream may see a client's own address as the source.
    pub keeps_source: bool,
    /// The ports beside listeners' from which data connections are dialled.
    pub source_ports: Vec<u16>,
    /// How long a client's hole may last.
    pub client_ttl: Duration,
    /// How long an upstream's hole may last.
    pub upstream_ttl: Duration,
    /// Most holes at once.
    pub holes: usize,
    /// Most bans at once.
    pub bans: usize,
}

/// Whose window a port is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    Client,
    Upstream,
}

impl Envelope {
    /// Checks a hole before it opens, while `standing` others stand.
    ///
    /// # Errors
    /// Which bound it breaks.
    pub fn check_hole(
        &self,
        hole: &FirewallHole,
        standing: usize,
        is_ours: IsOurs<'_>,
    ) -> Result<(), Reason> {
        if standing >= self.holes {
            return Err(Reason::TooMany);
        }
        match hole.opening {
            Opening::Forward {
                peer,
                at,
                to,
                source,
            } => {
                let window = self.check_at(at, is_ours)?;
                self.check_ttl(window, hole.ttl)?;
                one_family(&[
                    Some(peer),
                    Some(at.ip()),
                    Some(to.ip()),
                    source.map(|at| at.ip()),
                ])?;
                self.check_peer(window, IpNet::from(peer), Admits::One)?;
                self.check_destination(window, to, is_ours)?;
                self.check_source(window, source, is_ours)
            }
            Opening::Relay { peer, at, admits } => {
                let window = self.check_at(at, is_ours)?;
                self.check_ttl(window, hole.ttl)?;
                one_family(&[Some(peer.addr()), Some(at.ip())])?;
                self.check_peer(window, peer, admits)
            }
        }
    }

    /// Checks how much longer the hole at this port is to last.
    ///
    /// # Errors
    /// When that is too long.
    pub fn check_renewal(&self, at: SocketAddr, ttl: Duration) -> Result<(), Reason> {
        self.check_ttl(self.window(at.port())?, ttl)
    }

    /// Checks the address from which a descriptor is to dial.
    ///
    /// # Errors
    /// When it is not ours, or the port is none that needs our help.
    pub fn check_dialler(&self, from: SocketAddr, is_ours: IsOurs<'_>) -> Result<(), Reason> {
        if !self.source_ports.contains(&from.port()) || !is_plain(from.ip()) || !is_ours(from.ip())
        {
            return Err(Reason::SourceNotPermitted);
        }
        Ok(())
    }

    /// Checks a ban, while `standing` others stand.
    ///
    /// # Errors
    /// When it is too wide, too long, or hits an upstream.
    pub fn check_ban(&self, network: IpNet, ttl: Duration, standing: usize) -> Result<(), Reason> {
        if standing >= self.bans {
            return Err(Reason::TooMany);
        }
        let hits_an_upstream = self
            .all_upstreams()
            .any(|upstream| network.contains(upstream));
        if !is_within(network, WIDEST_BAN) || hits_an_upstream {
            return Err(Reason::NotBannable);
        }
        if ttl.is_zero() || ttl > LONGEST_BAN {
            return Err(Reason::LastsTooLong);
        }
        Ok(())
    }

    /// Takes the addresses of a name; one that the config does not have is passed over.
    ///
    /// Sessions outlive what a name meant when they began, so the last few addresses stay permitted.
    pub fn learn(&mut self, name: &str, addresses: &[IpAddr]) {
        let Some(known) = self.names.get_mut(name) else {
            return;
        };
        known.retain(|address| !addresses.contains(address));
        known.extend(addresses.iter().take(MOST_OF_A_NAME));
        let surplus = known.len().saturating_sub(MOST_OF_A_NAME);
        known.drain(..surplus);
    }

    /// Takes over what an older envelope has learnt of the names that both have.
    pub fn remember(&mut self, older: &Envelope) {
        for (name, addresses) in &older.names {
            self.learn(name, addresses);
        }
    }

    fn all_upstreams(&self) -> impl Iterator<Item = &IpAddr> {
        self.upstreams.iter().chain(self.names.values().flatten())
    }

    fn window(&self, port: u16) -> Result<Window, Reason> {
        let in_upstreams = self.upstream_window.as_ref();
        if self.client_window.contains(&port) {
            Ok(Window::Client)
        } else if in_upstreams.is_some_and(|window| window.contains(&port)) {
            Ok(Window::Upstream)
        } else {
            Err(Reason::PortOutsideWindow)
        }
    }

    fn check_at(&self, at: SocketAddr, is_ours: IsOurs<'_>) -> Result<Window, Reason> {
        let window = self.window(at.port())?;
        let permitted = match window {
            // Clients come where a listener is; upstreams to whatever address we dialled them from.
            Window::Client => self.listeners.iter().any(|listener| {
                *listener == at.ip()
                    || (listener.is_unspecified() && listener.is_ipv4() == at.is_ipv4())
            }),
            Window::Upstream => true,
        };
        if !permitted || !is_plain(at.ip()) || has_scope(at) || !is_ours(at.ip()) {
            return Err(Reason::AddressNotOurs);
        }
        Ok(window)
    }

    fn check_ttl(&self, window: Window, ttl: Duration) -> Result<(), Reason> {
        let most = match window {
            Window::Client => self.client_ttl,
            Window::Upstream => self.upstream_ttl,
        };
        if ttl.is_zero() || ttl > most {
            return Err(Reason::LastsTooLong);
        }
        Ok(())
    }

    fn check_peer(&self, window: Window, peer: IpNet, admits: Admits) -> Result<(), Reason> {
        let one = peer.prefix_len() == peer.max_prefix_len();
        let several = admits == Admits::Several;
        let permitted = match window {
            // The config names no networks of clients: whoever can dial port 21 is one.
            Window::Client => {
                let everybody = peer.prefix_len() == 0 && peer.addr().is_unspecified();
                (self.candidates || !several)
                    && ((one && is_plain(peer.addr()))
                        || (self.prefix_peers && is_prefix(peer))
                        || (self.any_peer && several && everybody))
            }
            Window::Upstream => {
                one && !several && self.all_upstreams().any(|known| *known == peer.addr())
            }
        };
        if permitted {
            Ok(())
        } else {
            Err(Reason::PeerNotPermitted)
        }
    }

    fn check_destination(
        &self,
        window: Window,
        to: SocketAddr,
        is_ours: IsOurs<'_>,
    ) -> Result<(), Reason> {
        let permitted = match window {
            Window::Client => {
                self.all_upstreams().any(|known| *known == to.ip())
                    || self
                        .foreign
                        .iter()
                        .any(|network| network.contains(&to.ip()))
            }
            Window::Upstream => true,
        };
        // An address of this host takes another way through the kernel, and may be a service that trusts the host.
        if !permitted
            || to.port() < FIRST_DATA_PORT
            || !is_plain(to.ip())
            || has_scope(to)
            || is_ours(to.ip())
        {
            return Err(Reason::DestinationNotPermitted);
        }
        Ok(())
    }

    fn check_source(
        &self,
        window: Window,
        source: Option<SocketAddr>,
        is_ours: IsOurs<'_>,
    ) -> Result<(), Reason> {
        let permitted = match source {
            None => window == Window::Client && self.keeps_source,
            Some(source) => {
                // Only a client wants data from the port beside the one that it dialled.
                let port = source.port() == 0
                    || (window == Window::Upstream && self.source_ports.contains(&source.port()));
                port && is_plain(source.ip()) && !has_scope(source) && is_ours(source.ip())
            }
        };
        if permitted {
            Ok(())
        } else {
            Err(Reason::SourceNotPermitted)
        }
    }
}

/// Tells whether an address can be the end of a TCP connection, in its one canonical form.
fn is_plain(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
        }
        IpAddr::V6(address) => {
            !address.is_unspecified()
                && !address.is_multicast()
                && address.to_ipv4_mapped().is_none()
        }
    }
}

/// A link's number, which rules of the firewall have no place for.
fn has_scope(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V4(_) => false,
        SocketAddr::V6(address) => address.scope_id() != 0,
    }
}

fn is_prefix(network: IpNet) -> bool {
    let widest = match network {
        IpNet::V4(_) => WIDEST_PEER.0,
        IpNet::V6(_) => WIDEST_PEER.1,
    };
    network.prefix_len() == widest && network.trunc() == network && is_plain(network.addr())
}

fn is_within(network: IpNet, (widest_v4, widest_v6): (u8, u8)) -> bool {
    let widest = match network {
        IpNet::V4(_) => widest_v4,
        IpNet::V6(_) => widest_v6,
    };
    network.prefix_len() >= widest && network.trunc() == network && is_plain(network.addr())
}

fn one_family(addresses: &[Option<IpAddr>]) -> Result<(), Reason> {
    let mut families = addresses.iter().flatten().map(IpAddr::is_ipv4);
    let first = families.next();
    if families.all(|family| Some(family) == first) {
        Ok(())
    } else {
        Err(Reason::FamiliesDiffer)
    }
}
