//! Every test that `tests/BEHAVIOUR.md` names exists, and every behaviour there names one.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_behaviour_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let index = fs::read_to_string(root.join("tests/BEHAVIOUR.md")).expect("the index");
    let mut tests = HashMap::new();
    let (mut rows, mut faults) = (0, Vec::new());
    for line in index.lines() {
        let Some((behaviour, named)) = row(line) else {
            continue;
        };
        rows += 1;
        let named = references(named);
        if named.is_empty() {
            faults.push(format!("no test for: {behaviour}"));
        }
        for (place, name) in named {
            let known = tests.entry(place).or_insert_with(|| tests_of(root, place));
            if !known.iter().any(|test| test == name) {
                faults.push(format!("{place} has no test {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(rows > 80, "only {rows} behaviours were found");
}

/// The two cells of a table's row; neither its head nor the line below it.
fn row(line: &str) -> Option<(&str, &str)> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let (behaviour, tests) = cells.rsplit_once(" | ")?;
    (tests != "Tests").then_some((behaviour, tests))
}

/// What stands in backticks: `place: name`.
fn references(cell: &str) -> Vec<(&str, &str)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .map(|reference| reference.split_once(": ").expect("place: name"))
        .collect()
}

/// The names of all tests in one file.
fn tests_of(root: &Path, place: &str) -> Vec<String> {
    let candidates: [PathBuf; 3] = [
        root.join(format!("tests/{place}.txt")),
        root.join(format!("tests/{place}.rs")),
        root.join(format!("{place}.rs")),
    ];
    let Some(text) = candidates
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
    else {
        return Vec::new();
    };
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("=== "))
        .map(str::to_owned)
        .collect();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once("fn ") {
            if is_test && let Some((name, _)) = rest.split_once('(') {
                found.push(name.to_owned());
            }
            is_test = false;
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        }
    }
    found
}
