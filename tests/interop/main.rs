//! Real servers behind the gateway and real clients in front of it, cell by cell of `TABLE.md`.
//!
//! `cargo test --test interop [-- WORD...]` runs the cells whose description contains every word (all without words, and
//! then the table is compared; `PORTCULLIS_BLESS=1` writes it). Needs root and the programs that `scripts/test` installs.

use std::fs;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::bench::Bench;
use crate::cell::Cell;
use crate::content::Failure;
use crate::table::Status;

mod bench;
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
    let chosen: Vec<Cell> = if std::env::var_os("PORTCULLIS_INTEROP_BYPASS").is_some() {
        chosen
            .into_iter()
            .filter(|c| {
                c.data_mode == portcullis_netlab::DataMode::AsClient && c.family == c.upstream
            })
            .collect()
    } else {
        chosen
    }; // BYPASS
    if chosen.is_empty() {
        return Err(format!("no cell has all of the words {words:?}"));
    }
    println!("\nrunning {} of {} cells", chosen.len(), runnable.len());
    let bench = Bench::new(&chosen)?;
    let done = AtomicUsize::new(0);
    let failed: Mutex<Vec<(usize, Failure)>> = Mutex::new(Vec::new());
    bench.run(&chosen, &|index, cell, time, result| {
        let count = done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(failure) = result {
            println!("FAILED {}", cell.describe());
            if let Ok(mut failed) = failed.lock() {
                failed.push((index, format!("{}: {failure}", cell.describe())));
            }
        } else if count.is_multiple_of(SIGN_OF_LIFE) || !words.is_empty() || cell.operation.is_big()
        {
            println!(
                "{count:5} {} ... ok in {:.2} s",
                cell.describe(),
                time.as_secs_f64()
            );
        }
    });
    let mut failed = failed.into_inner().map_err(|error| error.to_string())?;
    failed.sort();
    let passed = chosen.len() - failed.len();
    let mut failures: Vec<Failure> = Vec::new();
    match bench.finish() {
        Ok(told) => println!("{told}"),
        Err(failure) => failures.push(failure),
    }
    if words.is_empty() {
        let bad: Vec<usize> = failed.iter().map(|(index, _)| *index).collect();
        failures.extend(compare_table(&all, &bad).err());
    }
    failures.splice(0..0, failed.into_iter().map(|(_, failure)| failure));
    Ok((passed, failures))
}

/// Compares the table of what ran with the committed one, or writes it. `failed` are positions among the runnable cells.
fn compare_table(all: &[Cell], failed: &[usize]) -> Result<(), Failure> {
    let mut runnable = 0;
    let cells: Vec<(Cell, Status)> = all
        .iter()
        .map(|cell| match cell.not_applicable() {
            Some(reason) => (*cell, Status::NotApplicable(reason)),
            None => {
                let status = if failed.contains(&runnable) {
                    Status::Failed
                } else {
                    Status::Passed
                };
                runnable += 1;
                (*cell, status)
            }
        })
        .collect();
    let now = table::render(&cells);
    let path = table::path();
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
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
