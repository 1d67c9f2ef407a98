//! Bans that an operator orders, and those that he lifts.

use std::time::Duration;

use ipnet::IpNet;

use super::super::bans::{bannable, network_of};
use super::super::status::{BanReport, Response};
use super::{Steward, report, shown};
use crate::config::LoginGuard;
use crate::engine::UnbanReason;

impl Steward {
    /// Does what `ctl ban` says: bans a network for a time, or for that of `login_guard.ban`.
    pub(in super::super) fn ordered_ban(&self, network: &str, time: Option<&str>) -> Response {
        match self.ban(network, time) {
            Ok(banned) => Response::Banned(banned),
            Err(why) => Response::Error(why),
        }
    }

    fn ban(&self, network: &str, time: Option<&str>) -> Result<BanReport, String> {
        let network = network_named(network)?;
        let time = self.time_named(time)?;
        let guard = &self.shared.guard;
        let now = self.shared.clock.now();
        let ordered = guard.bans().order(network, time, now.mono, now.wall);
        let banned = ordered.map_err(|spared| {
            format!(
                "{} is not banned: {spared} never is, by login_guard.never_ban or probes_from; take that out and reload first",
                shown(network)
            )
        })?;
        let mut ban = banned.ban.clone();
        ban.in_kernel = self.begin_ban(banned);
        Ok(report(network, &ban))
    }

    fn time_named(&self, time: Option<&str>) -> Result<Duration, String> {
        match (time, self.config.login_guard.ban) {
            (Some(time), _) => LoginGuard::ban_time(time).map_err(|refusal| refusal.to_string()),
            (None, Some(time)) => Ok(time),
            (None, None) => {
                Err("login_guard.ban is `none`: say for how long, as `--for 1h` does".to_owned())
            }
        }
    }

    /// Does what `ctl unban` says: lifts the bans of a network and of all in it, or all of them.
    pub(in super::super) fn ordered_unban(&self, whose: &str) -> Response {
        match self.unban(whose) {
            Ok(lifted) => Response::Unbanned(lifted),
            Err(why) => Response::Error(why),
        }
    }

    fn unban(&self, whose: &str) -> Result<Vec<String>, String> {
        let network = match whose {
            "all" => None,
            one => Some(network_named(one).map_err(|why| format!("{why}, or `all`"))?),
        };
        let mut bans = self.shared.guard.bans();
        let (lifted, wider) = match network {
            Some(network) => (bans.unban(network), bans.wider_ban(network)),
            None => (bans.unban_all(), None),
        };
        drop(bans);
        if let (Some(wider), true) = (wider, lifted.is_empty()) {
            return Err(format!("{whose} is banned with all of {wider}; unban that"));
        }
        let shown = lifted.iter().map(|(network, _)| shown(*network)).collect();
        self.see_lifted(lifted, UnbanReason::Operator);
        Ok(shown)
    }
}

/// Reads whom an operator names: an address, which of IPv6 stands for its /64, or a network.
fn network_named(text: &str) -> Result<IpNet, String> {
    let network = match (text.parse(), text.parse::<IpNet>()) {
        (Ok(address), _) => Some(network_of(address)),
        (_, Ok(network)) => bannable(network),
        (Err(_), Err(_)) => {
            return Err(format!(
                "{text:?} is no address; write one, an IPv4 /24 or an IPv6 /64"
            ));
        }
    };
    network.ok_or_else(|| {
        format!("{text:?} can't be banned: write an address, an IPv4 /24 or an IPv6 /64, and the network's own address")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_banned_is_an_address_a_24_or_a_64() {
        for (text, network) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/32", "192.0.2.7/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("2001:db8::7", "2001:db8::/64"),
            ("2001:db8::/64", "2001:db8::/64"),
        ] {
            assert_eq!(network_named(text).expect(text).to_string(), network);
        }
        for text in [
            "192.0.2.7/24",
            "192.0.2.0/25",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "2001:db8::7/64",
            "2001:db8::/48",
            "2001:db8::7/128",
            "192.0.2",
            "bob",
            "all",
            "",
        ] {
            assert!(network_named(text).is_err(), "{text}");
        }
    }
}
