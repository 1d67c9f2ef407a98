//! What rules mean: order, moments, what is not known, modifiers.

use portcullis::ftp::Verb;
use portcullis::policy::{
    Circumstances, Decision, Default, Explanation, Grammar, Moment, Paths, Question, RuleSet,
    Source, Surroundings, Verdict, Why, Would,
};
use portcullis::rules::built_in;

pub fn load(rules: &str, default: Default) -> RuleSet {
    let text = format!("version: 1\nrules:\n{rules}");
    let source = Source {
        name: "/etc/portcullis/house.yaml",
        bytes: text.as_bytes(),
    };
    match RuleSet::load(default, &[source], Surroundings::default()) {
        Ok(loaded) => loaded.rules,
        Err(errors) => panic!("{errors}"),
    }
}

pub fn rules(text: &str) -> RuleSet {
    load(text, Default::Allow)
}

pub fn asked(command: &str) -> Question {
    Question {
        client: Some([203, 0, 113, 7].into()),
        user: Some("bob".to_owned()),
        command: Some(command.to_owned()),
        ..Question::default()
    }
}

pub fn answer(rules: &RuleSet, question: &Question) -> (Moment, Decision) {
    rules.answer(question).expect("an answer")
}

pub fn is_allowed(rules: &RuleSet, question: &Question) -> bool {
    answer(rules, question).1.verdict == Verdict::Allow
}

#[test]
fn site_exec_copies_and_chmod_are_denied_unless_a_rule_allows_them() {
    let shipped = built_in(Default::Allow, &["everything-but-dangerous"]);
    let open = RuleSet::empty(Default::Allow);
    for line in [
        "SITE EXEC id",
        "site  exec id",
        "SITE CPFR /etc/passwd",
        "SITE CPTO x",
        "SITE CHMOD 777 x",
        "RCMD X",
        "XYZZY now",
    ] {
        assert!(!is_allowed(&shipped, &asked(line)), "{line}");
        assert!(is_allowed(&open, &asked(line)), "{line}");
    }
    for line in [
        "SITE UTIME 20260101 x",
        "SITE HELP",
        "RETR x",
        "STOR x",
        "DELE x",
        "USER bob",
        "NOOP",
    ] {
        assert!(is_allowed(&shipped, &asked(line)), "{line}");
    }
}

#[test]
fn default_deny_leaves_login_and_leaving() {
    let closed = RuleSet::empty(Default::Deny);
    for line in [
        "USER bob", "PASS x", "QUIT", "NOOP", "FEAT", "TYPE I", "PASV", "STAT",
    ] {
        assert!(is_allowed(&closed, &asked(line)), "{line}");
    }
    for line in [
        "RETR x",
        "STOR x",
        "LIST",
        "CWD /",
        "DELE x",
        "RNFR x",
        "MKD x",
        "SITE HELP",
        "STAT x",
        "XYZZY",
    ] {
        assert!(!is_allowed(&closed, &asked(line)), "{line}");
    }
    assert!(is_allowed(
        &closed,
        &Question {
            command: None,
            ..asked("")
        }
    ));
}

#[test]
fn the_first_verdict_decides_and_modifiers_go_on() {
    let rules = rules(
        "  - {name: slow, then: {limit: {download: 2MiB/s, session_bytes: 1GiB}}}
  - {name: slower, when: {user: [bob]}, then: {limit: {download: 1MiB/s}, hide: {feat: [mlst], syst: true}}}
  - {name: seen, when: {operation: [read]}, then: {observe: true, deny: \"550 no\"}}
  - {name: first, when: {operation: [read]}, then: {allow: true}}
  - {name: second, when: {verb: [RETR]}, then: {deny: \"550 no\"}}
  - {name: late, then: {limit: {download: 1KiB/s}}}
",
    );
    let (_, decision) = answer(&rules, &asked("RETR x"));
    assert_eq!(decision.verdict, Verdict::Allow);
    assert_eq!(
        (
            &*decision.rule.name,
            &*decision.rule.file,
            decision.rule.line
        ),
        ("house/first", "/etc/portcullis/house.yaml", 6)
    );
    assert_eq!(
        (decision.limits.download, decision.limits.session_bytes),
        (Some(1 << 20), Some(1 << 30))
    );
    assert!(decision.hide.syst && decision.hide.hides_feature("MLST") && !decision.hide.banner);
    assert_eq!(decision.observed.len(), 1);
    assert_eq!(
        (&*decision.observed[0].rule.rule, decision.observed[0].would),
        ("seen", Would::Deny)
    );
}

#[test]
fn a_path_that_can_not_be_told_is_denied_and_not_allowed() {
    let denies = rules("  - {name: a, when: {path: [/x]}, then: {deny: \"550 no\"}}\n");
    let allows = load(
        "  - {name: a, when: {path: [/x]}, then: {allow: true}}\n",
        Default::Deny,
    );
    let unknown = asked("RETR x");
    let (_, decision) = answer(&denies, &unknown);
    assert_ne!(decision.verdict, Verdict::Allow);
    assert_eq!(decision.why, Why::CannotTell);
    assert!(!is_allowed(&allows, &unknown));
    // `not` of what can't be told can't be told either.
    let not_denied = rules("  - {name: a, when: {not: {path: [/x]}}, then: {deny: \"550 no\"}}\n");
    assert!(!is_allowed(&not_denied, &unknown));
    // Nobody has said who he is, and still it is no path of any home.
    let home =
        rules("  - {name: a, when: {path: ['/home/{user}/**']}, then: {deny: \"550 no\"}}\n");
    let nobody = |path: &str| Question {
        user: None,
        paths: Some(Paths::Stated(Grammar::Unix)),
        ..asked(path)
    };
    assert!(!is_allowed(&home, &nobody("DELE /home/x/y")));
    assert!(is_allowed(&home, &nobody("DELE /pub/x")));
    // What names no path is not concerned.
    for line in ["NOOP", "USER bob", "PASV", "QUIT"] {
        assert!(
            is_allowed(&denies, &asked(line)) && is_allowed(&not_denied, &asked(line)),
            "{line}"
        );
    }
}

#[test]
fn a_size_that_nobody_knows_is_denied_and_not_allowed() {
    let small =
        rules("  - {name: large, when: {size: {over: 1MiB}}, then: {deny: \"552 Too large.\"}}\n");
    for (size, allowed) in [
        (None, false),
        (Some(1 << 20), true),
        (Some((1 << 20) + 1), false),
    ] {
        let (moment, decision) = answer(
            &small,
            &Question {
                size,
                ..asked("STOR x")
            },
        );
        assert_eq!(
            (moment, decision.verdict == Verdict::Allow),
            (Moment::Transfer, allowed),
            "{size:?}"
        );
    }
    // Listings have no size.
    assert!(is_allowed(&small, &asked("LIST")));
    assert!(is_allowed(&small, &asked("DELE x")));
    let allowed = load(
        "  - {name: small, when: {size: {up_to: 1MiB}}, then: {allow: true}}\n",
        Default::Deny,
    );
    for (size, is) in [(None, false), (Some(5), true), (Some(1 << 21), false)] {
        assert_eq!(
            is_allowed(
                &allowed,
                &Question {
                    size,
                    ..asked("RETR x")
                }
            ),
            is,
            "{size:?}"
        );
    }
}

#[test]
fn passwords_are_nothing_that_rules_look_at() {
    let rules = rules("  - {name: spy, when: {argument: [secret]}, then: {deny: \"550 no\"}}\n");
    assert!(is_allowed(&rules, &asked("PASS secret")));
    assert!(!is_allowed(&rules, &asked("RETR secret")));
}

#[test]
fn bytes_that_are_no_utf_8_hide_nothing_from_a_pattern() {
    let rules =
        rules("  - {name: ends, when: {argument: [\"^.*exe$\"]}, then: {deny: \"550 no\"}}\n");
    let denied = |line: &[u8]| {
        use portcullis::policy::{Asked, Request, Words};
        let request = Request {
            session: Circumstances::default(),
            asked: Asked::Command(Words::of(line)),
        };
        rules.decide(&request).verdict != Verdict::Allow
    };
    assert!(denied(b"RETR \xFF\xFEa.exe") && denied(b"RETR a.exe") && !denied(b"RETR a.txt"));
}

#[test]
fn what_is_limited_by_nobody_is_forwarded() {
    let rules = rules(
        "  - {name: guests, when: {user: [anonymous]}, then: {limit: {download: 1MiB/s}}}
  - {name: large, when: {operation: [write], user: [carol]}, then: {limit: {transfer_bytes: 1GiB}}}
",
    );
    for (user, relayed) in [
        ("anonymous", true),
        ("ftp", true),
        ("carol", true),
        ("bob", false),
    ] {
        let explained: Vec<Explanation> = rules.explain_question(&Question {
            user: Some(user.to_owned()),
            ..asked("PASV")
        });
        assert_eq!(
            explained.last().expect("a moment").could_limit,
            relayed,
            "{user}"
        );
    }
}

#[test]
fn feat_offers_no_verb_that_is_denied_whatever_its_argument() {
    let rules = rules(
        "  - {name: no-size, when: {verb: [SIZE]}, then: {deny: \"550 no\"}}
  - {name: some-mdtm, when: {verb: [MDTM], path: [/x]}, then: {deny: \"550 no\"}}
  - {name: bob-mlst, when: {verb: [MLST], user: [bob]}, then: {deny: \"550 no\"}}
",
    );
    let denies = |user: Option<&str>, verb| {
        let session = Circumstances {
            user: user.map(str::as_bytes),
            ..Circumstances::default()
        };
        rules.denies_always(&session, verb)
    };
    assert!(denies(None, Verb::Size) && !denies(None, Verb::Mdtm) && !denies(None, Verb::Mlst));
    assert!(denies(Some("bob"), Verb::Mlst) && !denies(Some("eve"), Verb::Mlst));
}

#[test]
fn an_explanation_says_why_each_earlier_rule_was_passed_over() {
    let rules = rules(
        "  - {name: eve, when: {user: [eve]}, then: {deny: \"550 no\"}}
  - {name: far, when: {client: [10.0.0.0/8], operation: [read]}, then: {deny: \"550 no\"}}
  - {name: large, when: {size: {over: 1MiB}}, then: {observe: true, deny: \"550 no\"}}
  - {name: home, when: {not: {path: [\"/home/{user}/**\"]}}, then: {deny: \"550 no\"}}
",
    );
    let question = Question {
        paths: Some(portcullis::policy::Paths::Stated(
            portcullis::policy::Grammar::Unix,
        )),
        cwd: Some("/home/bob".to_owned()),
        ..asked("RETR ../x")
    };
    let explained = rules.explain_question(&question);
    assert_eq!(explained.len(), 1);
    let because: Vec<&str> = explained[0]
        .asked
        .iter()
        .map(|step| step.because.as_str())
        .collect();
    assert_eq!(
        because,
        [
            "`user` does not match (bob)",
            "`client` does not match (203.0.113.7)",
            "`size` is told at a later moment",
            "it matches",
        ]
    );
    assert_eq!(explained[0].path, Some(Ok("/home/x".to_owned())));
}
