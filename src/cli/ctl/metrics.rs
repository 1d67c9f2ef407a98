//! A gateway's status as metrics, in the text format of OpenMetrics 1.0, which Prometheus and its node exporter read.
//!
//! No metric is of a type that the older format does not know (`info`): the node exporter would refuse the file.
//!
//! This module must not ask the gateway or read a clock.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::gateway::status::StatusReport;

type Level = Gauge<i64, AtomicI64>;
type Count = Counter<u64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct File {
    file: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Observed {
    what: String,
    would: String,
}

/// Writes a status as metrics; `now` is the time of day, in seconds since 1970.
///
/// # Errors
/// None that memory does not run out for.
pub(super) fn write(status: &StatusReport, now: i64) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("portcullis");
    let build = Family::<Build, Level>::default();
    let version = status.version.clone();
    build.get_or_create(&Build { version }).set(1);
    registry.register("build_info", "The program that runs", build);
    let uptime = i64::try_from(status.uptime_seconds).unwrap_or(i64::MAX);
    let started = now.saturating_sub(uptime);
    registry.register_with_unit(
        "start_time",
        "When the gateway started, since 1970",
        Unit::Seconds,
        level(started),
    );
    for (name, help, value) in [
        (
            "draining",
            "1 when no new sessions are taken",
            u64::from(status.draining),
        ),
        ("sessions", "Sessions that run", status.sessions),
        (
            "transfers",
            "Transfers whose bytes are being carried",
            status.transfers,
        ),
        (
            "pinholes",
            "Pinholes that are open and not used yet",
            status.pinholes,
        ),
        (
            "journal_accepting",
            "0 when no records can be written, and nothing is opened",
            u64::from(status.journal.accepting),
        ),
        (
            "banned_addresses",
            "Addresses that are banned",
            status.login_guard.bans,
        ),
    ] {
        registry.register(name, help, level(i64::try_from(value).unwrap_or(i64::MAX)));
    }
    for (name, help, value) in [
        (
            "journal_records",
            "Records written since the start",
            status.journal.records,
        ),
        (
            "journal_lost_records",
            "Records that were lost since the start",
            status.journal.lost,
        ),
        (
            "forgotten_logins",
            "Refused logins that were forgotten before their time, for lack of room",
            status.login_guard.forgotten,
        ),
    ] {
        registry.register(name, help, count(value));
    }
    let certificates = Family::<File, Level>::default();
    for one in &status.certificates {
        let file = one.file.clone();
        let ends = now.saturating_add(one.seconds_left);
        certificates.get_or_create(&File { file }).set(ends);
    }
    if !status.certificates.is_empty() {
        registry.register_with_unit(
            "certificate_end_time",
            "When a certificate of ours ends, since 1970",
            Unit::Seconds,
            certificates,
        );
    }
    let observed = Family::<Observed, Count>::default();
    for one in &status.observed {
        let (what, would) = (one.what.clone(), one.would.clone());
        let counter = observed.get_or_create(&Observed { what, would });
        counter.inc_by(one.count);
    }
    if !status.observed.is_empty() {
        registry.register(
            "observed",
            "What rules and checks that only observe would have done since the start",
            observed,
        );
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn level(value: i64) -> Level {
    let level = Level::default();
    level.set(value);
    level
}

fn count(value: u64) -> Count {
    let count = Count::default();
    count.inc_by(value);
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ctl::answer::tests::status;

    #[test]
    fn every_figure_of_a_status_is_a_metric() {
        let text = write(&status(), 1_800_000_000).expect("text");
        // The lines of one metric come in any order.
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        lines.sort_unstable();
        insta::assert_snapshot!(lines.join("\n"));
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn what_is_not_there_is_not_named() {
        let mut status = status();
        status.certificates.clear();
        status.observed.clear();
        let text = write(&status, 0).expect("text");
        assert!(
            !text.contains("certificate") && !text.contains("observed"),
            "{text}"
        );
    }

    #[test]
    fn names_that_would_break_a_line_are_escaped() {
        let mut status = status();
        if let Some(one) = status.certificates.first_mut() {
            one.file = "/t/a\"b\nc\\.pem".to_owned();
        }
        let text = write(&status, 0).expect("text");
        assert!(text.contains(r#"{file="/t/a\"b\nc\\.pem"}"#), "{text}");
    }
}
