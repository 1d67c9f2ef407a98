//! `portcullis ctl`: questions and orders to a running gateway.

use std::path::PathBuf;

use super::{Exit, Failure};
use crate::config::DEFAULT_SOCKET;

const EXAMPLES: &str = "\
Examples:
  portcullis ctl status
  portcullis ctl sessions --format json | jq '.[].client'
  portcullis ctl kill 4k7qz2m5x3ab
  portcullis ctl drain";

/// Asks and tells a running gateway.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The gateway's control socket [default: the user's own if there is one, else /run/portcullis/control.sock]
    #[arg(long, value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,

    /// What to ask or tell.
    #[command(subcommand)]
    pub order: Order,
}

/// Names what can be asked and told.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Order {
    /// Show how the gateway is
    Status {
        /// As a table for people or as JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List the sessions
    Sessions {
        /// As a table for people or as JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// End one session and shut its pinholes
    Kill {
        /// The session's id, as `sessions` and the journal show it
        session: String,
    },
    /// Take no new sessions, let transfers finish, then stop
    Drain,
    /// Read the configuration again; says what needs a restart
    Reload,
}

/// Says how an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

impl Args {
    /// Asks or tells the gateway.
    ///
    /// # Errors
    /// Always, until the control socket stands here.
    pub fn execute(self) -> Result<Exit, Failure> {
        let path = self.socket_path();
        Err(Failure::new(
            Exit::Failed,
            format!("this build can't speak to {} yet", path.display()),
        ))
    }

    /// Returns the socket that is spoken to: the named one, else the user's own where it exists, else the system's.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        let own = || {
            let directory = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
            Some(directory.join("portcullis/control.sock")).filter(|path| path.exists())
        };
        self.socket
            .clone()
            .or_else(own)
            .unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
    }
}
