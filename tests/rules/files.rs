//! Rule files that are wrong or doubtful, and what is said about them.

use portcullis::policy::{Default, Question, RuleSet, Source, Surroundings};
use portcullis::yaml::problem::{ConfigErrors, Severity};

fn load(name: &str, text: &str) -> Result<(RuleSet, Vec<String>), ConfigErrors> {
    let source = Source {
        name,
        bytes: text.as_bytes(),
    };
    let loaded = RuleSet::load(Default::Allow, &[source], Surroundings::default())?;
    let warnings = loaded
        .warnings
        .iter()
        .map(|warning| warning.message.clone())
        .collect();
    Ok((loaded.rules, warnings))
}

fn refused(name: &str, text: &str) -> ConfigErrors {
    match load(name, text) {
        Ok(_) => panic!("{name} was taken:\n{text}"),
        Err(errors) => errors,
    }
}

fn warnings(rules: &str) -> Vec<String> {
    load("rules.yaml", &format!("version: 1\nrules:\n{rules}"))
        .unwrap_or_else(|errors| panic!("{errors}"))
        .1
}

#[test]
fn every_bad_file_is_explained() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/bad");
    let mut files: Vec<_> = folder
        .read_dir()
        .expect("files")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    assert!(files.len() >= 8);
    for file in files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a plain name");
        let text = std::fs::read_to_string(&file).expect("text");
        let errors = refused(name, &text);
        for problem in errors.problems() {
            assert!(problem.help.is_some(), "{name}: {problem}");
        }
        insta::assert_snapshot!(name.trim_end_matches(".yaml"), errors.to_string());
    }
}

#[test]
fn bombs_are_refused_at_once() {
    let begun = std::time::Instant::now();
    let many = |line: &str, count: usize| format!("version: 1\nrules:\n{}", line.repeat(count));
    let deep = format!("{}{{user: [x]}}{}", "{not: ".repeat(5000), "}".repeat(5000));
    let rule = |when: &str| {
        format!("version: 1\nrules:\n  - {{name: a, when: {when}, then: {{allow: true}}}}\n")
    };
    let patterns = format!("['{}']", ["a{60}"; 600].join("','"));
    for text in [
        rule(&deep),
        rule("{argument: ['(a{1000}){1000}']}"),
        rule("{argument: ['(((a{100}){100}){100}){100}']}"),
        rule(&format!(
            "{{argument: ['{}']}}",
            "(".repeat(500) + &")".repeat(500)
        )),
        rule(&format!("{{path: ['/{}']}}", "*a".repeat(1000))),
        rule(&format!("{{user: ['{}']}}", "*a".repeat(1000))),
        rule(&format!("{{argument: {}}}", patterns.replace("a{60}", "x"))),
        many("  - {name: a, then: {allow: true}}\n", 30_000),
        many("  - {name: [\n", 100_000),
        "version: 1\nrules: ".to_owned() + &"[".repeat(1_000_000),
        "- ".repeat(4_000_000),
        "x".repeat(9 << 20),
    ] {
        let shown: String = text.chars().take(80).collect();
        let errors = refused("bomb.yaml", &text);
        assert!(errors.to_string().len() < 100_000, "{shown}");
    }
    assert!(begun.elapsed().as_secs() < 300, "{:?}", begun.elapsed());
}

/// Stars are matched without going back further than the last one.
#[test]
fn patterns_of_stars_are_matched_at_once() {
    let stars = format!("/{}b", "*a".repeat(400));
    let (rules, _) = load(
        "rules.yaml",
        &format!("version: 1\nrules:\n  - {{name: a, when: {{path: ['{stars}', '{}/x']}}, then: {{deny: '550 no'}}}}\n", "/**/a".repeat(150)),
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let question = Question {
        paths: Some(portcullis::policy::Paths::Stated(
            portcullis::policy::Grammar::Unix,
        )),
        cwd: Some("/".to_owned()),
        command: Some(format!("RETR {}", "a/".repeat(1000) + &"a".repeat(2000))),
        ..Question::default()
    };
    let begun = std::time::Instant::now();
    assert!(rules.answer(&question).is_some());
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn rules_that_never_match_are_warned_of() {
    for (rule, what) in [
        ("{verb: [RETR], operation: [write]}", "can never match"),
        ("{site: [CHMOD], verb: [DELE]}", "can never match"),
        ("{verb: [NOOP], path: [/x]}", "can never match"),
        (
            "{operation: [delete], size: {over: 1KiB}}",
            "can never match",
        ),
        ("{verb: [DELE], data_tls: true}", "can never match"),
        (
            "{moment: [connection], operation: [read]}",
            "can never match",
        ),
        ("{verb: [RTER]}", "no verb `RTER` is known"),
    ] {
        let found = warnings(&format!(
            "  - {{name: a, when: {rule}, then: {{deny: \"550 no\"}}}}\n"
        ));
        assert!(
            found.len() == 1 && found[0].contains(what),
            "{rule}: {found:?}"
        );
    }
}

#[test]
fn rules_that_an_earlier_one_leaves_nothing_to_are_warned_of() {
    for (first, second, shadowed) in [
        ("{operation: [read, write]}", "{operation: [read]}", true),
        ("{operation: [read]}", "{operation: [read, write]}", false),
        ("{operation: [read]}", "{verb: [RETR], user: [bob]}", true),
        (
            "{client: [10.0.0.0/8]}",
            "{client: [10.1.0.0/16], verb: [RETR]}",
            true,
        ),
        ("{client: [10.1.0.0/16]}", "{client: [10.0.0.0/8]}", false),
        ("{user: [bob, alice]}", "{user: [bob]}", true),
        ("{user: [bob]}", "{user: [bob, alice]}", false),
        (
            "{path: [\"/pub/**\"]}",
            "{path: [\"/pub/x/**\", /pub/y]}",
            true,
        ),
        ("{path: [\"/pub/*\"]}", "{path: [\"/pub/x/**\"]}", false),
        ("{size: {over: 1MiB}}", "{size: {over: 2MiB}}", true),
        (
            "{any: [{user: [bob]}, {verb: [RETR]}]}",
            "{verb: [RETR], client: [10.0.0.0/8]}",
            true,
        ),
        (
            "{not: {operation: [read]}}",
            "{not: {operation: [read, write]}}",
            true,
        ),
        (
            "{not: {operation: [read, write]}}",
            "{not: {operation: [read]}}",
            false,
        ),
    ] {
        let found = warnings(&format!(
            "  - {{name: a, when: {first}, then: {{allow: true}}}}\n  - {{name: b, when: {second}, then: {{deny: \"550 no\"}}}}\n"
        ));
        assert_eq!(
            found.iter().any(|one| one.contains("`b` is never asked")),
            shadowed,
            "{first} {second}: {found:?}"
        );
    }
    let always = warnings(
        "  - {name: a, then: {allow: true}}\n  - {name: b, when: {verb: [RETR]}, then: {deny: \"550 no\"}}\n",
    );
    assert!(always.len() == 1, "{always:?}");
    let observed = warnings(
        "  - {name: a, then: {observe: true, allow: true}}\n  - {name: b, then: {deny: \"550 no\"}}\n",
    );
    assert!(observed.is_empty(), "{observed:?}");
}

#[test]
fn names_of_the_configuration_are_checked_where_it_is_known() {
    let text = "version: 1\nrules:\n  - {name: a, when: {listener: [mian], upstream: [legacy]}, then: {allow: true}}\n";
    let source = Source {
        name: "rules.yaml",
        bytes: text.as_bytes(),
    };
    let around = Surroundings {
        listeners: Some(&["main"]),
        upstreams: Some(&["legacy"]),
    };
    let errors =
        RuleSet::load(Default::Allow, &[source], around).expect_err("there is no such listener");
    let problem = &errors.problems()[0];
    assert_eq!(problem.severity, Severity::Error);
    assert_eq!(problem.help.as_deref(), Some("did you mean `main`?"));
    assert!(load("rules.yaml", text).is_ok());
}

#[test]
fn one_bad_file_among_good_ones_is_enough_to_load_nothing() {
    let good = Source {
        name: "good.yaml",
        bytes: b"version: 1\nrules:\n  - {name: a, then: {allow: true}}\n",
    };
    let bad = Source {
        name: "bad.yaml",
        bytes: b"version: 1\nrules:\n  - {name: a, then: {alow: true}}\n",
    };
    let errors = RuleSet::load(Default::Allow, &[good, bad, good], Surroundings::default())
        .expect_err("one is bad");
    assert!(
        errors
            .problems()
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .all(|problem| problem.file == "bad.yaml")
    );
}
