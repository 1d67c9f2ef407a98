//! Refused logins by address, and whom they banned: the memory of all workers.
//!
//! A client is an IPv4 address or an IPv6 /64; an operator may ban an IPv4 /24 as well. What is counted is refused logins within the time of a ban. A login that
//! goes well takes back what was counted for the same name, and nothing else: who has one account can't make the
//! gateway forget guesses at others. Invariant: no more than [`MOST`] refused logins and [`MOST`] bans are remembered.
//! This module must not know clocks, sockets or the kernel.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

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

    /// Tells whom of a network a ban would spare.
    fn spares_of(&self, network: IpNet) -> Option<IpNet> {
        let mut spared = self.never.iter().chain(&self.probes).copied();
        spared.find(|spared| network.contains(spared) || spared.contains(&network))
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
    /// None of one that an earlier gateway made, or an operator.
    pub(super) failures: Option<u32>,
    pub(super) by_operator: bool,
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
    bans: HashMap<IpNet, Ban>,
    /// The same, by their ends.
    ends: BTreeSet<(Duration, IpNet)>,
    names: RandomState,
    /// How many refused logins were forgotten before their time.
    forgotten: u64,
}

/// Who is banned now, and whoever's ban was given up for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Banned {
    pub(super) network: IpNet,
    pub(super) ban: Ban,
    pub(super) time: Duration,
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
        let lifted = self.among(|network| bounds.spares(network.addr()));
        self.bounds = bounds;
        self.lift_all(lifted)
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
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let time = self.bounds.time;
        Some(self.begin(network_of(holder), Some(count), time, (now, wall)))
    }

    /// Bans a network because an operator says so; one that is banned already for this time from now on.
    ///
    /// # Errors
    /// With the network of the config that is never banned, where that is or holds some of it.
    pub(super) fn order(
        &mut self,
        network: IpNet,
        time: Duration,
        now: Duration,
        wall: Wall,
    ) -> Result<Banned, IpNet> {
        match self.bounds.spares_of(network) {
            Some(spared) => Err(spared),
            None => Ok(self.begin(network, None, time, (now, wall))),
        }
    }

    /// Begins a ban after so many refused logins, or one that an operator wants.
    fn begin(
        &mut self,
        network: IpNet,
        failures: Option<u32>,
        time: Duration,
        (now, wall): (Duration, Wall),
    ) -> Banned {
        let before = self.lift(network).map(|(_, ban)| ban);
        let ban = Ban {
            since: Some(wall),
            until: later(wall, time),
            failures,
            by_operator: failures.is_none(),
            in_kernel: before.as_ref().is_some_and(|ban| ban.in_kernel),
            turned_away: before.map_or(0, |ban| ban.turned_away),
            ends: now + time,
        };
        let replaced = match self.bans.len() >= MOST {
            true => self.ends.first().map(|(_, first)| *first),
            false => None,
        };
        let replaced = replaced.and_then(|first| self.lift(first));
        self.insert(network, ban.clone());
        Banned {
            network,
            ban,
            time,
            spares_nobody: self.bounds.spares_of(network).is_none(),
            replaced,
        }
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
            by_operator: false,
            in_kernel: true,
            turned_away: 0,
            ends: now + left,
        };
        if self.bans.len() < MOST {
            let bannable = bannable(network).unwrap_or_else(|| network_of(network.addr()));
            self.insert(bannable, ban);
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
            && networks_around(client)
                .filter_map(|network| self.bans.get(&network))
                .any(|ban| now < ban.ends)
    }

    /// Counts a connection that was turned away.
    pub(super) fn turned_away(&mut self, client: IpAddr) {
        let banned = networks_around(client).find(|network| self.bans.contains_key(network));
        if let Some(ban) = banned.and_then(|network| self.bans.get_mut(&network)) {
            ban.turned_away += 1;
        }
    }

    /// Notes that the kernel drops the packets of whoever is banned.
    pub(super) fn in_kernel(&mut self, network: IpNet) {
        if let Some(ban) = self.bans.get_mut(&network) {
            ban.in_kernel = true;
        }
    }

    /// Lifts the bans of a network and of all in it, and forgets what was counted of them.
    pub(super) fn unban(&mut self, network: IpNet) -> Vec<(IpNet, Ban)> {
        self.failures.retain(|holder, _| !network.contains(holder));
        let lifted = self.among(|banned| network.contains(&banned));
        self.lift_all(lifted)
    }

    /// Tells of which wider network an address is banned.
    pub(super) fn wider_ban(&self, network: IpNet) -> Option<IpNet> {
        networks_around(network.addr())
            .find(|wider| *wider != network && self.bans.contains_key(wider))
    }

    /// Lifts all bans.
    pub(super) fn unban_all(&mut self) -> Vec<(IpNet, Ban)> {
        self.failures.clear();
        self.order.clear();
        let all = self.among(|_| true);
        self.lift_all(all)
    }

    /// Tells when the next ban ends.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.ends.first().map(|(ends, _)| *ends)
    }

    /// Takes the bans whose time is over.
    pub(super) fn ended(&mut self, now: Duration) -> Vec<(IpNet, Ban)> {
        let mut ended = Vec::new();
        while let Some((ends, network)) = self.ends.first().copied()
            && ends <= now
        {
            ended.extend(self.lift(network));
        }
        ended
    }

    /// Shows all bans, those that end first first.
    pub(super) fn all(&self) -> impl Iterator<Item = (IpNet, &Ban)> {
        self.ends
            .iter()
            .filter_map(|(_, network)| Some((*network, self.bans.get(network)?)))
    }

    /// How many refused logins were forgotten before their time.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn insert(&mut self, network: IpNet, ban: Ban) {
        self.lift(network);
        self.ends.insert((ban.ends, network));
        self.bans.insert(network, ban);
    }

    fn lift(&mut self, network: IpNet) -> Option<(IpNet, Ban)> {
        let ban = self.bans.remove(&network)?;
        self.ends.remove(&(ban.ends, network));
        Some((network, ban))
    }

    fn lift_all(&mut self, networks: Vec<IpNet>) -> Vec<(IpNet, Ban)> {
        let lifted = networks.into_iter();
        lifted.filter_map(|network| self.lift(network)).collect()
    }

    fn among(&self, which: impl Fn(IpNet) -> bool) -> Vec<IpNet> {
        let banned = self.bans.keys().copied();
        banned.filter(|network| which(*network)).collect()
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

/// The network by which a client is banned.
pub(super) fn network_of(client: IpAddr) -> IpNet {
    let holder = of_one_holder(client);
    match holder {
        IpAddr::V4(_) => IpNet::from(holder),
        IpAddr::V6(_) => IpNet::new_assert(holder, 64),
    }
}

/// The networks whose ban is a client's, the narrowest first.
fn networks_around(client: IpAddr) -> impl Iterator<Item = IpNet> {
    let own = network_of(client);
    let wide = match own {
        IpNet::V4(own) => Some(Ipv4Net::new_assert(own.addr(), 24).trunc().into()),
        IpNet::V6(_) => None,
    };
    std::iter::once(own).chain(wide)
}

/// The network itself, if it is one that can be banned: an IPv4 address or /24, an IPv6 /64, without bits behind it.
pub(super) fn bannable(network: IpNet) -> Option<IpNet> {
    let is_bannable = match network {
        IpNet::V4(network) => matches!(network.prefix_len(), 24 | 32),
        IpNet::V6(network) => network.prefix_len() == 64,
    };
    (is_bannable && network == network.trunc()).then_some(network)
}

fn later(wall: Wall, time: Duration) -> Wall {
    Wall(
        wall.0
            .saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
    )
}

#[cfg(test)]
mod tests;
