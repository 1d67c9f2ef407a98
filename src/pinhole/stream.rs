//! A connected leg: its socket, and TLS over it where it is protected.
//!
//! Invariant: with TLS nothing is read or written beside it. This module must not know which peer it is.

use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::tls::Channel;

/// A connected leg.
#[derive(Debug)]
pub struct Stream {
    pub(super) socket: TcpStream,
    pub(super) tls: Option<Box<Channel>>,
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Stream {
        Stream { socket, tls: None }
    }
}

impl Stream {
    /// Makes a leg whose handshake is over.
    pub fn protected(socket: TcpStream, tls: Box<Channel>) -> Stream {
        Stream {
            socket,
            tls: Some(tls),
        }
    }

    /// Returns the socket.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Gives the socket back; for a leg in clear.
    pub fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// Tells whether it is in TLS.
    pub fn is_protected(&self) -> bool {
        self.tls.is_some()
    }

    /// Tells how many bytes of records were handed to the kernel; 0 in clear.
    pub(super) fn moved(&self) -> u64 {
        self.tls.as_ref().map_or(0, |tls| tls.moved())
    }

    /// Tells whether the peer is to be listened to until its end, since it may still send tickets.
    pub(super) fn collects_tickets(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.collects_tickets())
    }

    /// Lets the tickets leave that wait for the first data.
    pub fn give_tickets(&mut self, cx: &mut Context<'_>) {
        if let Some(tls) = &mut self.tls {
            tls.give_tickets(cx, &mut self.socket);
        }
    }

    /// Says that nothing more will come: close_notify, where there is TLS, and FIN.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &mut self.tls {
            ready!(tls.poll_end(cx, &mut self.socket))?;
        }
        Poll::Ready(SockRef::from(&self.socket).shutdown(Shutdown::Write))
    }
}
