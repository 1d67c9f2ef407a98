//! `portcullis ctl`: questions and orders to a running gateway.

mod answer;
mod metrics;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::output::print;
use super::{Exit, Failure};
use crate::config::DEFAULT_SOCKET;
use crate::gateway::status::{Request, Response};

/// How long a gateway may take to answer; a reload reads files.
const PATIENCE: Duration = Duration::from_secs(20);

const EXAMPLES: &str = "\
Examples:
  portcullis ctl status
  portcullis ctl metrics >/var/lib/prometheus/node-exporter/portcullis.prom
  portcullis ctl sessions --format json | jq '.[].client'
  portcullis ctl kill 4k7qz2m5x3ab
  portcullis ctl ban 198.51.100.7 --for 2h
  portcullis ctl unban 198.51.100.7
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
    /// Show the figures of `status` as metrics for Prometheus (OpenMetrics text)
    Metrics,
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
    /// List the addresses that are banned
    Bans {
        /// As a table for people or as JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Turn an address or a network away for a time; sessions that are logged in go on
    Ban {
        /// The address (of IPv6 its whole /64), or an IPv4 /24
        network: String,
        /// For how long, up to a day [default: the time of `login_guard.ban`]
        #[arg(long = "for", value_name = "DURATION")]
        time: Option<String>,
    },
    /// Lift a ban
    Unban {
        /// The address or network, as `bans` shows it; or `all`
        address: String,
    },
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
    /// Asks or tells the gateway, and prints what it answers.
    ///
    /// # Errors
    /// When no gateway answers, or it did not do what it was told.
    pub fn execute(self) -> Result<Exit, Failure> {
        let path = self.socket_path();
        let as_metrics = matches!(self.order, Order::Metrics);
        let (request, format) = match self.order {
            Order::Status { format } => (Request::Status, format),
            Order::Metrics => (Request::Status, Format::Text),
            Order::Sessions { format } => (Request::Sessions, format),
            Order::Kill { session } => (Request::Kill { session }, Format::Text),
            Order::Bans { format } => (Request::Bans, format),
            Order::Ban { network, time } => (Request::Ban { network, time }, Format::Text),
            Order::Unban { address } => (Request::Unban { address }, Format::Text),
            Order::Drain => (Request::Drain, Format::Text),
            Order::Reload => (Request::Reload, Format::Text),
        };
        let response = ask(&path, &request)?;
        if let Response::Error(why) = response {
            return Err(Failure::new(Exit::Failed, why));
        }
        if let Response::Unbanned(lifted) = &response
            && lifted.is_empty()
        {
            return Err(Failure::new(Exit::Failed, "no such ban".to_owned()));
        }
        let text = match &response {
            Response::Status(status) if as_metrics => {
                metrics::write(status, now()).map_err(io::Error::other)?
            }
            response => answer::show(response, format).map_err(io::Error::from)?,
        };
        print(text.as_bytes())?;
        Ok(Exit::Done)
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

/// The time of day in whole seconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Sends one request and reads its answer.
fn ask(path: &Path, request: &Request) -> Result<Response, Failure> {
    let stream = UnixStream::connect(path).map_err(|error| unreachable(path, &error))?;
    let exchange = || -> io::Result<String> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        (&stream).write_all(line.as_bytes())?;
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer)?;
        Ok(answer)
    };
    let failed = |error: io::Error| {
        let shown = path.display();
        Failure::new(
            Exit::Failed,
            format!("the gateway at {shown} did not answer: {error}"),
        )
    };
    let answer = exchange().map_err(failed)?;
    serde_json::from_str(&answer).map_err(|error| failed(error.into()))
}

fn unreachable(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::new(
            Exit::Failed,
            format!(
                "no gateway answers at {shown}; is one running, and is this its control.socket? (--socket PATH names another)"
            ),
        ),
        io::ErrorKind::PermissionDenied => Failure::new(
            Exit::NotPermitted,
            format!("no permission for {shown}; run ctl as root or as the gateway's user"),
        ),
        _ => Failure::new(Exit::Failed, format!("{shown}: {error}")),
    }
}
