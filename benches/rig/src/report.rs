//! Medians, spread, goals, notes: as a Markdown table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::measure::Sample;
use crate::peer::Peer;
use crate::plan::{Extent, Metric, TESTS, Test};
use crate::target::{Against, Judged, targets};

/// All that a run found.
#[derive(Debug)]
pub struct Report {
    peers: Vec<Peer>,
    tests: Vec<Test>,
    extent: Extent,
    rounds: u32,
    congestion_control: String,
    samples: Vec<(u32, &'static str, Peer, BTreeMap<Metric, f64>)>,
    excluded: Vec<(&'static str, Peer, Cell)>,
    notes: Vec<String>,
    faults: Vec<String>,
}

/// What stands in the table where there is no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The peer cannot do that, by its nature.
    NotApplicable,
    /// It should have done it.
    Failed,
}

/// Median, least and most of a figure's rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    median: f64,
    least: f64,
    most: f64,
    rounds: usize,
}

impl Report {
    /// Begins a report.
    pub fn new(
        peers: &[Peer],
        tests: &[Test],
        extent: Extent,
        rounds: u32,
        congestion_control: &str,
    ) -> Self {
        let (samples, excluded, notes, faults) = Default::default();
        Self {
            peers: peers.to_vec(),
            tests: tests.to_vec(),
            extent,
            rounds,
            congestion_control: congestion_control.to_owned(),
            samples,
            excluded,
            notes,
            faults,
        }
    }

    /// Adds a measurement.
    pub fn add(&mut self, round: u32, test: Test, peer: Peer, sample: Sample) {
        match sample {
            Sample::Measured {
                figures,
                failure,
                wrong_byte,
            } => {
                self.samples.push((round, test.name, peer, figures));
                if let Some(failure) = failure {
                    self.blame(test, peer, failure, wrong_byte);
                }
            }
            Sample::Failed {
                why,
                absent: true,
                wrong_byte,
            } => {
                self.blame(
                    test,
                    peer,
                    format!("left out from here on: {why}"),
                    wrong_byte,
                );
            }
            Sample::Failed {
                why,
                absent: false,
                wrong_byte,
            } => {
                self.excluded.push((test.name, peer, Cell::Failed));
                self.blame(test, peer, why, wrong_byte);
            }
        }
    }

    /// Leaves a test out for a peer, and says why once.
    pub fn exclude(&mut self, test: Test, peer: Peer, cell: Cell, why: String) {
        self.excluded.push((test.name, peer, cell));
        self.note(peer, test, why);
    }

    /// Leaves a test out for a peer without a word: it is meant for others.
    pub fn leave_out(&mut self, test: Test, peer: Peer) {
        self.excluded.push((test.name, peer, Cell::NotApplicable));
    }

    /// Says whether a test is over for a peer.
    pub fn gave_up(&self, test: Test, peer: Peer) -> bool {
        self.cell(test.name, peer).is_some()
    }

    /// Notes something about a peer in a test, once.
    pub fn note(&mut self, peer: Peer, test: Test, text: String) {
        let note = format!("{}, {}: {text}", peer.name(), test.name);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Returns what makes the run a failure.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    fn blame(&mut self, test: Test, peer: Peer, text: String, wrong_byte: bool) {
        if peer.must_succeed() || wrong_byte {
            self.faults
                .push(format!("{}, {}: {text}", peer.name(), test.name));
        }
        self.note(peer, test, text);
    }

    fn cell(&self, test: &str, peer: Peer) -> Option<Cell> {
        self.excluded
            .iter()
            .find(|(name, who, _)| *name == test && *who == peer)
            .map(|(_, _, cell)| *cell)
    }

    fn summary(&self, test: &str, peer: Peer, metric: Metric) -> Option<Summary> {
        let of_it = self
            .samples
            .iter()
            .filter(|(_, name, who, _)| *name == test && *who == peer);
        Summary::of(
            of_it
                .filter_map(|(.., figures)| figures.get(&metric).copied())
                .collect(),
        )
    }

    /// Judges every way in which ours ran.
    fn judged(&self, test: Test, metric: Metric) -> Vec<(Peer, Judged)> {
        let ours = self.peers.iter().filter(|peer| peer.is_ours());
        ours.flat_map(|&peer| {
            let judged = self.judged_one(peer, test, metric);
            judged.into_iter().map(move |judged| (peer, judged))
        })
        .collect()
    }

    fn judged_one(&self, subject: Peer, test: Test, metric: Metric) -> Vec<Judged> {
        let median = |test, peer| {
            self.summary(test, peer, metric)
                .map(|summary| summary.median)
        };
        let judge = |target: crate::target::Target| {
            let other = match target.against {
                Against::Peer(peer) => median(test.name, peer),
                Against::Ourselves(test) => median(test, subject),
                Against::Nothing => None,
            };
            target.judge(median(test.name, subject), other)
        };
        targets(subject, test, metric)
            .into_iter()
            .map(judge)
            .collect()
    }

    /// Writes the table, the notes and what went wrong.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let names: Vec<_> = self.peers.iter().map(|peer| peer.name()).collect();
        let ours = self.peers.iter().any(|peer| peer.is_ours());
        let goal = if ours { " our goals |" } else { "" };
        let rule = "---|".repeat(2 + names.len() + usize::from(ours));
        writeln!(
            text,
            "| test | figure | {} |{goal}\n|{rule}",
            names.join(" | ")
        )
        .ok();
        for &test in &self.tests {
            for &metric in test.kind.metrics() {
                let cells: Vec<_> = self
                    .peers
                    .iter()
                    .map(|&peer| self.cell_text(test, peer, metric))
                    .collect();
                if cells.iter().all(|cell| cell == "-") {
                    continue;
                }
                write!(
                    text,
                    "| {} | {} | {} |",
                    test.name,
                    metric.title(),
                    cells.join(" | ")
                )
                .ok();
                if ours {
                    let goals: Vec<_> = self
                        .judged(test, metric)
                        .iter()
                        .map(|(peer, judged)| match peer {
                            Peer::Portcullis => judged.text(),
                            peer => format!("{} {}", peer.name(), judged.text()),
                        })
                        .collect();
                    write!(text, " {} |", goals.join("; ")).ok();
                }
                text.push('\n');
            }
        }
        let extent = if self.extent == Extent::Quick {
            "quick"
        } else {
            "full"
        };
        let control = &self.congestion_control;
        match self.rounds {
            1 => writeln!(text, "\nOne round ({extent}), congestion control {control}.").ok(),
            n => writeln!(
                text,
                "\nMedians of {n} rounds ({extent}), in parentheses least and most; congestion control {control}."
            )
            .ok(),
        };
        let lists = [("Notes", &self.notes), ("**The run failed**", &self.faults)];
        for (title, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            writeln!(text, "\n{title}:").ok();
            for line in lines {
                writeln!(text, "- {line}").ok();
            }
        }
        text
    }

    fn cell_text(&self, test: Test, peer: Peer, metric: Metric) -> String {
        match (
            self.cell(test.name, peer),
            self.summary(test.name, peer, metric),
        ) {
            (Some(Cell::NotApplicable), _) => "n/a".into(),
            (Some(Cell::Failed), _) => "failed".into(),
            (None, Some(summary)) => summary.text(metric),
            (None, None) => "-".into(),
        }
    }

    /// Returns every figure, the summaries and the goals.
    pub fn json(&self) -> Value {
        let samples = self.samples.iter().map(|(round, test, peer, figures)| {
            json!({"round": round, "test": test, "peer": peer, "figures": by_name(figures.iter().map(|(m, v)| (*m, json!(v))))})
        });
        let rows = self.tests.iter().flat_map(|test| {
            test.kind
                .metrics()
                .iter()
                .map(move |metric| (*test, *metric))
        });
        let summary = rows.clone().flat_map(|(test, metric)| {
            self.peers.iter().filter_map(move |&peer| {
                let Summary {
                    median,
                    least,
                    most,
                    rounds,
                } = self.summary(test.name, peer, metric)?;
                Some(
                    json!({"test": test.name, "figure": metric.name(), "peer": peer,
                    "median": median, "least": least, "most": most, "rounds": rounds}),
                )
            })
        });
        let goals = rows.flat_map(|(test, metric)| {
            self.judged(test, metric).into_iter().map(move |(peer, judged)| {
                json!({"test": test.name, "figure": metric.name(), "peer": peer, "goal": judged.goal, "value": judged.value,
                    "reached": judged.reached})
            })
        });
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        json!({
            "extent": self.extent, "rounds": self.rounds, "all_tests": self.tests.len() == TESTS.len(),
            "machine": {"kernel": kernel.trim(), "congestion_control": self.congestion_control, "cores": std::thread::available_parallelism().map_or(0, usize::from)},
            "samples": samples.collect::<Vec<_>>(), "summary": summary.collect::<Vec<_>>(), "goals": goals.collect::<Vec<_>>(),
            "notes": self.notes, "faults": self.faults,
        })
    }
}

fn by_name(figures: impl Iterator<Item = (Metric, Value)>) -> Value {
    Value::Object(
        figures
            .map(|(metric, value)| (metric.name().to_owned(), value))
            .collect(),
    )
}

impl Summary {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self {
            median,
            least,
            most,
            rounds: values.len(),
        })
    }

    fn text(&self, metric: Metric) -> String {
        let median = metric.text(self.median);
        match self.rounds {
            1 => median,
            _ => format!(
                "{median} ({}-{})",
                metric.text(self.least),
                metric.text(self.most)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
