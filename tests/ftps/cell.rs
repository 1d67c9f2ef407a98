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

/// All cells of a firewall. With `none` every client meets every server and leg, and vsftpd with TLS, which demands resumption, in every
/// mode; with `nftables` every client meets every leg, and in turn every server. Versions and modes alternate.
pub fn all(firewall: Firewall) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    let mut turn = 0_usize;
    for client in Client::ALL {
        let modes: Vec<Mode> = Mode::ALL
            .into_iter()
            .filter(|mode| client.supports(*mode).is_ok())
            .collect();
        for upstream in Upstream::ALL {
            for (place, server) in SERVERS.into_iter().enumerate() {
                turn += 1;
                if firewall == Firewall::Nftables && place != turn / SERVERS.len() % SERVERS.len() {
                    continue;
                }
                let mode = turn / 2 % modes.len().max(1);
                if let (Some(mode), Some(version)) = (modes.get(mode), Version::ALL.get(turn % 2)) {
                    cells.push(Cell {
                        firewall,
                        client,
                        version: *version,
                        mode: *mode,
                        server,
                        upstream,
                    });
                }
            }
        }
        if firewall == Firewall::None {
            for (mode, version) in Mode::ALL.into_iter().zip(Version::ALL.into_iter().cycle()) {
                let cell = Cell {
                    firewall,
                    client,
                    version,
                    mode,
                    server: ServerKind::Vsftpd,
                    upstream: Upstream::Tls,
                };
                if !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
        }
    }
    cells
}
