//! Asks the kernel and ip(8) for interfaces and routes.

use serde::Deserialize;
use std::fs::read_to_string;
use std::net::IpAddr;

use super::{Interface, Network, Way};
use crate::config::{Config, Host};
use crate::system::program::{Silence, ask};

impl Network {
    pub(in crate::system) fn read(config: &Config) -> Self {
        let setting = |path: &str| number(&format!("/proc/sys/net/{path}"));
        let flag = |path: &str| setting(path).map(|value| value != 0);
        let conf = |family: &str, interface: &str, name: &str| {
            setting(&format!("{family}/conf/{interface}/{name}"))
        };
        let interfaces: Vec<Link> = json(&["-j", "link", "show"]);
        let interfaces = interfaces
            .into_iter()
            .filter(|link| link.has("UP") && !link.has("LOOPBACK"))
            .map(|link| Interface {
                mtu: link.mtu,
                rp_filter: conf("ipv4", &link.ifname, "rp_filter"),
                accept_ra: conf("ipv6", &link.ifname, "accept_ra"),
                route_localnet: conf("ipv4", &link.ifname, "route_localnet")
                    .is_some_and(|value| value != 0),
                name: link.ifname,
            })
            .collect();
        let v4: Vec<Route> = json(&["-j", "route", "show", "default"]);
        let v6: Vec<Route> = json(&["-j", "-6", "route", "show", "default"]);
        Self {
            unknown: ask("ip", &["-V"], "") == Err(Silence::Missing),
            forwards_v4: flag("ipv4/ip_forward"),
            forwards_v6: flag("ipv6/conf/all/forwarding"),
            strict_for_all: conf("ipv4", "all", "rp_filter"),
            interfaces,
            uplinks: v4.iter().flat_map(Route::interfaces).collect(),
            uplinks_v6: v6
                .iter()
                .flat_map(|route| {
                    let by_router = route.protocol.as_deref() == Some("ra");
                    route
                        .interfaces()
                        .into_iter()
                        .map(move |name| (name, by_router))
                })
                .collect(),
            ways: ways(config),
        }
    }
}

fn ways(config: &Config) -> Vec<Way> {
    let mut ways = Vec::new();
    for (name, upstream) in &config.upstreams {
        for address in &upstream.addresses {
            let Host::Address(to) = address.host else {
                continue;
            };
            let way: Vec<Route> = json(&["-j", "route", "get", &to.to_string()]);
            ways.push(Way {
                upstream: name.to_string(),
                to,
                via: way
                    .into_iter()
                    .next()
                    .and_then(|way| Some((way.dev?, way.prefsrc))),
            });
        }
    }
    ways
}

/// A line of `ip -j link`.
#[derive(Deserialize)]
struct Link {
    ifname: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    mtu: u32,
}

impl Link {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

/// A line of `ip -j route`.
#[derive(Deserialize)]
struct Route {
    dev: Option<String>,
    protocol: Option<String>,
    prefsrc: Option<IpAddr>,
    #[serde(default)]
    nexthops: Vec<Nexthop>,
}

/// One of several ways of a route.
#[derive(Deserialize)]
struct Nexthop {
    dev: Option<String>,
}

impl Route {
    fn interfaces(&self) -> Vec<String> {
        let several = self.nexthops.iter().filter_map(|hop| hop.dev.clone());
        self.dev.iter().cloned().chain(several).collect()
    }
}

fn json<T: for<'d> Deserialize<'d>>(arguments: &[&str]) -> Vec<T> {
    let text = ask("ip", arguments, "").unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn number(path: &str) -> Option<u32> {
    read_to_string(path).ok()?.trim().parse().ok()
}
