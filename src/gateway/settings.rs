//! The config turned into what sessions are born with, and replaced as a whole at a reload.
//!
//! Invariant: a session sees either the old settings or the new ones, never a mixture. This module decides
//! nothing about FTP: it only carries values from the config to the engine.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::documents::Documents;
use super::secure;
use super::upstream::Upstream;
use crate::config::{self, Config};
use crate::engine::{
    Check, ClientTls, DataMode, ForeignAddress, Logins, PeerMatch, SessionFacts, SessionId,
    Settings, SourcePort, Timeouts, TlsMode, TlsPolicy, TlsRequire, UpstreamTls, Wall,
};
use crate::pinhole::RelayLimits;
use crate::policy::Grammar;
use crate::tls::Connector;

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

fn settings(
    config: &Config,
    name: &str,
    listener: &config::Listener,
    (upstream_name, upstream): (&str, &config::Upstream),
    documents: &Documents,
) -> Settings {
    let limits = &config.limits;
    Settings {
        listener: Arc::from(name),
        upstream: Arc::from(upstream_name),
        data_mode: match upstream.data_mode {
            config::DataMode::AsClient => DataMode::AsClient,
            config::DataMode::Passive => DataMode::Passive,
            config::DataMode::Active => DataMode::Active,
        },
        data_source_port: match listener.data_source_port {
            config::DataSourcePort::ControlMinusOne => SourcePort::ControlMinusOne,
            config::DataSourcePort::Random => SourcePort::Random,
        },
        peer: match listener.peer {
            config::PeerMatch::Exact => PeerMatch::Exact,
            config::PeerMatch::Prefix => PeerMatch::Prefix,
            config::PeerMatch::Any => PeerMatch::Any,
        },
        client_foreign_address: foreign(listener.foreign_address, &listener.allow_addresses),
        upstream_foreign_address: foreign(upstream.foreign_address, &upstream.allow_addresses),
        accept_bare_lf: match listener.bare_lf {
            config::BareLf::Refuse => false,
            config::BareLf::Accept => true,
        },
        line: usize::try_from(limits.line).unwrap_or(usize::MAX),
        reply: usize::try_from(limits.reply).unwrap_or(usize::MAX),
        pipeline: usize::try_from(limits.pipeline).unwrap_or(usize::MAX),
        commands_per_second: per_second(limits.commands),
        paths: grammar(upstream.paths),
        observe: listener.observe.iter().copied().map(check).collect(),
        guest: documents.guests.get(upstream_name).map(Arc::clone),
        anonymous_email: config.journal.anonymous_email,
        client_tls: client_tls(&listener.tls),
        upstream_tls: upstream_tls(&upstream.tls),
        logins: logins(config),
        timeouts: timeouts(config),
        rules: Arc::clone(&documents.rules),
        elsewhere: BTreeMap::new(),
        passwords: Arc::clone(&documents.passwords),
    }
}

fn client_tls(tls: &config::ListenerTls) -> ClientTls {
    ClientTls {
        mode: match tls.mode {
            config::TlsMode::None => TlsMode::None,
            config::TlsMode::Explicit => TlsMode::Explicit,
            config::TlsMode::Implicit => TlsMode::Implicit,
        },
        require: match tls.require {
            config::TlsRequire::Nothing => TlsRequire::Nothing,
            config::TlsRequire::Login => TlsRequire::Login,
            config::TlsRequire::All => TlsRequire::All,
        },
        resumed_only: match tls.resumption {
            config::Resumption::Ignore | config::Resumption::Prefer => false,
            config::Resumption::Require => true,
        },
        names_users: tls.client_certificates.user_from.is_some(),
    }
}

fn upstream_tls(tls: &config::UpstreamTls) -> UpstreamTls {
    UpstreamTls {
        mode: match tls.mode {
            config::UpstreamTlsMode::None => TlsMode::None,
            config::UpstreamTlsMode::Explicit => TlsMode::Explicit,
            config::UpstreamTlsMode::Implicit => TlsMode::Implicit,
        },
        policy: match tls.policy {
            config::TlsPolicy::Require => TlsPolicy::Require,
            config::TlsPolicy::Prefer => TlsPolicy::Prefer,
        },
    }
}

fn grammar(paths: config::PathGrammar) -> Option<Grammar> {
    match paths {
        config::PathGrammar::Auto => None,
        config::PathGrammar::Unix => Some(Grammar::Unix),
        config::PathGrammar::Windows => Some(Grammar::Windows),
        config::PathGrammar::IbmI => Some(Grammar::IbmI),
        config::PathGrammar::Mvs => Some(Grammar::Mvs),
        config::PathGrammar::Vms => Some(Grammar::Vms),
    }
}

fn check(check: config::Check) -> Check {
    match check {
        config::Check::BareLf => Check::BareLf,
        config::Check::UnknownVerb => Check::UnknownVerb,
        config::Check::ForeignAddress => Check::ForeignAddress,
        config::Check::LowPort => Check::LowPort,
        config::Check::Argument => Check::Argument,
        config::Check::EpsvAll => Check::EpsvAll,
    }
}

fn logins(config: &Config) -> Logins {
    Logins {
        tries: config.login_guard.tries,
        delay: config.login_guard.delay.unwrap_or_default(),
        counts_users: config.limits.sessions_per_user.is_some(),
    }
}

fn timeouts(config: &Config) -> Timeouts {
    let timeouts = &config.timeouts;
    Timeouts {
        login: timeouts.login,
        idle: timeouts.idle,
        command: timeouts.command,
        upstream_dial: timeouts.upstream_dial,
        final_reply: timeouts.final_reply,
        linger: timeouts.linger,
        ttl: config.pinholes.ttl,
    }
}

fn foreign(what: config::ForeignAddress, allowed: &[ipnet::IpNet]) -> ForeignAddress {
    match what {
        config::ForeignAddress::Refuse => ForeignAddress::Refuse,
        config::ForeignAddress::Ignore => ForeignAddress::Ignore,
        config::ForeignAddress::Allow => ForeignAddress::Allow(allowed.to_vec()),
    }
}

/// The engine counts commands per second; slower rates become one.
fn per_second(rate: config::Rate) -> u32 {
    let seconds = u32::try_from(rate.per.as_secs()).unwrap_or(u32::MAX).max(1);
    (rate.count / seconds).max(1)
}

/// A digest of a config (64 bit FNV-1a, in hex), by which two records can be compared; it is no proof of anything.
pub(super) fn digest(config: &Config) -> String {
    let text = serde_json::to_string(config).unwrap_or_default();
    let digest = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{digest:016x}")
}

/// Makes session ids: 34 bits of seconds, then 26 bits that never repeat within a process and begin at random.
#[derive(Debug)]
pub(super) struct Names {
    next: AtomicU64,
}

const COUNTER_BITS: u32 = 26;

impl Names {
    pub(super) fn new() -> Names {
        let mut random = [0; 8];
        // Without randomness ids are still unique within this process, and over restarts by their seconds.
        let begin = getrandom::fill(&mut random).map_or(0, |()| u64::from_le_bytes(random));
        Names {
            next: AtomicU64::new(begin),
        }
    }

    pub(super) fn next(&self, now: Wall) -> SessionId {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        // An odd factor permutes the numbers below a power of two: neighbours look different, none repeats.
        let scattered = count.wrapping_mul(0x9e37_79b1) & ((1 << COUNTER_BITS) - 1);
        let mut bits = ((now.0 / 1_000_000) << COUNTER_BITS) | scattered;
        let mut name = [b'a'; 12];
        for character in name.iter_mut().rev() {
            let index = usize::try_from(bits & 31).unwrap_or_default();
            *character = ALPHABET.get(index).copied().unwrap_or(b'a');
            bits >>= 5;
        }
        SessionId(name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "version: 1\nlisteners:\n  main:\n    listen: [\"127.0.0.1:0\"]\nupstreams:\n  old:\n    addresses: [\"10.0.0.5:21\"]\n{more}"
        );
        Config::parse(&text, "test").expect("a good config").config
    }

    #[test]
    fn session_ids_are_twelve_base32_characters_and_never_repeat_within_a_second() {
        let names = Names::new();
        let made: HashSet<_> = (0..100_000)
            .map(|_| names.next(Wall(1_763_700_000_000_000)))
            .collect();
        assert_eq!(made.len(), 100_000);
        for id in made.iter().take(100) {
            assert!(
                id.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
            );
            assert_eq!(id.as_str().len(), 12);
        }
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
