//! Who may begin a session: how many at all, how many from one address, how fast.
//!
//! Invariant: an admitted session is counted until its permit is dropped; the table of addresses never grows
//! beyond the sessions that run plus [`MOST_IDLE`]. An IPv6 client is its /64: whoever has one address there has
//! all of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Limits;

/// How many addresses without a session are remembered for their rate.
const MOST_IDLE: usize = 16 * 1024;

/// Between two records of the same kind about the same address, at least.
const QUIET: Duration = Duration::from_secs(10);

/// How many records about clients that were turned away there may be in a second, and in a burst.
const NEWS_PER_SECOND: f64 = 10.0;

/// Why a client is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// `limits.sessions`.
    Sessions,
    /// `limits.sessions_per_address`.
    SessionsPerAddress,
    /// `limits.connects_per_address`.
    ConnectsPerAddress,
    /// `login_guard.ban`.
    Banned,
}

impl Bound {
    /// Its key in the config.
    pub(super) fn key(self) -> &'static str {
        match self {
            Bound::Sessions => "limits.sessions",
            Bound::SessionsPerAddress => "limits.sessions_per_address",
            Bound::ConnectsPerAddress => "limits.connects_per_address",
            Bound::Banned => "login_guard.ban",
        }
    }

    /// What the client is told.
    pub(super) fn reply(self) -> &'static str {
        match self {
            Bound::Sessions => "421 Too many sessions at the moment; try again later.\r\n",
            Bound::SessionsPerAddress => {
                "421 Too many sessions from your address; close one and try again.\r\n"
            }
            Bound::ConnectsPerAddress => {
                "421 Too many connections in a short time from your address; wait a little and try again.\r\n"
            }
            Bound::Banned => {
                "421 Your address is banned for a time (too many refused logins, or an operator's order); try again later.\r\n"
            }
        }
    }
}

/// A client that was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TurnedAway {
    pub(super) bound: Bound,
    /// Whether it is news that should be recorded.
    pub(super) news: bool,
}

/// The counts of all workers.
#[derive(Debug)]
pub(super) struct Admission {
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    limits: Bounds,
    sessions: u32,
    addresses: HashMap<IpAddr, Address>,
    told: Option<Duration>,
    /// What may still be told now, about whomever.
    news: f64,
    news_at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    sessions: u32,
    per_address: u32,
    burst: f64,
    per_second: f64,
}

#[derive(Debug)]
struct Address {
    sessions: u32,
    tokens: f64,
    refilled: Duration,
    told: Option<Duration>,
}

/// Counts a session until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    /// Whose it counts as, IPv4 in mapped form; unspecified while it may be a health check, which counts as nobody's.
    address: Ipv6Addr,
}

impl Permit {
    /// Tells whether it is one of what may be a health check.
    pub(super) fn is_probes(&self) -> bool {
        self.address.is_unspecified()
    }

    /// Counts a client in that was taken for a health check, or says why not.
    pub(super) fn count(&mut self, client: IpAddr, now: Duration) -> Result<(), TurnedAway> {
        let key = of_one_holder(client);
        self.admission.counts().admit(key, now, true)?;
        self.address = mapped(key);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.sessions = counts.sessions.saturating_sub(1);
        if let Some(address) = counts.addresses.get_mut(&self.address.to_canonical()) {
            address.sessions = address.sessions.saturating_sub(1);
        }
    }
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Arc<Admission> {
        Arc::new(Admission {
            counts: Mutex::new(Counts {
                limits: Bounds::of(limits),
                sessions: 0,
                addresses: HashMap::new(),
                told: None,
                news: NEWS_PER_SECOND,
                news_at: Duration::ZERO,
            }),
        })
    }

    /// Puts other limits in force for clients that come from now on.
    pub(super) fn replace(&self, limits: &Limits) {
        self.counts().limits = Bounds::of(limits);
    }

    /// Counts a client in, or says why not.
    pub(super) fn admit(
        self: &Arc<Self>,
        client: IpAddr,
        now: Duration,
    ) -> Result<Permit, TurnedAway> {
        let address = of_one_holder(client);
        self.counts().admit(address, now, false)?;
        Ok(Permit {
            admission: Arc::clone(self),
            address: mapped(address),
        })
    }

    /// Counts in what may be a health check: for all sessions together, and for no address.
    pub(super) fn admit_probe(
        self: &Arc<Self>,
        client: IpAddr,
        now: Duration,
    ) -> Result<Permit, TurnedAway> {
        let mut counts = self.counts();
        if counts.sessions >= counts.limits.sessions {
            return Err(counts.turn_away(of_one_holder(client), Bound::Sessions, now));
        }
        counts.sessions += 1;
        drop(counts);
        Ok(Permit {
            admission: Arc::clone(self),
            address: Ipv6Addr::UNSPECIFIED,
        })
    }

    /// Turns a client away whose address is banned.
    pub(super) fn turn_away_banned(&self, client: IpAddr, now: Duration) -> TurnedAway {
        self.counts()
            .turn_away(of_one_holder(client), Bound::Banned, now)
    }

    /// How many sessions run.
    pub(super) fn sessions(&self) -> u32 {
        self.counts().sessions
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    fn of(limits: &Limits) -> Bounds {
        let rate = limits.connects_per_address;
        Bounds {
            sessions: limits.sessions,
            per_address: limits.sessions_per_address,
            burst: f64::from(rate.count),
            per_second: f64::from(rate.count) / rate.per.as_secs_f64(),
        }
    }
}

impl Counts {
    /// Counts a client in; one that is counted among all sessions already only for its address.
    fn admit(&mut self, key: IpAddr, now: Duration, counted: bool) -> Result<(), TurnedAway> {
        let limits = self.limits;
        let sessions = self.sessions;
        let address = self.address(key, now);
        let bound = if address.tokens < 1.0 {
            Bound::ConnectsPerAddress
        } else if address.sessions >= limits.per_address {
            Bound::SessionsPerAddress
        } else if !counted && sessions >= limits.sessions {
            Bound::Sessions
        } else {
            address.tokens -= 1.0;
            address.sessions += 1;
            self.sessions += u32::from(!counted);
            return Ok(());
        };
        // Whoever is turned away for another reason has connected all the same.
        if bound != Bound::ConnectsPerAddress {
            address.tokens -= 1.0;
        }
        Err(self.turn_away(key, bound, now))
    }

    /// What is known of an address.
    fn address(&mut self, key: IpAddr, now: Duration) -> &mut Address {
        if self.addresses.len() >= MOST_IDLE + usize::try_from(self.sessions).unwrap_or(usize::MAX)
        {
            self.forget(now);
        }
        let limits = self.limits;
        let address = self.addresses.entry(key).or_insert(Address {
            sessions: 0,
            tokens: limits.burst,
            refilled: now,
            told: None,
        });
        address.refill(limits, now);
        address
    }

    /// Says whether it is news that a client is turned away.
    fn turn_away(&mut self, key: IpAddr, bound: Bound, now: Duration) -> TurnedAway {
        let told = match bound {
            Bound::Sessions => self.told,
            Bound::SessionsPerAddress | Bound::ConnectsPerAddress | Bound::Banned => {
                self.address(key, now).told
            }
        };
        let passed = now.saturating_sub(self.news_at).as_secs_f64();
        self.news = (self.news + passed * NEWS_PER_SECOND).min(NEWS_PER_SECOND);
        self.news_at = now;
        let news = told.is_none_or(|told| told + QUIET <= now) && self.news >= 1.0;
        if news {
            self.news -= 1.0;
            match bound {
                Bound::Sessions => self.told = Some(now),
                Bound::SessionsPerAddress | Bound::ConnectsPerAddress | Bound::Banned => {
                    self.address(key, now).told = Some(now);
                }
            }
        }
        TurnedAway { bound, news }
    }

    /// Makes room: forgets addresses without a session, first those whose rate says nothing any more.
    fn forget(&mut self, now: Duration) {
        let limits = self.limits;
        self.addresses.retain(|_, address| {
            address.refill(limits, now);
            address.sessions > 0 || address.tokens < limits.burst
        });
        if self.addresses.len() >= MOST_IDLE {
            self.addresses.retain(|_, address| address.sessions > 0);
        }
    }
}

impl Address {
    fn refill(&mut self, limits: Bounds, now: Duration) {
        let passed = now.saturating_sub(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + passed * limits.per_second).min(limits.burst);
        self.refilled = now;
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The address by which a client is counted.
pub(super) fn of_one_holder(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests;
