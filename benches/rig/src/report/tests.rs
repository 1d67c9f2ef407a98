//! What a report says.

use super::*;

fn test(name: &str) -> Test {
    TESTS
        .into_iter()
        .find(|test| test.name == name)
        .expect("a test")
}

fn measured(value: f64, failure: Option<&str>, wrong_byte: bool) -> Sample {
    let figures = BTreeMap::from([(Metric::GatewayPerGib, value)]);
    Sample::Measured {
        figures,
        failure: failure.map(str::to_owned),
        wrong_byte,
    }
}

#[test]
fn medians_spread_and_goals_are_in_the_table() {
    let bulk = test("retr-1");
    let mut report = Report::new(
        &[Peer::Haproxy, Peer::Portcullis],
        &[bulk],
        Extent::Full,
        2,
        "cubic",
    );
    for (round, haproxy, ours) in [(1, 1.0, 0.4), (2, 0.8, 0.5)] {
        report.add(round, bulk, Peer::Haproxy, measured(haproxy, None, false));
        report.add(round, bulk, Peer::Portcullis, measured(ours, None, false));
    }
    let row = "| retr-1 | gateway CPU s/GiB | 0.90 (0.80-1.00) | 0.45 (0.40-0.50) | <= 0.65 x haproxy: 0.50, reached |";
    assert!(report.markdown().contains(row), "{}", report.markdown());
    assert!(report.markdown().contains("congestion control cubic"));
    assert_eq!(report.json()["machine"]["congestion_control"], "cubic");
    assert!(report.faults().is_empty());
    assert_eq!(report.json()["goals"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_peer_may_fail_but_not_carry_a_wrong_byte() {
    let bulk = test("retr-1");
    let mut report = Report::new(&[Peer::Haproxy], &[bulk], Extent::Full, 1, "cubic");
    report.add(
        1,
        bulk,
        Peer::Haproxy,
        measured(1.0, Some("1 of 4 failed"), false),
    );
    assert!(report.faults().is_empty() && report.markdown().contains("1 of 4 failed"));
    report.add(
        1,
        bulk,
        Peer::Haproxy,
        measured(1.0, Some("1 of 4 failed"), true),
    );
    assert_eq!(report.faults().len(), 1);
}

#[test]
fn we_may_not_fail() {
    let bulk = test("retr-1");
    for peer in [Peer::Direct, Peer::Portcullis] {
        let mut report = Report::new(&[peer], &[bulk], Extent::Full, 1, "cubic");
        report.add(
            1,
            bulk,
            peer,
            Sample::Failed {
                why: "ended".into(),
                absent: true,
                wrong_byte: false,
            },
        );
        assert_eq!(report.faults().len(), 1);
    }
}
