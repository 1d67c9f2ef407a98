//! The plainest ways to do what the crate does, to compare with.

use std::net::SocketAddrV4;

use portcullis::ftp::{Ending, FrameFault, Line};

/// What comes of a stream: lines, and perhaps a fault that ends it.
pub type Framed = Vec<Result<Line, FrameFault>>;

/// Frames in the plainest way: all at once, byte by byte.
pub fn frame(data: &[u8], limit: usize) -> Framed {
    enum Telnet {
        Text,
        Iac,
        Option,
        Inside,
        InsideIac,
    }
    let mut lines = Vec::new();
    for raw in data.split_inclusive(|byte| *byte == b'\n') {
        let (raw, complete) = match raw {
            [raw @ .., b'\n'] => (raw, true),
            raw => (raw, false),
        };
        if raw.len() > limit {
            lines.push(Err(FrameFault::TooLong));
            break;
        }
        if !complete {
            break;
        }
        let (raw, ending) = match raw {
            [raw @ .., b'\r'] => (raw, Ending::CrLf),
            raw => (raw, Ending::Lf),
        };
        let mut bytes = Vec::new();
        let mut telnet = Telnet::Text;
        for byte in raw {
            telnet = match (telnet, *byte) {
                (Telnet::Text, 0xFF) => Telnet::Iac,
                (Telnet::Text, text) => {
                    bytes.push(text);
                    Telnet::Text
                }
                (Telnet::Iac, 0xFF) => {
                    bytes.extend([0xFF, 0xFF]);
                    Telnet::Text
                }
                (Telnet::Iac, 0xFA) => Telnet::Inside,
                (Telnet::Iac, 0xFB..=0xFE) => Telnet::Option,
                (Telnet::Iac, 0xF0..) => Telnet::Text,
                (Telnet::Iac, text) => {
                    bytes.extend([0xFF, text]);
                    Telnet::Text
                }
                (Telnet::Option, _) | (Telnet::InsideIac, 0xF0) => Telnet::Text,
                (Telnet::Inside, 0xFF) => Telnet::InsideIac,
                (Telnet::Inside | Telnet::InsideIac, _) => Telnet::Inside,
            };
        }
        if matches!(telnet, Telnet::Iac) {
            bytes.push(0xFF);
        }
        let (stray_cr, nul) = (bytes.contains(&b'\r'), bytes.contains(&0));
        lines.push(Ok(Line {
            bytes,
            ending,
            stray_cr,
            nul,
        }));
    }
    lines
}

/// Reads PORT's argument by the standard library's means.
pub fn port(data: &[u8]) -> Option<SocketAddrV4> {
    let text = str::from_utf8(data).ok()?;
    let short = |field: &&str| field.len() <= 3 && field.bytes().all(|byte| byte.is_ascii_digit());
    let fields: Vec<&str> = text.split(',').filter(short).collect();
    let numbers: Vec<u8> = fields
        .iter()
        .filter_map(|field| field.parse().ok())
        .collect();
    let [a, b, c, d, high, low] = *numbers.as_slice() else {
        return None;
    };
    let port = u16::from(high) * 256 + u16::from(low);
    (port != 0 && text.split(',').count() == 6)
        .then(|| SocketAddrV4::new([a, b, c, d].into(), port))
}

/// Reads what was printed back into the bytes that it stands for.
pub fn unescape(printed: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = printed;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        if first != '\\' {
            bytes.extend(first.encode_utf8(&mut [0; 4]).bytes());
            rest = after;
        } else if let Some(hex) = after.strip_prefix('x') {
            bytes.push(u8::from_str_radix(&hex[..2], 16).expect("two digits"));
            rest = &hex[2..];
        } else if let Some((code, after)) = after
            .strip_prefix("u{")
            .and_then(|code| code.split_once('}'))
        {
            let code = u32::from_str_radix(code, 16)
                .ok()
                .and_then(char::from_u32)
                .expect("a character");
            bytes.extend(code.encode_utf8(&mut [0; 4]).bytes());
            rest = after;
        } else {
            bytes.extend(after.bytes().take(1));
            rest = &after[1..];
        }
    }
    bytes
}
