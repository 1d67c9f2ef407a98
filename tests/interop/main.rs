//! Real servers behind the gateway and real clients in front of it, cell by cell of `TABLE.md`: without a firewall, where
//! the gateway carries every byte, and with nftables beside an operator's firewall that drops by default.
//!
//! `cargo test --test interop [-- WORD...]` runs the cells whose description contains every word (all without words, and
//! then the table is compared; `PORTCULLIS_BLESS=1` writes it). Needs root and the programs that `scripts/test` installs.

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use portcullis_netlab::Firewall;

use crate::bench::{Bench, Tell};
use crate::cell::Cell;
use crate::content::Failure;
use crate::table::Status;

mod bench;
mod carried;
mod cell;
mod client;
mod content;
mod operation;
mod table;

/// After how many cells a sign of life is printed.
const SIGN_OF_LIFE: usize = 100;

/// How many failures are shown in full.
const SHOWN: usize = 12;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("interop: test\n\n1 test, 0 benchmarks");
        return ExitCode::SUCCESS;
    }
    // Options are cargo's and libtest's; this program has none.
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let begin = Instant::now();
    let (passed, failures) = match try_all(&words) {
        Ok(outcome) => outcome,
        Err(failure) => (0, vec![failure]),
    };
    for failure in failures.iter().take(SHOWN) {
        println!("\nFAILED {failure}");
    }
    println!(
        "\ntest result: {}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        failures.len(),
        begin.elapsed().as_secs_f64()
    );
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What became of a cell that was tried.
type Outcome = Result<(), Failure>;

/// Runs the cells with all words; returns how many passed, and all failures.
fn try_all(words: &[&str]) -> Result<(usize, Vec<Failure>), Failure> {
    let all = cell::all();
    let runnable: Vec<Cell> = all
        .iter()
        .filter(|cell| cell.not_applicable().is_none())
        .copied()
        .collect();
    let chosen: Vec<Cell> = runnable
        .iter()
        .filter(|cell| words.iter().all(|word| cell.describe().contains(word)))
        .copied()
        .collect();
    if chosen.is_empty() {
        return Err(format!("no cell has all of the words {words:?}"));
    }
    println!("\nrunning {} of {} cells", chosen.len(), runnable.len());
    let done = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; chosen.len()]);
    let mut troubles = Vec::new();
    for firewall in Firewall::BOTH {
        let cells = chosen.iter().copied().enumerate();
        let cells: Vec<(usize, Cell)> = cells
            .filter(|(_, cell)| cell.firewall == firewall)
            .collect();
        let begin = Instant::now();
        let told = try_some(&cells, firewall, &|index, cell, time, outcome| {
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            let (what, seconds) = (cell.describe(), time.as_secs_f64());
            let remarkable =
                !words.is_empty() || cell.operation.is_big() || count.is_multiple_of(SIGN_OF_LIFE);
            if outcome.is_err() {
                println!("{count:5} {what} ... FAILED in {seconds:.2} s");
            } else if remarkable {
                println!("{count:5} {what} ... ok in {seconds:.2} s");
            }
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = outcomes.get_mut(index) {
                *place = Some(outcome.clone());
            }
        });
        match told {
            Ok(told) if told.is_empty() => {}
            Ok(told) => println!("{told}; {:.0} s", begin.elapsed().as_secs_f64()),
            Err(failure) => troubles.push(failure),
        }
    }
    let outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let passed = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Some(Ok(()))))
        .count();
    let mut failures: Vec<Failure> = chosen
        .iter()
        .zip(&outcomes)
        .filter_map(|(cell, outcome)| match outcome {
            Some(Ok(())) | None => None,
            Some(Err(failure)) => Some(format!("{}: {failure}", cell.describe())),
        })
        .collect();
    let not_run = outcomes.iter().filter(|outcome| outcome.is_none()).count();
    if not_run > 0 {
        failures.push(format!(
            "{not_run} cells were not run after so many failures"
        ));
    }
    failures.extend(troubles);
    if words.is_empty() {
        failures.extend(compare_table(&all, &outcomes).err());
    }
    Ok((passed, failures))
}

/// Runs cells with one firewall, and returns what there is to say of all of them.
fn try_some(
    cells: &[(usize, Cell)],
    firewall: Firewall,
    tell: &Tell<'_>,
) -> Result<String, Failure> {
    if cells.is_empty() {
        return Ok(String::new());
    }
    let bench = Bench::new(cells, firewall)?;
    bench.run(cells, tell);
    bench.finish()
}

/// Compares the table of what ran with the committed one, or writes it. `outcomes` are those of the runnable cells in order.
fn compare_table(all: &[Cell], outcomes: &[Option<Outcome>]) -> Result<(), Failure> {
    let mut outcomes = outcomes.iter();
    let cells: Vec<(Cell, Status)> = all
        .iter()
        .map(|cell| match cell.not_applicable() {
            Some(reason) => (*cell, Status::NotApplicable(reason)),
            None => match outcomes.next() {
                Some(Some(Ok(()))) => (*cell, Status::Passed),
                Some(Some(Err(_))) => (*cell, Status::Failed),
                Some(None) | None => (*cell, Status::NotRun),
            },
        })
        .collect();
    let now = table::render(&cells);
    let path = table::path();
    let complete = cells
        .iter()
        .all(|(_, status)| !matches!(status, Status::Failed | Status::NotRun));
    if complete && std::env::var_os("PORTCULLIS_BLESS").is_some() {
        return fs::write(&path, now).map_err(|error| format!("{}: {error}", path.display()));
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    if now == committed {
        return Ok(());
    }
    let only = |these: &str, those: &str, sign: char| -> String {
        these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line))
            .map(|line| format!("{sign} {line}\n"))
            .collect()
    };
    Err(format!(
        "{} is not what ran (- committed, + now):\n{}{}",
        path.display(),
        only(&committed, &now, '-'),
        only(&now, &committed, '+')
    ))
}
