//! Addresses as the demo server and the demo client read and write them.
//!
//! Written apart from the gateway's own code on purpose: the two sides of the demo must not share a mistake.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

/// Reads six decimal numbers, `h1,h2,h3,h4,p1,p2` (RFC 959, section 4.1.2).
pub(super) fn read_six_numbers(text: &str) -> Option<SocketAddr> {
    let mut numbers = [0_u8; 6];
    let mut fields = text.split(',');
    for number in &mut numbers {
        *number = decimal(fields.next()?)?;
    }
    if fields.next().is_some() {
        return None;
    }
    let [a, b, c, d, high, low] = numbers;
    let port = u16::from_be_bytes([high, low]);
    Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into())
}

/// Writes an address as six decimal numbers.
pub(super) fn six_numbers(address: SocketAddrV4) -> String {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// Why an EPRT argument is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtendedFault {
    Malformed,
    UnknownFamily,
}

/// Reads `|1|192.0.2.1|4000|` or `|2|2001:db8::1|4000|` with any delimiter (RFC 2428, section 2).
pub(super) fn read_extended(text: &str) -> Result<SocketAddr, ExtendedFault> {
    use ExtendedFault::{Malformed, UnknownFamily};
    let delimiter = text.chars().next().ok_or(Malformed)?;
    if !delimiter.is_ascii_graphic() || delimiter.is_ascii_alphanumeric() {
        return Err(Malformed);
    }
    let fields: Vec<&str> = text.split(delimiter).collect();
    let ["", family, host, port, ""] = fields.as_slice() else {
        return Err(Malformed);
    };
    let port = decimal(port).ok_or(Malformed)?;
    let host: IpAddr = match *family {
        "1" => host.parse::<Ipv4Addr>().map_err(|_| Malformed)?.into(),
        "2" => host.parse::<Ipv6Addr>().map_err(|_| Malformed)?.into(),
        _ => return Err(UnknownFamily),
    };
    Ok(SocketAddr::new(host.to_canonical(), port))
}

/// Writes an address as EPRT wants it.
pub(super) fn extended(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { 1 } else { 2 };
    format!("|{family}|{}|{}|", address.ip(), address.port())
}

/// Reads the port out of a 229 reply's `(|||port|)` (RFC 2428, section 3).
pub(super) fn read_epsv_reply(text: &str) -> Option<u16> {
    let (_, inner) = text.split_once("(|||")?;
    let (port, _) = inner.split_once("|)")?;
    decimal(port)
}

/// Reads a plain decimal number: digits only, no sign, no spaces, nothing that wraps around.
fn decimal<N: std::str::FromStr>(digits: &str) -> Option<N> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_numbers_are_read_and_written() {
        let address = read_six_numbers("127,0,0,1,31,144").unwrap();
        assert_eq!(address, "127.0.0.1:8080".parse().unwrap());
        let SocketAddr::V4(address) = address else {
            panic!("IPv4 was read as IPv6")
        };
        assert_eq!(six_numbers(address), "127,0,0,1,31,144");
        for bad in [
            "",
            "127,0,0,1,31",
            "127,0,0,1,31,144,1",
            "127,0,0,256,31,144",
            "127,0,0,1,+1,144",
            "127,0,0,1, 1,144",
            "127,0,0,1,,144",
        ] {
            assert_eq!(read_six_numbers(bad), None, "{bad}");
        }
    }

    #[test]
    fn extended_addresses_are_read_and_written() {
        for (text, expected) in [
            ("|1|127.0.0.1|4000|", "127.0.0.1:4000"),
            ("!2!::1!4000!", "[::1]:4000"),
            ("|2|::ffff:127.0.0.1|4000|", "127.0.0.1:4000"),
        ] {
            assert_eq!(read_extended(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for bad in [
            "",
            "|1|127.0.0.1|4000",
            "|1|::1|4000|",
            "|1|127.0.0.1|65536|",
            "|1!127.0.0.1|4000|",
            "111127.0.0.1140001",
            "|2|fe80::1%eth0|4000|",
        ] {
            assert_eq!(read_extended(bad), Err(ExtendedFault::Malformed), "{bad}");
        }
        assert_eq!(
            read_extended("|3|x|4000|"),
            Err(ExtendedFault::UnknownFamily)
        );
        assert_eq!(extended("[::1]:4000".parse().unwrap()), "|2|::1|4000|");
    }

    #[test]
    fn epsv_replies_give_their_port() {
        assert_eq!(read_epsv_reply("Entering (|||50006|)"), Some(50006));
        assert_eq!(read_epsv_reply("Entering (|||70000|)"), None);
        assert_eq!(read_epsv_reply("Entering |||500|"), None);
    }
}
