//! FTPS with real clients through the gateway, in front of real servers, in clear and with TLS behind.
//!
//! Servers demand that data connections resume the control connection's session where they can. Needs root and the programs that
//! `scripts/test` installs.

mod cell;
mod client;
mod journal;
mod papers;
mod site;
mod transfers;

use std::thread;

use cell::{Cell, Firewall};
use client::{Client, Mode, Version};
use portcullis_netlab::{Failure, Node, ServerKind};
use site::{Listener, Resumption, Site, Upstream};

/// Runs every cell of a firewall in one site, and tells of each.
fn run_all(firewall: Firewall) -> Result<String, Vec<Failure>> {
    let cells = cell::all(firewall);
    let site = Site::new(firewall).map_err(|failure| vec![failure])?;
    let mut failures = Vec::new();
    let (mut passed, mut impossible) = (0, 0);
    for cell in &cells {
        match cell.not_applicable() {
            Some(reason) => {
                impossible += 1;
                println!("{cell}: n/a: {reason}");
            }
            None => match site.try_cell(cell) {
                Ok(told) => {
                    passed += 1;
                    println!("{cell}: {told}");
                }
                Err(failure) => {
                    println!("{cell}: FAILED");
                    failures.push(format!("{cell}: {failure}"));
                }
            },
        }
    }
    if let Err(failure) = site.finish() {
        failures.push(failure);
    }
    if failures.is_empty() {
        Ok(format!(
            "{}: {passed} cells passed, {impossible} not applicable",
            firewall.name()
        ))
    } else {
        Err(failures)
    }
}

/// Both firewalls beside each other: there are two sites, and most of the time is spent waiting.
#[test]
fn fifty_transfers_in_one_session_with_every_client_server_and_version() {
    let outcomes = thread::scope(|scope| {
        let running = Firewall::ALL.map(|firewall| scope.spawn(move || run_all(firewall)));
        running.map(|one| one.join().expect("a site that does not panic"))
    });
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(told) => println!("{told}"),
            Err(more) => failures.extend(more),
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n========\n")
    );
}
