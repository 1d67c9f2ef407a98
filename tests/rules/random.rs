//! Random rules and requests.

use std::fmt::Write as _;
use std::net::IpAddr;

use portcullis::ftp::Verb;
use portcullis::policy::{
    Asked, Circumstances, DataFacts, Default, Directory, Grammar, LegMode, Paths, Request, RuleSet,
    Source, Surroundings, Words,
};
use proptest::prelude::*;
use proptest::sample::select;

/// A request that owns what it is made of.
#[derive(Clone, Debug)]
pub struct Made {
    client: Option<IpAddr>,
    user: Option<String>,
    logged_in: bool,
    tls: bool,
    paths: Option<Paths>,
    cwd: Option<String>,
    line: String,
    moment: u8,
    size: Option<u64>,
    at: Option<i64>,
    upstream: Option<&'static str>,
}

impl Made {
    /// Hands the request to `ask`.
    pub fn put<T>(&self, ask: impl FnOnce(&Request<'_>) -> T) -> T {
        let cwd = self
            .paths
            .zip(self.cwd.as_ref())
            .and_then(|(paths, cwd)| Directory::stated(paths, cwd));
        let session = Circumstances {
            client: self.client,
            listener: Some("main"),
            upstream: self.upstream,
            user: self.user.as_ref().map(String::as_bytes),
            logged_in: self.logged_in,
            control_tls: self.tls,
            certificate: None,
            paths: self.paths,
            cwd: cwd.as_ref(),
            at: self.at,
        };
        let command = Words::of(self.line.as_bytes());
        let data = DataFacts {
            client: LegMode::Passive,
            upstream: LegMode::Active,
            tls: self.tls,
        };
        let asked = match self.moment {
            0 => Asked::Connection,
            1..=3 => Asked::Command(command),
            4 => Asked::Data {
                command: Words::of(b"PASV"),
                data,
            },
            _ => Asked::Transfer {
                command,
                data,
                size: self.size,
            },
        };
        ask(&Request { session, asked })
    }
}

const NAMES: [&str; 7] = [
    "bob",
    "alice",
    "CORP\\bob",
    "Bob",
    "anonymous",
    "ftp",
    "svc-1",
];
const ADDRESSES: [&str; 6] = [
    "10.0.0.1",
    "10.1.2.3",
    "192.0.2.9",
    "2001:db8::7",
    "::1",
    "203.0.113.200",
];
const NETWORKS: [&str; 8] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "192.0.2.8/29",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::/0",
    "203.0.113.0/24",
    "10.1.2.3/32",
];
const PATHS: [&str; 12] = [
    "/home/{user}/**",
    "/home/bob/**",
    "/home/*/x",
    "/pub",
    "/pub/**",
    "**/x",
    "/",
    "/**",
    "/home/bob/sub/x",
    "/HOME/**",
    "/a/b/c/d",
    "/pub/[a-c]?",
];
const LINES: [&str; 26] = [
    "RETR x",
    "RETR /home/bob/sub/x",
    "RETR ../x",
    "STOR a",
    "LIST",
    "LIST -R",
    "LIST *",
    "NLST /pub/*",
    "CWD ..",
    "CDUP",
    "DELE /pub/ab",
    "SITE CHMOD 777 x",
    "SITE EXEC y",
    "NOOP",
    "USER bob",
    "USER alice",
    "XYZZY x",
    "STAT",
    "STAT /pub",
    "XMKD new",
    "PASV",
    "PASS secret",
    "FEAT",
    "MDTM 20260101000000 x",
    "RETR //home//bob/./x",
    "RNFR ~bob",
];

pub fn requests() -> impl Strategy<Value = Made> {
    let who = (
        proptest::option::weighted(0.9, select(&ADDRESSES[..])),
        proptest::option::weighted(0.8, select(&NAMES[..])),
        any::<bool>(),
        any::<bool>(),
    );
    let paths = select(vec![
        None,
        Some(Paths::Stated(Grammar::Unix)),
        Some(Paths::Presumed(Grammar::Unix)),
        Some(Paths::Stated(Grammar::Windows)),
        Some(Paths::Stated(Grammar::Unix)),
    ]);
    let place = (
        paths,
        proptest::option::weighted(0.8, select(&["/", "/home/bob", "/pub", "/a/b/c"][..])),
    );
    let rest = (
        select(&LINES[..]),
        0..7_u8,
        proptest::option::of(0..3000_u64),
        proptest::option::weighted(0.9, 1_767_000_000_000_000..1_768_000_000_000_000_i64),
        proptest::option::weighted(0.9, Just("legacy")),
    );
    (who, place, rest).prop_map(
        |((client, user, logged_in, tls), (paths, cwd), (line, moment, size, at, upstream))| Made {
            client: client.map(|client| client.parse().expect("an address")),
            user: user.map(str::to_owned),
            logged_in,
            tls,
            paths,
            cwd: cwd.map(str::to_owned),
            line: line.to_owned(),
            moment,
            size,
            at,
            upstream,
        },
    )
}

fn list(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::hash_set(select(of), 1..3).prop_map(|words| {
        let words: Vec<String> = words.into_iter().map(|word| format!("'{word}'")).collect();
        format!("[{}]", words.join(", "))
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        list(&NETWORKS).prop_map(|list| format!("client: {list}")),
        Just("client: [here]".to_owned()),
        list(&["bob", "alice", "anonymous", "svc-*", "*\\bob", "staff", "*"])
            .prop_map(|list| format!("user: {list}")),
        list(&[
            "read",
            "write",
            "list",
            "chdir",
            "delete",
            "unknown",
            "site",
            "attributes"
        ])
        .prop_map(|list| format!("operation: {list}")),
        list(&["RETR", "USER", "NOOP", "STAT", "XYZZY", "MKD", "PASV"])
            .prop_map(|list| format!("verb: {list}")),
        list(&PATHS).prop_map(|list| format!("path: {list}")),
        list(&["CHMOD", "EXEC"]).prop_map(|list| format!("site: {list}")),
        list(&["^-", "x$"]).prop_map(|list| format!("argument: {list}")),
        any::<bool>().prop_map(|flag| format!("logged_in: {flag}")),
        any::<bool>().prop_map(|flag| format!("control_tls: {flag}")),
        any::<bool>().prop_map(|flag| format!("data_tls: {flag}")),
        Just("size: {over: 1KiB}".to_owned()),
        Just("upstream: [legacy]".to_owned()),
        Just("data_mode: {client: passive}".to_owned()),
        Just("time: {days: [mon, wed, sat], zone: UTC}".to_owned()),
        list(&["connection", "command", "data", "transfer"])
            .prop_map(|list| format!("moment: {list}")),
    ]
}

fn when() -> impl Strategy<Value = String> {
    let flat = proptest::collection::vec(key(), 1..4).prop_map(|keys| {
        let mut seen = Vec::new();
        let mut keys = keys;
        keys.retain(|key| {
            let name = key.split(':').next().unwrap_or_default().to_owned();
            let new = !seen.contains(&name);
            seen.push(name);
            new
        });
        format!("{{{}}}", keys.join(", "))
    });
    flat.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|when| format!("{{not: {when}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{any: [{a}, {b}]}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{all: [{a}, {b}]}}")),
            (key(), inner).prop_map(|(key, when)| format!("{{{key}, not: {when}}}")),
        ]
    })
}

fn then() -> impl Strategy<Value = &'static str> {
    select(vec![
        "{allow: true}",
        "{allow: true}",
        "{deny: '550 no'}",
        "{deny: '550 no'}",
        "{close: '421 no'}",
        "{ask: {unix: /run/x}}",
        "{limit: {download: 1MiB/s}}",
        "{observe: true, deny: '550 no'}",
        "{hide: {syst: true}}",
    ])
}

/// Rules as text, one string each.
pub fn rules(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(
        (when(), then()).prop_map(|(when, then)| format!("when: {when}, then: {then}")),
        count,
    )
}

pub fn load(rules: &[(usize, String)], default: Default) -> RuleSet {
    let mut text = "version: 1\nlists: {users: {staff: [bob, 'svc-*']}, networks: {here: [10.0.0.0/8]}}\nrules:\n".to_owned();
    for (number, rule) in rules {
        let _ = writeln!(text, "  - {{name: r{number}, {rule}}}");
    }
    let source = Source {
        name: "made.yaml",
        bytes: text.as_bytes(),
    };
    match RuleSet::load(default, &[source], Surroundings::default()) {
        Ok(loaded) => loaded.rules,
        Err(errors) => panic!("{errors}\n{text}"),
    }
}

fn numbered(rules: Vec<String>) -> Vec<(usize, String)> {
    rules.into_iter().enumerate().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is looked up is what asking every rule gives.
    #[test]
    fn the_index_changes_no_decision(rules in rules(17..60), requests in proptest::collection::vec(requests(), 20), deny: bool) {
        let default = if deny { Default::Deny } else { Default::Allow };
        let rules = load(&numbered(rules), default);
        for request in requests {
            request.put(|request| {
                let (quick, naive) = (rules.decide(request), rules.decide_by_all(request));
                assert_eq!(format!("{quick:?}"), format!("{naive:?}"), "{request:?}");
            });
        }
    }

    /// A rule that neither gave the verdict nor changed it can go.
    #[test]
    fn removing_an_unrelated_rule_changes_no_decision(rules in rules(2..40), request in requests(), gone in any::<prop::sample::Index>()) {
        let rules = numbered(rules);
        let whole = load(&rules, Default::Allow);
        let gone = gone.index(rules.len());
        let rest: Vec<_> = rules.iter().filter(|(number, _)| *number != gone).cloned().collect();
        let without = load(&rest, Default::Allow);
        request.put(|request| {
            let explained = whole.explain(request);
            let name = format!("r{gone}");
            // Related is what applied, and what was waited for.
            let related = explained.asked.iter().any(|step| {
                *step.rule.rule == *name && (step.applied || step.value == portcullis::policy::Value::Waits)
            });
            if !related {
                let (a, b) = (whole.decide(request), without.decide(request));
                assert_eq!((a.verdict, a.rule.rule.clone(), a.limits, a.hide), (b.verdict, b.rule.rule.clone(), b.limits, b.hide));
            }
        });
    }

    /// What is said to be denied always is denied with every argument.
    #[test]
    fn denied_always_is_denied_each_time(rules in rules(1..20), request in requests(), deny: bool) {
        let default = if deny { Default::Deny } else { Default::Allow };
        let rules = load(&numbered(rules), default);
        request.put(|request| {
            if let Asked::Command(words) = request.asked
                && words.verb != Verb::User
                && rules.denies_always(&request.session, words.verb)
            {
                let decision = rules.decide(request);
                assert!(matches!(decision.verdict, portcullis::policy::Verdict::Deny(_) | portcullis::policy::Verdict::Close(_)), "{decision:?}");
            }
        });
    }

    /// Where a transfer is limited, it was foreseen when the data connection was negotiated.
    #[test]
    fn what_is_limited_could_be_limited(rules in rules(1..20), request in requests()) {
        let rules = load(&numbered(rules), Default::Allow);
        request.put(|request| {
            if let Asked::Transfer { data, .. } = request.asked {
                let before = Request { session: request.session, asked: Asked::Data { command: Words::of(b"PASV"), data } };
                let decision = rules.decide(request);
                if !decision.limits.is_none() {
                    assert!(rules.could_limit(&before), "{decision:?}");
                }
            }
        });
    }
}
