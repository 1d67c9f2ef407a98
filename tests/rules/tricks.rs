//! Path tricks never get past a deny: whatever some server may take a spelling for, if that lies inside what is denied,
//! the command is refused.

use std::sync::LazyLock;

use portcullis::policy::{
    Asked, Circumstances, Default, Directory, Grammar, Paths, Request, RuleSet, Source,
    Surroundings, Verdict, Words,
};
use proptest::prelude::*;
use proptest::sample::select;

const RULES: &str = "
version: 1
rules:
  - {name: secret, when: {path: ['/secret/**']}, then: {deny: '550 no'}}
";

const JAIL: &str = "
version: 1
rules:
  - {name: jail, when: {operation: [read, write, list, chdir, delete], not: {path: ['/home/{user}/**']}}, then: {deny: '550 no'}}
";

const KINDS: &str = "
version: 1
rules:
  - {name: programs, when: {extension: [exe]}, then: {deny: '550 no'}}
";

static DENIED: LazyLock<RuleSet> = LazyLock::new(|| load(RULES));
static JAILED: LazyLock<RuleSet> = LazyLock::new(|| load(JAIL));

fn load(text: &str) -> RuleSet {
    let source = Source {
        name: "rules.yaml",
        bytes: text.as_bytes(),
    };
    RuleSet::load(Default::Allow, &[source], Surroundings::default())
        .expect("good rules")
        .rules
}

fn is_denied(rules: &RuleSet, paths: Option<Paths>, cwd: Option<&str>, line: &[u8]) -> bool {
    let directory = paths
        .zip(cwd)
        .and_then(|(paths, cwd)| Directory::stated(paths, cwd));
    let session = Circumstances {
        client: Some([192, 0, 2, 7].into()),
        user: Some(b"bob"),
        logged_in: true,
        paths,
        cwd: directory.as_ref(),
        ..Circumstances::default()
    };
    let decision = rules.decide(&Request {
        session,
        asked: Asked::Command(Words::of(line)),
    });
    decision.verdict != Verdict::Allow
}

const STATED: Option<Paths> = Some(Paths::Stated(Grammar::Unix));
const PRESUMED: Option<Paths> = Some(Paths::Presumed(Grammar::Unix));
const WINDOWS: Option<Paths> = Some(Paths::Stated(Grammar::Windows));

#[test]
fn every_known_trick_is_refused() {
    let rules = load(RULES);
    let everywhere: &[&[u8]] = &[
        b"RETR /secret/x",
        b"RETR //secret//x",
        b"RETR /./secret/./x",
        b"RETR /pub/../secret/x",
        b"RETR ../../secret/x",
        b"RETR ../secret/x",
        b"RETR /secret/",
        b"CWD /secret",
        b"LIST /secret",
        b"LIST -la /secret",
        b"LIST -a -l /secret",
        b"LIST /sec*",
        b"NLST /*/x",
        b"LIST -R /",
        b"LIST {/secret,x}",
        b"LIST -la/../../secret",
        b"STAT /secret",
        b"MLSD /secret",
        b"SIZE /secret/x",
        b"MDTM /secret/x",
        b"MDTM 20260101000000 /secret/x",
        b"XMD5 /secret/x",
        b"XCRC \"/secret/x\" 0 10",
        b"DELE /secret/x",
        b"RNFR /secret/x",
        b"RNTO /secret/x",
        b"XMKD /secret/y",
        b"SITE CHMOD 777 /secret/x",
        b"SITE  CHMOD 777 /secret/x",
        b"SITE CPFR /secret/x",
        b"SITE WHATEVER /secret/x",
        b"MFMT 20260101000000 /secret/x",
        b"PRET RETR /secret/x",
        b"XYZZY /secret/x",
        b"RCMD CPY '/secret/x'",
        b"RETR ~/../secret/x",
        b"RETR ~root/x",
        b"RETR %2fsecret/x",
        b"RETR /%73ecret/x",
        b"RETR /secret%2fx",
        b"RETR /\xC0\xAFsecret/x",
        b"RETR \xC0\xAE\xC0\xAE/secret/x",
        b"RETR /se\xFF\xF1cret/x",
        b"RETR  /secret/x",
        b"RETR /secret/x ",
        b"RETR \t/secret/x",
        b"RETR /secret/\x08x",
        b"COMB /pub/a /secret/x",
        b"THMB JPG 1 1 /secret/x",
        b"STOU /secret/x",
        b"RETR",
        b"CWD",
    ];
    for line in everywhere {
        for paths in [STATED, PRESUMED, WINDOWS, None] {
            assert!(
                is_denied(&rules, paths, Some("/pub"), line),
                "{paths:?} {}",
                line.escape_ascii()
            );
        }
    }
    // What is the same on Windows only, and what may be Windows.
    let windows: &[&[u8]] = &[
        b"RETR \\secret\\x",
        b"RETR ..\\secret\\x",
        b"RETR /SECRET/X",
        b"RETR /Secret/x",
        b"RETR /secret./x",
        b"RETR /secret /x",
        b"RETR /secret. ./x",
        b"RETR /SECRE~1/x",
        b"RETR /secret::$INDEX_ALLOCATION/x",
        b"RETR C:/secret/x",
        b"RETR C:\\secret\\x",
        b"CWD \\secret",
        b"RETR /pub\\..\\secret/x",
    ];
    for line in windows {
        for paths in [PRESUMED, WINDOWS, None] {
            assert!(
                is_denied(&rules, paths, Some("/pub"), line),
                "{paths:?} {}",
                line.escape_ascii()
            );
        }
    }
    let on_windows: &[&[u8]] = &[
        b"RETR //server/secret/x",
        b"RETR \\\\?\\C:\\secret\\x",
        b"RETR /sec?et/x",
        b"RETR /secre<",
        b"RETR /pub:x",
        "RETR /\u{FF0F}secret".as_bytes(),
        "RETR \u{2024}\u{2024}/secret".as_bytes(),
        b"RETR /pub/\xE9",
        b"RETR /...",
    ];
    for line in on_windows {
        assert!(
            is_denied(&rules, WINDOWS, Some("/pub"), line),
            "{}",
            line.escape_ascii()
        );
    }
    // A working directory that nobody confirmed.
    assert!(is_denied(&rules, STATED, None, b"RETR x"));
    assert!(is_denied(&rules, STATED, None, b"LIST"));
    assert!(is_denied(&rules, STATED, None, b"STOU"));
}

#[test]
fn what_is_no_trick_passes() {
    let rules = load(RULES);
    let innocent: &[&[u8]] = &[
        b"RETR x",
        b"RETR /pub/x",
        b"RETR /secretary/x",
        b"RETR /pub/secret",
        b"LIST",
        b"LIST -la",
        b"NLST *.txt",
        b"LIST -R",
        b"CWD sub",
        b"STOU",
        b"MDTM x",
        b"SIZE a b c",
        "RETR gr\u{fc}n".as_bytes(),
        b"RETR a.tar.gz",
        b"NOOP",
        b"USER bob",
        b"PASV",
        b"SITE HELP",
        b"STAT",
        b"FEAT",
        b"CDUP",
        b"RETR 50% off",
    ];
    for line in innocent {
        for paths in [STATED, PRESUMED] {
            assert!(
                !is_denied(&rules, paths, Some("/pub"), line),
                "{}",
                line.escape_ascii()
            );
        }
    }
    // Of a server that is known to be Unix these are other files.
    for line in [
        &b"RETR \\secret\\x"[..],
        b"RETR /SECRET/x",
        b"RETR /secret./x",
        b"RETR /SECRE~1",
        b"RETR C:/secret",
        b"RETR 10:30.log",
    ] {
        assert!(
            !is_denied(&rules, STATED, Some("/pub"), line),
            "{}",
            line.escape_ascii()
        );
    }
}

/// A wildcard is all that it can mean, and nothing that it can't.
#[test]
fn wildcards_are_what_they_can_mean() {
    let rules = load(
        "version: 1\nrules:\n  - {name: a, when: {path: ['**/web.config', '/pub/secret-*']}, then: {deny: '550 no'}}
  - {name: b, when: {extension: [exe]}, then: {deny: '550 no'}}\n",
    );
    for line in [
        &b"LIST *"[..],
        b"NLST w*",
        b"LIST *.config",
        b"LIST web?config",
        b"LIST we[b]*",
        b"LIST {web,x}.config",
        b"LIST *g",
        b"NLST s*",
        b"NLST *-x.txt",
        b"NLST secret*txt",
        b"LIST *.exe",
        b"LIST a*",
        b"LIST *xe",
        b"LIST a.ex?",
        b"LIST -R",
    ] {
        assert!(
            is_denied(&rules, STATED, Some("/pub"), line),
            "{}",
            line.escape_ascii()
        );
    }
    for line in [
        &b"NLST a*.txt"[..],
        b"NLST web*.txt",
        b"LIST a?.conf",
        b"LIST *x/y",
        b"LIST a*b.zip",
    ] {
        assert!(
            !is_denied(&rules, STATED, Some("/pub"), line),
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
fn kinds_of_files_are_known_by_any_spelling() {
    let rules = load(KINDS);
    for line in [
        &b"RETR a.exe"[..],
        b"RETR A.EXE",
        b"RETR a.exe.",
        b"RETR a.exe ",
        b"RETR a.exe::$DATA",
        b"RETR a.exe%00.txt",
        b"RETR b/../a.exe",
        b"RETR A~1.EXE",
        b"STOR x.tar.exe",
    ] {
        for paths in [PRESUMED, WINDOWS] {
            assert!(
                is_denied(&rules, paths, Some("/"), line),
                "{paths:?} {}",
                line.escape_ascii()
            );
        }
    }
    for line in [
        &b"RETR exe"[..],
        b"RETR a.exe.txt",
        b"RETR a.ex",
        b"RETR .exe/x",
    ] {
        assert!(
            !is_denied(&rules, STATED, Some("/"), line),
            "{}",
            line.escape_ascii()
        );
    }
}

/// Every way in which some server may change a name before it opens it.
const READINGS: &[fn(Vec<u8>) -> Vec<u8>] = &[
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
fn read(name: &[u8], readings: &[fn(Vec<u8>) -> Vec<u8>], chosen: u32) -> Vec<u8> {
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
