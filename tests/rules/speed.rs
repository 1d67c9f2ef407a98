//! Ten thousand rules with a thousand networks load within a second and decide without looking at most of them.

use std::fmt::Write as _;

use portcullis::policy::{
    Asked, Circumstances, Default, Directory, Grammar, Paths, Request, RuleSet, Source,
    Surroundings, Verdict, Words,
};

/// The rules of a large house: by network, by user, by path.
pub fn large() -> String {
    let mut text = "version: 1\nrules:\n".to_owned();
    for number in 0..10_000 {
        let (a, b) = (number / 4 % 250, number % 4);
        let _ = match number % 3 {
            0 => writeln!(
                text,
                "  - {{name: r{number}, when: {{client: [10.{a}.{b}.0/24], operation: [write, delete]}}, then: {{deny: '550 no'}}}}"
            ),
            1 => writeln!(
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

#[test]
fn a_large_rule_set_decides_as_it_should() {
    let text = large();
    let source = Source {
        name: "large.yaml",
        bytes: text.as_bytes(),
    };
    let rules = RuleSet::load(Default::Allow, &[source], Surroundings::default())
        .unwrap_or_else(|errors| panic!("{errors}"))
        .rules;
    assert_eq!(rules.len(), 10_000);
    let paths = Some(Paths::Stated(Grammar::Unix));
    let cwd = Directory::stated(Paths::Stated(Grammar::Unix), "/data");
    for (client, user, line, allowed, rule) in [
        ([10, 0, 3, 7], "bob", "STOR x", false, "large/r3"),
        ([192, 0, 2, 7], "bob", "STOR x", true, "default"),
        ([192, 0, 2, 7], "user9997", "RETR x", true, "large/r9997"),
        ([192, 0, 2, 7], "bob", "RETR d9998/x", false, "large/r9998"),
        ([192, 0, 2, 7], "bob", "RETR d9999/x", true, "default"),
        ([10, 0, 3, 7], "bob", "NOOP", true, "default"),
    ] {
        let session = Circumstances {
            client: Some(client.into()),
            user: Some(user.as_bytes()),
            paths,
            cwd: cwd.as_ref(),
            logged_in: true,
            ..Circumstances::default()
        };
        let decision = rules.decide(&Request {
            session,
            asked: Asked::Command(Words::of(line.as_bytes())),
        });
        assert_eq!(
            (decision.verdict == Verdict::Allow, &*decision.rule.name),
            (allowed, rule),
            "{line}"
        );
    }
}
