//! `portcullis completions`: scripts that let shells complete this command line.

use clap::CommandFactory as _;

use super::output::print;
use super::{Cli, Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  portcullis completions bash > /etc/bash_completion.d/portcullis
  portcullis completions zsh > /usr/local/share/zsh/site-functions/_portcullis
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish";

/// Prints a completion script.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

impl Args {
    /// Prints the script.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn execute(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "portcullis", &mut script);
        print(&script)?;
        Ok(Exit::Done)
    }
}
