//! The FTP servers that sessions are carried to.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;
use std::num::NonZeroU32;

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
    /// The most sessions that are carried to this upstream at once.
    #[serde(serialize_with = "super::schema::write_count_or_none")]
    #[schemars(default, schema_with = "super::schema::count_or_none")]
    pub max_sessions: Option<NonZeroU32>,
    /// How the upstream is spoken to over TLS.
    #[schemars(default)]
    pub tls: UpstreamTls,
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
            max_sessions: None,
            tls: UpstreamTls::default(),
        }
    }
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
