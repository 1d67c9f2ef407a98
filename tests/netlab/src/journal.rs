//! The gateway's journal, read leniently: only what the tests ask for must be there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Failure;

/// One line of the journal.
pub type Record = serde_json::Map<String, Value>;

/// Reads JSON lines.
///
/// # Errors
/// A line that is no JSON object.
pub fn read(text: &str) -> Result<Vec<Record>, Failure> {
    let records = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| match serde_json::from_str(line) {
            Ok(Value::Object(record)) => Ok(record),
            Ok(_) | Err(_) => Err(format!("no journal record: {line}")),
        });
    records.collect()
}

/// The id of a record's event, such as `pinhole.opened`.
pub fn event(record: &Record) -> &str {
    record
        .get("event")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// How often each event occurs.
pub fn counts(records: &[Record]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(event(record).to_owned()).or_default() += 1;
    }
    counts
}

/// The ids of the pinholes that were opened, all of which must have been closed exactly once.
///
/// # Errors
/// Names the pinholes for which opening and closing don't balance.
pub fn balanced_pinholes(records: &[Record]) -> Result<Vec<String>, Failure> {
    let mut pinholes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for record in records {
        let (opened, closed) = match event(record) {
            "pinhole.opened" => (1, 0),
            "pinhole.closed" => (0, 1),
            _ => continue,
        };
        let Some(id) = record.get("pinhole") else {
            return Err(format!(
                "a {} record names no `pinhole`: {record:?}",
                event(record)
            ));
        };
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let seen = pinholes.entry(id).or_default();
        *seen = (seen.0 + opened, seen.1 + closed);
    }
    let unbalanced: Vec<_> = pinholes
        .iter()
        .filter(|(_, seen)| **seen != (1, 1))
        .collect();
    if unbalanced.is_empty() {
        return Ok(pinholes.into_keys().collect());
    }
    Err(format!(
        "of {} pinholes these were not opened and closed once, (opened, closed): {unbalanced:?}",
        pinholes.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::{balanced_pinholes, counts, read};

    #[test]
    fn a_pinhole_that_stays_open_is_found() {
        let opened = r#"{"event":"pinhole.opened","pinhole":"a.1"}"#;
        let closed = r#"{"event":"pinhole.closed","pinhole":"a.1"}"#;
        let both = read(&format!("{opened}\n\n{closed}\n")).unwrap();
        assert_eq!(balanced_pinholes(&both).unwrap(), ["a.1"]);
        assert_eq!(counts(&both).get("pinhole.opened"), Some(&1));
        assert!(
            balanced_pinholes(&read(opened).unwrap())
                .unwrap_err()
                .contains("a.1")
        );
        assert!(
            balanced_pinholes(&read(&format!("{opened}\n{closed}\n{closed}")).unwrap()).is_err()
        );
        assert!(read("pinhole").is_err());
    }
}
