//! The config's words turned into the engine's, value by value.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{self, Config};
use crate::engine::{
    Check, ClientTls, DataMode, ForeignAddress, Logins, PeerMatch, Settings, SourcePort, Timeouts,
    TlsMode, TlsPolicy, TlsRequire, UpstreamTls,
};
use crate::gateway::documents::Documents;
use crate::policy::Grammar;

/// What the sessions of one listener are born with, at one upstream.
pub(super) fn settings(
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
