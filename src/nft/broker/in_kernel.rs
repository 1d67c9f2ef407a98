//! The kernel as the broker's hands.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{Hands, NAME_BITS};
use crate::nft::kernel::{Error, Generation, Kernel};
use crate::nft::{FirewallHole, FlowUsage, Granted, Happening, HoleKey, Settled, Settling, Wish};

/// Our table in the kernel.
#[derive(Debug)]
pub struct InKernel {
    kernel: Kernel,
    /// Tells this broker's elements from those of others.
    broker: u16,
}

impl InKernel {
    /// Takes the installed table and removes what gateways that are gone have left in it.
    ///
    /// # Errors
    /// When there is no randomness for the broker's own number.
    pub fn new(mut kernel: Kernel) -> io::Result<InKernel> {
        match kernel.sweep(&[]) {
            Ok(0) => {}
            Ok(swept) => tracing::info!("removed {swept} entries that a gateway left behind"),
            Err(error) => {
                tracing::warn!(%error, "what a gateway left behind stays until its time is over");
            }
        }
        let mut broker = [0; 2];
        getrandom::fill(&mut broker).map_err(io::Error::other)?;
        Ok(InKernel {
            kernel,
            broker: u16::from_le_bytes(broker),
        })
    }
}

/// Whose a hole is: the broker writes into the top of its name which gateway it is.
fn generation(broker: u16, key: HoleKey) -> Generation {
    let gateway = u32::try_from(key.0 >> NAME_BITS).unwrap_or_default();
    Generation(u32::from(broker) << 16 | gateway)
}

/// The log has the kernel's words, which do not fit into an answer.
fn told(error: Error) -> io::Error {
    match error {
        // These are said often, and by their errno.
        Error::Gone(_) | Error::Exists(_) => {}
        Error::NotPermitted(_)
        | Error::Missing(_)
        | Error::Foreign { .. }
        | Error::Taken(_)
        | Error::Full(_)
        | Error::Unsuitable(_)
        | Error::Kernel(_) => tracing::warn!("{error}"),
    }
    error.into()
}

impl Hands for InKernel {
    fn open(&mut self, hole: &FirewallHole) -> io::Result<()> {
        self.kernel
            .open(generation(self.broker, hole.key), hole)
            .map_err(told)
    }

    fn renew(&mut self, key: HoleKey, ttl: Duration) -> io::Result<()> {
        self.kernel.renew(key, ttl).map_err(told)
    }

    fn usage(&mut self, key: HoleKey) -> io::Result<Option<FlowUsage>> {
        self.kernel.usage(key).map_err(told)
    }

    fn kill(&mut self, key: HoleKey) -> io::Result<()> {
        self.kernel.kill(key).map_err(told)
    }

    fn close(&mut self, key: HoleKey) -> io::Result<Settled> {
        self.kernel.close(key).map_err(told)
    }

    fn settle(&mut self, key: HoleKey) -> io::Result<Settling> {
        self.kernel.settle(key).map_err(told)
    }

    fn together(&mut self, wishes: &[Wish]) -> Vec<io::Result<Granted>> {
        let broker = self.broker;
        let done = self.kernel.together(|key| generation(broker, key), wishes);
        done.into_iter().map(|one| one.map_err(told)).collect()
    }

    fn ban(&mut self, network: IpNet, ttl: Duration) -> io::Result<()> {
        self.kernel.ban(network, ttl).map_err(told)
    }

    fn unban(&mut self, network: IpNet) -> io::Result<()> {
        if self.kernel.unban(network)? {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn bans(&mut self) -> io::Result<Vec<(IpNet, Duration)>> {
        self.kernel.bans().map_err(told)
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.kernel.descriptors().to_vec()
    }

    fn rests(&self, place: usize) -> Option<Instant> {
        self.kernel.rests(place)
    }

    fn next_wake(&self) -> Option<Instant> {
        self.kernel.next_wake()
    }

    fn happenings(&mut self, ready: Option<usize>, out: &mut Vec<Happening>) -> io::Result<()> {
        self.kernel.happenings_of(ready, out).map_err(told)
    }
}
