//! Least privilege: what each process of `firewall: nftables` keeps, and what it can't have back.
//!
//! The **broker** keeps the few capabilities that its work needs. The **gateway**, which alone reads what comes from the
//! network, and the **helper** become another user without any capability. All of them get `no_new_privs` and a filter of
//! system calls (seccomp(2)); the gateway can open no file and no socket but TCP.
//!
//! Invariant: privilege is dropped or the process does not start; only landlock(7) may be missing, and then the [`Report`]
//! says so. A process confines itself while it has a single thread and has read nothing from a peer, so no thread is left out.
//! This module must not know what the processes do for a living.

mod account;
mod calls;
mod landlock;
mod owner;
mod privilege;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

pub use account::Account;
pub use landlock::Landlock;
pub use owner::owned_by;
pub use privilege::KEPT_BY_BROKER;

/// What a gateway process may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Who it becomes.
    pub account: Account,
    /// How many descriptors it may open; as many as it was started with when there is none.
    pub descriptors: Option<u64>,
    /// The ports that it may listen on; port 0 may be bound besides.
    pub windows: Vec<RangeInclusive<u16>>,
}

/// A process that confines itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// The privileged parent.
    Broker,
    /// The one that speaks with clients and upstreams.
    Gateway,
    /// The one that resolves names and starts the programs that rules ask.
    Helper,
}

/// Tells how a process was confined; one line as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which process it is.
    pub process: Process,
    /// Who it is now.
    pub account: Account,
    /// The names of the capabilities that it keeps.
    pub capabilities: Vec<&'static str>,
    /// How far landlock(7) goes; none where it is not used.
    pub landlock: Option<Landlock>,
}

/// Why a process could not be confined; it must not go on then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such user.
    #[error(
        "there is no user {name:?} for `process.user`: make one with `useradd --system --no-create-home --shell /usr/sbin/nologin {name}`, or name another"
    )]
    NoSuchUser {
        /// The name.
        name: String,
    },
    /// The user is root.
    #[error("`process.user` is root, which would keep what is to be dropped: name another user")]
    Root,
    /// A capability is missing that has to be kept or is needed to drop the others.
    #[error("this process lacks {}: start it as root with these capabilities, or set `pinholes.firewall: none`, which needs none", .missing.join(", "))]
    Lacks {
        /// Their names.
        missing: Vec<&'static str>,
    },
    /// Other threads run, which would be left out.
    #[error("{0} threads run already, and only the calling one would be confined")]
    Threads(usize),
    /// Something that was dropped is still there.
    #[error("{0} could not be dropped")]
    Kept(&'static str),
    /// This machine's system calls are not known here.
    #[error("there is no filter of system calls for {0} machines; set `pinholes.firewall: none`")]
    Machine(&'static str),
    /// The kernel refused.
    #[error("{doing}: {source}")]
    Kernel {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    /// Tells whether more rights, and not another kernel or configuration, would help.
    pub fn wants_rights(&self) -> bool {
        match self {
            Error::Lacks { .. } => true,
            Error::Kernel { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Error::NoSuchUser { .. }
            | Error::Root
            | Error::Threads(_)
            | Error::Kept(_)
            | Error::Machine(_) => false,
        }
    }

    /// Tells whether this kernel or machine lacks something.
    pub fn lacks_feature(&self) -> bool {
        match self {
            Error::Machine(_) => true,
            Error::Kernel { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
            ),
            Error::NoSuchUser { .. }
            | Error::Root
            | Error::Lacks { .. }
            | Error::Threads(_)
            | Error::Kept(_) => false,
        }
    }

    fn kernel(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
        move |errno| Error::Kernel {
            doing,
            source: errno.into(),
        }
    }
}

/// Confines the broker; to be called first of all, before it opens anything or starts another process.
///
/// Its user stays: it is the one who starts the others as somebody else. Landlock is not used, since what it forbids would
/// be forbidden to the programs that the helper starts, too.
///
/// # Errors
/// When a capability is missing or the kernel refuses; the process must end then.
pub fn confine_broker() -> Result<Report, Error> {
    privilege::only_one_thread()?;
    privilege::no_core_dumps()?;
    let capabilities = privilege::keep_for_broker()?;
    calls::forbid_the_never_needed()?;
    Ok(Report {
        process: Process::Broker,
        account: Account::current(),
        capabilities,
        landlock: None,
    })
}

/// Confines the gateway for good; to be called before its first thread and its first byte from the network.
///
/// Every descriptor that it needs is open already, or is handed over later.
///
/// # Errors
/// When anything but landlock(7) could not be put in force; the process must end then.
pub fn confine_gateway(confinement: &Confinement) -> Result<Report, Error> {
    privilege::only_one_thread()?;
    privilege::no_core_dumps()?;
    privilege::limit_gateway(confinement.descriptors)?;
    privilege::become_nobody_special(confinement.account)?;
    privilege::no_tracing()?;
    let landlock = landlock::gateway(&confinement.windows)?;
    calls::allow_gateway()?;
    Ok(Report {
        process: Process::Gateway,
        account: confinement.account,
        capabilities: Vec::new(),
        landlock: Some(landlock),
    })
}

/// Confines the helper; to be called before its first thread and its first question.
///
/// # Errors
/// As [`confine_gateway`].
pub fn confine_helper(account: Account) -> Result<Report, Error> {
    privilege::only_one_thread()?;
    privilege::no_core_dumps()?;
    privilege::become_nobody_special(account)?;
    let landlock = landlock::helper()?;
    calls::forbid_the_never_needed()?;
    Ok(Report {
        process: Process::Helper,
        account,
        capabilities: Vec::new(),
        landlock: Some(landlock),
    })
}

/// Says for the log how a child ended.
pub fn ending(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        // seccomp(2): SECCOMP_RET_KILL_PROCESS ends it as if by SIGSYS, which it can't catch.
        (Some(libc::SIGSYS), _) => "it made a system call that it must not make, and was ended by the kernel (SIGSYS); the \
             kernel's log (type=1326) has the call's number. Somebody may have broken into it, or it is a bug"
            .to_owned(),
        (Some(signal), _) => format!("it was ended by signal {signal}"),
        (None, Some(code)) => format!("it ended with exit code {code}"),
        (None, None) => "it ended".to_owned(),
    }
}

impl Process {
    fn name(self) -> &'static str {
        match self {
            Process::Broker => "broker",
            Process::Gateway => "gateway",
            Process::Helper => "helper",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, ", self.process.name(), self.account)?;
        if self.capabilities.is_empty() {
            f.write_str("no capabilities")?;
        } else {
            write!(f, "only {}", self.capabilities.join(", "))?;
        }
        f.write_str(", no_new_privs, seccomp")?;
        match &self.landlock {
            Some(landlock) => write!(f, ", {landlock}"),
            None => Ok(()),
        }
    }
}
