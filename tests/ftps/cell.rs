//! The cells: which client, version, mode, server, upstream leg and firewall are tried together.

use std::fmt;

use portcullis_netlab::ServerKind;

use crate::client::{Client, Mode, Version};
use crate::site::{Listener, Resumption, Upstream};

/// `pinholes.firewall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    None,
    Nftables,
}

impl Firewall {
    pub const ALL: [Self; 2] = [Self::None, Self::Nftables];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nftables => "nftables",
        }
    }
}

/// The servers that have TLS here.
pub const SERVERS: [ServerKind; 3] = [
    ServerKind::Vsftpd,
    ServerKind::Proftpd,
    ServerKind::PureFtpd,
];

/// One cell: fifty transfers in one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub firewall: Firewall,
    pub client: Client,
    pub version: Version,
    pub mode: Mode,
    pub server: ServerKind,
    pub upstream: Upstream,
}

impl Cell {
    /// The gateway's listener for this cell: resumption is demanded of every client that always resumes.
    pub fn listener(&self) -> Listener {
        Listener {
            server: self.server,
            upstream: self.upstream,
            resumption: if self.client.always_resumes() {
                Resumption::Require
            } else {
                Resumption::Prefer
            },
            implicit: self.client == Client::CurlImplicit,
        }
    }

    /// Why this cell can't be, if so.
    pub fn not_applicable(&self) -> Option<&'static str> {
        self.client.supports(self.mode).err()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "firewall {}, {} {} TLS {} to {} in {}",
            self.firewall.name(),
            self.client.name(),
            self.mode.verb(),
            self.version.name(),
            self.server.name(),
            self.upstream.name()
        )
    }
}

/// All cells of a firewall: every client, mode, version, server and leg behind.
pub fn all(firewall: Firewall) -> Vec<Cell> {
    let mut cells = Vec::new();
    for client in Client::ALL {
        for server in SERVERS {
            for upstream in Upstream::ALL {
                for mode in Mode::ALL {
                    cells.extend(Version::ALL.map(|version| Cell {
                        firewall,
                        client,
                        version,
                        mode,
                        server,
                        upstream,
                    }));
                }
            }
        }
    }
    cells
}
