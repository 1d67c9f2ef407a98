//! PASV and EPSV: the server awaits.

use std::net::SocketAddrV4;

use memchr::memchr_iter;

use super::AddressFault;
use super::field::{Family, decimal, delimited, port, six_numbers};
use crate::ftp::reply::Reply;

/// The longest text in the parentheses of a 229 that is looked at: five delimiters, a family, an IPv6 address, a port.
const LONGEST_229: usize = 64;

/// Reads the text of a 227 by the first-digit scan of RFC 1123 4.1.2.6: with parentheses, with `=`, or with neither.
///
/// # Errors
/// [`AddressFault::Malformed`] unless exactly six numbers of 0..=255 begin at the first digit and the port is not 0.
pub fn parse_227(text: &[u8]) -> Result<SocketAddrV4, AddressFault> {
    let first = text
        .iter()
        .position(u8::is_ascii_digit)
        .ok_or(AddressFault::Malformed)?;
    let (before, numbers) = text
        .split_at_checked(first)
        .ok_or(AddressFault::Malformed)?;
    let length = numbers
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b','))
        .unwrap_or(numbers.len());
    let (numbers, after) = numbers
        .split_at_checked(length)
        .ok_or(AddressFault::Malformed)?;
    // A sign or a hexadecimal digit next to the numbers is part of them.
    let signed = matches!(before.last(), Some(b'+' | b'-'));
    let continued = after.first().is_some_and(u8::is_ascii_alphanumeric);
    if signed || continued {
        return Err(AddressFault::Malformed);
    }
    six_numbers(numbers)
}

/// Reads the text of a 229 (RFC 2428 3): the port in `(|||port|)`, with any delimiter from 33 to 126 that is no digit.
///
/// Text around the parentheses is passed over. A family and an address inside must be well-formed and mean nothing.
///
/// # Errors
/// [`AddressFault::Malformed`] unless exactly one such group stands in the text.
pub fn parse_229(text: &[u8]) -> Result<u16, AddressFault> {
    let mut found = memchr_iter(b'(', text).filter_map(|at| {
        let group = text.get(at + 1..)?;
        port_in_group(group.get(..LONGEST_229).unwrap_or(group))
    });
    match (found.next(), found.next()) {
        (Some(port), None) => Ok(port),
        _ => Err(AddressFault::Malformed),
    }
}

/// Reads `|||port|)` from the begin of a text.
fn port_in_group(text: &[u8]) -> Option<u16> {
    let ([family, address, number], [b')', ..]) = delimited(text)? else {
        return None;
    };
    let well_formed = match (family, address) {
        ([], []) => true,
        ([], _) => Family::V4
            .address(address)
            .or_else(|_| Family::V6.address(address))
            .is_ok(),
        (_, []) => Family::parse(family).is_ok(),
        (_, _) => Family::parse(family)
            .and_then(|family| family.address(address))
            .is_ok(),
    };
    port(number).ok().filter(|_| well_formed)
}

/// Holds what EPSV asks for (RFC 2428 3 and 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EpsvArgument {
    /// The family of the control connection.
    None,
    /// The family with this number: 1 is IPv4, 2 is IPv6.
    Family(u8),
    /// From now on, data connections are set up by EPSV alone.
    All,
}

impl EpsvArgument {
    /// Reads EPSV's argument: nothing, a number, or `ALL` in any case.
    ///
    /// # Errors
    /// [`AddressFault::UnsupportedFamily`] for a number above 255, [`AddressFault::Malformed`] for anything else.
    pub fn parse(argument: Option<&[u8]>) -> Result<Self, AddressFault> {
        match argument {
            None | Some([]) => Ok(Self::None),
            Some(word) if word.eq_ignore_ascii_case(b"ALL") => Ok(Self::All),
            Some(digits) if digits.iter().all(u8::is_ascii_digit) => decimal(digits, 3)
                .and_then(|number| u8::try_from(number).ok())
                .map(Self::Family)
                .ok_or(AddressFault::UnsupportedFamily),
            Some(_) => Err(AddressFault::Malformed),
        }
    }
}

/// Makes the reply to PASV in its one canonical form.
#[must_use]
pub fn reply_227(address: SocketAddrV4) -> Reply {
    Reply::new(
        227,
        format!("Entering Passive Mode ({}).", super::port_argument(address)),
    )
}

/// Makes the reply to EPSV in its one canonical form.
#[must_use]
pub fn reply_229(port: u16) -> Reply {
    Reply::new(229, format!("Entering Extended Passive Mode (|||{port}|)"))
}
