//! The helper process that resolves the upstreams' names and asks whomever the rules name, as the broker has it.
//!
//! Invariant: a helper runs while some upstream has a name or some rule asks; one that ends is started anew, ever more slowly.
//! It knows whom the rules name before a gateway has these rules, and asks nobody else.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::config::{Config, Host};
use crate::helper::{Exit, Lines, Told};
use crate::nft::broker::Backoff;
use crate::sandbox::{self, Account};

/// A helper that lived this long did not die of its start.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// Names that are taken at once, so that nothing else waits for long.
const MOST_AT_ONCE: usize = 64;

/// The helper, if one is needed and may be started.
#[derive(Debug)]
pub(super) struct Namer {
    /// Who it becomes, and its lines; none where the gateway resolves names itself.
    post: Option<(Account, Lines)>,
    /// The executable of the helper.
    program: PathBuf,
    /// Who may be asked.
    exits: Vec<Exit>,
    running: Option<Running>,
    backoff: Backoff,
    start_at: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    process: OwnedFd,
    since: Instant,
}

impl Namer {
    /// Makes the lines of a helper that becomes `account`.
    pub(super) fn new(account: Option<Account>, program: PathBuf) -> io::Result<Namer> {
        let post = match account {
            Some(account) => Some((account, Lines::new()?)),
            None => None,
        };
        Ok(Namer {
            post,
            program,
            exits: Vec::new(),
            running: None,
            backoff: Backoff::new(LONG_LIFE),
            start_at: None,
        })
    }

    /// Gives a gateway's end.
    pub(super) fn line(&self) -> io::Result<Option<OwnedFd>> {
        let post = self.post.as_ref();
        post.map(|(_, lines)| lines.for_gateway()).transpose()
    }

    /// Starts the helper if this config has names.
    pub(super) fn start_for(&mut self, config: &Config) {
        let mut addresses = config.upstreams.values().flat_map(|one| &one.addresses);
        let named = addresses.any(|address| matches!(address.host, Host::Name(_)));
        let needed = named || !self.exits.is_empty();
        if needed && self.running.is_none() && self.start_at.is_none() {
            self.start();
        }
    }

    /// Has the helper ask these from now on, and nobody else.
    pub(super) fn permit(&mut self, exits: Vec<Exit>) {
        if self.exits == exits {
            return;
        }
        self.exits = exits;
        if self.running.is_some() {
            self.tell_exits();
        }
    }

    fn tell_exits(&self) {
        let Some((_, lines)) = &self.post else { return };
        if let Err(error) = lines.permit(&self.exits) {
            tracing::error!(%error, "the helper cannot be told whom the rules name, so it asks nobody new");
        }
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let told = self.post.iter().map(|(_, lines)| lines.told());
        let running = self.running.iter().map(|running| running.process.as_fd());
        told.chain(running).collect()
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.start_at
    }

    /// Takes what was resolved; starts a helper anew that is gone.
    pub(super) fn resolved(&mut self) -> Vec<(String, Vec<IpAddr>)> {
        let found = self.told();
        if let Some(running) = &mut self.running
            && let Ok(Some(status)) = running.child.try_wait()
        {
            let wait = self.backoff.after(running.since.elapsed());
            tracing::error!("the helper is gone: {}", sandbox::ending(status));
            self.running = None;
            self.start_at = Some(Instant::now() + wait);
        }
        if self.start_at.is_some_and(|at| at <= Instant::now()) {
            self.start();
        }
        found
    }

    fn told(&self) -> Vec<(String, Vec<IpAddr>)> {
        let mut found = Vec::new();
        let Some((_, lines)) = &self.post else {
            return found;
        };
        for _ in 0..MOST_AT_ONCE {
            match Told::receive(lines.told()) {
                Ok(Some(Told { name, addresses })) => found.push((name, addresses)),
                Ok(None) => return found,
                Err(error) => {
                    tracing::error!(%error, "the helper cannot be heard");
                    return found;
                }
            }
        }
        found
    }

    fn start(&mut self) {
        let Some((account, lines)) = &self.post else {
            return;
        };
        self.start_at = None;
        let mut command = Command::new(&self.program);
        command
            .arg0("portcullis")
            .args(["helper", "--account"])
            .arg(format!("{}:{}", account.uid, account.gid));
        match lines.start_as(command).and_then(Running::new) {
            Ok(running) => {
                self.running = Some(running);
                self.tell_exits();
            }
            Err(error) => {
                tracing::error!(%error, "the helper cannot be started, so names cannot be resolved and nobody can be asked; trying again");
                self.start_at = Some(Instant::now() + self.backoff.after(Duration::ZERO));
            }
        }
    }
}

impl Running {
    fn new(mut child: Child) -> io::Result<Running> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let opened = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match opened {
            Some(Ok(process)) => Ok(Running {
                child,
                process,
                since: Instant::now(),
            }),
            Some(Err(_)) | None => {
                // Nobody could tell when it ends.
                let _ = child.kill();
                let _ = child.wait();
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends by itself when nobody can ask any more; here that is sooner.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
