//! Sockets of a process without privilege: its own, and those with a port of their own to dial from, which the broker lends.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::Socket;

use super::sockets::{OwnSockets, Sockets, SourcePortFallback};
use crate::nft;

/// Makes most sockets itself and asks the broker for the others.
#[derive(Debug)]
pub struct LentSockets {
    own: OwnSockets,
    broker: Arc<nft::Client>,
}

impl LentSockets {
    /// Creates the maker; `shares_ports` says whether the broker holds the right to share ports for us.
    pub fn new(broker: Arc<nft::Client>, shares_ports: bool) -> LentSockets {
        LentSockets {
            own: OwnSockets::with_right(shares_ports),
            broker,
        }
    }
}

impl Sockets for LentSockets {
    fn control_listener(&self, at: SocketAddr) -> io::Result<TcpListener> {
        self.own.control_listener(at)
    }

    fn pinhole(&self, at: SocketAddr) -> io::Result<Socket> {
        self.own.pinhole(at)
    }

    fn dialler(&self, from: Option<SocketAddr>, to: SocketAddr) -> io::Result<Socket> {
        match from {
            Some(from) if from.port() != 0 => self.broker.dialler(from).map(Socket::from),
            _ => self.own.dialler(from, to),
        }
    }

    fn source_port_fallback(&self) -> &SourcePortFallback {
        self.own.source_port_fallback()
    }
}
