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

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn port_is_six_numbers_and_leaves_in_one_form() {
        let client = "198.51.100.7:4001".parse().expect("an address");
        assert_eq!(parse_port(b"198,51,100,7,15,161"), Ok(client));
        assert_eq!(parse_port(b"198,051,100,007,015,161"), Ok(client));
        assert_eq!(port_argument(client), "198,51,100,7,15,161");
        assert_eq!(
            parse_port(b"0,0,0,0,255,255").map(|address| address.port()),
            Ok(65535)
        );
    }

    #[test]
    fn numbers_in_port_never_wrap_around() {
        for argument in [
            "",
            "198,51,100,7,15",
            "198,51,100,7,15,161,1",
            "198,51,100,7,15,161,",
            ",198,51,100,7,15,161",
            "198,51,100,7,,161",
            "256,51,100,7,15,161",
            "198,51,100,7,15,256",
            "198,51,100,7,15,0161",
            "198,51,100,4294967303,15,161",
            "198,51,100,7,15,18446744073709551777",
            "198,51,100,7,+15,161",
            "198,51,100,-7,15,161",
            "198,51,100, 7,15,161",
            " 198,51,100,7,15,161",
            "198,51,100,7,15,161 ",
            "0x1,51,100,7,15,161",
            "c6,33,64,07,0f,a1",
            "198.51.100.7.15.161",
            "198,51,100,7,0,0",
            "(198,51,100,7,15,161)",
        ] {
            assert_eq!(
                parse_port(argument.as_bytes()),
                Err(AddressFault::Malformed),
                "{argument:?}"
            );
        }
    }

    #[test]
    fn eprt_takes_any_delimiter_from_33_to_126_that_is_no_digit() {
        for delimiter in 0..=255_u8 {
            let argument: Vec<u8> = b"|2|2001:db8:0:0:0:0:0:7|4000|"
                .iter()
                .map(|byte| if *byte == b'|' { delimiter } else { *byte })
                .collect();
            // These stand in the address itself.
            let ambiguous = matches!(delimiter, b':' | b'b' | b'd');
            let good = (33..=126).contains(&delimiter) && !delimiter.is_ascii_digit() && !ambiguous;
            let expected = if good {
                Ok(socket("[2001:db8::7]:4000"))
            } else {
                Err(AddressFault::Malformed)
            };
            assert_eq!(parse_eprt(&argument), expected, "{delimiter}");
        }
        assert_eq!(
            parse_eprt(b":1:198.51.100.7:4000:"),
            Ok(socket("198.51.100.7:4000"))
        );
    }

    #[test]
    fn eprt_of_a_v4_mapped_address_is_the_v4_client() {
        for address in [
            "::ffff:198.51.100.7",
            "::FFFF:c633:6407",
            "0:0:0:0:0:ffff:198.51.100.7",
        ] {
            let argument = format!("|2|{address}|4000|");
            assert_eq!(
                parse_eprt(argument.as_bytes()),
                Ok(socket("198.51.100.7:4000"))
            );
        }
        assert_eq!(
            eprt_argument(socket("[::ffff:198.51.100.7]:4000")),
            "|1|198.51.100.7|4000|"
        );
    }

    #[test]
    fn eprt_of_another_family_is_unsupported() {
        for argument in [
            "|3|x|4000|",
            "|0|198.51.100.7|4000|",
            "|12|198.51.100.7|4000|",
            "|99999999999|x|1|",
        ] {
            assert_eq!(
                parse_eprt(argument.as_bytes()),
                Err(AddressFault::UnsupportedFamily),
                "{argument:?}"
            );
        }
    }

    #[test]
    fn eprt_that_is_scoped_mixed_or_out_of_range_is_malformed() {
        for argument in [
            "",
            "|",
            "||||",
            "|1|198.51.100.7|4000",
            "|1|198.51.100.7|4000||",
            "|1|198.51.100.7|4000|x",
            "|1|198.51.100.7|4000!",
            "!1|198.51.100.7|4000|",
            " |1|198.51.100.7|4000|",
            "|1|198.51.100.7|4000| ",
            "||198.51.100.7|4000|",
            "|01|198.51.100.7|4000|",
            "|+1|198.51.100.7|4000|",
            "|x|198.51.100.7|4000|",
            "|1|198.51.100.7|0|",
            "|1|198.51.100.7|65536|",
            "|1|198.51.100.7|004000|",
            "|1|198.51.100.7|+4000|",
            "|1|198.51.100.7||",
            "|1|198.51.100|4000|",
            "|1|198.51.100.256|4000|",
            "|1|198.51.100.007|4000|",
            "|1|2001:db8::7|4000|",
            "|2|198.51.100.7|4000|",
            "|2|fe80::1%eth0|4000|",
            "|2|fe80::1%2|4000|",
            "|2|[2001:db8::7]|4000|",
            "|2|2001:db8|4000|",
        ] {
            assert_eq!(
                parse_eprt(argument.as_bytes()),
                Err(AddressFault::Malformed),
                "{argument:?}"
            );
        }
        assert_eq!(
            parse_eprt(b"|1|198.51.100.\xFF|4000|"),
            Err(AddressFault::Malformed)
        );
    }

    #[test]
    fn eprt_leaves_in_one_form() {
        assert_eq!(
            eprt_argument(socket("198.51.100.7:4000")),
            "|1|198.51.100.7|4000|"
        );
        assert_eq!(
            eprt_argument(socket("[2001:db8::7]:65535")),
            "|2|2001:db8::7|65535|"
        );
        assert_eq!(
            eprt_argument(socket("[fe80::1%2]:4000")),
            "|2|fe80::1|4000|"
        );
    }
}
