//! Who may know whom: held over the paths that the sources name, not by good intentions.
//!
//! `ftp`, `policy` and `engine` name no socket, file, clock, thread, randomness or runtime, and know only what stands
//! before them in that order. Of the standard library and of other crates they may name what is listed here, so that
//! whatever is new is refused until somebody allows it.

mod paths;

use std::path::{Path as FilePath, PathBuf};

use paths::{Path, paths};

/// Modules of the standard library of which everything is pure.
const PURE_MODULES: &[&str] = &[
    "array",
    "ascii",
    "borrow",
    "cmp",
    "collections",
    "convert",
    "default",
    "error",
    "fmt",
    "hash",
    "iter",
    "marker",
    "mem",
    "num",
    "ops",
    "option",
    "result",
    "slice",
    "str",
    "string",
    "vec",
];

/// Single things out of modules that hold others too.
const PURE_ITEMS: &[&str] = &[
    "net::IpAddr",
    "net::Ipv4Addr",
    "net::Ipv6Addr",
    "net::SocketAddr",
    "net::SocketAddrV4",
    "net::SocketAddrV6",
    "sync::Arc",
    "time::Duration",
];

/// Crates that only compute; of `jiff`, times are converted and printed, and never read from a clock.
const PURE_CRATES: &[&str] = &[
    "ipnet",
    "jiff",
    "memchr",
    "regex",
    "saphyr_parser",
    "schemars",
    "serde",
    "serde_json",
    "thiserror",
];

/// Macros that read or write something outside.
const IMPURE_MACROS: &[&str] = &[
    "print",
    "println",
    "eprint",
    "eprintln",
    "dbg",
    "include",
    "include_str",
    "include_bytes",
    "env",
    "option_env",
    "thread_local",
    "asm",
];

/// The pure modules, and which modules of the crate each may name.
const PURE: &[(&str, &[&str])] = &[
    ("ftp", &["ftp"]),
    ("yaml", &["yaml"]),
    ("policy", &["ftp", "yaml", "policy"]),
    ("engine", &["ftp", "policy", "engine"]),
];

/// Shells, and which modules of the crate they must not name.
const APART: &[(&str, &[&str])] = &[
    ("pinhole", &["gateway", "cli", "config", "audit"]),
    ("gateway", &["ftp", "cli", "audit"]),
    (
        "nft",
        &[
            "gateway", "pinhole", "cli", "config", "engine", "policy", "ftp", "helper", "audit",
        ],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The crates that the package depends on, as sources name them.
fn crates() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            names.push(name.trim().replace('-', "_"));
        }
    }
    assert!(
        names.len() > 5,
        "too few dependencies were found: {names:?}"
    );
    names
}

/// All sources of a module, with the path of the module that each one is.
fn sources(module: &str) -> Vec<(PathBuf, Vec<String>)> {
    fn walk(folder: &FilePath, module: &[String], found: &mut Vec<(PathBuf, Vec<String>)>) {
        let entries = folder
            .read_dir()
            .unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let mut inner = module.to_vec();
            if path.is_dir() {
                inner.push(name);
                walk(&path, &inner, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                if name != "mod" {
                    inner.push(name);
                }
                found.push((path, inner));
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &root().join("src").join(module),
        &[module.to_owned()],
        &mut found,
    );
    let single = root().join("src").join(format!("{module}.rs"));
    if single.exists() {
        found.push((single, vec![module.to_owned()]));
    }
    assert!(!found.is_empty(), "no sources of {module}");
    found
}

/// Says what is wrong with a path in a pure module that may name these modules of the crate.
fn impurity(path: &Path, may: &[&str], crates: &[String]) -> Option<&'static str> {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [_, .., "now" | "now_utc" | "system" | "elapsed"] => Some("a clock"),
        [.., name] if path.is_macro && IMPURE_MACROS.contains(name) => {
            Some("a macro that is not pure")
        }
        ["crate", module, ..] if !may.contains(module) => Some("a module that it must not know"),
        ["crate"] if path.is_use => Some("the whole crate"),
        ["std" | "core" | "alloc", rest @ ..] => {
            let item = rest.get(..2).map(|two| two.join("::"));
            let pure = rest
                .first()
                .is_some_and(|module| PURE_MODULES.contains(module))
                || item.is_some_and(|item| PURE_ITEMS.contains(&item.as_str()));
            let primitive = rest.len() >= 2 && matches!(rest[0], "f32" | "u64" | "char");
            (!(pure || primitive))
                .then_some("a part of the standard library that is not known to be pure")
        }
        [name, rest @ ..] if crates.iter().any(|known| known == name) => {
            let names_it = path.is_use || !rest.is_empty();
            (names_it && !PURE_CRATES.contains(name))
                .then_some("a crate that is not known to be pure")
        }
        ["extern" | "unsafe"] => Some("what lies outside the language's guarantees"),
        _ => None,
    }
}

fn findings(
    source: &str,
    module: &[&str],
    judge: impl Fn(&Path) -> Option<&'static str>,
) -> Vec<String> {
    paths(source, module)
        .iter()
        .filter_map(|path| {
            let why = judge(path)?;
            Some(format!(
                "line {}: `{}` is {why}",
                path.line,
                path.segments.join("::")
            ))
        })
        .collect()
}

fn check(module: &str, judge: impl Fn(&Path) -> Option<&'static str>) {
    let mut wrong = Vec::new();
    for (file, module) in sources(module) {
        let source = std::fs::read_to_string(&file).expect("a readable source");
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        for finding in findings(&source, &module, &judge) {
            wrong.push(format!("{}, {finding}", file.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "the dependency rule is broken:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn ftp_policy_and_engine_are_pure_and_know_only_what_stands_before_them() {
    let crates = crates();
    for (module, may) in PURE {
        check(module, |path| impurity(path, may, &crates));
    }
}

fn trespass(path: &Path, apart: &[&str]) -> Option<&'static str> {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["crate" | "portcullis", module, ..] if apart.contains(module) => {
            Some("a module that it must not know")
        }
        _ => None,
    }
}

#[test]
fn pinhole_does_not_know_why_and_gateway_never_looks_inside_ftp_text() {
    for (module, apart) in APART {
        check(module, |path| trespass(path, apart));
    }
}

/// What is planted is found, however it is spelt.
#[test]
fn a_planted_violation_is_found() {
    let crates = crates();
    let found = |source: &str| {
        let may = ["ftp", "policy", "engine"];
        !findings(source, &["engine", "lane"], |path| {
            impurity(path, &may, &crates)
        })
        .is_empty()
    };
    for planted in [
        "use std::fs;",
        "use std::{fmt, fs::File};",
        "use ::std::time::Instant;",
        "use std::time::{Duration, SystemTime};",
        "use std::net::{IpAddr, TcpStream};",
        "use std::net::UdpSocket as Quiet;",
        "use std::net;",
        "use std::net::*;",
        "use std as s;",
        "use std::sync::Mutex;",
        "use std::sync::{Arc, atomic::AtomicU64};",
        "fn f() { let t = std :: time :: Instant :: now(); }",
        "fn f() { std::thread::spawn(|| ()); }",
        "fn f() -> jiff::Timestamp { jiff::Timestamp::now() }",
        "use jiff::Timestamp; fn f() { Timestamp::now(); }",
        "fn f() { tokio::spawn(async {}); }",
        "use tracing::info;",
        "use getrandom;",
        "use socket2::{Socket, Domain};",
        "use crate::gateway::Journal;",
        "use crate::{engine, pinhole};",
        "use super::super::gateway;",
        "mod tests { use super::super::super::pinhole; }",
        "fn f() { println!(\"x\"); }",
        "const X: &str = include_str!(\"x\");",
        "fn f() { let c = 'x'; let q = '\"'; std::fs::read(\"a\"); }",
        "fn f<'a>(x: &'a str) { r#\"no\"#; std::env::args(); }",
        "extern crate libc;",
    ] {
        assert!(found(planted), "not found: {planted}");
    }
    for innocent in [
        "// use std::fs;",
        "/* std::fs /* and */ std::net */ use std::fmt;",
        "const X: &str = \"std::fs::read\";",
        "const X: &str = r##\"use \"# std::fs;\"##;",
        "const X: char = '\\''; // std::fs",
        "use std::net::{IpAddr, SocketAddr}; use std::sync::Arc; use std::time::Duration;",
        "use crate::ftp::Reply; use crate::policy::RuleSet; use super::Side;",
        "mod tests { use super::*; use super::super::Side; }",
        "fn f(step: &Step) { step.now.mono; self.fs.read(); }",
    ] {
        assert!(!found(innocent), "found: {innocent}");
    }
    let apart = |source: &str| {
        !findings(source, &["pinhole", "window"], |path| {
            trespass(path, &["gateway", "config"])
        })
        .is_empty()
    };
    assert!(apart("use crate::{engine::Side, config::Config};"));
    assert!(apart("fn f() { crate::gateway::clock(); }"));
    assert!(apart("use super::super::gateway;"));
    assert!(!apart("use crate::engine::Side; // crate::gateway"));
}
