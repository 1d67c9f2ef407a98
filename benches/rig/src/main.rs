//! Measures Portcullis beside its peers.
//!
//! `run` is what `scripts/bench` calls. It builds three network namespaces ([`network`]), and for each test ([`plan`])
//! and each peer ([`peer`]) starts the [`backend`], the gateway and the [`load`] in them, reads the meters ([`meter`])
//! around the load's work ([`measure`]), and reports medians beside the goals ([`report`], [`target`]). The other
//! commands are what it starts itself, by way of [`process`].

mod address;
mod backend;
mod carry;
mod claim;
mod engine;
mod identity;
mod load;
mod measure;
mod meter;
mod network;
mod pattern;
mod peer;
mod plan;
mod process;
mod report;
mod run;
mod target;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "bench")]
enum Command {
    Run(run::Options),
    /// Serves files that are computed from their names.
    #[command(hide = true)]
    Backend(backend::Options),
    /// Does one job as FTP clients.
    #[command(hide = true)]
    Load {
        /// The job as JSON.
        job: String,
    },
    /// Becomes a program in a namespace.
    #[command(hide = true)]
    Enter(process::Entry),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Run(options) => run::run(&options),
        Command::Backend(options) => backend::serve(options).map(|()| true),
        Command::Load { job } => load::run(&job).map(|()| true),
        Command::Enter(entry) => process::enter(&entry).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("bench: {e:#}");
            ExitCode::FAILURE
        }
    }
}
