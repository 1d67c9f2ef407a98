//! Text inside a line: quoted, and without anything that a terminal or a log reader would obey; times, numbers, addresses.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::engine::Wall;

/// Appends a time as its `Display` writes it, in a tenth of the time: every line has up to three.
pub(super) fn time(buffer: &mut Vec<u8>, time: Wall) {
    // The last microsecond of the year 9999.
    let micros = time.0.min(253_402_300_799_999_999);
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, so that the leap day is their last; eras of 400 years; from 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = match month {
        0..=9 => (month + 3, year + 400 * era),
        _ => (month - 9, year + 400 * era + 1),
    };
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    for (place, number) in [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, second / 3600),
        (14..16, second / 60 % 60),
        (17..19, second % 60),
        (20..26, micros),
    ] {
        digits(text.get_mut(place).unwrap_or_default(), number);
    }
    buffer.extend_from_slice(&text);
}

/// Fills a field with the last digits of a number.
fn digits(field: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Appends a number with leading zeros.
pub(super) fn padded(buffer: &mut Vec<u8>, number: u64, width: usize) {
    let start = buffer.len();
    buffer.resize(start + width, 0);
    digits(buffer.get_mut(start..).unwrap_or_default(), number);
}

/// Appends a number.
pub(super) fn number(buffer: &mut Vec<u8>, number: u64) {
    let places = number.checked_ilog10().unwrap_or(0) + 1;
    padded(buffer, number, places as usize);
}

/// Appends an address as its `Display` writes it; most are IPv4, and the general way takes ten times as long.
pub(super) fn ip(buffer: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    buffer.push(b'.');
                }
                let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
                let unused = usize::from(octet < 100) + usize::from(octet < 10);
                buffer.extend_from_slice(digits.get(unused..).unwrap_or_default());
            }
        }
        IpAddr::V6(address) => {
            // Writing to memory cannot fail.
            let _ = write!(buffer, "{address}");
        }
    }
}

/// Appends an address and port as their `Display` writes them.
pub(super) fn socket(buffer: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            ip(buffer, (*address.ip()).into());
            buffer.push(b':');
            number(buffer, u64::from(address.port()));
        }
        SocketAddr::V6(address) => {
            let _ = write!(buffer, "{address}");
        }
    }
}

/// Appends `text` as a JSON string.
///
/// Beyond what JSON demands, DEL, the C1 controls, line separators and the characters that turn the writing
/// direction or are invisible are escaped too: a line must look like what it is in any viewer.
pub(super) fn quote(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    let mut rest = text;
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    // Most text is nothing else, and no character has to be looked at.
    if text.bytes().all(is_plain) {
        buffer.extend_from_slice(text.as_bytes());
        rest = "";
    }
    while let Some((at, character)) = rest
        .char_indices()
        .find(|(_, character)| needs_escape(*character))
    {
        let (plain, tail) = rest.split_at(at);
        buffer.extend_from_slice(plain.as_bytes());
        escape(buffer, character);
        rest = tail.get(character.len_utf8()..).unwrap_or_default();
    }
    buffer.extend_from_slice(rest.as_bytes());
    buffer.push(b'"');
}

fn needs_escape(character: char) -> bool {
    matches!(character, '"' | '\\') || misleads(character)
}

/// Tells whether a terminal would obey a character, or a reader would be misled by it.
pub fn misleads(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn escape(buffer: &mut Vec<u8>, character: char) {
    match character {
        '"' => buffer.extend_from_slice(b"\\\""),
        '\\' => buffer.extend_from_slice(b"\\\\"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                buffer.extend_from_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    let digit = u32::from(*unit >> shift & 0xf);
                    buffer.push(char::from_digit(digit, 16).map_or(b'0', |digit| digit as u8));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut buffer = Vec::new();
        quote(&mut buffer, text);
        String::from_utf8(buffer).expect("UTF-8")
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        assert_eq!(quoted("plain %n%s"), r#""plain %n%s""#);
        assert_eq!(quoted("\x1b[2J"), r#""\u001b[2J""#);
        assert_eq!(quoted("a\"b\\c\r\n\t"), r#""a\"b\\c\u000d\u000a\u0009""#);
        assert_eq!(quoted("\u{9b}2J\x7f"), r#""\u009b2J\u007f""#);
        assert_eq!(quoted("Grüße\u{202e}txt"), r#""Grüße\u202etxt""#);
        assert_eq!(quoted("\u{e0041}"), r#""\udb40\udc41""#);
    }

    fn timed(time: Wall) -> String {
        let mut buffer = Vec::new();
        super::time(&mut buffer, time);
        String::from_utf8(buffer).expect("UTF-8")
    }

    #[test]
    fn times_at_the_edges() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(timed(Wall(micros)), text);
        }
    }

    proptest! {
        #[test]
        fn times_are_what_they_display_as(micros in 0_u64..253_402_200_000_000_000) {
            prop_assert_eq!(timed(Wall(micros)), Wall(micros).to_string());
        }

        #[test]
        fn numbers_are_what_they_display_as(any in any::<u64>(), shift in 0_u32..64) {
            let mut buffer = Vec::new();
            number(&mut buffer, any >> shift);
            prop_assert_eq!(String::from_utf8(buffer).expect("UTF-8"), (any >> shift).to_string());
        }

        #[test]
        fn addresses_are_what_they_display_as(ip in any::<IpAddr>(), socket in any::<SocketAddr>()) {
            let mut buffer = Vec::new();
            super::ip(&mut buffer, ip);
            prop_assert_eq!(String::from_utf8(buffer).expect("UTF-8"), ip.to_string());
            let mut buffer = Vec::new();
            super::socket(&mut buffer, socket);
            prop_assert_eq!(String::from_utf8(buffer).expect("UTF-8"), socket.to_string());
        }

        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let line = quoted(&text);
            prop_assert!(!line.chars().any(char::is_control));
            let back: String = serde_json::from_str(&line).expect("JSON");
            prop_assert_eq!(back, text);
        }
    }
}
