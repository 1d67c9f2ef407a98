//! What confined processes really can and can't do, each shown by a process of its own.
//!
//! A process can be confined only before its first thread, so this program brings its own harness: with `--subject` as its
//! first argument it is such a process, which confines itself and tries one thing. Needs root.
//! `cargo test --test sandbox [-- WORD...]` runs the tests whose names contain every word.

mod gateway;
mod helper;
mod keeping;
mod probe;
mod processes;
mod work;

#[path = "../gateway/client.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod client;
#[path = "../gateway/server.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod server;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long anything that must happen may take, also on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long all tests together may take.
const LONGEST: Duration = Duration::from_secs(300);

/// Who the confined processes become: numbers that no user has.
const SOMEBODY: &str = "60123:60124";

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    (
        "the_gateway_has_no_privilege_in_any_set",
        gateway::has_no_privilege_in_any_set,
    ),
    ("the_gateway_does_what_it_must", gateway::does_what_it_must),
    (
        "the_gateway_is_refused_files_and_foreign_ports",
        gateway::is_refused_files_and_foreign_ports,
    ),
    (
        "the_gateway_dies_of_forbidden_calls",
        gateway::dies_of_forbidden_calls,
    ),
    (
        "a_gateway_that_cannot_be_confined_does_not_start",
        gateway::does_not_start_unconfined,
    ),
    (
        "the_broker_keeps_what_it_needs_and_its_children_get_no_more",
        processes::broker_keeps_what_it_needs,
    ),
    (
        "the_broker_and_its_children_die_of_what_none_needs",
        processes::broker_dies_of_what_none_needs,
    ),
    (
        "a_gateway_started_by_the_broker_is_confined_all_the_same",
        processes::broker_starts_a_gateway,
    ),
    (
        "the_helper_reads_and_runs_but_writes_nothing",
        helper::reads_and_runs_but_writes_nothing,
    ),
    (
        "the_helper_resolves_names_and_tells_the_broker",
        helper::resolves_names_and_tells_the_broker,
    ),
    (
        "the_helper_asks_whom_the_broker_has_listed_and_nobody_else",
        helper::asks_whom_the_broker_has_listed_and_nobody_else,
    ),
    (
        "a_confined_gateway_does_all_its_work",
        work::a_confined_gateway_does_all_its_work,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("--subject", rest)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return probe::subject(rest);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in TESTS {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!("FAILED: this test needs root");
        return ExitCode::FAILURE;
    }
    // Something to leave: every process that follows begins with these.
    let groups = [1, 2].map(rustix::process::Gid::from_raw);
    rustix::thread::set_thread_groups(&groups).expect("root may");
    // Options are cargo's and libtest's; this program has none.
    let words: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    // A confined process that hangs must not hang the test.
    std::thread::spawn(|| {
        std::thread::park_timeout(LONGEST);
        println!("FAILED: a test hangs");
        std::process::exit(1);
    });
    let begin = Instant::now();
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS {
        if !words.iter().all(|word| name.contains(word.as_str())) {
            continue;
        }
        if catch_unwind(test).is_ok() {
            passed += 1;
            println!("test {name} ... ok");
        } else {
            failed += 1;
            println!("test {name} ... FAILED");
        }
    }
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        TESTS.len() - passed - failed,
        begin.elapsed().as_secs_f64()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
