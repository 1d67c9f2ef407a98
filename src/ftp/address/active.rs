//! PORT and EPRT: the client awaits.

use std::net::{SocketAddr, SocketAddrV4};

use super::AddressFault;
use super::field::{Family, delimited, port, six_numbers};

/// Reads PORT's argument (RFC 959 4.1.2): six numbers with commas and nothing else, the port not 0.
///
/// # Errors
/// [`AddressFault::Malformed`] for everything else.
pub fn parse_port(argument: &[u8]) -> Result<SocketAddrV4, AddressFault> {
    six_numbers(argument)
}

/// Reads EPRT's argument (RFC 2428 2): `|family|address|port|` with any delimiter from 33 to 126 that is no digit.
///
/// A v4-mapped IPv6 address becomes the IPv4 one.
///
/// # Errors
/// [`AddressFault::UnsupportedFamily`] for a family that is neither 1 nor 2, [`AddressFault::Malformed`] for everything
/// else, a scoped address among it.
pub fn parse_eprt(argument: &[u8]) -> Result<SocketAddr, AddressFault> {
    let Some(([family, address, number], [])) = delimited(argument) else {
        return Err(AddressFault::Malformed);
    };
    let family = Family::parse(family)?;
    Ok(SocketAddr::new(family.address(address)?, port(number)?))
}

/// Writes PORT's argument.
#[must_use]
pub fn port_argument(address: SocketAddrV4) -> String {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// Writes EPRT's argument; a v4-mapped address is written as the IPv4 one, a scope is left out.
#[must_use]
pub fn eprt_argument(address: SocketAddr) -> String {
    let ip = address.ip().to_canonical();
    let family = if ip.is_ipv4() { 1 } else { 2 };
    format!("|{family}|{ip}|{}|", address.port())
}
