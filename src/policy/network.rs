//! Sets of networks: sorted ranges that do not overlap, so that any number of them is one binary search.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of networks.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    /// First and last address of each range, in order; IPv4 and IPv6 apart.
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
    /// As the file has them.
    prefixes: Vec<IpNet>,
}

impl Networks {
    pub(super) fn of(prefixes: Vec<IpNet>) -> Networks {
        let ranges = |is_ipv4: bool| {
            let mut ranges: Vec<(u128, u128)> = prefixes
                .iter()
                .filter(|prefix| prefix.addr().is_ipv4() == is_ipv4)
                .map(|prefix| (number(prefix.network()), number(prefix.broadcast())))
                .collect();
            ranges.sort_unstable();
            let mut joined: Vec<(u128, u128)> = Vec::new();
            for (first, last) in ranges {
                match joined.last_mut() {
                    Some((_, end)) if first <= *end => *end = last.max(*end),
                    _ => joined.push((first, last)),
                }
            }
            joined
        };
        Networks {
            v4: ranges(true),
            v6: ranges(false),
            prefixes,
        }
    }

    pub(super) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (ranges, number) = match address {
            IpAddr::V4(_) => (&self.v4, number(address)),
            IpAddr::V6(_) => (&self.v6, number(address)),
        };
        let after = ranges.partition_point(|(first, _)| *first <= number);
        after
            .checked_sub(1)
            .and_then(|before| ranges.get(before))
            .is_some_and(|(_, last)| number <= *last)
    }

    pub(super) fn prefixes(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// Tells whether every address of these is in the others too.
    pub(super) fn are_within(&self, others: &Networks) -> bool {
        let within = |mine: &[(u128, u128)], theirs: &[(u128, u128)]| {
            mine.iter()
                .all(|(first, last)| theirs.iter().any(|(from, to)| from <= first && last <= to))
        };
        within(&self.v4, &others.v4) && within(&self.v6, &others.v6)
    }
}

/// Returns an address as a number, of its own family.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_their_networks_contain() {
        let prefixes: Vec<IpNet> = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.0.2.4/30",
            "0.0.0.0/32",
            "2001:db8::/32",
            "::/128",
        ]
        .iter()
        .map(|text| text.parse().expect("a network"))
        .collect();
        let networks = Networks::of(prefixes.clone());
        for text in [
            "10.0.0.0",
            "10.255.255.255",
            "9.255.255.255",
            "11.0.0.0",
            "192.0.2.3",
            "192.0.2.4",
            "192.0.2.7",
            "192.0.2.8",
            "0.0.0.0",
            "0.0.0.1",
            "255.255.255.255",
            "2001:db8::1",
            "2001:db7:ffff::",
            "::",
            "::1",
        ] {
            let address: IpAddr = text.parse().expect("an address");
            let contained = prefixes.iter().any(|prefix| prefix.contains(&address));
            assert_eq!(networks.contain(address), contained, "{text}");
        }
        assert!(networks.contain("::ffff:10.2.3.4".parse().expect("an address")));
    }
}
