//! Numbers and fields, read strictly.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};

use super::AddressFault;

/// Reads a decimal number of one to `digits` digits (at most nine) and nothing else.
pub(super) fn decimal(text: &[u8], digits: usize) -> Option<u32> {
    if text.is_empty() || text.len() > digits.min(9) {
        return None;
    }
    text.iter().try_fold(0, |number, byte| match byte {
        b'0'..=b'9' => Some(number * 10 + u32::from(byte - b'0')),
        _ => None,
    })
}

/// Reads a port: one to five digits, 1..=65535.
pub(super) fn port(text: &[u8]) -> Result<u16, AddressFault> {
    decimal(text, 5)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
        .ok_or(AddressFault::Malformed)
}

/// Reads `h1,h2,h3,h4,p1,p2`: six numbers of one to three digits, 0..=255.
pub(super) fn six_numbers(text: &[u8]) -> Result<SocketAddrV4, AddressFault> {
    let mut numbers = [0; 6];
    let mut fields = text.split(|byte| *byte == b',');
    for number in &mut numbers {
        *number = fields
            .next()
            .and_then(|field| decimal(field, 3))
            .and_then(|value| u8::try_from(value).ok())
            .ok_or(AddressFault::Malformed)?;
    }
    let [a, b, c, d, high, low] = numbers;
    match (fields.next(), u16::from_be_bytes([high, low])) {
        (None, port @ 1..) => Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port)),
        _ => Err(AddressFault::Malformed),
    }
}

/// Names an address family by its number in RFC 2428.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// Reads the number of a family.
    pub(super) fn parse(text: &[u8]) -> Result<Self, AddressFault> {
        match text {
            b"1" => Ok(Self::V4),
            b"2" => Ok(Self::V6),
            // A number is never written with zeros before it; with them it could be anyone's guess.
            [b'1'..=b'9', ..] | b"0" if text.iter().all(u8::is_ascii_digit) => {
                Err(AddressFault::UnsupportedFamily)
            }
            _ => Err(AddressFault::Malformed),
        }
    }

    /// Reads an address of this family; a v4-mapped one becomes the v4 one, a scoped one is malformed.
    pub(super) fn address(self, text: &[u8]) -> Result<IpAddr, AddressFault> {
        let text = str::from_utf8(text).map_err(|_| AddressFault::Malformed)?;
        match self {
            Self::V4 => text.parse::<Ipv4Addr>().map(IpAddr::V4),
            Self::V6 => text
                .parse::<Ipv6Addr>()
                .map(|address| IpAddr::V6(address).to_canonical()),
        }
        .map_err(|_| AddressFault::Malformed)
    }
}

/// Cuts `dAdBdCd...` after its fourth delimiter: gives the three fields and what follows.
///
/// The delimiter is any printable character but a digit (RFC 2428 2).
pub(super) fn delimited(text: &[u8]) -> Option<([&[u8]; 3], &[u8])> {
    let (delimiter, rest) = text.split_first()?;
    if !delimiter.is_ascii_graphic() || delimiter.is_ascii_digit() {
        return None;
    }
    let mut fields = rest.splitn(4, |byte| byte == delimiter);
    let three = [fields.next()?, fields.next()?, fields.next()?];
    Some((three, fields.next()?))
}
