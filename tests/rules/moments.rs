//! What is asked when, and what waits for a later moment.

use portcullis::policy::{Moment, Question, Verdict, Why};

use crate::decisions::{answer, asked, is_allowed, rules};

#[test]
fn a_verdict_is_put_off_while_an_earlier_rule_may_still_allow() {
    let rules = rules(
        "  - {name: staff, when: {user: [bob]}, then: {allow: true}}
  - {name: others, then: {close: \"421 Not from there.\"}}
",
    );
    let arriving = Question {
        command: None,
        user: None,
        ..asked("")
    };
    let (moment, decision) = answer(&rules, &arriving);
    assert_eq!(
        (moment, decision.why, decision.verdict),
        (Moment::Connection, Why::PutOff, Verdict::Allow)
    );
    assert!(is_allowed(
        &rules,
        &Question {
            user: None,
            ..asked("FEAT")
        }
    ));
    assert!(is_allowed(
        &rules,
        &Question {
            user: None,
            ..asked("USER bob")
        }
    ));
    assert!(!is_allowed(
        &rules,
        &Question {
            user: None,
            ..asked("USER eve")
        }
    ));
    assert!(!is_allowed(
        &rules,
        &Question {
            user: Some("eve".to_owned()),
            ..asked("RETR x")
        }
    ));
    // Files before any login: nobody can say whose.
    assert!(!is_allowed(
        &rules,
        &Question {
            user: None,
            ..asked("RETR x")
        }
    ));
}

#[test]
fn a_refusal_is_not_put_off_by_rules_that_only_refuse() {
    let rules = rules(
        "  - {name: no-root, when: {user: [root]}, then: {deny: \"530 no\"}}
  - {name: outside, when: {not: {client: [203.0.113.0/24]}}, then: {close: \"421 Not from there.\"}}
",
    );
    let from = |client: [u8; 4]| Question {
        client: Some(client.into()),
        command: None,
        user: None,
        ..asked("")
    };
    assert!(is_allowed(&rules, &from([203, 0, 113, 9])));
    let (moment, decision) = answer(&rules, &from([198, 51, 100, 9]));
    assert_eq!(moment, Moment::Connection);
    assert!(matches!(decision.verdict, Verdict::Close(_)));
}

#[test]
fn tls_is_asked_for_from_user_on_so_that_a_client_can_ask_for_it() {
    let rules =
        rules("  - {name: tls, when: {control_tls: false}, then: {deny: \"530 TLS first.\"}}\n");
    for line in ["AUTH TLS", "FEAT", "QUIT"] {
        assert!(
            is_allowed(
                &rules,
                &Question {
                    user: None,
                    ..asked(line)
                }
            ),
            "{line}"
        );
    }
    assert!(!is_allowed(
        &rules,
        &Question {
            user: None,
            ..asked("USER bob")
        }
    ));
    assert!(is_allowed(
        &rules,
        &Question {
            user: None,
            control_tls: true,
            ..asked("USER bob")
        }
    ));
    let data = crate::decisions::rules(
        "  - {name: tls, when: {data_tls: false, operation: [write]}, then: {deny: \"521 PROT P first.\"}}\n",
    );
    assert!(!is_allowed(&data, &asked("STOR x")));
    assert!(is_allowed(&data, &asked("RETR x")));
    assert!(is_allowed(
        &data,
        &Question {
            data_tls: true,
            ..asked("STOR x")
        }
    ));
}
