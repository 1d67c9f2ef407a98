//! The FTP servers that sessions are carried to.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;
use std::num::NonZeroU32;
use std::path::PathBuf;

use super::choice::choice;
use super::endpoint::UpstreamAddress;
use super::listener::ForeignAddress;
use super::tls::UpstreamTls;

/// An FTP server that the gateway dials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct Upstream {
    /// Where the server is: `"10.0.0.5:21"`, `"ftp.example.com"`, `"[2001:db8::5]:2121"`. The port defaults to 21; later entries are dialled when earlier ones fail.
    #[schemars(length(min = 1))]
    pub addresses: Vec<UpstreamAddress>,
    /// Who dials data connections between gateway and upstream.
    #[schemars(default = "as_client")]
    pub data_mode: DataMode,
    /// What happens when the upstream's 227 names a host that is not the upstream.
    #[schemars(default = "ignore_foreign")]
    pub foreign_address: ForeignAddress,
    /// The networks that a 227 may name besides the upstream itself; only with `foreign_address: allow`.
    #[schemars(default, with = "Vec<super::schema::Network>")]
    pub allow_addresses: Vec<IpNet>,
    /// Whose address the upstream sees; `client` needs `pinholes.firewall: nftables`, and a route from the upstream back to clients through this gateway.
    #[schemars(default = "gateways_own")]
    pub source: Source,
    /// How the server writes paths, for rules that ask for them.
    #[schemars(default = "auto")]
    pub paths: PathGrammar,
    /// The most sessions that are carried to this upstream at once.
    #[serde(serialize_with = "super::schema::write_count_or_none")]
    #[schemars(default, schema_with = "super::schema::count_or_none")]
    pub max_sessions: Option<NonZeroU32>,
    /// How the upstream is spoken to over TLS.
    #[schemars(default)]
    pub tls: UpstreamTls,
    /// As whom anonymous users log in at the server, where it knows no anonymous users.
    #[schemars(default)]
    pub anonymous: Anonymous,
}

/// The account that anonymous users get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct Anonymous {
    /// The account's name at the server; `none` leaves anonymous logins as they are.
    #[serde(serialize_with = "super::schema::write_text_or_none")]
    #[schemars(default, schema_with = "super::schema::text_or_none")]
    pub login_as: Option<String>,
    /// The file with the account's password: one line, and nobody but the owner and the group may read it.
    #[serde(serialize_with = "super::schema::write_path_or_none")]
    #[schemars(default, schema_with = "super::schema::path_or_none")]
    pub password_file: Option<PathBuf>,
    /// The directory where anonymous users begin, as the server writes it; `none` for the account's own.
    #[serde(serialize_with = "super::schema::write_text_or_none")]
    #[schemars(default, schema_with = "super::schema::text_or_none")]
    pub start_in: Option<String>,
}

impl Upstream {
    /// Makes an upstream with every default.
    #[must_use]
    pub fn new(addresses: Vec<UpstreamAddress>) -> Self {
        Self {
            addresses,
            data_mode: as_client(),
            foreign_address: ignore_foreign(),
            allow_addresses: Vec::new(),
            source: gateways_own(),
            paths: auto(),
            max_sessions: None,
            tls: UpstreamTls::default(),
            anonymous: Anonymous::default(),
        }
    }
}

choice! {
    /// How a server writes paths.
    pub enum PathGrammar {
        /// As its answer to SYST says.
        Auto = "auto",
        /// `/home/bob/file`; case tells names apart.
        Unix = "unix",
        /// `\pub\file` and `/pub/file`; case, trailing dots and blanks do not tell names apart.
        Windows = "windows",
        /// `LIB/FILE.MBR` and `/QSYS.LIB/LIB.LIB/FILE.FILE/MBR.MBR`.
        IbmI = "ibm_i",
        /// z/OS: `'SYS1.PROC(MEMBER)'` and `/u/bob/file`.
        Mvs = "mvs",
        /// OpenVMS: `DISK:[DIR.SUB]FILE.TXT;3`.
        Vms = "vms",
    }
}

fn auto() -> PathGrammar {
    PathGrammar::Auto
}

choice! {
    /// Who dials data connections between gateway and upstream.
    pub enum DataMode {
        /// As the client chose for its own side: PASV or EPSV stays passive, PORT or EPRT stays active.
        AsClient = "as_client",
        /// The gateway dials the upstream.
        Passive = "passive",
        /// The upstream dials the gateway.
        Active = "active",
    }
}

choice! {
    /// Whose address an upstream sees.
    pub enum Source {
        /// The gateway's own.
        Gateway = "gateway",
        /// The client's, where routing allows.
        Client = "client",
    }
}

fn as_client() -> DataMode {
    DataMode::AsClient
}

fn ignore_foreign() -> ForeignAddress {
    ForeignAddress::Ignore
}

fn gateways_own() -> Source {
    Source::Gateway
}
