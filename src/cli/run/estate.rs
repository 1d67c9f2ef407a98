//! What the broker owns and a gateway is handed: the config, the listeners, the control socket, and the process itself.
//!
//! Invariant: what a gateway gets is what the config names, whichever gateway it is and whatever it says; listeners
//! stay open while gateways come and go.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sd_notify::NotifyState;

use super::handover::Handover;
use super::namer::Namer;
use super::ours::Ours;
use super::renewal::Renewal;
use super::{Args, bounds};
use crate::config::Config;
use crate::config::bundle::{Bundle, Recorder};
use crate::config::files::Disk;
use crate::gateway::documents::Documents;
use crate::gateway::journal::keeper::{self, FileId, KeeperAnswer, KeeperRequest, Opened};
use crate::gateway::{Bound, ControlSocket, journal_settings, keep_what_needs_a_restart};
use crate::helper::Exit;
use crate::nft::broker::{Kept, News, Office, Staff};
use crate::nft::envelope::Envelope;
use crate::nft::message::{Handed, Keep, Notice};
use crate::nft::{sealed, socket};
use crate::pinhole::{OwnSockets, Sockets as _};
use crate::sandbox::{Account, owned_by};

/// How long a gateway may take until it reads what it is handed.
const HANDOVER: Duration = Duration::from_secs(20);

/// What a gateway sees of our environment.
const ENVIRONMENT: &[&str] = &["RUST_LOG", "RUST_BACKTRACE", "JOURNAL_STREAM", "TZ", "PATH"];

/// Sockets for requests beside those of the workers: the steward's and the journal's.
const MORE_SEATS: usize = 2;

/// A config with its files.
#[derive(Debug)]
struct Plan {
    config: Config,
    bundle: Bundle,
    /// Of the certificates and keys in the bundle.
    fingerprint: Vec<u8>,
    /// Whom its rules ask.
    exits: Vec<Exit>,
}

/// What the broker owns.
#[derive(Debug)]
pub(super) struct Estate {
    args: Args,
    /// The executable of the gateway.
    program: PathBuf,
    /// What is in force, and what the next gateway begins with.
    plan: Plan,
    /// What was read last, until it is known to be in force.
    next: Option<Plan>,
    listeners: Vec<Bound>,
    control: Option<ControlSocket>,
    sockets: OwnSockets,
    ours: Ours,
    /// Who the gateway becomes; none where it stays as it is.
    account: Option<Account>,
    namer: Namer,
    renewal: Renewal,
    /// What the kernel bans, as the next gateway is told.
    bans: Vec<(IpNet, Duration)>,
    /// The gateway was told to read, and is to get new files with the config that it has.
    only_files: bool,
}

impl Estate {
    /// Takes everything that was made at the start.
    pub(super) fn new(
        args: Args,
        program: PathBuf,
        config: Config,
        listeners: Vec<Bound>,
        control: Option<ControlSocket>,
        sockets: OwnSockets,
        account: Option<Account>,
    ) -> Result<Estate, String> {
        let namer = Namer::new(account, program.clone())
            .map_err(|error| format!("no socket for names: {error}"))?;
        Ok(Estate {
            args,
            program,
            plan: Plan::of(config)?,
            next: None,
            listeners,
            control,
            sockets,
            ours: Ours::default(),
            account,
            namer,
            renewal: Renewal::new(),
            bans: Vec::new(),
            only_files: false,
        })
    }

    /// The bounds of a config.
    pub(super) fn envelope(&self) -> Envelope {
        self.envelope_of(&self.plan.config)
    }

    fn envelope_of(&self, config: &Config) -> Envelope {
        let listeners: Vec<(String, SocketAddr)> = self
            .listeners
            .iter()
            .map(|one| (one.name.clone(), one.at))
            .collect();
        bounds::envelope(config, &listeners)
    }

    fn spawn(&self, stdin: OwnedFd) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .arg0("portcullis")
            .arg("gateway")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(stdin));
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.spawn()
    }

    /// Hands everything over; answers with our ends of the sockets for requests.
    fn hand_over(&self, events: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
        socket::set_patience(events, HANDOVER)?;
        let hand = |what, descriptor: BorrowedFd<'_>| {
            socket::send(events, &Notice::Handed(what).emit(), Some(descriptor))
        };
        // A listener that is no longer in the config has nobody to carry its clients to.
        let known = |one: &&Bound| {
            let mut names = self.plan.config.listeners.keys();
            names.any(|name| name.as_str() == one.name)
        };
        let listeners: Vec<&Bound> = self.listeners.iter().filter(known).collect();
        let handover = Handover {
            bundle: self.plan.bundle.clone(),
            listeners: listeners.iter().map(|one| one.name.clone()).collect(),
            broker: std::process::id(),
            shares_ports: self.sockets.shares_ports(),
            bans: self.bans.clone(),
            account: self.account.map(|account| (account.uid, account.gid)),
        };
        hand(Handed::Bundle, seal_json(&handover)?.as_fd())?;
        for listener in listeners {
            hand(Handed::Listener, listener.socket.as_fd())?;
        }
        if let Some(control) = &self.control {
            hand(Handed::Control, control.listener()?.as_fd())?;
        }
        if let Some(line) = self.namer.line()? {
            hand(Handed::Names, line.as_fd())?;
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut requests = Vec::new();
        for _ in 0..threads + MORE_SEATS {
            let (ours, theirs) = socket::pair()?;
            hand(Handed::Requests, theirs.as_fd())?;
            requests.push(ours);
        }
        socket::send(events, &Notice::Complete.emit(), None)?;
        Ok(requests)
    }
}

impl Office for Estate {
    fn learn_bans(&mut self, bans: Vec<(IpNet, Duration)>) {
        self.bans = bans;
    }

    fn is_ours(&mut self, address: IpAddr) -> bool {
        self.ours.holds(address)
    }

    fn dialler(&mut self, from: SocketAddr) -> io::Result<OwnedFd> {
        let make = || self.sockets.dialler(Some(from), from).map(OwnedFd::from);
        // The operator's firewall may let out what is the gateway's user's, and nothing of root's.
        match self.account {
            Some(account) => owned_by(account, make)?,
            None => make(),
        }
    }

    fn reread(&mut self) -> Result<(Envelope, OwnedFd), String> {
        let config = if std::mem::take(&mut self.only_files) {
            self.plan.config.clone()
        } else {
            let loaded = self.args.configuration();
            let loaded = loaded.map_err(|failure| failure.to_string())?;
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            loaded.config
        };
        let new = Plan::of(config)?;
        let bundle = seal_json(&new.bundle).map_err(|error| error.to_string())?;
        // The gateway is told all of it, and says what waits for a restart; bounds and successors keep to what is.
        let lasting = Plan {
            config: lasting(&self.plan.config, new.config),
            ..new
        };
        let envelope = self.envelope_of(&lasting.config);
        // Sessions ask by the old rules until they have the new ones.
        self.namer.permit(both(&self.plan.exits, &lasting.exits));
        self.namer.start_for(&lasting.config);
        self.next = Some(lasting);
        Ok((envelope, bundle))
    }

    fn settle(&mut self, in_force: bool) {
        if let (true, Some(mut next)) = (in_force, self.next.take()) {
            next.bundle.yaml = next.config.to_yaml();
            self.plan = next;
            self.namer.start_for(&self.plan.config);
        }
        self.namer.permit(self.plan.exits.clone());
    }

    fn keep(&mut self, wish: Keep) -> io::Result<Option<Kept>> {
        let request = match wish {
            Keep::Open => KeeperRequest::Open,
            Keep::PutAside { device, inode } => KeeperRequest::PutAside {
                ours: FileId { device, inode },
            },
            Keep::Expire => KeeperRequest::Expire,
        };
        // A new journal is opened before its config is known to be in force.
        let plan = self.next.as_ref().unwrap_or(&self.plan);
        match keeper::perform(request, &journal_settings(&plan.config))? {
            KeeperAnswer::Opened(Opened { fd, torn, shared }) => Ok(Some(Kept {
                file: fd,
                torn,
                shared,
            })),
            KeeperAnswer::Expired => Ok(None),
        }
    }

    fn renewed(&mut self) -> bool {
        let Plan {
            config,
            fingerprint,
            ..
        } = &self.plan;
        let renewed = self
            .renewal
            .look(Instant::now(), config, fingerprint, &Disk);
        if renewed {
            tracing::info!("certificates have changed on disk; the gateway gets the new ones");
            self.only_files = true;
        }
        renewed
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.namer.descriptors()
    }

    fn next_wake(&self) -> Option<Instant> {
        let look = self.renewal.next_look(&self.plan.config);
        self.namer.next_wake().into_iter().chain(look).min()
    }

    fn resolved(&mut self) -> Vec<(String, Vec<IpAddr>)> {
        self.namer.resolved()
    }

    fn start(&mut self) -> io::Result<Staff> {
        self.only_files = false;
        self.namer.permit(self.plan.exits.clone());
        self.namer.start_for(&self.plan.config);
        let (events, theirs) = socket::pair()?;
        let mut child = self.spawn(theirs)?;
        match self.hand_over(&events) {
            Ok(requests) => Ok(Staff {
                child,
                events,
                requests,
            }),
            Err(error) => {
                // It may be gone already, which is why nothing could be handed over.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn tell(&mut self, news: News) {
        let sockets = self.listeners.len();
        let status = match news {
            News::Ready => format!("Carrying FTP on {sockets} sockets"),
            News::Reloading => "Reading the config".to_owned(),
            News::Stopping => "Stopping: no new sessions".to_owned(),
            News::Restarting => "The gateway ended and is started anew".to_owned(),
        };
        let mut state = vec![NotifyState::Status(&status)];
        match news {
            News::Ready => state.push(NotifyState::Ready),
            News::Reloading => {
                // RELOADING=1 needs the time with it (sd_notify(3)).
                state.push(NotifyState::Reloading);
                state.extend(NotifyState::monotonic_usec_now().ok());
            }
            News::Stopping => state.push(NotifyState::Stopping),
            News::Restarting => {}
        }
        if let Err(error) = sd_notify::notify(&state) {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

impl Plan {
    /// Reads every file that the config names, by way of whoever loads them: what is not read here no gateway can read.
    fn of(config: Config) -> Result<Plan, String> {
        let recorder = Recorder::new(Disk);
        let documents = Documents::load(&config, &recorder).map_err(|error| error.to_string())?;
        let bundle = recorder.into_bundle(&config);
        Ok(Plan {
            config,
            bundle,
            fingerprint: documents.material.fingerprint,
            exits: documents.exits,
        })
    }
}

/// What is in force after a reload, and what a successor of the gateway can begin with: the sockets stay as they are.
fn lasting(old: &Config, mut new: Config) -> Config {
    keep_what_needs_a_restart(old, &mut new);
    new.process = old.process.clone();
    new.listeners
        .retain(|name, _| old.listeners.contains_key(name));
    for (name, listener) in &old.listeners {
        // As the gateway does: it goes on with the upstream that it had.
        if !new.listeners.contains_key(name) && new.upstreams.contains_key(&listener.upstream) {
            new.listeners.insert(name.clone(), listener.clone());
        }
    }
    new
}

/// Whoever is in one of two lists.
fn both(old: &[Exit], new: &[Exit]) -> Vec<Exit> {
    let added = new.iter().filter(|exit| !old.contains(exit));
    old.iter().chain(added).cloned().collect()
}

fn seal_json(value: &impl serde::Serialize) -> io::Result<OwnedFd> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    sealed::seal(&bytes)
}
