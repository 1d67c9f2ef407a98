//! Networks in CIDR form.

use std::net::IpAddr;

use ipnet::IpNet;

use super::problem::Refusal;
use super::wording::shorten;

/// Reads a network in CIDR form.
///
/// # Errors
/// When `text` is something else, a single address, or has bits behind its prefix.
pub fn parse_network(text: &str) -> Result<IpNet, Refusal> {
    let refusal = || Refusal::new(format!("`{}` is not a network", shorten(text)));
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(refusal().help(format!(
            "write `{}` for this one address",
            IpNet::from(address)
        )));
    }
    let Ok(network) = text.parse::<IpNet>() else {
        return Err(
            refusal().help("write an address and a prefix length: `192.0.2.0/24`, `2001:db8::/32`")
        );
    };
    if network.trunc() != network {
        return Err(Refusal::new(format!("`{text}` has bits behind its prefix"))
            .help(format!("write `{}`", network.trunc())));
    }
    match network {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
            Err(refusal().help("write an IPv4 network in IPv4 form: `192.0.2.0/24`"))
        }
        network => Ok(network),
    }
}
