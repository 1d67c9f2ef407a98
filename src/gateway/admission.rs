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
}

impl Bound {
    /// Its key in the config.
    pub(super) fn key(self) -> &'static str {
        match self {
            Bound::Sessions => "limits.sessions",
            Bound::SessionsPerAddress => "limits.sessions_per_address",
            Bound::ConnectsPerAddress => "limits.connects_per_address",
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
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.sessions = counts.sessions.saturating_sub(1);
        if let Some(address) = counts.addresses.get_mut(&self.address) {
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
        self.counts().admit(address, now)?;
        Ok(Permit {
            admission: Arc::clone(self),
            address,
        })
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
    fn admit(&mut self, key: IpAddr, now: Duration) -> Result<(), TurnedAway> {
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
        let bound = if address.tokens < 1.0 {
            Bound::ConnectsPerAddress
        } else if address.sessions >= limits.per_address {
            Bound::SessionsPerAddress
        } else if self.sessions >= limits.sessions {
            Bound::Sessions
        } else {
            address.tokens -= 1.0;
            address.sessions += 1;
            self.sessions += 1;
            return Ok(());
        };
        // Whoever is turned away for another reason has connected all the same.
        if bound != Bound::ConnectsPerAddress {
            address.tokens -= 1.0;
        }
        let told = match bound {
            Bound::Sessions => &mut self.told,
            Bound::SessionsPerAddress | Bound::ConnectsPerAddress => &mut address.told,
        };
        let passed = now.saturating_sub(self.news_at).as_secs_f64();
        self.news = (self.news + passed * NEWS_PER_SECOND).min(NEWS_PER_SECOND);
        self.news_at = now;
        let news = told.is_none_or(|told| told + QUIET <= now) && self.news >= 1.0;
        if news {
            *told = Some(now);
            self.news -= 1.0;
        }
        Err(TurnedAway { bound, news })
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

/// The address by which a client is counted.
fn of_one_holder(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    fn admission(sessions: u32, per_address: u32, per_second: u32) -> Arc<Admission> {
        Admission::new(&Limits {
            sessions,
            sessions_per_address: per_address,
            connects_per_address: Rate::per_second(per_second),
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn sessions_are_counted_until_their_permit_is_dropped() {
        let admission = admission(2, 64, 100);
        let first = admission.admit(ip("192.0.2.1"), NOW).expect("room");
        let _second = admission.admit(ip("192.0.2.2"), NOW).expect("room");
        let away = admission.admit(ip("192.0.2.3"), NOW).expect_err("full");
        assert_eq!(
            away,
            TurnedAway {
                bound: Bound::Sessions,
                news: true
            }
        );
        let away = admission.admit(ip("192.0.2.4"), NOW).expect_err("full");
        assert!(
            !away.news,
            "one record about a full gateway is enough for a while"
        );
        drop(first);
        assert!(admission.admit(ip("192.0.2.3"), NOW).is_ok());
    }

    #[test]
    fn one_address_has_its_own_bound_and_others_are_unharmed() {
        let admission = admission(100, 1, 100);
        let _held = admission.admit(ip("192.0.2.1"), NOW).expect("room");
        let away = admission
            .admit(ip("192.0.2.1"), NOW)
            .expect_err("its own bound");
        assert_eq!(away.bound, Bound::SessionsPerAddress);
        assert!(admission.admit(ip("192.0.2.2"), NOW).is_ok());
    }

    #[test]
    fn connects_are_a_bucket_that_refills() {
        let admission = admission(1000, 1000, 20);
        for _ in 0..20 {
            admission
                .admit(ip("192.0.2.1"), NOW)
                .expect("within the burst");
        }
        let away = admission.admit(ip("192.0.2.1"), NOW).expect_err("too fast");
        assert_eq!(
            away,
            TurnedAway {
                bound: Bound::ConnectsPerAddress,
                news: true
            }
        );
        let soon = NOW + Duration::from_millis(60);
        assert!(admission.admit(ip("192.0.2.1"), soon).is_ok());
        assert!(
            !admission
                .admit(ip("192.0.2.1"), soon)
                .expect_err("again")
                .news
        );
    }

    #[test]
    fn a_flood_from_many_addresses_is_told_of_in_bounded_numbers() {
        let admission = admission(1, 64, 100);
        let _held = admission.admit(ip("192.0.2.1"), NOW).expect("room");
        let limits = Limits {
            sessions: 100_000,
            sessions_per_address: 1,
            ..Limits::default()
        };
        admission.replace(&limits);
        let mut permits = Vec::new();
        let told = (0..1000_u32).filter(|n| {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            permits.push(admission.admit(address, NOW).expect("room"));
            admission
                .admit(address, NOW)
                .expect_err("its own bound")
                .news
        });
        assert_eq!(told.count(), 10);
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        let admission = admission(100, 1, 100);
        let _held = admission.admit(ip("2001:db8::1"), NOW).expect("room");
        assert!(admission.admit(ip("2001:db8::ffff:2"), NOW).is_err());
        assert!(admission.admit(ip("2001:db8:0:1::1"), NOW).is_ok());
    }

    #[test]
    fn a_flood_from_ever_other_addresses_does_not_grow_the_table() {
        let admission = admission(100, 10, 1);
        let _held = admission.admit(ip("192.0.2.1"), NOW).expect("room");
        for n in 0..100_000_u32 {
            drop(admission.admit(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), NOW));
        }
        let counts = admission.counts();
        assert!(
            counts.addresses.len() <= MOST_IDLE + 100,
            "{}",
            counts.addresses.len()
        );
        assert_eq!(
            counts.addresses.get(&ip("192.0.2.1")).map(|a| a.sessions),
            Some(1)
        );
    }
}
