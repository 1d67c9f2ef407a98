//! The gateway process of `firewall: nftables`: started by the broker, which hands it everything.
//!
//! Invariant: no byte of a peer is read before the process has given up what it does not need.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::run::{Handover, Signals, log_to_stderr};
use super::{Exit, Failure};
use crate::config::Config;
use crate::config::bundle::{Bundle, Latest};
use crate::gateway::journal::keeper::{FileId, HandedKeeper, KeeperAnswer, KeeperRequest, Opened};
use crate::gateway::{ControlEntry, ControlSocket, Gateway, Loader, Overrides, Phase, Remote};
use crate::helper::{self, Exits, Names};
use crate::nft::message::{Handed, Keep, Notice, Report};
use crate::nft::socket::{self, Arrived};
use crate::nft::{self, sealed};
use crate::pinhole::LentSockets;
use crate::sandbox::{self, Account, Confinement};

/// Runs the gateway for a broker; not for people.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {}

/// Everything that the broker hands over.
struct Received {
    handover: Handover,
    listeners: Vec<TcpListener>,
    control: Option<UnixListener>,
    requests: Vec<OwnedFd>,
    names: Option<OwnedFd>,
}

impl Args {
    /// Runs the gateway.
    ///
    /// # Errors
    /// When no broker has started it, or the gateway cannot start.
    pub fn execute(self) -> Result<Exit, Failure> {
        log_to_stderr();
        let events = take_stdin().map_err(|_| not_by_a_broker())?;
        let received = receive(&events)?;
        run(received, events)
    }
}

/// Runs the gateway until it was told to stop and has stopped.
fn run(received: Received, events: OwnedFd) -> Result<Exit, Failure> {
    let Received {
        handover,
        listeners,
        control,
        requests,
        names,
    } = received;
    let config = handover.bundle.config()?;
    let broker = Arc::new(nft::Client::new(requests, events)?);
    let sandbox = handover
        .account
        .map(|account| confine(&config, account))
        .transpose()?;
    let names = names.map(helper::Client::new).transpose()?;
    let helper = names.map(Arc::new);
    let names = helper.clone().map(|helper| helper as Arc<dyn Names>);
    let exits = helper.map(|helper| helper as Arc<dyn Exits>);
    let mut inherited: BTreeMap<String, Vec<TcpListener>> = BTreeMap::new();
    for (name, listener) in handover.listeners.into_iter().zip(listeners) {
        inherited.entry(name).or_default().push(listener);
    }
    // A signal that comes while the gateway starts is kept for when it has started.
    let signals = Signals::catch()?;
    let sockets = LentSockets::new(Arc::clone(&broker), handover.shares_ports);
    let herald = Arc::clone(&broker);
    let files = Arc::new(Latest::new(handover.bundle));
    let overrides = Overrides {
        inherited,
        loader: Some(loader(Arc::clone(&broker), Arc::clone(&files))),
        files: Some(files),
        sockets: Some(Arc::new(sockets)),
        firewall: Some(Arc::clone(&broker) as Arc<dyn nft::Firewall>),
        control: ControlEntry::Handed(control.map(ControlSocket::handed)),
        broker: Some(handover.broker),
        herald: Some(Arc::new(move |phase| tell(&herald, phase))),
        keeper: Some(Arc::new(keeper(Arc::clone(&broker)))),
        names,
        bans: handover.bans,
        exits,
        sandbox,
        ..Overrides::default()
    };
    let running = Gateway::start(config, overrides)?;
    signals.obey(running.remote())?;
    hear(Arc::clone(&broker), running.remote())?;
    // A broker that is gone by now is noticed by whoever hears it.
    let _ = broker.report(Report::Ready);
    running.wait();
    Ok(Exit::Done)
}

/// Gives up whatever the gateway does not need: before any thread and any byte of a peer. Answers with what that came to.
fn confine(config: &Config, (uid, gid): (u32, u32)) -> Result<String, Failure> {
    let pinholes = &config.pinholes;
    let windows = [pinholes.window, pinholes.upstream_window];
    let report = sandbox::confine_gateway(&Confinement {
        account: Account { uid, gid },
        descriptors: None,
        windows: windows
            .iter()
            .map(|window| window.first()..=window.last())
            .collect(),
    })?;
    tracing::info!("{report}");
    Ok(report.to_string())
}

/// Has the broker open, put aside and delete the journal's files.
fn keeper(broker: Arc<nft::Client>) -> HandedKeeper {
    HandedKeeper::new(Box::new(move |request| {
        let wish = match request {
            KeeperRequest::Open => Keep::Open,
            KeeperRequest::PutAside {
                ours: FileId { device, inode },
            } => Keep::PutAside { device, inode },
            KeeperRequest::Expire => Keep::Expire,
        };
        Ok(match broker.keep(wish)? {
            Some(kept) => KeeperAnswer::Opened(Opened {
                fd: kept.file,
                torn: kept.torn,
                shared: kept.shared,
            }),
            None => KeeperAnswer::Expired,
        })
    }))
}

/// Takes standard input, where the broker has put its socket.
fn take_stdin() -> io::Result<OwnedFd> {
    let events = io::stdin().as_fd().try_clone_to_owned()?;
    if rustix::net::sockopt::socket_type(&events)? != rustix::net::SocketType::SEQPACKET {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(events)
}

fn not_by_a_broker() -> Failure {
    Failure::new(
        Exit::Unreadable,
        "`portcullis gateway` is started by `portcullis run`; use that",
    )
}

/// Takes everything that the broker hands over.
fn receive(events: &OwnedFd) -> Result<Received, Failure> {
    let mut handover = None;
    let (mut listeners, mut control) = (Vec::new(), None);
    let (mut requests, mut names) = (Vec::new(), None);
    loop {
        let (page, descriptor) = match socket::receive(events)? {
            Arrived::Page(page, descriptor) => (page, descriptor),
            Arrived::Scrap | Arrived::End => return Err(not_by_a_broker()),
        };
        let notice = Notice::parse(&page).map_err(|_| not_by_a_broker())?;
        match (notice, descriptor) {
            (Notice::Handed(Handed::Bundle), Some(file)) => {
                let text = sealed::unseal(file)?;
                handover = Some(serde_json::from_slice(&text).map_err(io::Error::other)?);
            }
            (Notice::Handed(Handed::Listener), Some(socket)) => listeners.push(socket.into()),
            (Notice::Handed(Handed::Control), Some(socket)) => control = Some(socket.into()),
            (Notice::Handed(Handed::Requests), Some(socket)) => requests.push(socket),
            (Notice::Handed(Handed::Names), Some(socket)) => names = Some(socket),
            (Notice::Complete, _) => break,
            (
                Notice::Handed(_)
                | Notice::Happened(_)
                | Notice::Drain
                | Notice::End
                | Notice::Reload,
                _,
            ) => return Err(not_by_a_broker()),
        }
    }
    Ok(Received {
        handover: handover.ok_or_else(not_by_a_broker)?,
        listeners,
        control,
        requests,
        names,
    })
}

/// Has the broker read the config again.
fn loader(broker: Arc<nft::Client>, files: Arc<Latest>) -> Loader {
    Box::new(move || {
        let bytes = broker.reread()?;
        let bundle: Bundle = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let config = bundle.config().map_err(|error| error.to_string())?;
        files.replace(bundle);
        Ok(config)
    })
}

/// Tells the broker how far the gateway is.
fn tell(broker: &nft::Client, phase: Phase) {
    let report = match phase {
        // It knows: it was asked for the config.
        Phase::Reloading => return,
        Phase::Reloaded { in_force } => Report::Reloaded { in_force },
        Phase::Stopping => Report::Stopping,
    };
    if let Err(error) = broker.report(report) {
        tracing::debug!(%error, "the broker does not listen");
    }
}

/// Hears the broker, on a thread of its own that ends with the process.
fn hear(broker: Arc<nft::Client>, gateway: Remote) -> io::Result<()> {
    let hearing = move || {
        broker.listen(|notice| match notice {
            Notice::Drain => gateway.drain(),
            Notice::End => gateway.end(),
            Notice::Reload => gateway.reload(),
            Notice::Happened(happening) => gateway.happened(happening),
            // These come before the start.
            Notice::Handed(_) | Notice::Complete => {}
        });
        gateway.abandon();
    };
    std::thread::Builder::new()
        .name("broker".to_owned())
        .spawn(hearing)?;
    Ok(())
}
