//! What is to be reached, and whether it was.

use crate::peer::Peer;
use crate::plan::{Metric, Test};

/// One goal for our figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// What it is measured against.
    pub against: Against,
    /// The bound on the ratio (or, for an absolute goal, on the figure).
    pub bound: f64,
    /// Whether the bound is the most or the least.
    pub sense: Sense,
}

/// What a figure is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Against {
    /// A peer's figure of the same run.
    Peer(Peer),
    /// The same way's figure in another test.
    Ourselves(&'static str),
    /// Nothing: the bound is the figure itself.
    Nothing,
}

/// Which side of the bound is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// At most the bound.
    AtMost,
    /// At least the bound.
    AtLeast,
}

/// How a goal came out.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Judged {
    /// The goal in words.
    pub goal: String,
    /// The ratio, or the figure; nothing where it was not measured.
    pub value: Option<f64>,
    /// Whether it was reached.
    pub reached: Option<bool>,
}

/// Returns the goals for a figure of a way in which ours runs.
pub fn targets(subject: Peer, test: Test, metric: Metric) -> Vec<Target> {
    if !subject.is_for(test) {
        return Vec::new();
    }
    match subject {
        Peer::Portcullis => relayed(test, metric),
        Peer::PortcullisNft => forwarded(test, metric),
        Peer::PortcullisTls => secured(test, metric),
        Peer::Direct
        | Peer::Haproxy
        | Peer::FtpProxy
        | Peer::ModProxy
        | Peer::KernelHelper
        | Peer::KernelMap
        | Peer::HaproxyMap
        | Peer::ModProxyTls => Vec::new(),
    }
}

/// TLS to the client, in clear to the server.
fn secured(test: Test, metric: Metric) -> Vec<Target> {
    let at_most = |bound| {
        vec![Target {
            against: Against::Peer(Peer::ModProxyTls),
            bound,
            sense: Sense::AtMost,
        }]
    };
    match (test.name, metric) {
        ("tls-retr-1" | "tls-retr-4", Metric::GatewayPerGib) => at_most(0.40),
        ("tls-stor-1" | "tls-stor-4", Metric::GatewayPerGib) => at_most(0.35),
        ("tls-files-1" | "tls-files-16", Metric::GatewayPerOperation) => at_most(0.35),
        ("tls-logins", Metric::GatewayPerOperation) => at_most(0.10),
        ("tls-idle-4000", Metric::PssPerSession) => vec![Target {
            against: Against::Nothing,
            bound: 40.0,
            sense: Sense::AtMost,
        }],
        _ => Vec::new(),
    }
}

/// Data that the kernel carries.
fn forwarded(test: Test, metric: Metric) -> Vec<Target> {
    let at_most = |against, bound| {
        vec![Target {
            against,
            bound,
            sense: Sense::AtMost,
        }]
    };
    match (test.name, metric) {
        ("retr-1" | "retr-4" | "stor-1" | "stor-4", Metric::RigPerGib) => {
            at_most(Against::Peer(Peer::Direct), 1.1)
        }
        ("retr-1" | "retr-4" | "stor-1" | "stor-4", Metric::GatewayPerGib) => {
            at_most(Against::Nothing, 0.01)
        }
        ("files-16", Metric::RigPerOperation) => at_most(Against::Peer(Peer::KernelHelper), 1.5),
        _ => Vec::new(),
    }
}

/// Data that passes through the process.
fn relayed(test: Test, metric: Metric) -> Vec<Target> {
    let most = |peer, bound| Target {
        against: Against::Peer(peer),
        bound,
        sense: Sense::AtMost,
    };
    let least = |peer, bound| Target {
        against: Against::Peer(peer),
        bound,
        sense: Sense::AtLeast,
    };
    let rival = Peer::Haproxy;
    match (test.name, metric) {
        ("retr-1" | "retr-4", Metric::GatewayPerGib) => vec![most(rival, 0.65)],
        ("retr-1" | "retr-4", Metric::Throughput) => vec![least(rival, 1.0)],
        ("stor-1" | "stor-4", Metric::GatewayPerGib) => vec![most(rival, 0.80)],
        ("files-16", Metric::GatewayPerOperation) => {
            vec![
                most(rival, 1.0),
                most(Peer::FtpProxy, 1.0 / 1.5),
                most(Peer::ModProxy, 1.0 / 3.0),
            ]
        }
        ("logins", Metric::GatewayPerOperation) => {
            vec![
                most(rival, 1.0),
                most(Peer::FtpProxy, 1.0 / 7.0),
                most(Peer::ModProxy, 1.0 / 15.0),
            ]
        }
        ("files-1" | "noop-1" | "noop-16", Metric::GatewayPerOperation) => vec![most(rival, 1.0)],
        ("files-1" | "files-16" | "noop-1" | "noop-16" | "logins", Metric::Rate) => {
            vec![least(rival, 1.0)]
        }
        ("files-1" | "files-16" | "noop-1" | "noop-16" | "logins", Metric::P50) => {
            vec![most(rival, 1.0)]
        }
        ("idle-8000", Metric::PssPerSession) => {
            vec![Target {
                against: Against::Nothing,
                bound: 4.0,
                sense: Sense::AtMost,
            }]
        }
        ("burst-1500", Metric::Completed) => {
            vec![Target {
                against: Against::Nothing,
                bound: 1_500.0,
                sense: Sense::AtLeast,
            }]
        }
        ("burst-1500", Metric::GatewayTotal) => vec![most(rival, 1.0)],
        ("scale-8000", Metric::Rate) => {
            vec![Target {
                against: Against::Ourselves("scale-10"),
                bound: 0.9,
                sense: Sense::AtLeast,
            }]
        }
        _ => Vec::new(),
    }
}

impl Target {
    /// Judges our figure beside the one that it is measured against.
    pub fn judge(&self, ours: Option<f64>, other: Option<f64>) -> Judged {
        let sign = match self.sense {
            Sense::AtMost => "<=",
            Sense::AtLeast => ">=",
        };
        let bound = format!("{:.2}", self.bound);
        let bound = bound.trim_end_matches('0').trim_end_matches('.');
        let (goal, value) = match self.against {
            Against::Peer(peer) => (
                format!("{sign} {bound} x {}", peer.name()),
                ours.zip(other).map(|(a, b)| a / b),
            ),
            Against::Ourselves(test) => (
                format!("{sign} {bound} x {test}"),
                ours.zip(other).map(|(a, b)| a / b),
            ),
            Against::Nothing => (format!("{sign} {bound}"), ours),
        };
        let reached = value.map(|value| match self.sense {
            Sense::AtMost => value <= self.bound,
            Sense::AtLeast => value >= self.bound,
        });
        Judged {
            goal,
            value,
            reached,
        }
    }
}

impl Judged {
    /// Writes it for the table.
    pub fn text(&self) -> String {
        match (self.value, self.reached) {
            (Some(value), Some(reached)) => {
                let verdict = if reached { "reached" } else { "**missed**" };
                let digits = if value >= 100.0 { 0 } else { 2 };
                format!("{}: {value:.digits$}, {verdict}", self.goal)
            }
            _ => format!("{}: not measured", self.goal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::TESTS;

    fn test(name: &str) -> Test {
        TESTS
            .into_iter()
            .find(|test| test.name == name)
            .expect("a test")
    }

    #[test]
    fn a_ratio_is_judged() {
        let target = targets(Peer::Portcullis, test("retr-1"), Metric::GatewayPerGib)[0];
        assert_eq!(
            target.judge(Some(0.5), Some(1.0)).text(),
            "<= 0.65 x haproxy: 0.50, reached"
        );
        assert_eq!(
            target.judge(Some(0.7), Some(1.0)).text(),
            "<= 0.65 x haproxy: 0.70, **missed**"
        );
        assert_eq!(
            target.judge(Some(0.5), None).text(),
            "<= 0.65 x haproxy: not measured"
        );
    }

    #[test]
    fn an_absolute_goal_is_judged() {
        let target = targets(Peer::Portcullis, test("burst-1500"), Metric::Completed)[0];
        assert_eq!(
            target.judge(Some(1_500.0), None).text(),
            ">= 1500: 1500, reached"
        );
        assert_eq!(target.judge(Some(1_499.0), None).reached, Some(false));
    }

    #[test]
    fn every_goal_stands_at_a_figure_that_its_test_yields() {
        for test in TESTS {
            for metric in [
                Metric::Throughput,
                Metric::GatewayPerGib,
                Metric::Rate,
                Metric::P50,
                Metric::Completed,
            ] {
                assert!(
                    targets(Peer::Portcullis, test, metric).is_empty()
                        || test.kind.metrics().contains(&metric),
                    "{}",
                    test.name
                );
            }
        }
    }
}
