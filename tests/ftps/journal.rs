//! What the gateway's journal says of a cell: versions, resumption, and who carried the data.

use portcullis_netlab::journal::{Record, event};
use portcullis_netlab::{Failure, ServerKind};

use crate::cell::Cell;
use crate::site::{Resumption, Upstream};
use crate::transfers::FILES;

/// Counts of one cell.
struct Seen {
    completed: usize,
    /// Data connections with the client in TLS, and how many of them resumed.
    data: (usize, usize),
    /// The same with the upstream.
    upstream: (usize, usize),
}

fn text<'a>(record: &'a Record, field: &str) -> &'a str {
    record
        .get(field)
        .and_then(|value| value.as_str())
        .unwrap_or_default()
}

/// Judges the records of one cell, and says in a few words what they show.
pub fn judge(cell: &Cell, records: &[Record]) -> Result<String, Failure> {
    let mut seen = Seen {
        completed: 0,
        data: (0, 0),
        upstream: (0, 0),
    };
    for record in records {
        match event(record) {
            "transfer.completed" => seen.completed += 1,
            "transfer.failed" | "tls.failed" | "tls.declined" => {
                return Err(format!("the journal shows {record:?}"));
            }
            "pinhole.opened" if text(record, "carried") != "relayed" => {
                return Err(format!("carried by another: {record:?}"));
            }
            "tls.established" => {
                let client = text(record, "side") == "client";
                if client && text(record, "tls") != cell.version.name() {
                    return Err(format!("not TLS {}: {record:?}", cell.version.name()));
                }
                if record.contains_key("transfer") {
                    let resumed = record.get("resumed") == Some(&true.into());
                    let counted = if client {
                        &mut seen.data
                    } else {
                        &mut seen.upstream
                    };
                    counted.0 += 1;
                    counted.1 += usize::from(resumed);
                }
            }
            _ => {}
        }
    }
    let least = 2 * FILES;
    if seen.completed < least {
        return Err(format!("only {} transfers are recorded", seen.completed));
    }
    if seen.data.0 < seen.completed {
        return Err(format!(
            "only {} data connections of {} transfers were in TLS",
            seen.data.0, seen.completed
        ));
    }
    if cell.listener().resumption == Resumption::Require && seen.data.1 < seen.completed {
        return Err(format!("only {} data connections resumed", seen.data.1));
    }
    let behind = match cell.upstream {
        Upstream::Clear if seen.upstream.0 > 0 => return Err("TLS behind, unasked".to_owned()),
        Upstream::Clear => 0,
        Upstream::Tls => seen.completed,
    };
    if seen.upstream.0 < behind {
        return Err(format!(
            "only {} data connections to the upstream were in TLS",
            seen.upstream.0
        ));
    }
    // Pure-FTPd demands no resumption, and may forget sessions.
    let demanded = match cell.server {
        ServerKind::Vsftpd | ServerKind::Proftpd => behind,
        ServerKind::PureFtpd | ServerKind::Pyftpdlib => 0,
    };
    if seen.upstream.1 < demanded {
        return Err(format!(
            "only {} data connections to the upstream resumed",
            seen.upstream.1
        ));
    }
    Ok(format!(
        "{} transfers; resumed {} of {} with the client ({}), {} of {} with the server",
        seen.completed,
        seen.data.1,
        seen.data.0,
        cell.listener().resumption.name(),
        seen.upstream.1,
        seen.upstream.0
    ))
}
