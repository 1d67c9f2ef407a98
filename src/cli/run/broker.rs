//! `portcullis run` with `firewall: nftables`: this process becomes the broker and starts the gateway.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use super::estate::Estate;
use super::{Args, only_listener};
use crate::cli::{Exit, Failure};
use crate::config::Config;
use crate::gateway::{
    Bound, ControlError, ControlSocket, ListenError, StartError, bind_all, bind_control, inherited,
};
use crate::nft::broker::{Broker, Desk, Hands, Patience, Signals};
use crate::pinhole::OwnSockets;
#[cfg(feature = "nftables")]
use crate::sandbox;
use crate::sandbox::Account;
use crate::system;

/// The executable that runs, also when another one has taken its place on the disk.
#[cfg(feature = "nftables")]
const OURSELVES: &str = "/proc/self/exe";

/// How long a gateway may take until clients can come.
const START: Duration = Duration::from_secs(60);

/// What it may take beyond `timeouts.drain`, and to end when told to end at once.
const GRACE: Duration = Duration::from_secs(10);

/// A gateway that lived this long did not die of its start.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// How long a predecessor's gateway may take to leave its sockets after its broker died.
const SUCCESSION: Duration = Duration::from_secs(3);

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);

/// Runs the broker in front of the kernel.
///
/// # Errors
/// What the kernel lacks or refuses, what cannot be bound, or why the gateway does not start.
#[cfg(feature = "nftables")]
pub(super) fn run(args: Args, config: Config) -> Result<Exit, Failure> {
    // Who listens in a window can be told only with rights that are given up next.
    let obstacle = system::obstacle(&config);
    let report = sandbox::confine_broker()?;
    tracing::info!("{report}");
    if let Some(obstacle) = obstacle {
        return Err(obstacle.into());
    }
    let account = Account::find(&config.process.user.to_string())?;
    let hands = super::table::install(&config)?;
    serve(args, config, hands, PathBuf::from(OURSELVES), Some(account))
}

/// Says that this program was built without the kernel's half.
///
/// # Errors
/// Always.
#[cfg(not(feature = "nftables"))]
pub(super) fn run(_: Args, _: Config) -> Result<Exit, Failure> {
    Err(Failure::new(
        Exit::Unavailable,
        "this program was built without the feature `nftables`; use a build that has it, or set `pinholes.firewall: none`",
    ))
}

/// Runs the broker in front of whatever stands for the kernel, until its gateway has ended; `program` is the
/// gateway's executable, which becomes `account` and is confined, or stays as it is without one.
///
/// # Errors
/// What cannot be bound, or why the gateway does not start.
pub fn serve<H: Hands>(
    args: Args,
    config: Config,
    hands: H,
    program: PathBuf,
    account: Option<Account>,
) -> Result<Exit, Failure> {
    let signals = catch_signals()?;
    let patience = Patience {
        start: START,
        drain: config.timeouts.drain.saturating_add(GRACE),
        end: GRACE,
        long_life: LONG_LIFE,
    };
    let sockets = OwnSockets::new();
    let listeners = listeners(&config, &sockets)?;
    let control = control(&config)?;
    for one in &listeners {
        tracing::debug!(listener = one.name, at = %one.at, "bound");
    }
    let estate = Estate::new(args, program, config, listeners, control, sockets, account)
        .map_err(|why| Failure::new(Exit::Configuration, why))?;
    let envelope = estate.envelope();
    let broker = Broker::new(Desk::new(hands, estate, envelope), signals, patience);
    tracing::info!(
        pid = std::process::id(),
        "the broker is ready to start its gateway"
    );
    match broker.run()? {
        0 => Ok(Exit::Done),
        // The gateway has said why.
        code => Ok(Exit::of_code(code)),
    }
}

fn catch_signals() -> io::Result<Signals> {
    let (terminate, told_to_end) = UnixStream::pair()?;
    let (hang_up, hung_up) = UnixStream::pair()?;
    terminate.set_nonblocking(true)?;
    hang_up.set_nonblocking(true)?;
    pipe::register(SIGTERM, told_to_end.try_clone()?)?;
    pipe::register(SIGINT, told_to_end)?;
    pipe::register(SIGHUP, hung_up)?;
    Ok(Signals { terminate, hang_up })
}

/// Binds every listener that was not inherited.
fn listeners(config: &Config, sockets: &OwnSockets) -> Result<Vec<Bound>, Failure> {
    let given = inherited(only_listener(config))
        .map_err(|error| Failure::new(Exit::Failed, format!("socket activation: {error}")))?;
    if !given.is_empty() {
        return Ok(bind_all(config, sockets, given).map_err(StartError::from)?);
    }
    let bound = patiently(
        || bind_all(config, sockets, Default::default()),
        |error| matches!(error, ListenError::InUse { .. }),
    );
    Ok(bound.map_err(StartError::from)?)
}

fn control(config: &Config) -> Result<Option<ControlSocket>, Failure> {
    let bound = patiently(
        || bind_control(config),
        |error| matches!(error, StartError::Control(ControlError::InUse(_))),
    );
    Ok(bound?)
}

impl From<system::Obstacle> for Failure {
    fn from(obstacle: system::Obstacle) -> Self {
        let exit = match &obstacle {
            system::Obstacle::Kernel(_) => Exit::Unavailable,
            system::Obstacle::Window(_) => Exit::Configuration,
        };
        Failure::new(exit, obstacle.to_string())
    }
}

/// Tries again for a while where a predecessor's gateway may still be in the way: it leaves as soon as it sees that
/// its broker is gone.
fn patiently<T, E>(
    mut make: impl FnMut() -> Result<T, E>,
    in_the_way: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let until = Instant::now() + SUCCESSION;
    loop {
        match make() {
            Err(error) if in_the_way(&error) && Instant::now() < until => std::thread::sleep(AGAIN),
            made => return made,
        }
    }
}
