//! `portcullis man`: manual pages, made from the same text as `--help`.

use clap::CommandFactory as _;

use super::output::print;
use super::{Cli, Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  portcullis man | man -l -
  portcullis man run > /usr/local/share/man/man1/portcullis-run.1
  portcullis man ctl kill > /usr/local/share/man/man1/portcullis-ctl-kill.1";

/// Prints a manual page.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The subcommand that the page is about; without one it is about the whole program
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
}

impl Args {
    /// Prints the page.
    ///
    /// # Errors
    /// When there is no such subcommand, or standard output can't be written.
    pub fn execute(self) -> Result<Exit, Failure> {
        let mut command = Cli::command();
        command.build();
        for name in &self.path {
            let found = command.find_subcommand(name).cloned();
            command = found.ok_or_else(|| {
                Failure::new(
                    Exit::Unreadable,
                    format!("there is no subcommand `{}`", self.path.join(" ")),
                )
            })?;
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        print(&page)?;
        Ok(Exit::Done)
    }
}
