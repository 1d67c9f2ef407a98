//! What the firewall lets in for one pinhole: asked for before anything opens, taken back when dropped.
//!
//! Invariant: when a grant is gone, the firewall has said that nothing of it is left, or its time to live ends it. This
//! module must not know listeners.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::nft::{Firewall, FirewallHole, FlowUsage, HoleKey, Opening, Settled, Settling};

/// How much longer the kernel keeps an unused hole than its pinhole lives: enough to be renewed in time, and if we are
/// gone nothing outlives its pinhole by more.
pub const MARGIN: Duration = Duration::from_secs(2);

/// The firewall, and the names of its holes.
pub(super) struct Gatekeeper {
    firewall: Arc<dyn Firewall>,
    ttl: Duration,
    next: AtomicU64,
}

impl Gatekeeper {
    pub(super) fn new(firewall: Arc<dyn Firewall>, ttl: Duration) -> Gatekeeper {
        Gatekeeper {
            firewall,
            ttl,
            next: AtomicU64::new(1),
        }
    }

    /// Asks for a hole.
    pub(super) fn ask(&self, opening: Opening) -> io::Result<Grant> {
        let key = HoleKey(self.next.fetch_add(1, Ordering::Relaxed));
        let lasts = self.ttl + MARGIN;
        self.firewall.open(&FirewallHole {
            key,
            opening,
            ttl: lasts,
        })?;
        Ok(Grant {
            firewall: Arc::clone(&self.firewall),
            key,
            lasts,
            shut: false,
        })
    }

    /// Tells how long after its opening, or its last renewal, a hole has to be renewed if it is still awaited.
    ///
    /// Later than the time to live that the pinhole was given: if it is to end then, it has ended.
    pub(super) fn renewal(&self) -> Duration {
        self.ttl + MARGIN / 2
    }
}

/// One hole in the firewall.
pub(super) struct Grant {
    firewall: Arc<dyn Firewall>,
    key: HoleKey,
    lasts: Duration,
    shut: bool,
}

impl Grant {
    /// Makes it last as long again, from now.
    pub(super) fn renew(&self) {
        if let Err(error) = self.firewall.renew(self.key, self.lasts) {
            // Used at this moment, or expired: whoever awaits it learns the one, and has a deadline for the other.
            tracing::debug!(%error, "a hole in the firewall was not renewed");
        }
    }

    pub(super) fn poll_used(&self, cx: &mut Context<'_>) -> Poll<SocketAddr> {
        self.firewall.used(self.key, cx)
    }

    pub(super) fn usage(&self) -> io::Result<Option<FlowUsage>> {
        self.firewall.usage(self.key)
    }

    /// Shuts it unless its connection runs.
    pub(super) fn settle(&mut self) -> io::Result<Settling> {
        let settling = self.firewall.settle(self.key)?;
        self.shut = matches!(settling, Settling::Shut(_));
        Ok(settling)
    }

    /// Ends its connection on both sides.
    pub(super) fn kill(&self) {
        if let Err(error) = self.firewall.kill(self.key) {
            tracing::warn!(%error, "a forwarded connection could not be ended");
        }
    }

    /// Shuts it; what it was then, if the firewall says so.
    pub(super) fn close(&mut self) -> Option<Settled> {
        if std::mem::replace(&mut self.shut, true) {
            return None;
        }
        let settled = self.firewall.close(self.key);
        if let Err(error) = &settled {
            tracing::warn!(%error, "a hole in the firewall could not be shut: the kernel shuts it at its time");
        }
        settled.ok()
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Grant").field(&self.key).finish()
    }
}
