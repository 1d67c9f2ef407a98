//! Addresses as FTP writes them (RFC 959 section 4.1.2, RFC 2428), as far as the rig speaks them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// Writes an address as `h1,h2,h3,h4,p1,p2`.
pub fn port_text(address: SocketAddrV4) -> String {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// Reads `h1,h2,h3,h4,p1,p2`.
pub fn parse_port(text: &str) -> Option<SocketAddr> {
    let numbers = text
        .split(',')
        .map(|n| n.trim().parse().ok())
        .collect::<Option<Vec<u8>>>()?;
    let [a, b, c, d, high, low] = numbers.try_into().ok()?;
    Some(SocketAddr::from((
        Ipv4Addr::new(a, b, c, d),
        u16::from_be_bytes([high, low]),
    )))
}

/// Reads `|1|ADDRESS|PORT|`.
pub fn parse_eprt(text: &str) -> Option<SocketAddr> {
    let mut fields = text.strip_prefix('|')?.split('|').skip(1);
    Some(SocketAddr::new(
        fields.next()?.parse().ok()?,
        fields.next()?.parse().ok()?,
    ))
}

/// Reads the address in a `227` reply.
pub fn parse_227(text: &str) -> Option<SocketAddr> {
    parse_port(text.split_once('(')?.1.split_once(')')?.0)
}

/// Reads the port in a `229` reply.
pub fn parse_229(text: &str) -> Option<u16> {
    text.split_once("(|||")?.1.split_once('|')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let address: SocketAddrV4 = "10.77.0.1:30001".parse().expect("an address");
        assert_eq!(
            parse_227(&format!("227 Entering ({}).", port_text(address))),
            Some(address.into())
        );
        assert_eq!(parse_eprt("|1|10.77.0.1|30001|"), Some(address.into()));
        assert_eq!(
            parse_229("229 Entering Extended Passive Mode (|||30001|)."),
            Some(30001)
        );
        assert_eq!(parse_port("1,2,3"), None);
        assert_eq!(parse_port("1,2,3,4,5,600"), None);
    }
}
