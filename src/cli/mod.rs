//! The command line: one file per subcommand, each with its arguments and an `execute`.
//!
//! Subcommands print what they were asked for on standard output and complaints on standard error, one clear line each,
//! and tell by an [`Exit`] how it went. They must not do the gateway's work themselves.

pub mod check;
pub mod completions;
pub mod ctl;
#[cfg(feature = "demo")]
pub mod demo;
mod exit;
pub mod explain;
mod gateway;
pub mod helper;
pub mod journal;
pub mod man;
mod output;
pub mod pinholes;
pub mod run;
pub mod schema;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  portcullis demo
      A small FTP server with the gateway in front, on this machine alone. Nothing to set up.
  portcullis run --listen 127.0.0.1:2121 --upstream 10.0.0.5:21
      A gateway without a configuration file and without root.
  portcullis check /etc/portcullis/portcullis.yaml && systemctl reload portcullis
      Change the configuration of a running gateway.
  portcullis journal pinholes --since 1h /var/log/portcullis/journal.jsonl
      Who opened what in the last hour.

Exit codes: 0 done; 1 failed, or the answer is no; 2 could not be read, or wrong usage;
  69 the kernel lacks something; 77 not permitted; 78 the configuration is wrong.";

/// An FTP gateway that opens exactly one port, for one client, for one transfer, and shuts it again.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100, after_help = EXAMPLES, infer_subcommands = false)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Names what there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway
    Run(Box<run::Args>),
    /// Run the gateway for a broker
    #[command(hide = true)]
    Gateway(gateway::Args),
    /// Check a configuration as `run` would read it
    Check(check::Args),
    /// Tell why something is allowed or refused
    Explain(explain::Args),
    /// Print the JSON Schema of the configuration or of rule files, for editors
    Schema(schema::Args),
    /// Show the gateway at work, with a small FTP server inside
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Read journals
    Journal(journal::Args),
    /// Ask and tell a running gateway
    Ctl(ctl::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print a manual page
    Man(man::Args),
    /// Resolve names for a gateway: started by it, and by nobody else
    #[command(hide = true)]
    Helper(helper::Args),
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// When it fails; the error tells the exit code and one line for the user.
    pub fn execute(self) -> Result<Exit, Failure> {
        match self.command {
            Command::Run(args) => args.execute(),
            Command::Gateway(args) => args.execute(),
            Command::Check(args) => args.execute(),
            Command::Explain(args) => args.execute(),
            Command::Schema(args) => args.execute(),
            #[cfg(feature = "demo")]
            Command::Demo(args) => args.execute(),
            Command::Journal(args) => args.execute(),
            Command::Ctl(args) => args.execute(),
            Command::Completions(args) => args.execute(),
            Command::Man(args) => args.execute(),
            Command::Helper(args) => args.execute(),
        }
    }
}
