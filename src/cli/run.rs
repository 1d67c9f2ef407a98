//! `portcullis run`: the gateway itself, or the broker that starts it.

mod bounds;
mod broker;
mod estate;
mod handover;
mod namer;
mod ours;
mod renewal;
#[cfg(feature = "nftables")]
mod table;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::print;
use super::{Exit, Failure};
use crate::config::{Config, ConfigErrors, Firewall, Flags, Loaded};
use crate::gateway::{
    ControlError, Gateway, ListenError, Loader, Overrides, Remote, StartError, inherited,
};

pub use broker::serve;
pub(super) use handover::Handover;

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

    /// Which firewall is told about pinholes: none or nftables [default: none]
    #[arg(long, value_name = "KIND")]
    pub firewall: Option<String>,

    /// Serve clients over TLS: explicit (AUTH TLS, port 21) or implicit (port 990)
    #[arg(long, value_name = "MODE")]
    pub tls: Option<String>,

    /// The certificate for --tls and those that lead to its issuer, in PEM
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<String>,

    /// Its private key, unless it is in the same file
    #[arg(long, value_name = "FILE")]
    pub key: Option<String>,

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
        log_to_stderr();
        match loaded.config.pinholes.firewall {
            Firewall::None => self.run(loaded.config),
            Firewall::Nftables => broker::run(self, loaded.config),
        }
    }

    /// Runs the gateway until it was told to stop and has stopped.
    fn run(self, config: Config) -> Result<Exit, Failure> {
        let inherited = inherited(only_listener(&config))
            .map_err(|error| Failure::new(Exit::Failed, format!("socket activation: {error}")))?;
        // A signal that comes while the gateway starts is kept for when it has started.
        let signals = Signals::catch()?;
        let overrides = Overrides {
            inherited,
            loader: Some(self.loader()),
            ..Overrides::default()
        };
        let running = Gateway::start(config, overrides)?;
        signals.obey(running.remote())?;
        tell_service_manager(running.addresses().len());
        running.wait();
        Ok(Exit::Done)
    }

    /// Reads the configuration again, as the command line said at the start.
    fn loader(self) -> Loader {
        Box::new(move || match self.configuration() {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    tracing::warn!("{warning}");
                }
                Ok(loaded.config)
            }
            Err(failure) => Err(failure.to_string()),
        })
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
            tls: self.tls.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        }
    }
}

/// The name of the config's listener where it has one alone.
fn only_listener(config: &Config) -> Option<&str> {
    let mut listeners = config.listeners.keys();
    match (listeners.next(), listeners.next()) {
        (Some(only), None) => Some(only.as_str()),
        _ => None,
    }
}

/// Sends the log to standard error; standard output may be the journal's.
pub(super) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // A log that cannot be written is no reason to panic.
        .log_internal_errors(false);
    // The service manager's journal has the time already.
    let installed = if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().try_init()
    } else {
        log.try_init()
    };
    // A caller that has installed its own keeps it.
    drop(installed);
}

/// The signals that a gateway obeys.
pub(super) struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn catch() -> std::io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let (terminate, interrupt, hang_up) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
            )
        };
        Ok(Signals {
            runtime,
            terminate,
            interrupt,
            hang_up,
        })
    }

    /// Turns them into orders, on a thread of its own that ends with the process.
    pub(super) fn obey(self, gateway: Remote) -> std::io::Result<()> {
        let Signals {
            runtime,
            mut terminate,
            mut interrupt,
            mut hang_up,
        } = self;
        let obeying = async move {
            let mut stopping = false;
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hang_up.recv() => {
                        gateway.reload();
                        continue;
                    }
                }
                if std::mem::replace(&mut stopping, true) {
                    tracing::warn!("told to stop twice: ending at once");
                    gateway.end();
                } else {
                    gateway.drain();
                }
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(obeying))?;
        Ok(())
    }
}

/// Tells systemd, where it started us, that clients can come (sd_notify(3)).
fn tell_service_manager(sockets: usize) {
    let status = format!("Carrying FTP on {sockets} sockets");
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)]) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let exit = match &error {
            StartError::Listen(ListenError::NoPermission { .. }) => Exit::NotPermitted,
            StartError::Documents(_)
            | StartError::Listen(ListenError::NotOurs { .. } | ListenError::UnknownName { .. })
            | StartError::Control(ControlError::NotASocket(_)) => Exit::Configuration,
            StartError::Journal { source, .. } if source.kind() == PermissionDenied => {
                Exit::NotPermitted
            }
            StartError::Journal { source, .. } if source.kind() == NotFound => Exit::Configuration,
            StartError::Listen(ListenError::InUse { .. } | ListenError::Kernel { .. })
            | StartError::Control(ControlError::InUse(_) | ControlError::Kernel { .. })
            | StartError::Journal { .. }
            | StartError::Thread(_) => Exit::Failed,
        };
        Failure {
            exit,
            error: error.into(),
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
