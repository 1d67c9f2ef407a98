//! `portcullis demo`: the gateway in front of a small FTP server, on this machine alone.

use std::net::{Ipv4Addr, SocketAddr};

use super::{Exit, Failure};

const EXAMPLES: &str = "\
Example:
  portcullis demo
      and in another terminal: curl ftp://127.0.0.1:2121/";

/// Shows the gateway at work.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where clients arrive
    #[arg(short, long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 2121)))]
    pub listen: SocketAddr,
}

impl Args {
    /// Runs the demonstration.
    ///
    /// # Errors
    /// Always, until the demonstration stands here.
    pub fn execute(self) -> Result<Exit, Failure> {
        Err(Failure::new(
            Exit::Failed,
            "this build has no demonstration yet",
        ))
    }
}
