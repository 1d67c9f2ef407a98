//! Path tricks never get past a deny: whatever some server may take a spelling for, if that lies inside what is denied,
//! the command is refused.

use std::sync::LazyLock;

use portcullis::policy::{
    Asked, Circumstances, Default, Directory, Grammar, Paths, Request, RuleSet, Source,
    Surroundings, Verdict, Words,
};

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

pub static DENIED: LazyLock<RuleSet> = LazyLock::new(|| load(RULES));
pub static JAILED: LazyLock<RuleSet> = LazyLock::new(|| load(JAIL));

fn load(text: &str) -> RuleSet {
    let source = Source {
        name: "rules.yaml",
        bytes: text.as_bytes(),
    };
    RuleSet::load(Default::Allow, &[source], Surroundings::default())
        .expect("good rules")
        .rules
}

pub fn is_denied(rules: &RuleSet, paths: Option<Paths>, cwd: Option<&str>, line: &[u8]) -> bool {
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

pub const STATED: Option<Paths> = Some(Paths::Stated(Grammar::Unix));
pub const PRESUMED: Option<Paths> = Some(Paths::Presumed(Grammar::Unix));
pub const WINDOWS: Option<Paths> = Some(Paths::Stated(Grammar::Windows));

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
