//! From a port set aside to its one connection: the pinhole as its owner has it.
//!
//! Invariant: behind a firewall a hole is let in there before its port listens, and shut there before the port is free
//! again; one that the kernel carries never listens. This module must not know why a hole opens.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use super::forward::Forwarding;
use super::grant::Grant;
use super::hole::{Hold, lacks_descriptors, refusal};
use super::kernel;
use super::listener::Watched;
use super::wishes::Wishes;
use crate::engine::RefusalReason;
use crate::nft::Opening;

/// A port set aside for a pinhole that is not open yet; dropping it gives the port back.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    pub(super) hold: Hold,
    /// How the kernel is to carry the connection, if it is; its port is the hold's.
    pub(super) forward: Option<Opening>,
}

/// A pinhole that was opened.
#[derive(Debug)]
#[must_use]
pub enum Opened {
    /// We listen for its connection.
    Here(OpenPinhole),
    /// The kernel is asked to carry its connection.
    InTheKernel(Forwarding),
}

impl Reservation {
    /// Sets a port that is held already aside for listening.
    pub(super) fn unforwarded(hold: Hold) -> Reservation {
        Reservation {
            hold,
            forward: None,
        }
    }

    /// Tells the address and port.
    pub fn at(&self) -> SocketAddr {
        self.hold.listener.at()
    }

    /// Opens the pinhole as it was asked for: from now on its peer, and nobody else, can connect; or from when the kernel has
    /// answered, if it is to carry the connection.
    ///
    /// # Errors
    /// When the firewall or the kernel refuses; the port is given back.
    pub fn open_as_asked(self, wishes: &Wishes, cx: &Context<'_>) -> Result<Opened, RefusalReason> {
        let at = self.at();
        let Some(Opening::Forward {
            peer, to, source, ..
        }) = self.forward
        else {
            return self.open().map(Opened::Here);
        };
        // A fixed source port that the kernel cannot give to this connection becomes any port.
        let taken = source
            .filter(|source| source.port() != 0)
            .map(|source| self.hold.pinholes.sources.take(source, to));
        let source = match (source, &taken) {
            (Some(source), Some(None)) => Some(SocketAddr::new(source.ip(), 0)),
            (source, _) => source,
        };
        let opening = Opening::Forward {
            peer,
            at,
            to,
            source,
        };
        match self.hold.pinholes.begin_to_admit(opening, wishes, cx) {
            Some(asked) => Ok(Opened::InTheKernel(Forwarding::new(
                asked,
                self.hold,
                taken.flatten(),
            ))),
            None => {
                tracing::error!(%at, "there is no firewall to forward a connection");
                Err(RefusalReason::Kernel)
            }
        }
    }

    /// Opens the pinhole here: from now on its peer, and nobody else, can connect.
    ///
    /// # Errors
    /// When the firewall refuses, or the kernel to listen; the port is given back.
    pub fn open(self) -> Result<OpenPinhole, RefusalReason> {
        let Reservation { hold, .. } = self;
        let (peer, at, admits) = (hold.from, hold.listener.at(), hold.admits);
        let grant = hold.pinholes.admit(Opening::Relay { peer, at, admits })?;
        match hold.listener.open(hold.number, &hold.pinholes.guard) {
            Ok(watched) => Ok(OpenPinhole {
                grant,
                watched: Some(Watch::Descriptor(watched)),
                hold: Some(hold),
            }),
            Err(error) => {
                if Errno::from_io_error(&error) == Some(Errno::ADDRINUSE) {
                    hold.pinholes.distrust_parking();
                }
                Err(refusal(&error, at))
            }
        }
    }
}

/// An open pinhole; dropping it shuts it.
#[derive(Debug)]
#[must_use]
pub struct OpenPinhole {
    // Dropped first: nobody comes as far as the port any more.
    grant: Option<Grant>,
    // Dropped before the hold: with it, an unshared listener closes; then the claim on its port may end.
    watched: Option<Watch>,
    hold: Option<Hold>,
}

/// What is waited on: registered with the runtime of whoever polls first.
#[derive(Debug)]
enum Watch {
    Descriptor(Watched),
    Registered(AsyncFd<Watched>),
}

impl OpenPinhole {
    /// Waits for the one connection of the awaited peer; when it resolves, the hole is shut.
    ///
    /// To be polled in the runtime that shall own the connection, whenever its task is woken, until it resolves or is
    /// dropped; never again afterwards: then it stays pending.
    ///
    /// # Errors
    /// The kernel's, when it can't accept: the hole is shut then, too.
    pub fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = ready!(self.poll_admitted(cx));
        self.grant = None;
        self.watched = None;
        self.hold = None;
        Poll::Ready(accepted.and_then(|(socket, peer)| {
            let stream = std::net::TcpStream::from(socket);
            Ok((TcpStream::from_std(stream)?, peer))
        }))
    }

    /// Makes the firewall, if there is one, await the peer as long again as at the beginning.
    pub fn renew(&self) {
        if let Some(grant) = &self.grant {
            grant.renew();
        }
    }

    /// Waits for the next connection of the awaited peer to a hole with [`DataTls::Resumed`]; the hole stays open until it is
    /// dropped.
    ///
    /// # Errors
    /// As [`OpenPinhole::poll_accept`].
    ///
    /// [`DataTls::Resumed`]: crate::engine::DataTls::Resumed
    pub fn poll_candidate(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (socket, peer) = ready!(self.poll_admitted(cx))?;
        Poll::Ready(TcpStream::from_std(socket.into()).map(|stream| (stream, peer)))
    }

    /// Resets a candidate that has not proved to be the right one, and tells of it as of an intruder.
    pub fn turn_away(&self, candidate: &TcpStream, peer: SocketAddr) {
        if let Err(error) = SockRef::from(candidate).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "no reset");
        }
        if let Some(hold) = &self.hold {
            hold.pinholes.intruders.report(&[peer], hold.listener.at());
        }
    }

    fn poll_admitted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(OwnedFd, SocketAddr)>> {
        let Some(hold) = &self.hold else {
            return Poll::Pending;
        };
        loop {
            if let Some(admitted) = hold.listener.look(hold.number, cx.waker()) {
                return Poll::Ready(Ok(admitted));
            }
            let Some(watched) = registered(&mut self.watched)? else {
                return Poll::Pending;
            };
            let mut ready = ready!(watched.poll_read_ready(cx))?;
            let swept = match hold.listener.sweep(hold.number, &hold.pinholes.guard) {
                Err(error) if lacks_descriptors(&error) && hold.pinholes.clear_parking() => {
                    continue;
                }
                swept => swept?,
            };
            if swept.emptied {
                ready.clear_ready();
            }
            hold.pinholes
                .intruders
                .report(&swept.intruders, hold.listener.at());
        }
    }
}

/// Registers the descriptor with this task's runtime if that was not done yet.
fn registered(watch: &mut Option<Watch>) -> io::Result<Option<&AsyncFd<Watched>>> {
    if let Some(Watch::Descriptor(_)) = watch
        && let Some(Watch::Descriptor(watched)) = watch.take()
    {
        let watched = kernel::watch(watched)?;
        *watch = Some(Watch::Registered(watched));
    }
    match watch {
        Some(Watch::Registered(watched)) => Ok(Some(watched)),
        Some(Watch::Descriptor(_)) | None => Ok(None),
    }
}
