//! `portcullis journal`: journals as tables.

use ipnet::IpNet;
use std::io::{self, BufWriter};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::pinholes::{self, PinholeQuery, Source};
use super::{Exit, Failure};
use crate::config::{Refusal, quantity};

const EXAMPLES: &str = "\
Examples:
  portcullis journal pinholes /var/log/portcullis/journal.jsonl
      Every pinhole: who, why, from where to where, bytes, and how it ended.
  portcullis journal pinholes --open -f /var/log/portcullis/journal.jsonl
      Those that are open, and new ones as they open.
  journalctl -u portcullis -o cat | portcullis journal pinholes --client 198.51.100.0/24 -
      Of one network, from the journal of systemd.";

/// Reads journals.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to show.
    #[command(subcommand)]
    pub view: View,
}

/// Names what can be shown.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum View {
    /// Show each pinhole: for whom, why, how long, how many bytes
    Pinholes(PinholesArgs),
}

/// Says which pinholes are shown.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PinholesArgs {
    /// Journal files, - for standard input, which is also read when no file is named
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Only pinholes that were open in the time before now: 30m, 1h, 7d
    #[arg(long, value_name = "DURATION", value_parser = quantity::parse_duration)]
    pub since: Option<Duration>,

    /// Only pinholes of clients in this network, or of this address
    #[arg(long, value_name = "CIDR", value_parser = parse_clients)]
    pub client: Option<IpNet>,

    /// Only pinholes that are open
    #[arg(long)]
    pub open: bool,

    /// Go on as the journal grows
    #[arg(short, long)]
    pub follow: bool,
}

impl Args {
    /// Shows what was asked for.
    ///
    /// # Errors
    /// When a journal can't be read, or standard output can't be written.
    pub fn execute(self) -> Result<Exit, Failure> {
        let View::Pinholes(args) = self.view;
        let sources = match args.files.as_slice() {
            [] => vec![Source::Stdin],
            files => files.iter().map(|it| Source::from_argument(it)).collect(),
        };
        let query = PinholeQuery {
            since: args.since.map(pinholes::ago),
            client: args.client,
            open: args.open,
            follow: args.follow,
        };
        let mut out = BufWriter::new(io::stdout().lock());
        pinholes::pinholes(&query, &sources, &mut out, &mut io::stderr().lock())
            .map(|_| Exit::Done)
            .map_err(|error| Failure {
                exit: Exit::Unreadable,
                error,
            })
    }
}

/// Reads a network, or one address as the network of itself.
fn parse_clients(text: &str) -> Result<IpNet, Refusal> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical().into()),
        Err(_) => crate::config::parse_network(text),
    }
}
