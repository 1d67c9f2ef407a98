//! Parses the command line, does what it says, and turns the result into an exit code.

use clap::Parser as _;
use portcullis::cli::Cli;
use portcullis::config::ConfigErrors;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().execute() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // A configuration's errors begin with the file's name and need no other beginning.
            let prefix = if failure.error.is::<ConfigErrors>() {
                ""
            } else {
                "portcullis: "
            };
            eprintln!("{prefix}{failure}");
            failure.exit.into()
        }
    }
}
