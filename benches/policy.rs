//! Rules alone: how long a decision takes among ten thousand, what it allocates, and how long loading takes.

use std::fmt::Write as _;

use divan::{AllocProfiler, Bencher, black_box};
use portcullis::policy::{
    Asked, Circumstances, Default, Directory, Grammar, Paths, Request, RuleSet, Source,
    Surroundings, Words,
};
use portcullis::rules::built_in;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Ten thousand rules: by a thousand networks, by user, by path.
fn text() -> String {
    let mut text = "version: 1\nrules:\n".to_owned();
    for number in 0..10_000 {
        let (a, b) = (number % 1000 / 4, number % 4);
        let _ = match number % 4 {
            0 | 1 => writeln!(
                text,
                "  - {{name: r{number}, when: {{client: [10.{a}.{b}.0/24], operation: [write, delete]}}, then: {{deny: '550 no'}}}}"
            ),
            2 => writeln!(
                text,
                "  - {{name: r{number}, when: {{user: [user{number}], operation: [read]}}, then: {{allow: true}}}}"
            ),
            _ => writeln!(
                text,
                "  - {{name: r{number}, when: {{operation: [read, list], path: ['/data/d{number}/**']}}, then: {{deny: '550 no'}}}}"
            ),
        };
    }
    text
}

fn load(text: &str) -> RuleSet {
    let source = Source {
        name: "large.yaml",
        bytes: text.as_bytes(),
    };
    match RuleSet::load(Default::Allow, &[source], Surroundings::default()) {
        Ok(loaded) => loaded.rules,
        Err(errors) => panic!("{errors}"),
    }
}

fn decide(
    bencher: Bencher<'_, '_>,
    rules: &RuleSet,
    client: [u8; 4],
    user: &str,
    asked: Asked<'_>,
) {
    let paths = Some(Paths::Stated(Grammar::Unix));
    let cwd = Directory::stated(Paths::Stated(Grammar::Unix), "/data/some/where");
    let session = Circumstances {
        client: Some(client.into()),
        listener: Some("main"),
        upstream: Some("legacy"),
        user: Some(user.as_bytes()),
        logged_in: true,
        paths,
        cwd: cwd.as_ref(),
        ..Circumstances::default()
    };
    let request = Request { session, asked };
    bencher.bench(|| black_box(rules.decide(black_box(&request))));
}

const LINES: [&str; 5] = [
    "RETR file.bin",
    "STOR file.bin",
    "RETR /data/d9999/x",
    "LIST",
    "NOOP",
];

/// A client and a user that no rule names.
#[divan::bench(args = LINES)]
fn among_ten_thousand(bencher: Bencher<'_, '_>, line: &str) {
    let rules = load(&text());
    decide(
        bencher,
        &rules,
        [192, 0, 2, 7],
        "bob",
        Asked::Command(Words::of(line.as_bytes())),
    );
}

/// A client in a network that ten rules name.
#[divan::bench]
fn among_ten_thousand_from_a_named_network(bencher: Bencher<'_, '_>) {
    let rules = load(&text());
    decide(
        bencher,
        &rules,
        [10, 3, 1, 7],
        "user7",
        Asked::Command(Words::of(b"RETR x")),
    );
}

/// A client arrives.
#[divan::bench]
fn an_arrival_among_ten_thousand(bencher: Bencher<'_, '_>) {
    let rules = load(&text());
    decide(bencher, &rules, [192, 0, 2, 7], "", Asked::Connection);
}

/// What is in force without a rule file.
#[divan::bench]
fn by_default(bencher: Bencher<'_, '_>) {
    let rules = built_in(Default::Allow, &["everything-but-dangerous"]);
    decide(
        bencher,
        &rules,
        [192, 0, 2, 7],
        "bob",
        Asked::Command(Words::of(b"RETR x")),
    );
}

/// Reading, checking and indexing ten thousand rules.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn load_ten_thousand(bencher: Bencher<'_, '_>) {
    let text = text();
    bencher.bench(|| load(black_box(&text)));
}
