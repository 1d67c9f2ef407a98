//! Refused logins by address, and whom they banned: the memory of all workers.
//!
//! A client is an IPv4 address or an IPv6 /64. What is counted is refused logins within the time of a ban. A login that
//! goes well takes back what was counted for the same name, and nothing else: who has one account can't make the
//! gateway forget guesses at others. Invariant: no more than [`MOST`] refused logins and [`MOST`] bans are remembered.
//! This module must not know clocks, sockets or the kernel.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::admission::of_one_holder;
use crate::config;
use crate::engine::Wall;

/// Most refused logins, and most bans, that are remembered; then the oldest are forgotten.
const MOST: usize = 65_536;

/// What the config says of bans.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// How many refused logins within `time` ban an address; none to ban nobody.
    tries: Option<usize>,
    time: Duration,
    never: Vec<IpNet>,
    probes: Vec<IpNet>,
}

impl Bounds {
    pub(super) fn of(guard: &config::LoginGuard) -> Bounds {
        Bounds {
            tries: guard
                .ban
                .and(guard.tries)
                .map(|tries| usize::from(tries.get())),
            time: guard.ban.unwrap_or_default(),
            never: guard.never_ban.clone(),
            probes: guard.probes_from.clone(),
        }
    }

    fn spares(&self, client: IpAddr) -> bool {
        holds(&self.never, client) || holds(&self.probes, client)
    }

    fn spares_some_of(&self, network: IpNet) -> bool {
        let mut spared = self.never.iter().chain(&self.probes);
        spared.any(|spared| network.contains(spared) || spared.contains(&network))
    }
}

fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ban {
    /// None of one that an earlier gateway made.
    pub(super) since: Option<Wall>,
    pub(super) until: Wall,
    /// None of one that an earlier gateway made.
    pub(super) failures: Option<u32>,
    pub(super) in_kernel: bool,
    pub(super) turned_away: u64,
    ends: Duration,
}

/// A refused login.
#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Duration,
    /// The name, as a number that says nothing outside this process.
    user: u64,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Bans {
    bounds: Bounds,
    failures: HashMap<IpAddr, Vec<Failure>>,
    /// The same, oldest first; some may have been taken back.
    order: VecDeque<(Duration, IpAddr)>,
    bans: HashMap<IpAddr, Ban>,
    /// The same, by their ends.
    ends: BTreeSet<(Duration, IpAddr)>,
    names: RandomState,
    /// How many refused logins were forgotten before their time.
    forgotten: u64,
}

/// Who is banned now, and whoever's ban was given up for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Banned {
    pub(super) network: IpNet,
    pub(super) ban: Ban,
    /// Nobody in the network is one who is never banned.
    pub(super) spares_nobody: bool,
    pub(super) replaced: Option<(IpNet, Ban)>,
}

impl Bans {
    pub(super) fn new(bounds: Bounds) -> Bans {
        Bans {
            bounds,
            failures: HashMap::new(),
            order: VecDeque::new(),
            bans: HashMap::new(),
            ends: BTreeSet::new(),
            names: RandomState::new(),
            forgotten: 0,
        }
    }

    /// Puts other bounds in force; answers with the bans that they lift.
    pub(super) fn replace(&mut self, bounds: Bounds) -> Vec<(IpNet, Ban)> {
        let lifted: Vec<IpAddr> = self
            .bans
            .keys()
            .copied()
            .filter(|holder| bounds.spares(*holder))
            .collect();
        self.bounds = bounds;
        lifted
            .into_iter()
            .filter_map(|holder| self.lift(holder))
            .collect()
    }

    /// Counts a refused login; answers with whom that bans.
    pub(super) fn failed(
        &mut self,
        client: IpAddr,
        user: Option<&str>,
        now: Duration,
        wall: Wall,
    ) -> Option<Banned> {
        let tries = self.bounds.tries?;
        let holder = of_one_holder(client);
        if self.bounds.spares(client) || self.is_banned(client, now) {
            return None;
        }
        self.forget_old(now);
        let user = self.names.hash_one(user);
        let failures = self.failures.entry(holder).or_default();
        failures.push(Failure { at: now, user });
        self.order.push_back((now, holder));
        if failures.len() < tries {
            return None;
        }
        let count = self.failures.remove(&holder).map_or(0, |all| all.len());
        let time = self.bounds.time;
        let ban = Ban {
            since: Some(wall),
            until: later(wall, time),
            failures: Some(u32::try_from(count).unwrap_or(u32::MAX)),
            in_kernel: false,
            turned_away: 0,
            ends: now + time,
        };
        let replaced = match self.bans.len() >= MOST {
            true => self.ends.first().map(|(_, first)| *first),
            false => None,
        };
        let replaced = replaced.and_then(|holder| self.lift(holder));
        self.insert(holder, ban.clone());
        let network = network_of(holder);
        Some(Banned {
            network,
            ban,
            spares_nobody: !self.bounds.spares_some_of(network),
            replaced,
        })
    }

    /// Takes back what was counted for a name that has logged in from this address.
    pub(super) fn succeeded(&mut self, client: IpAddr, user: Option<&str>) {
        if self.failures.is_empty() {
            return;
        }
        let holder = of_one_holder(client);
        let user = self.names.hash_one(user);
        if let Some(failures) = self.failures.get_mut(&holder) {
            failures.retain(|failure| failure.user != user);
            if failures.is_empty() {
                self.failures.remove(&holder);
            }
        }
    }

    /// Takes over a ban that an earlier gateway left in the kernel.
    pub(super) fn adopt(&mut self, network: IpNet, left: Duration, now: Duration, wall: Wall) {
        let ban = Ban {
            since: None,
            until: later(wall, left),
            failures: None,
            in_kernel: true,
            turned_away: 0,
            ends: now + left,
        };
        if self.bans.len() < MOST {
            self.insert(of_one_holder(network.addr()), ban);
        }
    }

    /// Tells whether a client may be a health check.
    pub(super) fn may_be_probe(&self, client: IpAddr) -> bool {
        holds(&self.bounds.probes, client)
    }

    /// Tells whether a client is banned.
    pub(super) fn is_banned(&self, client: IpAddr, now: Duration) -> bool {
        !self.bans.is_empty()
            && !self.bounds.spares(client)
            && self
                .bans
                .get(&of_one_holder(client))
                .is_some_and(|ban| now < ban.ends)
    }

    /// Counts a connection that was turned away.
    pub(super) fn turned_away(&mut self, client: IpAddr) {
        if let Some(ban) = self.bans.get_mut(&of_one_holder(client)) {
            ban.turned_away += 1;
        }
    }

    /// Notes that the kernel drops the packets of whoever is banned.
    pub(super) fn in_kernel(&mut self, network: IpNet) {
        if let Some(ban) = self.bans.get_mut(&of_one_holder(network.addr())) {
            ban.in_kernel = true;
        }
    }

    /// Lifts the ban of an address, and forgets what was counted of it.
    pub(super) fn unban(&mut self, client: IpAddr) -> Option<(IpNet, Ban)> {
        let holder = of_one_holder(client);
        self.failures.remove(&holder);
        self.lift(holder)
    }

    /// Lifts all bans.
    pub(super) fn unban_all(&mut self) -> Vec<(IpNet, Ban)> {
        self.failures.clear();
        self.order.clear();
        let all: Vec<IpAddr> = self.bans.keys().copied().collect();
        all.into_iter()
            .filter_map(|holder| self.lift(holder))
            .collect()
    }

    /// Tells when the next ban ends.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.ends.first().map(|(ends, _)| *ends)
    }

    /// Takes the bans whose time is over.
    pub(super) fn ended(&mut self, now: Duration) -> Vec<(IpNet, Ban)> {
        let mut ended = Vec::new();
        while let Some((ends, holder)) = self.ends.first().copied()
            && ends <= now
        {
            ended.extend(self.lift(holder));
        }
        ended
    }

    /// Shows all bans, those that end first first.
    pub(super) fn all(&self) -> impl Iterator<Item = (IpNet, &Ban)> {
        self.ends
            .iter()
            .filter_map(|(_, holder)| Some((network_of(*holder), self.bans.get(holder)?)))
    }

    /// How many refused logins were forgotten before their time.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn insert(&mut self, holder: IpAddr, ban: Ban) {
        self.lift(holder);
        self.ends.insert((ban.ends, holder));
        self.bans.insert(holder, ban);
    }

    fn lift(&mut self, holder: IpAddr) -> Option<(IpNet, Ban)> {
        let ban = self.bans.remove(&holder)?;
        self.ends.remove(&(ban.ends, holder));
        Some((network_of(holder), ban))
    }

    /// Forgets what is too old to count, and the oldest where there is no room.
    fn forget_old(&mut self, now: Duration) {
        while let Some((at, holder)) = self.order.front().copied() {
            let is_old = at + self.bounds.time <= now;
            if !is_old && self.order.len() < MOST {
                return;
            }
            self.order.pop_front();
            let Some(failures) = self.failures.get_mut(&holder) else {
                continue;
            };
            let before = failures.len();
            failures.retain(|failure| failure.at > at);
            if !is_old {
                self.forgotten += (before - failures.len()) as u64;
            }
            if failures.is_empty() {
                self.failures.remove(&holder);
            }
        }
    }
}

/// The network by which a holder is banned.
pub(super) fn network_of(holder: IpAddr) -> IpNet {
    match holder {
        IpAddr::V4(_) => IpNet::from(holder),
        IpAddr::V6(_) => IpNet::new_assert(holder, 64),
    }
}

fn later(wall: Wall, time: Duration) -> Wall {
    Wall(
        wall.0
            .saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
    )
}

#[cfg(test)]
mod tests;
