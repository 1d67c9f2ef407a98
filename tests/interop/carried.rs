//! What the journal says of who carried the bytes: the kernel, exactly where it may, and the gateway elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_netlab::Failure;
use portcullis_netlab::journal::{Record, counts, event};

use crate::cell::Cell;

/// Of so many forwarded pinholes one may have been relayed in the end: that happens where server and client wait for each
/// other, and looks like it where a machine is so busy that a client takes a second to dial.
const TAKEN_BACK: usize = 100;

/// Every pinhole of the cell's sessions must have been opened for the one who is to carry.
pub fn check(cell: &Cell, records: &[Record]) -> Result<(), Failure> {
    let listener = cell.listener().name();
    let sessions: BTreeSet<&str> = records
        .iter()
        .filter(|record| event(record) == "session.opened" && word(record, "listener") == listener)
        .map(|record| word(record, "session"))
        .collect();
    let opened: Vec<&str> = records
        .iter()
        .filter(|record| event(record) == "pinhole.opened")
        .filter(|record| sessions.contains(word(record, "session")))
        .map(|record| word(record, "carried"))
        .collect();
    if opened.is_empty() && cell.opens_pinholes() {
        return Err(format!(
            "the journal shows no pinhole of {sessions:?} at {listener}"
        ));
    }
    match opened.iter().find(|carried| **carried != cell.carried()) {
        None => Ok(()),
        Some(carried) => Err(format!(
            "the journal says {carried}, where {} was expected",
            cell.carried()
        )),
    }
}

/// Says how often which was the case; what was opened for the kernel must have been carried by it.
pub fn summary(records: &[Record]) -> Result<String, Failure> {
    let mut opened: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut forwarded, mut relayed, mut taken_back) = (0, 0, 0);
    for record in records {
        let (pinhole, carried) = (word(record, "pinhole"), word(record, "carried"));
        match event(record) {
            "pinhole.opened" => {
                opened.insert(pinhole, carried);
            }
            "pinhole.closed" => match (opened.get(pinhole).copied(), carried) {
                (Some("forwarded"), "forwarded") => forwarded += 1,
                (Some("relayed"), "relayed") => relayed += 1,
                (Some("forwarded"), "relayed") => taken_back += 1,
                (before, after) => {
                    return Err(format!(
                        "{pinhole} was opened {before:?} and closed {after}"
                    ));
                }
            },
            _ => {}
        }
    }
    let failed = counts(records)
        .get("transfer.failed")
        .copied()
        .unwrap_or_default();
    let told = format!(
        "{forwarded} forwarded, {relayed} relayed, {taken_back} relayed instead; {failed} transfers failed"
    );
    if taken_back * TAKEN_BACK > forwarded {
        return Err(format!("too many were relayed instead: {told}"));
    }
    Ok(told)
}

fn word<'a>(record: &'a Record, key: &str) -> &'a str {
    record
        .get(key)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}
