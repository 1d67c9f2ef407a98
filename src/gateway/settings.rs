//! The config turned into what sessions are born with, and replaced as a whole at a reload.
//!
//! Invariant: a session sees either the old settings or the new ones, never a mixture. This module decides
//! nothing about FTP: it only carries values from the config to the engine.

mod translate;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::documents::Documents;
use super::secure;
use super::upstream::Upstream;
use crate::config::{self, Config};
use crate::engine::{SessionFacts, SessionId, Settings};
use crate::pinhole::RelayLimits;
use crate::tls::Connector;
use translate::settings;

/// The deadlines that the shell keeps, for all sessions alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    pub(super) connect: Duration,
    pub(super) relay: RelayLimits,
    pub(super) send_stall: Duration,
    pub(super) keepalive: Duration,
    pub(super) drain: Duration,
}

impl Tuning {
    pub(super) fn of(config: &Config) -> Tuning {
        let timeouts = &config.timeouts;
        Tuning {
            connect: timeouts.connect,
            relay: RelayLimits {
                stall: timeouts.stall,
                linger: timeouts.linger,
            },
            send_stall: timeouts.send_stall,
            keepalive: timeouts.keepalive,
            drain: timeouts.drain,
        }
    }
}

/// What a listener's sessions are born with.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) settings: Arc<Settings>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) material: secure::Material,
    advertise: Vec<config::Advertise>,
    /// The config's other upstreams, where somebody who is asked may choose one.
    elsewhere: BTreeMap<String, Elsewhere>,
}

/// An upstream that is not the listener's own.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    pub(super) upstream: Arc<Upstream>,
    connector: Option<Arc<Connector>>,
}

/// A listener as sessions see it: its name for ever, its policy until the next reload.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: Arc<str>,
    pub(super) policy: ArcSwap<Policy>,
    misled: AtomicBool,
}

impl Place {
    pub(super) fn new(name: &str, policy: Policy) -> Place {
        Place {
            name: Arc::from(name),
            policy: ArcSwap::from_pointee(policy),
            misled: AtomicBool::new(false),
        }
    }

    /// Puts a new policy in force; what was said about the old one may be said again.
    pub(super) fn replace(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
        self.misled.store(false, Ordering::Relaxed);
    }

    /// Answers once, for the first client on the internet that is told an address it can't reach.
    pub(super) fn is_first_misled(&self, facts: &SessionFacts) -> bool {
        config::advertise::misleading(facts.client.ip(), facts.advertised)
            && !self.misled.swap(true, Ordering::Relaxed)
    }
}

impl Policy {
    /// Finds an upstream by its name.
    pub(super) fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        match **self.upstream.name() == *name {
            true => Some(&self.upstream),
            false => self.elsewhere.get(name).map(|other| &other.upstream),
        }
    }

    /// Gives what a session with this upstream gets its TLS from.
    pub(super) fn material(&self, upstream: &str) -> secure::Material {
        let mut material = self.material.clone();
        if let Some(other) = self.elsewhere.get(upstream) {
            material.connector.clone_from(&other.connector);
        }
        material
    }

    /// What a client of this listener is born with.
    pub(super) fn facts(
        &self,
        id: SessionId,
        client: SocketAddr,
        target: SocketAddr,
    ) -> SessionFacts {
        let advertised: IpAddr =
            config::advertise::choose(&self.advertise, client.ip(), target.ip());
        SessionFacts {
            id,
            client,
            target,
            advertised,
            may_be_probe: false,
        }
    }
}

/// The upstreams of a config, each with a memory of its own; those that did not change keep theirs.
pub(super) fn upstreams(
    config: &Config,
    before: &BTreeMap<String, Arc<Upstream>>,
) -> BTreeMap<String, Arc<Upstream>> {
    let made = config.upstreams.iter().map(|(name, upstream)| {
        let kept = before.get(name.as_str()).filter(|old| old.is(upstream));
        let upstream = kept.map_or_else(
            || Arc::new(Upstream::new(name.as_str(), upstream)),
            Arc::clone,
        );
        (name.to_string(), upstream)
    });
    made.collect()
}

/// The policy of each listener.
pub(super) fn policies(
    config: &Config,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    documents: &Documents,
) -> Vec<(String, Policy)> {
    let material = &documents.material;
    let made = config.listeners.iter().filter_map(|(name, listener)| {
        // The loader made sure that each listener's upstream exists.
        let upstream = upstreams.get(listener.upstream.as_str())?;
        let own = (listener.upstream.as_str(), config.upstream_of(listener)?);
        let mut settings = settings(config, name.as_str(), listener, own, documents);
        let mut elsewhere = BTreeMap::new();
        let others = config.upstreams.iter().filter(|(other, _)| {
            documents.rules.asks() && other.as_str() != listener.upstream.as_str()
        });
        for (other, upstream) in others {
            let Some(known) = upstreams.get(other.as_str()) else {
                continue;
            };
            let there = (other.as_str(), upstream);
            let there = self::settings(config, name.as_str(), listener, there, documents);
            settings
                .elsewhere
                .insert(Arc::from(other.as_str()), Arc::new(there));
            let connector = material.connectors.get(other.as_str()).cloned();
            let upstream = Arc::clone(known);
            elsewhere.insert(
                other.to_string(),
                Elsewhere {
                    upstream,
                    connector,
                },
            );
        }
        let policy = Policy {
            settings: Arc::new(settings),
            elsewhere,
            upstream: Arc::clone(upstream),
            material: secure::Material {
                acceptor: material.acceptors.get(name.as_str()).cloned(),
                connector: material.connectors.get(listener.upstream.as_str()).cloned(),
                ends_silently: match listener.tls.missing_close_notify {
                    config::MissingCloseNotify::Refuse => false,
                    config::MissingCloseNotify::Accept => true,
                },
            },
            advertise: listener.advertise.clone(),
        };
        Some((name.to_string(), policy))
    });
    made.collect()
}

/// A digest of a config (64 bit FNV-1a, in hex), by which two records can be compared; it is no proof of anything.
pub(super) fn digest(config: &Config) -> String {
    let text = serde_json::to_string(config).unwrap_or_default();
    let digest = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "version: 1\nlisteners:\n  main:\n    listen: [\"127.0.0.1:0\"]\nupstreams:\n  old:\n    addresses: [\"10.0.0.5:21\"]\n{more}"
        );
        Config::parse(&text, "test").expect("a good config").config
    }

    #[test]
    fn a_reload_keeps_the_memory_of_an_upstream_that_did_not_change() {
        let before = upstreams(&config(""), &BTreeMap::new());
        let same = upstreams(&config("timeouts: {idle: 1m}\n"), &before);
        assert!(Arc::ptr_eq(&before["old"], &same["old"]));
        let text = "version: 1\nlisteners:\n  main:\n    listen: [\"127.0.0.1:0\"]\nupstreams:\n  old:\n    addresses: [\"10.0.0.6:21\"]\n";
        let other = Config::parse(text, "test").expect("a good config").config;
        assert!(!Arc::ptr_eq(
            &before["old"],
            &upstreams(&other, &before)["old"]
        ));
    }

    fn documents(config: &Config) -> Documents {
        Documents::load(config, &crate::config::files::Disk).expect("nothing but shipped rules")
    }

    #[test]
    fn settings_carry_what_the_config_says() {
        let config = config(
            "limits: {line: 8KiB, commands: 120/min}\ntimeouts: {idle: 1m}\nrules: {default: deny}\n",
        );
        let upstreams = upstreams(&config, &BTreeMap::new());
        let made = policies(&config, &upstreams, &documents(&config));
        let settings = &made[0].1.settings;
        assert_eq!(made[0].0, "main");
        assert_eq!(&*settings.upstream, "old");
        assert_eq!(settings.line, 8192);
        assert_eq!(settings.commands_per_second, 2);
        assert_eq!(settings.timeouts.idle, Duration::from_secs(60));
    }

    #[test]
    fn the_first_public_client_that_is_told_a_private_address_is_told_of_once() {
        let config = config("");
        let upstreams = upstreams(&config, &BTreeMap::new());
        let (name, policy) = policies(&config, &upstreams, &documents(&config)).remove(0);
        let place = Place::new(&name, policy);
        let facts = |client: &str| {
            let client = SocketAddr::new(client.parse().expect("an address"), 4000);
            place.policy.load().facts(
                SessionId(*b"aaaaaaaaaaaa"),
                client,
                "10.0.0.1:21".parse().expect("an address"),
            )
        };
        assert!(!place.is_first_misled(&facts("10.0.0.9")));
        assert!(place.is_first_misled(&facts("198.51.100.7")));
        assert!(!place.is_first_misled(&facts("198.51.100.8")));
    }

    #[test]
    fn a_digest_tells_configs_apart() {
        assert_eq!(digest(&config("")), digest(&config("")));
        assert_ne!(
            digest(&config("")),
            digest(&config("timeouts: {idle: 1m}\n"))
        );
    }
}
