//! The cells: which firewall, server, client, mode, families and operation are tried together.

use portcullis_netlab::{DataMode, Family, Firewall, Listener, Node, ServerKind};

use crate::client::{self, Client, Job, Mode};
use crate::operation::Operation;

/// One cell of the table.
#[derive(Clone, Copy)]
pub struct Cell {
    pub firewall: Firewall,
    pub server: ServerKind,
    /// The machine on which the server runs.
    pub host: Node,
    pub client: &'static dyn Client,
    pub mode: Mode,
    pub family: Family,
    pub upstream: Family,
    pub data_mode: DataMode,
    pub operation: Operation,
}

/// Which clients carry the gibibyte, one per server, each in a mode of its own.
const BIG: [(ServerKind, &str, Mode, Family); 4] = [
    (ServerKind::Vsftpd, "curl", Mode::Epsv, Family::V6),
    (ServerKind::Proftpd, "lftp", Mode::Pasv, Family::V4),
    (ServerKind::PureFtpd, "tnftp", Mode::Port, Family::V4),
    (ServerKind::Pyftpdlib, "ftplib", Mode::Eprt, Family::V6),
];

/// The clients that try the upstream leg in the other mode than their own.
const TRANSLATED: [&str; 2] = ["curl", "tnftp"];

/// The servers that are also tried on the gateway's own machine.
const LOCAL: [ServerKind; 2] = [ServerKind::Vsftpd, ServerKind::Pyftpdlib];

impl Cell {
    /// The listener of the gateway that this cell needs.
    pub fn listener(&self) -> Listener {
        Listener {
            server: self.server,
            host: self.host,
            upstream: self.upstream,
            data_mode: self.data_mode,
        }
    }

    /// The server that this cell needs, and on which machine.
    pub fn place(&self) -> (ServerKind, Node) {
        (self.server, self.host)
    }

    /// Whether the upstream leg is passive.
    pub fn upstream_is_passive(&self) -> bool {
        match self.data_mode {
            DataMode::AsClient => self.mode.is_passive(),
            DataMode::Passive => true,
            DataMode::Active => false,
        }
    }

    /// How the journal must say that the bytes were carried: by the kernel only where one leg awaits and the other dials,
    /// in one family, with an upstream that is no address of the gateway's machine.
    pub fn carried(&self) -> &'static str {
        let forwarded = self.firewall == Firewall::Nftables
            && self.mode.is_passive() == self.upstream_is_passive()
            && self.family == self.upstream
            && self.host != Node::Gateway;
        if forwarded { "forwarded" } else { "relayed" }
    }

    /// Whether a peer dials the gateway, so that there is a pinhole: not where it dials both.
    pub fn opens_pinholes(&self) -> bool {
        self.operation.transfers() && (self.mode.is_passive() || !self.upstream_is_passive())
    }

    /// Why this cell can't be run, if so.
    pub fn not_applicable(&self) -> Option<&'static str> {
        if !client::exists(self.mode, self.family) {
            return Some("PASV and PORT have no form for IPv6");
        }
        let job = Job {
            host: portcullis_netlab::Node::Gateway.address(self.family),
            port: 0,
            mode: self.mode,
            directory: "",
        };
        let supported = self.client.supports(self.mode, self.family);
        supported
            .err()
            .or_else(|| self.client.run(&job, self.operation.action()).err())
    }

    /// The cell in one line.
    pub fn describe(&self) -> String {
        format!(
            "firewall {}: {} on {} {} {} over {} to upstream over {} ({}): {}",
            self.firewall.name(),
            self.server.name(),
            self.host.name(),
            self.client.name(),
            self.mode.verb(),
            self.family.name(),
            self.upstream.name(),
            self.data_mode.name(),
            self.operation.name()
        )
    }
}

/// All cells, in the order in which they are best begun: the long ones first.
pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for firewall in Firewall::BOTH {
        let mut some = Vec::new();
        some.extend(big());
        some.extend(rich());
        some.extend(basic());
        some.extend(translated());
        if firewall == Firewall::Nftables {
            some.extend(on_the_gateways_machine());
        }
        cells.extend(some.into_iter().map(|cell| Cell { firewall, ..cell }));
    }
    cells
}

/// The basic operations with a server on the gateway's own machine.
fn on_the_gateways_machine() -> impl Iterator<Item = Cell> {
    let chosen = |cell: &Cell| {
        cell.family == cell.upstream
            && LOCAL.contains(&cell.server)
            && TRANSLATED.contains(&cell.client.name())
    };
    let host = Node::Gateway;
    let local = move |cell: Cell| Cell { host, ..cell };
    basic().into_iter().filter(chosen).map(local)
}

/// One gibibyte per server and direction.
fn big() -> impl Iterator<Item = Cell> {
    BIG.into_iter().flat_map(|(server, name, mode, family)| {
        let clients = client::ALL
            .into_iter()
            .filter(move |client| client.name() == name);
        clients.flat_map(move |client| {
            [Operation::DownloadBig, Operation::UploadBig].map(|operation| Cell {
                firewall: Firewall::None,
                host: Node::Server,
                server,
                client,
                mode,
                family,
                upstream: Family::V4,
                data_mode: DataMode::AsClient,
                operation,
            })
        })
    })
}

/// Every further operation once per server and client; the modes take turns from server to server.
fn rich() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (turn, server) in ServerKind::ALL.into_iter().enumerate() {
        for client in client::ALL {
            let ways: Vec<(Mode, Family)> = ways()
                .filter(|(mode, family)| client.supports(*mode, *family).is_ok())
                .collect();
            let way = ways.iter().cycle().nth(turn);
            for operation in Operation::RICH {
                cells.extend(way.map(|(mode, family)| Cell {
                    firewall: Firewall::None,
                    host: Node::Server,
                    server,
                    client,
                    mode: *mode,
                    family: *family,
                    upstream: Family::BOTH[turn % 2],
                    data_mode: DataMode::AsClient,
                    operation,
                }));
            }
        }
    }
    cells
}

/// The basic operations for every server, client, mode and pair of families.
fn basic() -> Vec<Cell> {
    let mut cells = Vec::new();
    for server in ServerKind::ALL {
        for client in client::ALL {
            for (mode, family) in every_way() {
                for upstream in Family::BOTH {
                    cells.extend(Operation::BASIC.map(|operation| Cell {
                        firewall: Firewall::None,
                        host: Node::Server,
                        server,
                        client,
                        mode,
                        family,
                        upstream,
                        data_mode: DataMode::AsClient,
                        operation,
                    }));
                }
            }
        }
    }
    cells
}

/// The basic operations with the upstream leg in the other mode.
fn translated() -> Vec<Cell> {
    let mut cells = Vec::new();
    for mut cell in basic() {
        let exists = client::exists(cell.mode, cell.family);
        if exists && TRANSLATED.contains(&cell.client.name()) {
            cell.data_mode = if cell.mode.is_passive() {
                DataMode::Active
            } else {
                DataMode::Passive
            };
            cells.push(cell);
        }
    }
    cells
}

fn every_way() -> impl Iterator<Item = (Mode, Family)> {
    Mode::ALL
        .into_iter()
        .flat_map(|mode| Family::BOTH.map(|family| (mode, family)))
}

fn ways() -> impl Iterator<Item = (Mode, Family)> {
    every_way().filter(|(mode, family)| client::exists(*mode, *family))
}
