//! Shows what a gateway answered: as JSON, or as lines and tables for people.

use std::fmt::Write as _;

use super::Format;
use crate::gateway::status::{BanReport, ProcessReport, Response, SessionReport, StatusReport};

/// Turns an answer into what is printed, with its last newline.
pub(super) fn show(response: &Response, format: Format) -> Result<String, serde_json::Error> {
    let mut text = match (response, format) {
        (Response::Status(status), Format::Json) => serde_json::to_string(status)?,
        (Response::Sessions(sessions), Format::Json) => serde_json::to_string(sessions)?,
        (Response::Bans(bans), Format::Json) => serde_json::to_string(bans)?,
        (Response::Bans(bans), Format::Text) => bans_table(bans),
        (Response::Banned(ban), _) => format!(
            "{} is banned until {}{}",
            ban.address,
            ban.until,
            if ban.in_kernel {
                ", by the kernel too"
            } else {
                ""
            }
        ),
        (Response::Unbanned(lifted), _) => format!("banned no more: {}", lifted.join(", ")),
        (Response::Status(status), Format::Text) => status_lines(status),
        (Response::Sessions(sessions), Format::Text) => table(sessions),
        (Response::Killed(id), _) => format!("session {id} is being ended"),
        (Response::Draining(0), _) => "stopping; no session runs".to_owned(),
        (Response::Draining(sessions), _) => {
            format!("no new sessions; stops when the {sessions} that run are over")
        }
        (Response::Reloaded(report), _) if report.needs_restart.is_empty() => {
            format!("reloaded (config {})", report.config)
        }
        (Response::Reloaded(report), _) => format!(
            "reloaded (config {}); these changes wait for a restart: {}",
            report.config,
            report.needs_restart.join(", "),
        ),
        (Response::Error(why), _) => why.clone(),
    };
    text.push('\n');
    Ok(text)
}

fn status_lines(status: &StatusReport) -> String {
    let state = if status.draining {
        "stopping: no new sessions"
    } else {
        "taking sessions"
    };
    let listeners: Vec<_> = status
        .listeners
        .iter()
        .map(|listener| format!("{} on {}", listener.name, listener.address))
        .collect();
    let journal = &status.journal;
    let journal_state = if journal.accepting {
        "written"
    } else {
        "CANNOT BE WRITTEN: nothing is opened"
    };
    let guard = match status.guard.as_str() {
        "socket_filter" => "socket filter",
        "accept_and_reset" => {
            "strangers are accepted and reset (the kernel refuses socket filters)"
        }
        other => other,
    };
    let mut lines = vec![
        (
            "portcullis",
            format!("{}, up {}", status.version, span(status.uptime_seconds)),
        ),
        ("state", state.to_owned()),
        ("listeners", listeners.join(", ")),
        ("sessions", status.sessions.to_string()),
        ("transfers", status.transfers.to_string()),
        ("pinholes", status.pinholes.to_string()),
        ("guard", guard.to_owned()),
        ("firewall", status.firewall.clone()),
        ("processes", processes(status.process)),
        (
            "journal",
            format!(
                "{journal_state}; {} records, {} lost",
                journal.records, journal.lost
            ),
        ),
    ];
    let certificates = status.certificates.iter().map(|one| {
        let ends = match one.days_left {
            0 => "ENDS TODAY OR IS OVER: renew it".to_owned(),
            1 => "1 day left".to_owned(),
            days => format!("{days} days left"),
        };
        ("certificate", format!(" {}: {ends}", one.file))
    });
    let sandbox = status
        .sandbox
        .iter()
        .map(|report| ("sandbox", report.clone()));
    let guard = status.login_guard;
    if guard.bans > 0 || guard.forgotten > 0 {
        let forgotten = match guard.forgotten {
            0 => String::new(),
            count => format!("; {count} refused logins forgotten for lack of room"),
        };
        lines.push(("bans", format!("{}{forgotten}", guard.bans)));
    }
    lines.extend(status.observed.iter().map(|one| {
        let times = if one.count == 1 { "time" } else { "times" };
        (
            "observed",
            format!("{} would {} {} {times}", one.what, one.would, one.count),
        )
    }));
    let mut text = String::new();
    for (name, value) in lines.into_iter().chain(certificates).chain(sandbox) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<11}{value}");
    }
    text.truncate(text.trim_end().len());
    text
}

fn processes(process: ProcessReport) -> String {
    match process.broker {
        Some(broker) => format!("gateway {}, broker {broker}", process.gateway),
        None => format!("gateway {}", process.gateway),
    }
}

fn table(sessions: &[SessionReport]) -> String {
    if sessions.is_empty() {
        return "no sessions".to_owned();
    }
    let heading = [
        "ID", "CLIENT", "USER", "UPSTREAM", "STATE", "AGE", "COMMAND", "BYTES",
    ];
    let rows = sessions.iter().map(|session| {
        [
            session.id.clone(),
            session.client.clone(),
            session.user.clone().unwrap_or_else(|| "-".to_owned()),
            session.upstream.clone(),
            session.state.clone(),
            span(session.age_seconds),
            session.command.clone().unwrap_or_else(|| "-".to_owned()),
            session.bytes.to_string(),
        ]
    });
    columns(heading, rows)
}

fn bans_table(bans: &[BanReport]) -> String {
    if bans.is_empty() {
        return "no bans".to_owned();
    }
    let heading = [
        "ADDRESS",
        "SINCE",
        "UNTIL",
        "FAILURES",
        "KERNEL",
        "TURNED AWAY",
    ];
    let unknown = || "-".to_owned();
    let rows = bans.iter().map(|ban| {
        [
            ban.address.clone(),
            ban.since.clone().unwrap_or_else(unknown),
            ban.until.clone(),
            match (ban.failures, ban.by_operator) {
                (Some(count), _) => count.to_string(),
                (None, true) => "operator".to_owned(),
                (None, false) => unknown(),
            },
            if ban.in_kernel { "yes" } else { "no" }.to_owned(),
            ban.turned_away.to_string(),
        ]
    });
    columns(heading, rows)
}

/// Lays a table out.
fn columns<const N: usize>(heading: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let heading = heading.map(str::to_owned);
    let rows: Vec<[String; N]> = std::iter::once(heading).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Writes a span of time with its two largest units.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::gateway::status::{
        BanReport, CertificateReport, JournalReport, ListenerReport, LoginGuardReport,
        ObservedReport, ReloadReport,
    };

    fn session(id: &str, user: Option<&str>) -> SessionReport {
        SessionReport {
            id: id.to_owned(),
            listener: "main".to_owned(),
            client: "192.0.2.7:40001".to_owned(),
            user: user.map(str::to_owned),
            upstream: "legacy".to_owned(),
            state: "idle".to_owned(),
            age_seconds: 75,
            command: None,
            commands: 3,
            transfers: 0,
            bytes: 1234,
        }
    }

    #[test]
    fn sessions_are_a_table_or_json() {
        let sessions = Response::Sessions(vec![
            session("aaaabbbbcccc", Some("bob")),
            session("ddddeeeeffff", None),
        ]);
        insta::assert_snapshot!(show(&sessions, Format::Text).expect("text"), @r"
        ID            CLIENT           USER  UPSTREAM  STATE  AGE    COMMAND  BYTES
        aaaabbbbcccc  192.0.2.7:40001  bob   legacy    idle   1m15s  -        1234
        ddddeeeeffff  192.0.2.7:40001  -     legacy    idle   1m15s  -        1234
        ");
        let json = show(&sessions, Format::Json).expect("JSON");
        let values: Vec<serde_json::Value> = serde_json::from_str(&json).expect("a list");
        assert_eq!(values[1]["client"], "192.0.2.7:40001");
        assert_eq!(
            show(&Response::Sessions(Vec::new()), Format::Text).expect("text"),
            "no sessions\n"
        );
    }

    #[test]
    fn bans_are_a_table_or_json() {
        let bans = Response::Bans(vec![
            BanReport {
                address: "198.51.100.7".to_owned(),
                since: Some("2026-11-21T05:12:06.911514Z".to_owned()),
                until: "2026-11-21T05:27:06.911514Z".to_owned(),
                failures: Some(5),
                by_operator: false,
                in_kernel: true,
                turned_away: 0,
            },
            BanReport {
                address: "2001:db8::/64".to_owned(),
                since: None,
                until: "2026-11-21T05:30:00.000000Z".to_owned(),
                failures: None,
                by_operator: false,
                in_kernel: false,
                turned_away: 12,
            },
            BanReport {
                address: "203.0.113.0/24".to_owned(),
                since: Some("2026-11-21T05:12:06.911514Z".to_owned()),
                until: "2026-11-21T06:12:06.911514Z".to_owned(),
                failures: None,
                by_operator: true,
                in_kernel: true,
                turned_away: 0,
            },
        ]);
        insta::assert_snapshot!(show(&bans, Format::Text).expect("text"), @"
        ADDRESS         SINCE                        UNTIL                        FAILURES  KERNEL  TURNED AWAY
        198.51.100.7    2026-11-21T05:12:06.911514Z  2026-11-21T05:27:06.911514Z  5         yes     0
        2001:db8::/64   -                            2026-11-21T05:30:00.000000Z  -         no      12
        203.0.113.0/24  2026-11-21T05:12:06.911514Z  2026-11-21T06:12:06.911514Z  operator  yes     0
        ");
        let json = show(&bans, Format::Json).expect("JSON");
        let values: Vec<serde_json::Value> = serde_json::from_str(&json).expect("a list");
        assert_eq!(values[1]["address"], "2001:db8::/64");
        assert_eq!(values[0]["in_kernel"], true);
        let none = Response::Bans(Vec::new());
        assert_eq!(show(&none, Format::Text).expect("text"), "no bans\n");
        assert_eq!(show(&none, Format::Json).expect("JSON"), "[]\n");
        let lifted = Response::Unbanned(vec!["198.51.100.7".to_owned()]);
        let shown = show(&lifted, Format::Text).expect("text");
        assert_eq!(shown, "banned no more: 198.51.100.7\n");
    }

    /// A status with something in every field.
    pub(in crate::cli::ctl) fn status() -> StatusReport {
        StatusReport {
            version: "0.1.0".to_owned(),
            uptime_seconds: 90_000,
            draining: false,
            listeners: vec![ListenerReport {
                name: "main".to_owned(),
                address: "0.0.0.0:21".to_owned(),
            }],
            sessions: 2,
            transfers: 1,
            pinholes: 0,
            journal: JournalReport {
                accepting: false,
                records: 10,
                lost: 3,
            },
            certificates: vec![
                CertificateReport {
                    file: "/etc/portcullis/one.pem".to_owned(),
                    days_left: 61,
                    seconds_left: 5_302_800,
                },
                CertificateReport {
                    file: "/etc/portcullis/two.pem".to_owned(),
                    days_left: 0,
                    seconds_left: -60,
                },
            ],
            guard: "socket_filter".to_owned(),
            firewall: "nftables".to_owned(),
            process: ProcessReport {
                gateway: 4712,
                broker: Some(4711),
            },
            sandbox: Some("gateway: uid 990 gid 990, no capabilities".to_owned()),
            login_guard: LoginGuardReport {
                bans: 2,
                forgotten: 3,
            },
            observed: vec![ObservedReport {
                what: "house/no-deletes".to_owned(),
                would: "deny".to_owned(),
                count: 7,
            }],
        }
    }

    #[test]
    fn status_says_when_the_journal_cannot_be_written() {
        insta::assert_snapshot!(show(&Response::Status(Box::new(status())), Format::Text).expect("text"), @r"
        portcullis 0.1.0, up 1d01h
        state      taking sessions
        listeners  main on 0.0.0.0:21
        sessions   2
        transfers  1
        pinholes   0
        guard      socket filter
        firewall   nftables
        processes  gateway 4712, broker 4711
        journal    CANNOT BE WRITTEN: nothing is opened; 10 records, 3 lost
        bans       2; 3 refused logins forgotten for lack of room
        observed   house/no-deletes would deny 7 times
        certificate /etc/portcullis/one.pem: 61 days left
        certificate /etc/portcullis/two.pem: ENDS TODAY OR IS OVER: renew it
        sandbox    gateway: uid 990 gid 990, no capabilities
        ");
    }

    #[test]
    fn a_reload_says_what_waits_for_a_restart() {
        let report = ReloadReport {
            config: "00ff".to_owned(),
            needs_restart: vec!["pinholes".to_owned()],
        };
        let shown = show(&Response::Reloaded(report), Format::Text).expect("text");
        assert_eq!(
            shown,
            "reloaded (config 00ff); these changes wait for a restart: pinholes\n"
        );
    }
}
