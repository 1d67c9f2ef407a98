//! Pinholes whose one connection the kernel carries, and who may have such.
//!
//! Invariant: one connection at most ever comes through; a pinhole that is dropped is shut, and a connection that came
//! through it is ended on both sides, unless the kernel saw it end before. This module must not know why that is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;

use super::grant::{Asked, Grant};
use super::hole::{Hold, refusal};
use super::opened::{OpenPinhole, Reservation};
use super::sockets::Sockets;
use super::sources::SourceUse;
use super::wishes::Wishes;
use crate::engine::RefusalReason;
use crate::nft::{FlowUsage, Settled, Settling};

/// A pinhole into the kernel that is asked for, and not known to be open yet. Dropping it shuts it, if it opens at all.
#[derive(Debug)]
#[must_use]
pub struct Forwarding {
    // Dropped first, as in the open pinhole.
    asked: Asked,
    hold: Option<Hold>,
    source: Option<SourceUse>,
    at: SocketAddr,
}

impl Forwarding {
    pub(super) fn new(asked: Asked, hold: Hold, source: Option<SourceUse>) -> Forwarding {
        Forwarding {
            asked,
            at: hold.listener.at(),
            hold: Some(hold),
            source,
        }
    }

    /// Waits until it is open; afterwards it stays pending.
    ///
    /// # Errors
    /// When the firewall refuses; the port is given back when this is dropped.
    pub fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ForwardedPinhole, RefusalReason>> {
        let granted = ready!(self.asked.poll(cx));
        Poll::Ready(match (granted, self.hold.take()) {
            (Ok(grant), Some(hold)) => Ok(ForwardedPinhole::new(grant, hold, self.source.take())),
            (Err(error), _) => Err(refusal(&error, self.at)),
            (Ok(_), None) => Err(RefusalReason::Resources),
        })
    }
}

/// An open pinhole into the kernel.
#[derive(Debug)]
#[must_use]
pub struct ForwardedPinhole {
    // Dropped first: the port is free for its peer only after the firewall has let go of it.
    grant: Grant,
    peer: IpAddr,
    /// The claim on the port: until the connection came, or the pinhole is shut.
    hold: Option<Hold>,
    /// The source port that is this connection's alone.
    _source: Option<SourceUse>,
    used: bool,
    ended: bool,
}

impl ForwardedPinhole {
    pub(super) fn new(grant: Grant, hold: Hold, source: Option<SourceUse>) -> ForwardedPinhole {
        ForwardedPinhole {
            grant,
            peer: hold.peer(),
            hold: Some(hold),
            _source: source,
            used: false,
            ended: false,
        }
    }

    /// Tells who is awaited.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Waits for the connection of the awaited peer; when it resolves, the pinhole is shut behind it.
    ///
    /// To be polled until it resolves; afterwards it stays pending.
    pub fn poll_used(&mut self, cx: &mut Context<'_>) -> Poll<SocketAddr> {
        if self.used {
            return Poll::Pending;
        }
        let peer = ready!(self.grant.poll_used(cx));
        self.used = true;
        self.hold = None;
        Poll::Ready(peer)
    }

    /// Makes the kernel await the peer as long again as at the beginning.
    pub fn renew(&self) {
        self.grant.renew();
    }

    /// Tells what the connection has carried so far; none if none came.
    ///
    /// # Errors
    /// When the firewall does not answer.
    pub fn usage(&self) -> io::Result<Option<FlowUsage>> {
        self.grant.usage()
    }

    /// Shuts the pinhole, unless its connection runs.
    ///
    /// # Errors
    /// When the firewall does not answer.
    pub fn settle(&mut self) -> io::Result<Settling> {
        let settling = self.grant.settle()?;
        if let Settling::Shut(_) = settling {
            self.ended = true;
            self.hold = None;
        }
        Ok(settling)
    }

    /// As [`ForwardedPinhole::settle`], asked together with what the worker's other sessions want.
    ///
    /// # Errors
    /// When the firewall does not answer.
    pub fn poll_settle(&mut self, wishes: &Wishes, cx: &Context<'_>) -> Poll<io::Result<Settling>> {
        let settling = ready!(self.grant.poll_settle(wishes, cx))?;
        if let Settling::Shut(_) = settling {
            self.ended = true;
            self.hold = None;
        }
        Poll::Ready(Ok(settling))
    }

    /// Tells whether [`ForwardedPinhole::poll_settle`] waits for an answer.
    pub fn is_settling(&self) -> bool {
        self.grant.is_settling()
    }

    /// Takes the pinhole back from the kernel and listens there, if nobody came yet.
    pub fn relay_here(mut self) -> TakenBack {
        match self.grant.settle() {
            Ok(Settling::Runs(_)) => TakenBack::Came(self),
            Ok(Settling::Shut(settled)) => {
                self.ended = true;
                match self.hold.take().filter(|_| !settled.used()) {
                    Some(hold) => match Reservation::unforwarded(hold).open() {
                        Ok(open) => TakenBack::Here(open),
                        Err(why) => TakenBack::Refused(why),
                    },
                    None => TakenBack::Came(self),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a forwarded pinhole could not be taken back");
                TakenBack::Refused(RefusalReason::Kernel)
            }
        }
    }

    /// Shuts the pinhole and ends its connection; what it was, as far as the firewall tells.
    pub fn end(&mut self) -> Option<Settled> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        // What was asked before may have been answered in between.
        if let Some(settled) = self.grant.recall() {
            self.hold = None;
            return Some(settled);
        }
        // One that came in the moment in which the pinhole is shut is killed as well: of the two, the shutting wins.
        let settled = match self.used {
            true => None,
            false => match self.grant.settle() {
                Ok(Settling::Shut(settled)) => Some(settled),
                Ok(Settling::Runs(_)) | Err(_) => None,
            },
        };
        let settled = settled.or_else(|| {
            self.grant.kill();
            self.grant.close()
        });
        self.hold = None;
        settled
    }
}

impl Drop for ForwardedPinhole {
    fn drop(&mut self) {
        self.end();
    }
}

/// What became of a pinhole that was taken back from the kernel.
#[derive(Debug)]
#[must_use]
pub enum TakenBack {
    /// It is open here.
    Here(OpenPinhole),
    /// It is shut, and cannot be opened here.
    Refused(RefusalReason),
    /// Its connection had come; nothing changed.
    Came(ForwardedPinhole),
}

/// Addresses that nobody has (RFC 2544, RFC 3849): where they can be bound, any address can.
const NOBODYS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 18, 255, 254)),
    IpAddr::V6(Ipv6Addr::new(
        0x2001, 0xdb8, 0xffff, 0xffff, 0, 0, 0, 0xfffe,
    )),
];

/// Tells whether the kernel lets a socket have addresses that are not this host's (`ip_nonlocal_bind`).
pub(super) fn binds_anything(sockets: &dyn Sockets) -> bool {
    NOBODYS.iter().any(|ip| takes(sockets, *ip).is_ok())
}

/// Tells whether packets between this host and a peer pass through it: the peer is surely another host.
///
/// What cannot be told counts as this host: then it is relayed, which always works.
pub(super) fn is_elsewhere(sockets: &dyn Sockets, peer: IpAddr) -> bool {
    match takes(sockets, peer) {
        Ok(()) => false,
        Err(error) => Errno::from_io_error(&error) == Some(Errno::ADDRNOTAVAIL),
    }
}

/// Binds a socket to an address, which only those of this host allow.
pub(super) fn takes(sockets: &dyn Sockets, ip: IpAddr) -> io::Result<()> {
    let at = SocketAddr::new(ip, 0);
    sockets.dialler(Some(at), at).map(drop)
}
