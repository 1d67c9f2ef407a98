//! Whether this machine forwards, and whether what it forwards finds its way back.

mod read;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::finding::Finding;
use crate::config::{Config, Firewall, Host, Source};

/// The smallest MTU of an Ethernet; behind anything smaller lies a tunnel.
const ETHERNET: u32 = 1500;

/// Holds what is known about interfaces and routes; what could not be read is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Whether `ip` is not here, so that interfaces and routes are unknown.
    pub unknown: bool,
    /// Whether IPv4 is forwarded.
    pub forwards_v4: Option<bool>,
    /// Whether IPv6 is forwarded; none without IPv6.
    pub forwards_v6: Option<bool>,
    /// The strictest reverse-path filter for all interfaces.
    pub strict_for_all: Option<u32>,
    /// The interfaces that are up, without loopback.
    pub interfaces: Vec<Interface>,
    /// Through which interfaces everything else goes over IPv4.
    pub uplinks: BTreeSet<String>,
    /// The same over IPv6, and whether a router's advertisement said so.
    pub uplinks_v6: BTreeSet<(String, bool)>,
    /// The ways to the upstreams that are given by address.
    pub ways: Vec<Way>,
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The longest packet.
    pub mtu: u32,
    /// Its own reverse-path filter.
    pub rp_filter: Option<u32>,
    /// Whether it takes routers' advertisements: 0 no, 1 unless IPv6 is forwarded, 2 yes.
    pub accept_ra: Option<u32>,
    /// Whether 127.0.0.0/8 is routed from it.
    pub route_localnet: bool,
}

/// The way to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The upstream's name in the configuration.
    pub upstream: String,
    /// Its address.
    pub to: IpAddr,
    /// The interface, and our address there; none when there is no way.
    pub via: Option<(String, Option<IpAddr>)>,
}

impl Network {
    /// Tells whether packets of this family are forwarded.
    #[must_use]
    pub fn forwards(&self, v6: bool) -> bool {
        let forwards = if v6 {
            self.forwards_v6
        } else {
            self.forwards_v4
        };
        forwards == Some(true)
    }

    pub(super) fn findings(&self, config: &Config) -> Vec<Finding> {
        let mut findings = if self.unknown {
            vec![unknown()]
        } else {
            self.no_way()
        };
        if config.pinholes.firewall == Firewall::Nftables {
            findings.extend(self.does_not_forward(config));
            findings.extend(self.strict_reverse_path());
            findings.extend(self.loses_router());
            findings.extend(self.routes_loopback());
            findings.extend(self.one_armed(config));
        }
        findings
    }

    fn no_way(&self) -> Vec<Finding> {
        let lost = self.ways.iter().filter(|way| way.via.is_none());
        lost.map(|way| {
            Finding::error(
                "no_route",
                format!(
                    "there is no route to {}, an address of upstream `{}`",
                    way.to, way.upstream
                ),
                "no session can be carried there",
            )
            .help("add a route (`ip route add`), or correct the address")
        })
        .collect()
    }

    fn does_not_forward(&self, config: &Config) -> Vec<Finding> {
        let listens = |v6: bool| {
            let mut sockets = config
                .listeners
                .values()
                .flat_map(|listener| &listener.listen)
                .flat_map(|address| address.sockets());
            sockets.any(|socket| socket.is_ipv6() == v6)
        };
        let hosts = || {
            config
                .upstreams
                .values()
                .flat_map(|upstream| &upstream.addresses)
        };
        let has = |v6: bool| {
            hosts().any(|address| match &address.host {
                Host::Address(address) => address.is_ipv6() == v6,
                // A name leads to IPv6 only where this machine gets there.
                Host::Name(_) => !v6 || !self.uplinks_v6.is_empty(),
            })
        };
        let mut findings = Vec::new();
        for (v6, forwards, name, setting) in [
            (false, self.forwards_v4, "IPv4", "net.ipv4.ip_forward"),
            (
                true,
                self.forwards_v6,
                "IPv6",
                "net.ipv6.conf.all.forwarding",
            ),
        ] {
            if forwards == Some(false) && listens(v6) && has(v6) {
                let finding = Finding::error(
                    "forwarding",
                    format!("{name} is not forwarded"),
                    "with `firewall: nftables` the kernel carries data connections in clear from client to server, and drops them now",
                )
                .command(format!("sysctl -w {setting}=1"));
                findings.push(finding.help(format!(
                    "write `{setting} = 1` into /etc/sysctl.d/ too; the machine becomes a router, so let its firewall drop what it forwards, but for the connections that carry our mark"
                )));
            }
        }
        findings
    }

    /// Documentation/networking/ip-sysctl.rst: the larger of `all` and the interface's own counts; 1 is strict, 2 loose.
    fn strict_reverse_path(&self) -> Option<Finding> {
        let strict = |interface: &&Interface| {
            let own = interface.rp_filter.unwrap_or(0);
            own.max(self.strict_for_all.unwrap_or(0)) == 1
        };
        let strict: Vec<&str> = self
            .interfaces
            .iter()
            .filter(strict)
            .map(|interface| interface.name.as_str())
            .filter(|name| self.uplinks.contains(*name))
            .collect();
        (self.uplinks.len() > 1 && !strict.is_empty()).then(|| {
            Finding::warning(
                "rp_filter",
                format!(
                    "there are {} uplinks, and {} filters by strict reverse path",
                    self.uplinks.len(),
                    strict.join(" and ")
                ),
                "clients that come in through one uplink and would be answered through another are dropped in silence",
            )
            .command("sysctl -w net.ipv4.conf.all.rp_filter=2")
            .help("write it into /etc/sysctl.d/ too")
        })
    }

    /// A router does not believe other routers unless accept_ra is 2.
    fn loses_router(&self) -> Vec<Finding> {
        let lost = |interface: &&Interface| {
            let by_router = self
                .uplinks_v6
                .iter()
                .any(|(name, by_router)| *by_router && *name == interface.name);
            self.forwards(true) && by_router && interface.accept_ra == Some(1)
        };
        self.interfaces
            .iter()
            .filter(lost)
            .map(|Interface { name, .. }| {
                Finding::warning(
                    "accept_ra",
                    format!("{name} has its default route from a router's advertisement, and IPv6 is forwarded"),
                    "a machine that forwards passes over advertisements: the route runs out, and IPv6 with it",
                )
                .command(format!("sysctl -w net.ipv6.conf.{name}.accept_ra=2"))
                .help("write it into /etc/sysctl.d/ too")
            })
            .collect()
    }

    fn routes_loopback(&self) -> Vec<Finding> {
        let open = self
            .interfaces
            .iter()
            .filter(|interface| interface.route_localnet);
        open.map(|Interface { name, .. }| {
            Finding::warning(
                "route_localnet",
                format!("{name} takes packets for 127.0.0.0/8 (route_localnet)"),
                "neighbours reach services that listen on loopback only",
            )
            .command(format!("sysctl -w net.ipv4.conf.{name}.route_localnet=0"))
            .help("if something needs it (kube-proxy does), let the firewall drop 127.0.0.0/8 from outside instead")
        })
        .collect()
    }

    /// With the client's address the upstream has to answer through us, and so has to lie behind us.
    fn one_armed(&self, config: &Config) -> Vec<Finding> {
        let keeps = |way: &&Way| {
            let upstream = config
                .upstreams
                .iter()
                .find(|(name, _)| name.as_str() == way.upstream);
            upstream.is_some_and(|(_, upstream)| upstream.source == Source::Client)
        };
        let uplink = |v6: bool, name: &str| {
            if v6 {
                self.uplinks_v6.iter().any(|(uplink, _)| uplink == name)
            } else {
                self.uplinks.contains(name)
            }
        };
        let mut findings = Vec::new();
        for way in self.ways.iter().filter(keeps) {
            let Some((interface, own)) = &way.via else {
                continue;
            };
            if !uplink(way.to.is_ipv6(), interface) {
                continue;
            }
            let own = own.map_or_else(|| "THIS-MACHINE".to_owned(), |own| own.to_string());
            let family = if way.to.is_ipv6() { " -6" } else { "" };
            let finding = Finding::warning(
                "return_route",
                format!(
                    "upstream `{}` ({}) lies behind {interface}, where clients come from too, and `source: client` keeps their address",
                    way.upstream, way.to
                ),
                "it answers clients past this machine, and such a connection never comes up",
            );
            findings.push(finding.help(format!(
                "on the server make this machine the way to clients: `ip{family} route replace default via {own}`; or write `source: gateway`"
            )));
        }
        findings
    }

    /// Returns interfaces behind which packets have to be smaller.
    #[must_use]
    pub fn narrow(&self) -> Vec<&Interface> {
        let narrow = self
            .interfaces
            .iter()
            .filter(|interface| interface.mtu < ETHERNET);
        narrow.collect()
    }
}

fn unknown() -> Finding {
    Finding::warning(
        "routes_unknown",
        "the program `ip` is not here",
        "interfaces and routes can't be told then",
    )
    .command("apt-get install iproute2")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::config;

    #[test]
    fn without_ip_nothing_is_said_of_routes() {
        let way = Way {
            upstream: "legacy".to_owned(),
            to: IpAddr::from([10, 0, 0, 5]),
            via: None,
        };
        let lost = Network {
            ways: vec![way],
            ..Network::default()
        };
        let blind = Network {
            unknown: true,
            ..lost.clone()
        };
        for (network, check) in [(lost, "no_route"), (blind, "routes_unknown")] {
            let findings = network.findings(&config(""));
            assert_eq!(findings.len(), 1);
            assert_eq!(findings[0].check, check);
        }
    }
}
