//! Which address a client is told for passive transfers.

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Tells some clients an address of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct Advertise {
    /// The clients that this entry is for.
    pub to: Clients,
    /// The address that they are told.
    pub address: AdvertisedAddress,
}

/// Says for which clients an entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clients {
    /// All of them.
    #[default]
    Any,
    /// Those in a network.
    In(IpNet),
}

/// Says which address is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AdvertisedAddress {
    /// What suits best; in this version the address that the client dialled.
    #[default]
    Auto,
    /// The address that the client dialled.
    Dialled,
    /// This address, such as the outer one of a NAT. It has to be of the client's IP version, else the entry is passed over.
    Fixed(IpAddr),
}

/// Returns the address that `client`, who dialled `dialled`, is told: of the first entry that holds for it, else `dialled`.
///
/// IPv4 addresses in IPv6 form count as IPv4. An entry with an address of the other IP version is passed over: PASV can't name
/// an IPv6 address, and a client of one version can't be sent to the other.
#[must_use]
pub fn choose(entries: &[Advertise], client: IpAddr, dialled: IpAddr) -> IpAddr {
    let (client, dialled) = (client.to_canonical(), dialled.to_canonical());
    entries
        .iter()
        .filter(|entry| match entry.to {
            Clients::Any => true,
            Clients::In(network) => network.contains(&client),
        })
        .find_map(|entry| match entry.address {
            AdvertisedAddress::Auto | AdvertisedAddress::Dialled => Some(dialled),
            AdvertisedAddress::Fixed(address) => {
                (address.is_ipv4() == client.is_ipv4()).then_some(address)
            }
        })
        .unwrap_or(dialled)
}

/// Tells whether `client`, a public address, is told an address that it can't reach: private, loopback, link-local, or shared by a carrier's NAT.
#[must_use]
pub fn misleading(client: IpAddr, announced: IpAddr) -> bool {
    !is_inside(client.to_canonical()) && is_inside(announced.to_canonical())
}

/// Tells whether an address has a meaning only inside some network (RFC 1918, 3927, 4193, 4291, 6598).
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || is_carrier_nat(address)
        }
        IpAddr::V6(address) => {
            address.is_unique_local()
                || address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_unspecified()
        }
    }
}

/// 100.64.0.0/10 (RFC 6598).
fn is_carrier_nat(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0b1100_0000 == 64
}

impl fmt::Display for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::In(network) => network.fmt(f),
        }
    }
}

impl fmt::Display for AdvertisedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Dialled => f.write_str("dialled"),
            Self::Fixed(address) => address.fmt(f),
        }
    }
}

impl Serialize for Clients {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for AdvertisedAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Clients {
    fn schema_name() -> Cow<'static, str> {
        "Clients".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`any`, or a network in CIDR form.",
            "type": "string",
            "pattern": "^(any|[0-9A-Fa-f:.]+/[0-9]{1,3})$",
        })
    }
}

impl JsonSchema for AdvertisedAddress {
    fn schema_name() -> Cow<'static, str> {
        "AdvertisedAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`auto` (in this version the same as `dialled`), `dialled` (the address that the client dialled), or an address.",
            "type": "string",
            "pattern": "^(auto|dialled|[0-9A-Fa-f:.]+)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn entry(to: &str, address: &str) -> Advertise {
        Advertise {
            to: if to == "any" {
                Clients::Any
            } else {
                Clients::In(to.parse().unwrap())
            },
            address: match address {
                "auto" => AdvertisedAddress::Auto,
                "dialled" => AdvertisedAddress::Dialled,
                fixed => AdvertisedAddress::Fixed(ip(fixed)),
            },
        }
    }

    #[test]
    fn the_first_entry_that_holds_the_client_decides() {
        let entries = [entry("10.0.0.0/8", "dialled"), entry("any", "203.0.113.10")];
        assert_eq!(
            choose(&entries, ip("10.1.2.3"), ip("10.0.0.1")),
            ip("10.0.0.1")
        );
        assert_eq!(
            choose(&entries, ip("198.51.100.7"), ip("10.0.0.1")),
            ip("203.0.113.10")
        );
        let reversed = [entry("any", "203.0.113.10"), entry("10.0.0.0/8", "dialled")];
        assert_eq!(
            choose(&reversed, ip("10.1.2.3"), ip("10.0.0.1")),
            ip("203.0.113.10")
        );
    }

    #[test]
    fn without_a_match_it_is_what_the_client_dialled() {
        assert_eq!(
            choose(&[], ip("198.51.100.7"), ip("10.0.0.1")),
            ip("10.0.0.1")
        );
        let entries = [entry("192.0.2.0/24", "203.0.113.10")];
        assert_eq!(
            choose(&entries, ip("198.51.100.7"), ip("10.0.0.1")),
            ip("10.0.0.1")
        );
        assert_eq!(
            choose(&[entry("any", "auto")], ip("198.51.100.7"), ip("10.0.0.1")),
            ip("10.0.0.1")
        );
    }

    #[test]
    fn a_v4_client_in_v6_form_is_a_v4_client() {
        let entries = [entry("198.51.100.0/24", "203.0.113.10")];
        assert_eq!(
            choose(&entries, ip("::ffff:198.51.100.7"), ip("::ffff:10.0.0.1")),
            ip("203.0.113.10")
        );
        assert_eq!(
            choose(&[], ip("::ffff:198.51.100.7"), ip("::ffff:10.0.0.1")),
            ip("10.0.0.1")
        );
    }

    #[test]
    fn an_address_of_the_other_ip_version_is_passed_over() {
        let entries = [entry("any", "2001:db8::10"), entry("any", "203.0.113.10")];
        assert_eq!(
            choose(&entries, ip("198.51.100.7"), ip("10.0.0.1")),
            ip("203.0.113.10")
        );
        assert_eq!(
            choose(&entries, ip("2001:db8::7"), ip("fd00::1")),
            ip("2001:db8::10")
        );
    }

    #[test]
    fn a_public_client_that_is_told_an_inside_address_is_misled() {
        for inside in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(misleading(ip("198.51.100.7"), ip(inside)), "{inside}");
            assert!(misleading(ip("2001:db8::7"), ip(inside)), "{inside}");
            assert!(!misleading(ip("10.9.9.9"), ip(inside)), "{inside}");
        }
        for public in [
            "203.0.113.10",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "2001:db8::1",
        ] {
            assert!(!misleading(ip("198.51.100.7"), ip(public)), "{public}");
        }
    }
}
