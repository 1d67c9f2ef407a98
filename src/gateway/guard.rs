//! Guards logins: hears which were refused and which went well, and has whoever guesses banned.
//!
//! Workers tell and ask; the steward, who is told of each new ban, has it recorded, has the kernel drop the packets
//! of whoever is banned, and ends the sessions of that address that are not logged in. Invariant: a ban holds here
//! whatever becomes of the kernel's part of it.

mod orders;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::bans::{Ban, Banned, Bans, Bounds, network_of};
use super::clock::Clock;
use super::status::{BanReport, LoginGuardReport};
use super::steward::{Errand, Steward, record};
use super::worker::Message;
use crate::config::LoginGuard as Config;
use crate::engine::{BanReason, Event, Record, UnbanReason};

/// The guard of all workers.
#[derive(Debug)]
pub(super) struct LoginGuard {
    bans: Mutex<Bans>,
    /// Whether there is anybody to turn away or to take for a probe: most clients are let in without a lock.
    watches: AtomicBool,
    errands: mpsc::UnboundedSender<Errand>,
}

/// Who is banned, so that the steward sees to it.
#[derive(Debug)]
pub(super) struct News(Banned);

impl LoginGuard {
    pub(super) fn new(config: &Config, errands: mpsc::UnboundedSender<Errand>) -> LoginGuard {
        let guard = LoginGuard {
            bans: Mutex::new(Bans::new(Bounds::of(config))),
            watches: AtomicBool::new(false),
            errands,
        };
        guard.watch(config);
        guard
    }

    fn watch(&self, config: &Config) {
        let watches = !config.probes_from.is_empty() || self.bans().next_end().is_some();
        self.watches.store(watches, Ordering::Relaxed);
    }

    /// Takes over bans that an earlier gateway left in the kernel, with what is left of their time.
    pub(super) fn adopt(&self, left: &[(IpNet, Duration)], clock: &Clock) {
        let now = clock.now();
        for (network, left) in left {
            self.bans().adopt(*network, *left, now.mono, now.wall);
            self.watches.store(true, Ordering::Relaxed);
        }
    }

    /// Tells what a client is that has just connected.
    pub(super) fn look_at(&self, client: IpAddr, now: Duration) -> Guarded {
        if !self.watches.load(Ordering::Relaxed) {
            return Guarded::Client;
        }
        let mut bans = self.bans();
        if bans.is_banned(client, now) {
            bans.turned_away(client);
            return Guarded::Banned;
        }
        match bans.may_be_probe(client) {
            true => Guarded::Probe,
            false => Guarded::Client,
        }
    }

    /// Hears of a login, if a record is about one.
    pub(super) fn hear(&self, record: &Record, now: Duration) {
        let Some(client) = record.client else { return };
        let user = record.user.as_deref();
        match record.event {
            Event::LoginSucceeded { .. } => self.bans().succeeded(client, user),
            Event::LoginFailed { .. } => {
                let mut bans = self.bans();
                let errand = match bans.failed(client, user, now, record.at) {
                    Some(banned) => Errand::Banned(News(banned)),
                    // From a session that was logged in when its address was banned.
                    None if bans.is_banned(client, now) => Errand::GuessedOn(client),
                    None => return,
                };
                self.watches.store(true, Ordering::Relaxed);
                // A steward that is gone has no clients to turn away any more.
                let _ = self.errands.send(errand);
            }
            _ => {}
        }
    }

    fn bans(&self) -> MutexGuard<'_, Bans> {
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells when the next ban ends.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.bans().next_end()
    }

    /// Says for `ctl status` how it stands.
    pub(super) fn report(&self) -> LoginGuardReport {
        let bans = self.bans();
        LoginGuardReport {
            bans: bans.all().count() as u64,
            forgotten: bans.forgotten(),
        }
    }

    /// Says for `ctl bans` who is banned.
    pub(super) fn reports(&self) -> Vec<BanReport> {
        let bans = self.bans();
        let reports = bans.all().map(|(network, ban)| report(network, ban));
        reports.collect()
    }
}

fn report(network: IpNet, ban: &Ban) -> BanReport {
    BanReport {
        address: shown(network),
        since: ban.since.map(super::journal::time),
        until: super::journal::time(ban.until),
        failures: ban.failures,
        by_operator: ban.by_operator,
        in_kernel: ban.in_kernel,
        turned_away: ban.turned_away,
    }
}

/// Shows a banned network: an IPv4 address as it is, an IPv6 one as its /64.
pub(super) fn shown(network: IpNet) -> String {
    match network {
        IpNet::V4(network) if network.prefix_len() == 32 => network.addr().to_string(),
        network => network.to_string(),
    }
}

/// What the steward does about bans.
impl Steward {
    /// Sees to a new ban.
    pub(super) fn see_to_ban(&self, News(banned): News) {
        self.begin_ban(banned);
    }

    /// Has the kernel drop whoever is banned, records it, and ends the sessions that are not logged in; answers with
    /// whether the kernel does.
    fn begin_ban(&self, banned: Banned) -> bool {
        let shared = &self.shared;
        let Banned {
            network,
            ban,
            time,
            spares_nobody,
            replaced,
        } = banned;
        // Whoever saw to the end of the last ban may not have known of this one.
        shared.guard.watch(&self.config.login_guard);
        let in_kernel = spares_nobody && self.ban_in_kernel(network, time);
        if in_kernel {
            shared.guard.bans().in_kernel(network);
        }
        let (reason, why) = match ban.failures {
            Some(failures) => (
                BanReason::Guessing,
                format!("after {failures} refused logins"),
            ),
            None => (BanReason::Operator, "by an operator".to_owned()),
        };
        tracing::warn!(
            "{} is banned until {} {why}",
            shown(network),
            super::journal::time(ban.until)
        );
        record(
            shared,
            Event::AddressBanned {
                from: network,
                reason,
                failures: ban.failures,
                until: ban.until,
                in_kernel,
            },
        );
        self.tell_all(|| Message::Banned(network));
        if let Some(replaced) = replaced {
            self.see_lifted(vec![replaced], UnbanReason::Replaced);
        }
        in_kernel
    }

    /// Ends the sessions of a banned address that are not logged in, once more.
    pub(super) fn see_to_guesses(&self, client: IpAddr) {
        let network = network_of(client);
        self.tell_all(|| Message::Banned(network));
    }

    fn ban_in_kernel(&self, network: IpNet, time: Duration) -> bool {
        let Some(firewall) = &self.firewall else {
            return false;
        };
        let done = firewall.ban(network, time);
        if let Err(error) = &done {
            tracing::warn!(%error, "the kernel does not ban {}; the gateway does", shown(network));
        }
        done.is_ok()
    }

    /// Sees to the bans whose time is over; the kernel has forgotten them by itself.
    pub(super) fn see_to_ends(&self) {
        let now = self.shared.clock.mono();
        let ended = self.shared.guard.bans().ended(now);
        for (network, ban) in ended {
            self.record_lifted(network, &ban, UnbanReason::Expired);
        }
        self.shared.guard.watch(&self.config.login_guard);
    }

    /// Puts a new config in force.
    pub(super) fn replace_guard(&self, config: &Config) {
        let lifted = self.shared.guard.bans().replace(Bounds::of(config));
        self.see_lifted(lifted, UnbanReason::Config);
        self.shared.guard.watch(config);
    }

    fn see_lifted(&self, lifted: Vec<(IpNet, Ban)>, reason: UnbanReason) {
        for (network, ban) in lifted {
            if let (true, Some(firewall)) = (ban.in_kernel, &self.firewall)
                && let Err(error) = firewall.unban(network)
            {
                tracing::warn!(%error, "the kernel goes on to ban {} until {}", shown(network), super::journal::time(ban.until));
            }
            self.record_lifted(network, &ban, reason);
        }
        self.shared.guard.watch(&self.config.login_guard);
    }

    fn record_lifted(&self, network: IpNet, ban: &Ban, reason: UnbanReason) {
        tracing::info!("{} is banned no more", shown(network));
        record(
            &self.shared,
            Event::AddressUnbanned {
                from: network,
                reason,
                turned_away: ban.turned_away,
            },
        );
    }
}

/// What a new client is to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarded {
    /// Nobody special.
    Client,
    /// Perhaps a health check.
    Probe,
    /// Somebody whose address is banned.
    Banned,
}
