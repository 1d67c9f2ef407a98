//! The helper's lines, and its start by the broker.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::{Child, Command};

use rustix::io::retry_on_intr;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

use super::exits::Exit;
use super::message::Order;
use crate::sandbox::Account;

/// What the helper finds of its environment: how names are resolved (resolv.conf(5)), and how to log.
const ENVIRONMENT: [&str; 5] = [
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "RUST_LOG",
    "JOURNAL_STREAM",
    "PATH",
];

/// Both lines with both their ends: on one the gateway asks, on the other the helper tells the broker what names mean, and the
/// broker the helper who may be asked. The broker keeps them all, so that gateway and helper can each be started anew; a
/// question that was lost with one of them comes to nothing in time.
#[derive(Debug)]
pub struct Lines {
    asked: OwnedFd,
    asking: OwnedFd,
    telling: OwnedFd,
    told: OwnedFd,
}

impl Lines {
    /// Makes the lines.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Lines> {
        let pair = || {
            socketpair(
                AddressFamily::UNIX,
                SocketType::SEQPACKET,
                SocketFlags::CLOEXEC,
                None,
            )
        };
        let (asked, asking) = pair()?;
        let (telling, told) = pair()?;
        Ok(Lines {
            asked,
            asking,
            telling,
            told,
        })
    }

    /// Starts a helper on them: the same program again, which confines itself.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn start(&self, account: Account) -> io::Result<Child> {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["helper", "--account"])
            .arg(format!("{}:{}", account.uid, account.gid));
        self.start_as(command)
    }

    /// Starts a command as the helper, with its ends as standard input and output.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn start_as(&self, mut command: Command) -> io::Result<Child> {
        command.env_clear();
        command.envs(
            ENVIRONMENT
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.stdin(self.asked.try_clone()?);
        command.stdout(self.telling.try_clone()?);
        command.spawn()
    }

    /// Gives the ends of a helper in this process.
    #[cfg(test)]
    pub(super) fn for_helper(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        Ok((self.asked.try_clone()?, self.telling.try_clone()?))
    }

    /// Gives an end for a gateway's [`Client`](super::Client).
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn for_gateway(&self) -> io::Result<OwnedFd> {
        self.asking.try_clone()
    }

    /// Tells the helper who may be asked from now on, and nobody else.
    ///
    /// # Errors
    /// What the kernel says; `InvalidInput` for one that has no place in a message. Some of the list may be told then, and none
    /// of it holds.
    pub fn permit(&self, exits: &[Exit]) -> io::Result<()> {
        let listed = exits.iter().cloned().map(Order::Permit);
        let orders = std::iter::once(Order::Begin)
            .chain(listed)
            .chain(std::iter::once(Order::Commit));
        for order in orders {
            let bytes = order.write().ok_or(io::ErrorKind::InvalidInput)?;
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            retry_on_intr(|| send(&self.told, &bytes, flags))?;
        }
        Ok(())
    }

    /// Gives the end on which the broker is told, for [`Told::receive`](super::Told::receive), and to be polled.
    pub fn told(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.told.as_fd()
    }
}
