//! The kernel as the broker's hands.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::cli::{Exit, Failure};
use crate::config::{Config, Firewall};
use crate::nft::broker::Hands;
use crate::nft::kernel::{self, Generation, Kernel, Layout};
use crate::nft::{FirewallHole, FlowUsage, Happening, HoleKey, Settled};

/// The name of our table.
const TABLE: &str = "portcullis";

/// Elements that each set holds at most.
const SET_SIZE: u32 = 65_536;

/// Our table in the kernel.
#[derive(Debug)]
pub(super) struct KernelHands {
    kernel: Kernel,
    /// Tells this broker's elements from those of others.
    broker: u16,
}

impl KernelHands {
    /// Installs the table and removes what gateways that are gone have left in it.
    ///
    /// # Errors
    /// No permission (77), no such feature (69), a table of our name that is not ours (78).
    pub(super) fn install(config: &Config) -> Result<KernelHands, Failure> {
        debug_assert_eq!(config.pinholes.firewall, Firewall::Nftables);
        let failed = |error: kernel::Error| Failure {
            exit: Exit::of_code(error.exit_code()),
            error: error.into(),
        };
        let mut kernel = Kernel::install(&layout(config)).map_err(failed)?;
        match kernel.sweep(&[]) {
            Ok(0) => {}
            Ok(swept) => tracing::info!("removed {swept} entries that a gateway left behind"),
            Err(error) => {
                tracing::warn!(%error, "what a gateway left behind stays until its time is over")
            }
        }
        count_connections();
        let mut broker = [0; 2];
        getrandom::fill(&mut broker).map_err(io::Error::other)?;
        Ok(KernelHands {
            kernel,
            broker: u16::from_le_bytes(broker),
        })
    }
}

fn layout(config: &Config) -> Layout {
    let pinholes = &config.pinholes;
    let listening = config.listeners.values().flat_map(|one| &one.listen);
    Layout {
        table: TABLE.to_owned(),
        client_window: pinholes.window.first()..=pinholes.window.last(),
        upstream_window: pinholes.upstream_window.first()..=pinholes.upstream_window.last(),
        listeners: listening.map(|address| address.port()).collect(),
        mark: pinholes.mark.bits(),
        group: pinholes.nflog_group,
        size: SET_SIZE,
    }
}

/// Without the kernel's counts nobody can tell how much a forwarded transfer carried.
fn count_connections() {
    let counted = match kernel::counts_connections() {
        Ok(true) => Ok(()),
        Ok(false) => kernel::count_connections(),
        Err(error) => Err(error),
    };
    if let Err(error) = counted {
        tracing::warn!(
            "the kernel does not count what forwarded transfers carry ({error}); set net.netfilter.nf_conntrack_acct = 1"
        );
    }
}

impl Hands for KernelHands {
    fn open(&mut self, hole: &FirewallHole) -> io::Result<()> {
        // The broker writes into the top of a hole's name which gateway it is.
        let gateway = u32::try_from(hole.key.0 >> 48).unwrap_or_default();
        let generation = Generation(u32::from(self.broker) << 16 | gateway);
        Ok(self.kernel.open(generation, hole)?)
    }

    fn renew(&mut self, key: HoleKey, ttl: Duration) -> io::Result<()> {
        Ok(self.kernel.renew(key, ttl)?)
    }

    fn usage(&mut self, key: HoleKey) -> io::Result<Option<FlowUsage>> {
        Ok(self.kernel.usage(key)?)
    }

    fn kill(&mut self, key: HoleKey) -> io::Result<()> {
        Ok(self.kernel.kill(key)?)
    }

    fn close(&mut self, key: HoleKey) -> io::Result<Settled> {
        Ok(self.kernel.close(key)?)
    }

    fn ban(&mut self, network: IpNet, ttl: Duration) -> io::Result<()> {
        Ok(self.kernel.ban(network, ttl)?)
    }

    fn unban(&mut self, network: IpNet) -> io::Result<()> {
        if self.kernel.unban(network)? {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.kernel.descriptors()
    }

    fn next_wake(&self) -> Option<Instant> {
        self.kernel.next_wake()
    }

    fn happenings(&mut self, out: &mut Vec<Happening>) -> io::Result<()> {
        Ok(self.kernel.happenings(out)?)
    }
}
