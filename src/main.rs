//! Parses the command line, does what it says, and turns the result into an exit code.

use clap::Parser as _;
use portcullis::cli::{Cli, Exit};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().execute() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // A configuration's errors begin with the file's name and need no other beginning.
            match failure.exit {
                Exit::Configuration => eprintln!("{failure}"),
                _ => eprintln!("portcullis: {failure}"),
            }
            failure.exit.into()
        }
    }
}
