//! Builds a gateway from a config, and stands for it while it runs.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::sync::mpsc;

use super::admission::Admission;
use super::certificates::Certificates;
use super::clock::{self, Clock};
use super::control::{ControlError, ControlSocket};
use super::crew;
use super::descriptors;
use super::documents::{Documents, DocumentsError};
use super::guard::LoginGuard;
use super::heap;
use super::journal::keeper::{Keeper, OwnKeeper};
use super::journal::{Addresses, Journal, JournalSettings, Target};
use super::listener::{self, ListenError};
use super::running::Running;
use super::service_manager;
use super::session_ids::Names;
use super::settings::{self, Place, Tuning};
use super::shared::Shared;
use super::status::ListenerReport;
use super::steward::{self, Steward};
use super::users::Users;
use super::worker::{self, Entrance};
use crate::config::files::{Disk, Files};
use crate::config::{Config, JournalFile, RecordedAddresses};
use crate::engine::{Event, Legs, Record};
use crate::helper::{Exits, Names as Resolver, OwnExits, OwnNames};
use crate::nft::Firewall;
use crate::pinhole::{GuardKind, Intruder, OwnSockets, Pinholes, Sockets};

/// Reads the config again for a reload; the error is one or more lines for people.
pub type Loader = Box<dyn Fn() -> Result<Config, String> + Send>;

/// Tells whoever manages services how far the gateway is.
pub type Herald = Arc<dyn Fn(Phase) + Send + Sync>;

/// How far a gateway is that has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The config is being read again.
    Reloading,
    /// It was; the new one is in force, or cannot be used.
    Reloaded {
        /// Whether it is in force.
        in_force: bool,
    },
    /// No new sessions are taken.
    Stopping,
}

/// Where the control socket comes from.
#[derive(Debug, Default)]
pub enum ControlEntry {
    /// It is bound as the config says.
    #[default]
    Bound,
    /// Another process has bound it; none where it could not.
    Handed(Option<ControlSocket>),
}

/// What a caller may want otherwise than the config says, or give along.
#[derive(Default)]
pub struct Overrides {
    /// How many workers there are; without it one for each processor, or for each four where the kernel carries the files.
    pub workers: Option<NonZeroUsize>,
    /// Listening sockets that were inherited, by listener.
    pub inherited: BTreeMap<String, Vec<TcpListener>>,
    /// How `reload` gets the new config; without it there is no reload.
    pub loader: Option<Loader>,
    /// Where sockets come from; made in this process without it.
    pub sockets: Option<Arc<dyn Sockets>>,
    /// Where the files come from that the config names; read in this process without it.
    pub files: Option<Arc<dyn Files>>,
    /// The kernel's firewall, which guards the windows and forwards; without it neither is done.
    pub firewall: Option<Arc<dyn Firewall>>,
    /// Where the control socket comes from.
    pub control: ControlEntry,
    /// The broker's process id, where there is one.
    pub broker: Option<u32>,
    /// Who is told how far the gateway is; systemd without it.
    pub herald: Option<Herald>,
    /// Who opens, puts aside and deletes the journal's files; this process without it.
    pub keeper: Option<Arc<dyn Keeper>>,
    /// Who resolves the names of upstreams; this process without it.
    pub names: Option<Arc<dyn Resolver>>,
    /// Addresses that an earlier gateway banned in the kernel, with what is left of their time.
    pub bans: Vec<(IpNet, Duration)>,
    /// Who asks whomever the rules name; this process without it.
    pub exits: Option<Arc<dyn Exits>>,
    /// How this process is confined, for `ctl status`.
    pub sandbox: Option<String>,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file that the config names can't be used.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// A listener could not be made.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The control socket could not be made.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The journal could not be opened.
    #[error("the journal {path} cannot be opened: {source}")]
    Journal {
        /// Where it was to be.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread or its runtime could not be made.
    #[error("no worker thread: {0}")]
    Thread(#[source] io::Error),
}

/// The gateway, to be started.
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// Starts a gateway: when this returns, clients can connect.
    ///
    /// # Errors
    /// When an address, the journal, the control socket or a thread cannot be had; nothing is left behind then.
    pub fn start(config: Config, overrides: Overrides) -> Result<Running, StartError> {
        let files = overrides.files.unwrap_or_else(|| Arc::new(Disk));
        let documents = Documents::load(&config, &*files)?;
        documents.warn();
        descriptors::prepare(&config);
        let sockets = overrides
            .sockets
            .unwrap_or_else(|| Arc::new(OwnSockets::new()));
        let bound = listener::bind_all(&config, &*sockets, overrides.inherited)?;
        let control = match overrides.control {
            ControlEntry::Bound => bind_control(&config)?,
            ControlEntry::Handed(control) => control,
        };
        let keeper = overrides.keeper.unwrap_or_else(|| Arc::new(OwnKeeper));
        let journal = open_journal(&config, keeper)?;
        let (errands, received) = mpsc::unbounded_channel();
        let clock = Clock::start();
        let guard = LoginGuard::new(&config.login_guard, errands.clone());
        guard.adopt(&overrides.bans, &clock);
        let firewall = overrides.firewall.clone();
        let shared = Arc::new(Shared {
            clock,
            names: Names::new(),
            pinholes: pinholes(&config, &sockets, &journal, overrides.firewall),
            journal,
            sockets,
            resolver: overrides.names.unwrap_or_else(|| Arc::new(OwnNames)),
            exits: overrides
                .exits
                .unwrap_or_else(|| Arc::new(OwnExits::default())),
            admission: Admission::new(&config.limits),
            guard,
            users: Users::new(config.limits.sessions_per_user),
            gauges: Arc::default(),
            observed: Default::default(),
            tuning: ArcSwap::from_pointee(Tuning::of(&config)),
        });
        let upstreams = settings::upstreams(&config, &BTreeMap::new());
        let places: Vec<Arc<Place>> = settings::policies(&config, &upstreams, &documents)
            .into_iter()
            .map(|(name, policy)| Arc::new(Place::new(&name, policy)))
            .collect();
        let addresses: Vec<_> = bound.iter().map(|one| (one.name.clone(), one.at)).collect();
        // Everything that can fail for lack of descriptors comes before the first client can take one.
        let count = overrides.workers.map_or_else(
            || crew::size(&config, crew::processors()),
            NonZeroUsize::get,
        );
        let steward_runtime = runtime()?;
        let mut prepared = Vec::new();
        for _ in 0..count {
            let runtime = crew::runtime(Arc::clone(&shared.journal), firewall.clone())?;
            prepared.push((runtime, entrances(&bound, &places)?));
        }
        heap::keep_what_is_freed();
        let (alive, all_gone) = mpsc::channel(1);
        let mut workers = Vec::new();
        for (number, (runtime, entrances)) in prepared.into_iter().enumerate() {
            let (messages, received) = mpsc::unbounded_channel();
            let (shared, alive) = (Arc::clone(&shared), alive.clone());
            spawn(format!("worker-{number}"), move || {
                worker::run(runtime, shared, entrances, received);
                drop(alive);
            })?;
            workers.push(messages);
        }
        drop(alive);
        drop(bound);
        say_where(&shared, &config, &documents, &addresses);
        let steward = Steward {
            shared,
            places,
            upstreams,
            config,
            loader: overrides.loader,
            sandbox: overrides.sandbox,
            files,
            certificates: Certificates::new(&documents.material),
            documents,
            workers,
            listeners: addresses
                .iter()
                .map(|(name, at)| ListenerReport {
                    name: name.clone(),
                    address: at.to_string(),
                })
                .collect(),
            draining: false,
            broker: overrides.broker,
            firewall,
            herald: overrides
                .herald
                .unwrap_or_else(|| Arc::new(service_manager::tell_systemd)),
            reloading: None,
        };
        let steward = spawn("steward".to_owned(), move || {
            steward_runtime.block_on(steward::run(steward, control, received, all_gone));
            steward_runtime.shutdown_background();
        })?;
        Ok(Running {
            addresses,
            errands,
            steward: Some(steward),
        })
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new()
        .name(name)
        .spawn(body)
        .map_err(StartError::Thread)
}

/// Each worker has a descriptor of its own for each listening socket.
fn entrances(
    bound: &[listener::Bound],
    places: &[Arc<Place>],
) -> Result<Vec<Entrance>, StartError> {
    let mut made = Vec::new();
    for one in bound {
        let Some(place) = places.iter().find(|place| *place.name == *one.name) else {
            continue;
        };
        made.push(Entrance {
            place: Arc::clone(place),
            socket: one.socket.try_clone().map_err(StartError::Thread)?,
        });
    }
    Ok(made)
}

/// Binds the control socket; that it cannot be made for lack of rights is no reason not to carry FTP.
///
/// # Errors
/// When another gateway answers there, or something else is in its place.
pub fn bind_control(config: &Config) -> Result<Option<ControlSocket>, StartError> {
    let Some(path) = &config.control.socket else {
        return Ok(None);
    };
    match ControlSocket::bind(path) {
        Ok(socket) => Ok(Some(socket)),
        Err(error @ ControlError::Kernel { .. }) => {
            tracing::warn!(
                "{error}; `portcullis ctl` will not work: set control.socket to a path that can be written, or to none"
            );
            Ok(None)
        }
        Err(error @ (ControlError::InUse(_) | ControlError::NotASocket(_))) => Err(error.into()),
    }
}

fn open_journal(config: &Config, keeper: Arc<dyn Keeper>) -> Result<Arc<Journal>, StartError> {
    let path = match &config.journal.file {
        JournalFile::Stdout => "on standard output".to_owned(),
        JournalFile::Path(path) => path.display().to_string(),
    };
    Journal::kept_by(keeper, journal_settings(config))
        .map_err(|source| StartError::Journal { path, source })
}

/// What the config says of the journal, in the journal's own terms.
pub fn journal_settings(config: &Config) -> JournalSettings {
    let journal = &config.journal;
    JournalSettings {
        target: match &journal.file {
            JournalFile::Stdout => Target::Stdout,
            JournalFile::Path(path) => Target::File(path.clone()),
        },
        mode: journal.mode.bits(),
        rotate_size: Some(journal.rotate_size),
        keep: Some(journal.keep),
        warn_free: Some(journal.warn_free.get()),
        anonymous_email: journal.anonymous_email,
        addresses: match journal.addresses {
            RecordedAddresses::Full => Addresses::Full,
            RecordedAddresses::Prefix => Addresses::Prefix,
        },
    }
}

fn pinholes(
    config: &Config,
    sockets: &Arc<dyn Sockets>,
    journal: &Arc<Journal>,
    firewall: Option<Arc<dyn Firewall>>,
) -> Arc<Pinholes> {
    let journal = Arc::clone(journal);
    let on_intruder = move |intruder: Intruder| {
        // No effect waits for it; the journal itself counts what it lost.
        let _ = journal.write(&Record {
            at: clock::wall(),
            session: None,
            client: Some(intruder.from.ip()),
            user: None,
            event: Event::PinholeIntruder {
                from: intruder.from,
                at: intruder.at,
            },
        });
    };
    let windows = Legs {
        client: config.pinholes.window.ports(),
        upstream: config.pinholes.upstream_window.ports(),
    };
    let (sockets, on_intruder) = (Arc::clone(sockets), Box::new(on_intruder));
    match firewall {
        Some(firewall) => {
            Pinholes::behind(firewall, config.pinholes.ttl, windows, sockets, on_intruder)
        }
        None => Pinholes::new(windows, sockets, on_intruder),
    }
}

fn say_where(
    shared: &Shared,
    config: &Config,
    documents: &Documents,
    addresses: &[(String, SocketAddr)],
) {
    for (name, at) in addresses {
        let upstream = config
            .listeners
            .iter()
            .find(|(known, _)| known.as_str() == name);
        let upstream = upstream.map_or("", |(_, listener)| listener.upstream.as_str());
        tracing::info!("listener {name} on {at}, to upstream {upstream}");
    }
    if shared.pinholes.guard() == GuardKind::AcceptAndReset {
        tracing::warn!(
            "the kernel refuses socket filters: strangers who dial a pinhole are accepted and reset instead of ignored"
        );
    }
    steward::record(
        shared,
        Event::GatewayStarted {
            version: env!("CARGO_PKG_VERSION"),
            config: settings::digest(config),
            rules: documents.rules_digest.clone(),
        },
    );
}
