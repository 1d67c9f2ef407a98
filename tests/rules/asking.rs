//! What is put to somebody else, and when.

use std::path::Path;

use portcullis::config::files::Disk;
use portcullis::policy::{Grammar, Moment, Paths, Question, Verdict, Why};
use portcullis::rules::{failed_examples, load_alone};

use crate::decisions::{answer, asked, is_allowed, rules};

const ALL: &str = "  - {name: all, then: {ask: {unix: /run/decider.sock}}}
  - {name: never, when: {user: [eve]}, then: {deny: \"530 Never.\"}}
";

#[test]
fn logins_and_operations_are_asked_about_and_nothing_else() {
    let rules = rules(ALL);
    for command in [
        "PASS x",
        "RETR x",
        "STOR x",
        "DELE x",
        "CWD x",
        "SITE EXEC x",
        "XYZZY x",
    ] {
        let (moment, decision) = answer(&rules, &asked(command));
        assert!(matches!(decision.verdict, Verdict::Ask(_)), "{command}");
        assert_eq!((moment, decision.why), (Moment::Command, Why::Matched));
    }
    for command in [
        "NOOP", "TYPE I", "PASV", "QUIT", "FEAT", "AUTH TLS", "PBSZ 0",
    ] {
        assert!(is_allowed(&rules, &asked(command)), "{command}");
    }
}

#[test]
fn it_waits_for_the_password_and_puts_off_what_stands_below() {
    let rules = rules(ALL);
    let arriving = Question {
        command: None,
        user: None,
        ..asked("")
    };
    let user = Question {
        user: None,
        ..asked("USER eve")
    };
    assert!(is_allowed(&rules, &arriving));
    let (_, decision) = answer(&rules, &user);
    assert_eq!(
        (decision.why, decision.verdict),
        (Why::PutOff, Verdict::Allow)
    );
    let password = Question {
        user: Some("eve".to_owned()),
        ..asked("PASS x")
    };
    let (_, decision) = answer(&rules, &password);
    assert!(matches!(decision.verdict, Verdict::Ask(_)));
    // It decides nothing about other commands, so what stands below does.
    let other = Question {
        user: Some("eve".to_owned()),
        ..asked("NOOP")
    };
    let (_, decision) = answer(&rules, &other);
    assert_eq!(&*decision.rule.rule, "never");
}

#[test]
fn a_rule_that_names_verbs_asks_about_them() {
    let rules = rules(
        "  - {name: named, when: {any: [{verb: [TYPE]}, {verb: [USER, PORT]}]}, then: {ask: {exec: [/bin/x]}}}
",
    );
    for command in ["TYPE I", "USER bob", "PORT 192,0,2,7,31,144"] {
        let (_, decision) = answer(&rules, &asked(command));
        assert!(matches!(decision.verdict, Verdict::Ask(_)), "{command}");
    }
    assert!(is_allowed(&rules, &asked("NOOP")) && is_allowed(&rules, &asked("PASS x")));
}

#[test]
fn what_can_not_be_told_is_asked_about() {
    let rules = rules(
        "  - {name: secret, when: {path: [\"/secret/**\"]}, then: {ask: {unix: /run/decider.sock}}}
",
    );
    let (_, decision) = answer(&rules, &asked("DELE %2e%2e/x"));
    assert!(matches!(decision.verdict, Verdict::Ask(_)));
    assert_eq!(decision.why, Why::CannotTell);
    let told = Question {
        paths: Some(Paths::Stated(Grammar::Unix)),
        cwd: Some("/".to_owned()),
        ..asked("DELE /pub/x")
    };
    assert!(is_allowed(&rules, &told));
}

#[test]
fn rules_that_ask_about_files_need_paths_and_others_do_not() {
    assert!(rules(ALL).needs_paths() && rules(ALL).asks());
    let login = rules("  - {name: login, when: {verb: [PASS]}, then: {ask: {exec: [/bin/x]}}}\n");
    assert!(!login.needs_paths() && login.asks());
    let observed =
        rules("  - {name: try, then: {ask: {unix: /run/decider.sock}, observe: true}}\n");
    assert!(!observed.asks(), "nobody is asked by a rule that observes");
}

#[test]
fn the_shipped_example_keeps_its_examples() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/exit-points/rules.yaml");
    let loaded = load_alone(&path, &Disk).expect("good rules");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(loaded.examples.len() >= 5);
    let failed: Vec<_> = failed_examples(&loaded);
    assert!(failed.is_empty(), "{failed:?}");
}
