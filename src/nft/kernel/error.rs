//! What the kernel answered, grouped by what an operator has to do about it.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Why the kernel's firewall did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This process may not change the firewall.
    #[error(
        "{0}; run Portcullis as root (or with CAP_NET_ADMIN), or set `firewall: none`, which needs no privilege"
    )]
    NotPermitted(Refusal),
    /// The kernel lacks something.
    #[error(
        "{0}; the kernel (6.1 or newer) needs nf_tables with NAT, log, reject, limit and connection tracking over netlink \
         (modules nft_chain_nat, nft_ct, nft_log, nft_limit, nft_reject_inet, nfnetlink_log, nf_conntrack_netlink); \
         or set `firewall: none`"
    )]
    Missing(Refusal),
    /// A table of our name is not ours.
    #[error(
        "the table `inet {table}` exists and was not made by Portcullis ({why}); look at it with `nft list table inet {table}` \
         and remove or rename it, or set `firewall: none`"
    )]
    Foreign {
        /// The table's name.
        table: String,
        /// What gives it away.
        why: &'static str,
    },
    /// Another program listens where the kernel tells of pinholes.
    #[error(
        "{0}: another program, perhaps another Portcullis, listens at this NFLOG group; stop it, or give this one a \
         group of its own"
    )]
    Taken(Refusal),
    /// A set has no room.
    #[error("{0}: the set is full")]
    Full(Refusal),
    /// There is an entry of the same peer, address and port.
    #[error("{0}: the same peer, address and port are open already")]
    Exists(Refusal),
    /// Nothing of that name is there any more.
    #[error("{0}: it is not there (any more)")]
    Gone(Refusal),
    /// What was asked can't be said to the kernel.
    #[error("{0}")]
    Unsuitable(&'static str),
    /// Anything else.
    #[error("{0}")]
    Kernel(Refusal),
}

/// What was being done, the kernel's errno, and its words where it has any.
#[derive(Debug)]
pub struct Refusal {
    /// What was being done.
    pub doing: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
    /// The extended acknowledgement's text (NLMSGERR_ATTR_MSG).
    pub words: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, form: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            form,
            "{}: {}",
            self.doing,
            io::Error::from_raw_os_error(self.errno.raw_os_error())
        )?;
        match &self.words {
            Some(words) => write!(form, " (kernel: {words})"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// Returns the exit code for an error at start: 77 privilege, 69 a missing feature, 78 a foreign table, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotPermitted(_) => 77,
            Self::Missing(_) => 69,
            Self::Foreign { .. } | Self::Taken(_) | Self::Unsuitable(_) => 78,
            Self::Full(_) | Self::Exists(_) | Self::Gone(_) | Self::Kernel(_) => 1,
        }
    }

    /// Returns the errno that says the same to the gateway.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::NotPermitted(_) => Errno::PERM,
            Self::Missing(_) => Errno::OPNOTSUPP,
            Self::Foreign { .. } | Self::Exists(_) => Errno::EXIST,
            Self::Taken(_) => Errno::BUSY,
            Self::Full(_) => Errno::NOSPC,
            Self::Gone(_) => Errno::NOENT,
            Self::Unsuitable(_) => Errno::INVAL,
            Self::Kernel(refusal) => refusal.errno,
        }
    }
}

impl Error {
    /// Gives the kernel's bare answer the name of its kind.
    pub(super) fn by_kind(self) -> Error {
        match self {
            Self::Kernel(refusal) => match refusal.errno {
                Errno::PERM | Errno::ACCESS => Self::NotPermitted(refusal),
                Errno::NOENT => Self::Gone(refusal),
                Errno::EXIST => Self::Exists(refusal),
                // What nf_tables answers when a set has all the elements of its size.
                Errno::NFILE | Errno::NOSPC => Self::Full(refusal),
                Errno::BUSY => Self::Taken(refusal),
                _ => Self::Kernel(refusal),
            },
            other => other,
        }
    }

    /// Names an answer at start, where what the kernel does not know is a feature that it lacks.
    pub(super) fn at_start(self) -> Error {
        match self.by_kind() {
            Self::Gone(refusal) => Self::Missing(refusal),
            Self::Kernel(refusal) => match refusal.errno {
                Errno::INVAL
                | Errno::OPNOTSUPP
                | Errno::PROTONOSUPPORT
                | Errno::AFNOSUPPORT
                | Errno::NOPROTOOPT
                | Errno::NOSYS => Self::Missing(refusal),
                _ => Self::Kernel(refusal),
            },
            other => other,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::from_raw_os_error(error.errno().raw_os_error())
    }
}
