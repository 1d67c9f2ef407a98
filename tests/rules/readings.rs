//! Whatever some server may take a spelling for: if that is denied, the command is refused.

use portcullis::policy::Paths;
use proptest::prelude::*;
use proptest::sample::select;

use crate::tricks::{DENIED, JAILED, PRESUMED, STATED, WINDOWS, is_denied};

/// Changes a name.
type Reading = fn(Vec<u8>) -> Vec<u8>;

/// Every way in which some server may change a name before it opens it.
const READINGS: &[Reading] = &[
    decode_percent,
    decode_overlong,
    strip_telnet,
    trim,
    backslashes,
    lower,
    strip_ends,
    strip_streams,
    long_names,
    drives,
];

/// Readings that only Windows has; a server that is known to be Unix does none of them.
const FIRST_OF_WINDOWS: usize = 4;

fn decode_percent(name: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < name.len() {
        let hex = name
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match (
            name[at],
            hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn decode_overlong(name: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < name.len() {
        match (name[at], name.get(at + 1)) {
            (first @ (0xC0 | 0xC1), Some(second)) if second & 0xC0 == 0x80 => {
                out.push((first & 1) << 6 | second & 0x3F);
                at += 2;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn strip_telnet(name: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = name.into_iter();
    while let Some(byte) = rest.next() {
        match byte {
            0xFF => drop(rest.next()),
            byte => out.push(byte),
        }
    }
    out
}

fn trim(name: Vec<u8>) -> Vec<u8> {
    name.trim_ascii().to_vec()
}

fn backslashes(name: Vec<u8>) -> Vec<u8> {
    name.into_iter()
        .map(|byte| if byte == b'\\' { b'/' } else { byte })
        .collect()
}

fn lower(name: Vec<u8>) -> Vec<u8> {
    name.to_ascii_lowercase()
}

fn by_component(name: Vec<u8>, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let parts: Vec<Vec<u8>> = name.split(|byte| *byte == b'/').map(change).collect();
    parts.join(&b'/')
}

fn strip_ends(name: Vec<u8>) -> Vec<u8> {
    by_component(name, |part| {
        if part == b"." || part == b".." {
            return part.to_vec();
        }
        let end = part
            .iter()
            .rposition(|byte| !matches!(byte, b'.' | b' '))
            .map_or(0, |last| last + 1);
        part[..end].to_vec()
    })
}

fn strip_streams(name: Vec<u8>) -> Vec<u8> {
    by_component(name, |part| {
        part.split(|byte| *byte == b':')
            .next()
            .unwrap_or_default()
            .to_vec()
    })
}

fn long_names(name: Vec<u8>) -> Vec<u8> {
    by_component(name, |part| {
        if part.eq_ignore_ascii_case(b"secre~1") {
            b"secret".to_vec()
        } else {
            part.to_vec()
        }
    })
}

fn drives(name: Vec<u8>) -> Vec<u8> {
    if name.get(1) == Some(&b':') {
        name[2..].to_vec()
    } else {
        name
    }
}

/// Opens a path as a kernel does.
fn opened(cwd: &str, name: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let whole = if name.first() == Some(&b'/') {
        name.to_vec()
    } else {
        [cwd.as_bytes(), b"/", name].concat()
    };
    for part in whole.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part.to_vec()),
        }
    }
    parts
}

/// Changes a name by some of these readings, in their order.
fn read(name: &[u8], readings: &[Reading], chosen: u32) -> Vec<u8> {
    let chosen = readings
        .iter()
        .enumerate()
        .filter(|(number, _)| chosen & (1 << number) != 0);
    chosen.fold(name.to_vec(), |name, (_, reading)| reading(name))
}

/// A server that is known to be Unix, one that may be Windows, one that is: which readings each may have.
const SERVERS: [(Option<Paths>, usize, u32); 3] = [
    (STATED, FIRST_OF_WINDOWS, 0),
    (PRESUMED, READINGS.len(), 0),
    // What stands between directories is no question there.
    (WINDOWS, READINGS.len(), 1 << FIRST_OF_WINDOWS),
];

fn names() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&[u8]> = vec![
        b"secret",
        b"SECRET",
        b"Secret",
        b"secre~1",
        b"SECRE~1",
        b"sec",
        b"ret",
        b"/",
        b"/",
        b"/",
        b"\\",
        b".",
        b"..",
        b"../",
        b"..\\",
        b"%2e",
        b"%2E%2e",
        b"%2f",
        b"%5c",
        b"%73",
        b"\xC0\xAE",
        b"\xC0\xAF",
        b"\xC1\x9C",
        b" ",
        b"\t",
        b". ",
        b"::$DATA",
        b":",
        b"\xFF\xF1",
        b"\xFF",
        b"x",
        b"pub",
        b"C:",
        b"C:\\",
        b"./",
        b"//",
        b"~",
        b"~bob",
    ];
    proptest::collection::vec(select(parts), 1..9).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_any_server_may_take_for_a_denied_path_is_denied(
        name in names(),
        cwd in select(&["/", "/pub", "/pub/a/b"][..]),
        verb in select(&["RETR", "STOR", "CWD", "DELE", "LIST", "RNFR", "SIZE"][..]),
        chosen in proptest::collection::vec(any::<u32>(), 12),
    ) {
        let line = [verb.as_bytes(), b" ", &name].concat();
        for (paths, readings, always) in SERVERS {
            let may_open = chosen.iter().chain(&[0, u32::MAX]).any(|chosen| {
                let name = read(&name, &READINGS[..readings], chosen | always);
                opened(cwd, &name).first().is_some_and(|first| first == b"secret")
            });
            if may_open {
                prop_assert!(is_denied(&DENIED, paths, Some(cwd), &line), "{paths:?}: {}", line.escape_ascii());
            }
        }
        prop_assert!(is_denied(&DENIED, None, Some(cwd), &line));
    }

    /// A jail is left by no spelling that any server could follow.
    #[test]
    fn nobody_leaves_a_jail(
        name in names(),
        verb in select(&["RETR", "STOR", "CWD", "LIST", "DELE"][..]),
        chosen in proptest::collection::vec(any::<u32>(), 12),
    ) {
        let line = [verb.as_bytes(), b" ", &name].concat();
        for (paths, readings, always) in SERVERS {
            let leaves = chosen.iter().chain(&[0, u32::MAX]).any(|chosen| {
                let name = read(&name, &READINGS[..readings], chosen | always);
                let opened = opened("/home/bob", &name);
                opened.first().is_none_or(|one| one != b"home") || opened.get(1).is_none_or(|two| two != b"bob")
            });
            if leaves {
                prop_assert!(is_denied(&JAILED, paths, Some("/home/bob"), &line), "{paths:?}: {}", line.escape_ascii());
            }
        }
    }
}
