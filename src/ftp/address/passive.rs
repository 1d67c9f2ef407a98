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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_227_is_read_by_the_first_digit_scan() {
        for (text, expected) in [
            ("Entering Passive Mode (10,0,0,5,4,1).", "10.0.0.5:1025"),
            ("Entering Passive Mode (10,0,0,5,4,1)", "10.0.0.5:1025"),
            ("Entering Passive Mode 10,0,0,5,4,1", "10.0.0.5:1025"),
            ("Entering Passive Mode. 10,0,0,5,4,1.", "10.0.0.5:1025"),
            ("=10,0,0,5,4,1", "10.0.0.5:1025"),
            ("10,0,0,5,160,99", "10.0.0.5:41059"),
            ("(169,254,169,254,4,1)", "169.254.169.254:1025"),
            ("(0,0,0,0,4,1)", "0.0.0.0:1025"),
            ("(010,000,000,005,004,001) ok", "10.0.0.5:1025"),
        ] {
            assert_eq!(
                parse_227(text.as_bytes()),
                Ok(expected.parse().expect("an address")),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_227_of_wrong_count_or_range_is_malformed_and_nothing_wraps_around() {
        for text in [
            "",
            "Entering Passive Mode",
            "(10,0,0,5,4)",
            "(10,0,0,5,4,1,2)",
            "(10,0,0,5,4,1,)",
            "(10,0,0,5,4,256)",
            "(10,0,0,5,260,1)",
            "(10,0,0,5,4,1025)",
            "(10,0,0,5,4,00000001)",
            "(4294967306,0,0,5,4,1)",
            "(-10,0,0,5,4,1)",
            "(+10,0,0,5,4,1)",
            "(10,0,0,-5,4,1)",
            "(10, 0, 0, 5, 4, 1)",
            "(0x0a,0,0,5,4,1)",
            "(10,0,0,5,4,1f)",
            "(10,0,0,5,0,0)",
            "(10.0.0.5.4.1)",
            "(|||1025|)",
            "port 1 (10,0,0,5,4,1)",
        ] {
            assert_eq!(
                parse_227(text.as_bytes()),
                Err(AddressFault::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_229_is_a_port_in_parentheses_with_any_delimiter() {
        for text in [
            "Entering Extended Passive Mode (|||50006|)",
            "Entering Extended Passive Mode (|||50006|).",
            "(!!!50006!)",
            "ok (really) (|||50006|) go on",
            "(|1||50006|)",
            "(|1|10.0.0.5|50006|)",
            "(|2|2001:db8::5|50006|)",
            "(||169.254.169.254|50006|)",
        ] {
            assert_eq!(parse_229(text.as_bytes()), Ok(50006), "{text:?}");
        }
    }

    #[test]
    fn a_229_without_parentheses_or_out_of_range_is_malformed() {
        for text in [
            "",
            "Entering Extended Passive Mode |||50006|",
            "Entering Extended Passive Mode (50006)",
            "(|||50006)",
            "(|||50006|",
            "(||50006|)",
            "(||||50006|)",
            "(|||50006||)",
            "(|||50006|x)",
            "(||!50006|)",
            "(|||0|)",
            "(|||050006|)",
            "(|||65536|)",
            "(|||115542|)",
            "(|||+5006|)",
            "(||| 5006|)",
            "(|||0xC3|)",
            "( ||50006|)",
            "(111500061)",
            "(|3||50006|)",
            "(|1|2001:db8::5|50006|)",
            "(|1|10.0.0.256|50006|)",
            "(||nonsense|50006|)",
            "(|||50006|) (|||50007|)",
        ] {
            assert_eq!(
                parse_229(text.as_bytes()),
                Err(AddressFault::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn reading_a_229_of_parentheses_alone_takes_no_square_of_time() {
        assert_eq!(
            parse_229(&vec![b'('; 1 << 20]),
            Err(AddressFault::Malformed)
        );
    }

    #[test]
    fn epsv_asks_for_a_family_or_for_all() {
        for (argument, expected) in [
            (None, Ok(EpsvArgument::None)),
            (Some(""), Ok(EpsvArgument::None)),
            (Some("1"), Ok(EpsvArgument::Family(1))),
            (Some("2"), Ok(EpsvArgument::Family(2))),
            (Some("3"), Ok(EpsvArgument::Family(3))),
            (Some("ALL"), Ok(EpsvArgument::All)),
            (Some("all"), Ok(EpsvArgument::All)),
            (Some("257"), Err(AddressFault::UnsupportedFamily)),
            (Some("4294967297"), Err(AddressFault::UnsupportedFamily)),
            (Some("ALL "), Err(AddressFault::Malformed)),
            (Some("ALLO"), Err(AddressFault::Malformed)),
            (Some("-1"), Err(AddressFault::Malformed)),
            (Some(" "), Err(AddressFault::Malformed)),
        ] {
            assert_eq!(
                EpsvArgument::parse(argument.map(str::as_bytes)),
                expected,
                "{argument:?}"
            );
        }
    }

    #[test]
    fn both_replies_leave_in_one_form() {
        let at = "203.0.113.5:50007".parse().expect("an address");
        assert_eq!(
            reply_227(at).emit(),
            b"227 Entering Passive Mode (203,0,113,5,195,87).\r\n"
        );
        assert_eq!(parse_227(reply_227(at).final_text()), Ok(at));
        assert_eq!(
            reply_229(50006).emit(),
            b"229 Entering Extended Passive Mode (|||50006|)\r\n"
        );
        assert_eq!(parse_229(reply_229(50006).final_text()), Ok(50006));
    }
}
