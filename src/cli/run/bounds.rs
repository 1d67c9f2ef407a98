//! The config turned into what the gateway may ask of the broker at most.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{
    Config, DataMode, DataSourcePort, ForeignAddress, Host, PeerMatch, Resumption, Source,
};
use crate::nft::envelope::Envelope;

/// The gateway asks for a little more than the config's time, so that the kernel never shuts a hole before it does.
const MARGIN: Duration = Duration::from_secs(10);

/// A session has at most one transfer, and that at most two holes.
const HOLES_PER_SESSION: usize = 2;

/// Most bans at once.
const BANS: usize = 16_384;

/// Makes the envelope of a config whose listeners have these names and addresses.
pub(super) fn envelope(config: &Config, listeners: &[(String, SocketAddr)]) -> Envelope {
    let pinholes = &config.pinholes;
    let upstreams = config.upstreams.values();
    let hosts = || {
        let addresses = upstreams.clone().flat_map(|upstream| &upstream.addresses);
        addresses.map(|address| &address.host)
    };
    let dialled = upstreams
        .clone()
        .any(|upstream| upstream.data_mode != DataMode::Passive);
    let foreign = upstreams
        .clone()
        .filter(|upstream| upstream.foreign_address == ForeignAddress::Allow);
    let sessions = usize::try_from(config.limits.sessions).unwrap_or(usize::MAX);
    Envelope {
        client_window: pinholes.window.first()..=pinholes.window.last(),
        upstream_window: dialled
            .then(|| pinholes.upstream_window.first()..=pinholes.upstream_window.last()),
        listeners: listeners.iter().map(|(_, at)| at.ip()).collect(),
        upstreams: hosts()
            .filter_map(|host| match host {
                Host::Address(address) => Some(address.to_canonical()),
                Host::Name(_) => None,
            })
            .collect(),
        names: hosts()
            .filter_map(|host| match host {
                Host::Address(_) => None,
                Host::Name(name) => Some((name.clone(), Vec::new())),
            })
            .collect::<BTreeMap<_, _>>(),
        foreign: foreign
            .flat_map(|upstream| upstream.allow_addresses.iter().copied())
            .collect(),
        prefix_peers: config
            .listeners
            .values()
            .any(|listener| listener.peer == PeerMatch::Prefix),
        candidates: config
            .listeners
            .values()
            .any(|listener| listener.tls.resumption == Resumption::Require),
        any_peer: config
            .listeners
            .values()
            .any(|listener| listener.peer == PeerMatch::Any),
        keeps_source: config
            .upstreams
            .values()
            .any(|upstream| upstream.source == Source::Client),
        source_ports: source_ports(config, listeners),
        client_ttl: pinholes.ttl.saturating_add(MARGIN),
        upstream_ttl: pinholes
            .ttl
            .max(config.timeouts.upstream_dial)
            .saturating_add(MARGIN),
        holes: sessions.saturating_mul(HOLES_PER_SESSION),
        bans: BANS,
    }
}

/// Each listener's port less one, where the config wants data from there.
fn source_ports(config: &Config, listeners: &[(String, SocketAddr)]) -> Vec<u16> {
    let wanted = listeners.iter().filter(|(name, _)| {
        config.listeners.iter().any(|(known, listener)| {
            known.as_str() == name && listener.data_source_port == DataSourcePort::ControlMinusOne
        })
    });
    let mut ports: Vec<u16> = wanted
        .filter_map(|(_, at)| at.port().checked_sub(1))
        .filter(|port| *port != 0)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_no_wider_than_its_config() {
        let text = "version: 1
listeners:
  main: {listen: [\"*:21\"], upstream: old}
  other: {listen: [\"192.0.2.1:2121\"], upstream: named, data_source_port: random, peer: prefix}
upstreams:
  old: {addresses: [\"10.0.0.5\", \"[2001:db8::5]:2121\"], data_mode: passive}
  named: {addresses: [\"ftp.example.com\"], data_mode: passive, foreign_address: allow, allow_addresses: [10.1.0.0/16]}
pinholes: {firewall: nftables, ttl: 20s}
limits: {sessions: 100}
";
        let config = Config::parse(text, "test").expect("a config").config;
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let listeners = [
            ("main".to_owned(), at("0.0.0.0:21")),
            ("main".to_owned(), at("[::]:21")),
            ("other".to_owned(), at("192.0.2.1:2121")),
        ];
        let envelope = envelope(&config, &listeners);
        assert_eq!(envelope.client_window, 21000..=21015);
        // Nobody is ever dialled by an upstream.
        assert_eq!(envelope.upstream_window, None);
        assert_eq!(envelope.source_ports, [20]);
        assert_eq!(
            envelope.upstreams,
            [at("10.0.0.5:1").ip(), at("[2001:db8::5]:1").ip()]
        );
        assert_eq!(
            envelope.names,
            BTreeMap::from([("ftp.example.com".to_owned(), Vec::new())])
        );
        assert_eq!(
            envelope.foreign,
            ["10.1.0.0/16".parse().expect("a network")]
        );
        assert!(envelope.prefix_peers && !envelope.keeps_source);
        assert!(!envelope.any_peer && !envelope.candidates);
        assert_eq!(envelope.client_ttl, Duration::from_secs(30));
        assert_eq!(envelope.holes, 200);
    }

    #[test]
    fn several_and_everybody_only_where_a_listener_says_so() {
        let envelope_of = |more: &str| {
            let text = format!(
                "version: 1
listeners:
  main: {{listen: [\"*:21\"]}}
  tls: {{listen: [\"*:2121\"]{more}, tls: {{mode: explicit, resumption: require, certificates: [{{chain: /t/chain.pem, key: /t/key.pem}}]}}}}
upstreams: {{old: {{addresses: [\"10.0.0.5\"]}}}}
pinholes: {{firewall: nftables}}
"
            );
            let config = Config::parse(&text, "test").expect("a config").config;
            let here = "0.0.0.0:21".parse().expect("an address");
            envelope(&config, &[("main".to_owned(), here)])
        };
        let exact = envelope_of("");
        assert!(exact.candidates && !exact.any_peer);
        let any = envelope_of(", peer: any");
        assert!(any.candidates && any.any_peer);
    }
}
