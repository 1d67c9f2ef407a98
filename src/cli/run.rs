//! `portcullis run`: the gateway itself.

use std::path::{Path, PathBuf};

use super::output::print;
use super::{Exit, Failure};
use crate::config::{Config, ConfigErrors, Flags, Loaded};

/// The configuration that is read when the command line names none.
pub const DEFAULT_CONFIG: &str = "/etc/portcullis/portcullis.yaml";

const EXAMPLES: &str = "\
Examples:
  portcullis run --listen 127.0.0.1:2121 --upstream 10.0.0.5:21
      Without a file, without root; the journal goes to standard output.
  portcullis run --listen '*:21' --upstream ftp.example.com --advertise 203.0.113.10
      Behind a NAT whose outer address is 203.0.113.10. Let ports 21 and 21000-21015 in.
  portcullis run --config portcullis.yaml
      With a file; /etc/portcullis/portcullis.yaml is read when nothing is said.
  portcullis run --listen '*:21' --upstream 10.0.0.5 --print-config > portcullis.yaml
      Turn flags into a file with every default, to go on from there.

Flags and file are one configuration. Where both say something the flag wins: --listen and
--advertise replace those of the file's only listener, --upstream and --data-mode those of its
only upstream.

Signals: TERM and INT let running transfers finish and stop; HUP reads the configuration again
and reopens the journal.";

/// Runs the gateway.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where clients arrive; may be repeated
    #[arg(
        short,
        long,
        value_name = "ADDR",
        help = "Where clients arrive: '*:21' (IPv4 and IPv6), 192.0.2.1:21, '[2001:db8::1]:21'; may be repeated"
    )]
    pub listen: Vec<String>,

    /// The FTP server behind: 10.0.0.5:21, ftp.example.com; others, for when it fails, by repeating
    #[arg(short, long, value_name = "ADDR")]
    pub upstream: Vec<String>,

    /// The ports that clients are told for passive transfers [default: 21000-21015]
    #[arg(long, value_name = "A-B")]
    pub window: Option<String>,

    /// The address that clients are told, where it is not the one that they dialled (NAT)
    #[arg(long, value_name = "ADDR")]
    pub advertise: Option<String>,

    /// Where the journal goes: a file, or - for standard output [default: -]
    #[arg(long, value_name = "FILE")]
    pub journal: Option<String>,

    /// Who dials data connections to the server: as_client, passive or active [default: as_client]
    #[arg(long, value_name = "MODE")]
    pub data_mode: Option<String>,

    /// Which firewall is told about pinholes: none [default: none]
    #[arg(long, value_name = "KIND")]
    pub firewall: Option<String>,

    /// Print the whole configuration with every default, and stop
    #[arg(long)]
    pub print_config: bool,
}

impl Args {
    /// Runs the gateway, or prints the configuration.
    ///
    /// # Errors
    /// When the configuration is wrong or the gateway fails.
    pub fn execute(self) -> Result<Exit, Failure> {
        let loaded = self.configuration()?;
        for warning in &loaded.warnings {
            eprintln!("{warning}");
        }
        if self.print_config {
            print(loaded.config.to_yaml().as_bytes())?;
            return Ok(Exit::Done);
        }
        Err(Failure::new(
            Exit::Failed,
            "this build can check and print configurations, and has no gateway yet",
        ))
    }

    /// Returns the configuration that file and flags make together.
    ///
    /// # Errors
    /// When there is none, or it is wrong.
    pub fn configuration(&self) -> Result<Loaded, Failure> {
        let flags = self.flags();
        let loaded = match self.file() {
            Some(path) => Config::load_with(path, &flags),
            None if flags.is_empty() => return Err(nothing_to_run()),
            None => {
                let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
                Config::from_flags(&flags, runtime_dir.as_deref())
            }
        };
        loaded.map_err(Failure::from)
    }

    /// Returns the file that is read, now and at each reload: the named one, else the default one unless flags stand for it.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        let default = Path::new(DEFAULT_CONFIG);
        match &self.config {
            Some(path) => Some(path),
            None if self.listen.is_empty() && self.upstream.is_empty() && default.exists() => {
                Some(default)
            }
            None => None,
        }
    }

    /// Returns what the flags say about the configuration.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags {
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            window: self.window.clone(),
            advertise: self.advertise.clone(),
            journal: self.journal.clone(),
            data_mode: self.data_mode.clone(),
            firewall: self.firewall.clone(),
        }
    }
}

fn nothing_to_run() -> Failure {
    Failure::new(
        Exit::Configuration,
        format!(
            "there is no {DEFAULT_CONFIG}: name a file with `--config FILE`, or try `portcullis run --listen 127.0.0.1:2121 --upstream 10.0.0.5:21` with your FTP server's address"
        ),
    )
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let exit = match &errors {
            ConfigErrors::Unreadable(_) => Exit::Unreadable,
            ConfigErrors::Wrong { .. } => Exit::Configuration,
        };
        Self {
            exit,
            error: errors.into(),
        }
    }
}
