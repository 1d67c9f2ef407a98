//! What the firewall lets in for one pinhole: asked for before anything opens, taken back when dropped.
//!
//! Invariant: when a grant is gone, the firewall has said that nothing of it is left, or its time to live ends it. This
//! module must not know listeners.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::wishes::{Answer, Wishes};
use crate::nft::{
    Firewall, FirewallHole, FlowUsage, Granted, HoleKey, Opening, Settled, Settling, Wish,
};

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
        let hole = self.name(opening);
        self.firewall.open(&hole)?;
        Ok(self.grant(hole, false))
    }

    /// Begins to ask for a hole, together with what others want.
    pub(super) fn begin_to_ask(
        &self,
        opening: Opening,
        wishes: &Wishes,
        cx: &Context<'_>,
    ) -> Asked {
        let hole = self.name(opening);
        Asked {
            answer: Some(wishes.wish(Wish::Open(hole), cx)),
            grant: Some(self.grant(hole, true)),
        }
    }

    /// Asks for what was gathered.
    pub(super) fn ask_for(&self, wishes: &Wishes, cx: &Context<'_>) {
        wishes.ask(&*self.firewall, cx);
    }

    fn name(&self, opening: Opening) -> FirewallHole {
        FirewallHole {
            key: HoleKey(self.next.fetch_add(1, Ordering::Relaxed)),
            opening,
            ttl: self.ttl + MARGIN,
        }
    }

    fn grant(&self, hole: FirewallHole, shut: bool) -> Grant {
        Grant {
            firewall: Arc::clone(&self.firewall),
            key: hole.key,
            lasts: hole.ttl,
            shut,
            settling: None,
        }
    }

    /// Tells how long after its opening, or its last renewal, a hole has to be renewed if it is still awaited.
    ///
    /// Later than the time to live that the pinhole was given: if it is to end then, it has ended.
    pub(super) fn renewal(&self) -> Duration {
        self.ttl + MARGIN / 2
    }
}

/// A hole that was asked for. If it opened and nobody wants it any more, it is shut when this is dropped.
#[derive(Debug)]
pub(super) struct Asked {
    answer: Option<Answer>,
    /// Nothing to shut yet.
    grant: Option<Grant>,
}

impl Asked {
    /// Waits until it is open, or refused; afterwards it stays pending.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Result<Grant>> {
        let Some(answer) = &mut self.answer else {
            return Poll::Pending;
        };
        let answer = ready!(answer.poll(cx));
        self.answer = None;
        Poll::Ready(self.opened(answer))
    }

    fn opened(&mut self, answer: io::Result<Granted>) -> io::Result<Grant> {
        answer?;
        let mut grant = self.grant.take().ok_or(io::ErrorKind::InvalidData)?;
        grant.shut = false;
        Ok(grant)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take().and_then(Answer::recall) {
            // Its own drop shuts it.
            let _ = self.opened(answer);
        }
    }
}

/// One hole in the firewall.
pub(super) struct Grant {
    firewall: Arc<dyn Firewall>,
    key: HoleKey,
    lasts: Duration,
    shut: bool,
    /// The answer to come to whether it could be shut.
    settling: Option<Answer>,
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
        if let Some(settled) = self.recall() {
            return Ok(Settling::Shut(settled));
        }
        let settling = self.firewall.settle(self.key)?;
        self.shut = matches!(settling, Settling::Shut(_));
        Ok(settling)
    }

    /// As [`Grant::settle`], asked together with what others want.
    pub(super) fn poll_settle(
        &mut self,
        wishes: &Wishes,
        cx: &Context<'_>,
    ) -> Poll<io::Result<Settling>> {
        let answer = self
            .settling
            .get_or_insert_with(|| wishes.wish(Wish::Settle(self.key), cx));
        let answer = ready!(answer.poll(cx));
        self.settling = None;
        Poll::Ready(match answer? {
            Granted::Settled(settling) => {
                self.shut = matches!(settling, Settling::Shut(_));
                Ok(settling)
            }
            Granted::Opened => Err(io::ErrorKind::InvalidData.into()),
        })
    }

    /// Tells whether [`Grant::poll_settle`] waits for an answer.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// Takes back the wish that it be settled; what it was, if it is shut already.
    pub(super) fn recall(&mut self) -> Option<Settled> {
        match self.settling.take().and_then(Answer::recall) {
            Some(Ok(Granted::Settled(Settling::Shut(settled)))) => {
                self.shut = true;
                Some(settled)
            }
            Some(_) | None => None,
        }
    }

    /// Ends its connection on both sides.
    pub(super) fn kill(&self) {
        if let Err(error) = self.firewall.kill(self.key) {
            tracing::warn!(%error, "a forwarded connection could not be ended");
        }
    }

    /// Shuts it; what it was then, if the firewall says so.
    pub(super) fn close(&mut self) -> Option<Settled> {
        if let Some(settled) = self.recall() {
            return Some(settled);
        }
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
