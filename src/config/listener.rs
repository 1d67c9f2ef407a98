//! Where clients arrive, and what they are told.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use super::advertise::Advertise;
use super::choice::choice;
use super::endpoint::ListenAddress;
use super::name::Name;
use super::tls::ListenerTls;

/// An address where clients arrive, and how their sessions are treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(transform = upstream_may_be_left_out, extend("additionalProperties" = false))]
pub struct Listener {
    /// The addresses and ports to listen on: `"*:21"` (IPv4 and IPv6), `"192.0.2.1:21"`, `"[2001:db8::1]:21"`. Port 0 takes any free port.
    #[schemars(length(min = 1))]
    pub listen: Vec<ListenAddress>,
    /// The upstream that sessions of this listener are carried to. May be left out when there is exactly one upstream.
    pub upstream: Name,
    /// How clients come here.
    #[schemars(default = "gateway_mode")]
    pub mode: Mode,
    /// Which address clients are told for passive transfers: the first entry whose `to` holds the client. Without a match it is the address that the client dialled.
    #[schemars(default = "advertise_dialled")]
    pub advertise: Vec<Advertise>,
    /// The local port of data connections that the gateway dials to a client (active mode).
    #[schemars(default = "control_minus_one")]
    pub data_source_port: DataSourcePort,
    /// Which address may use a client's pinhole.
    #[schemars(default = "exact_peer")]
    pub peer: PeerMatch,
    /// What happens when a client's PORT or EPRT names a host that is not the client.
    #[schemars(default = "refuse_foreign")]
    pub foreign_address: ForeignAddress,
    /// The networks that PORT and EPRT may name besides the client itself; only with `foreign_address: allow`.
    #[schemars(default, with = "Vec<super::schema::Network>")]
    pub allow_addresses: Vec<IpNet>,
    /// What happens to a client's line that ends in a bare LF instead of CRLF.
    #[schemars(default = "refuse_bare_lf")]
    pub bare_lf: BareLf,
    /// How clients are served over TLS.
    #[schemars(default)]
    pub tls: ListenerTls,
    /// Checks of commands that refuse nothing and only record what they would have refused. What they let pass is still safe: another host named in PORT is never dialled.
    #[schemars(default)]
    pub observe: Vec<Check>,
}

impl Listener {
    /// Makes a listener with every default.
    #[must_use]
    pub fn new(listen: Vec<ListenAddress>, upstream: Name) -> Self {
        Self {
            listen,
            upstream,
            mode: gateway_mode(),
            advertise: advertise_dialled(),
            data_source_port: control_minus_one(),
            peer: exact_peer(),
            foreign_address: refuse_foreign(),
            allow_addresses: Vec::new(),
            bare_lf: refuse_bare_lf(),
            tls: ListenerTls::default(),
            observe: Vec::new(),
        }
    }
}

choice! {
    /// How clients come to a listener.
    pub enum Mode {
        /// Clients dial the gateway's own address.
        Gateway = "gateway",
    }
}

choice! {
    /// The local port of a data connection that the gateway dials to a client.
    pub enum DataSourcePort {
        /// The listener's port less one, as RFC 959 wants it (21 -> 20); needs the right to bind that port.
        ControlMinusOne = "control_minus_one",
        /// Any free port.
        Random = "random",
    }
}

choice! {
    /// Which address may use a client's pinhole.
    pub enum PeerMatch {
        /// The address of the control connection alone.
        Exact = "exact",
        /// Any address in the same /24 (IPv4) or /64 (IPv6), for clients behind an address pool.
        Prefix = "prefix",
        /// Any address, for clients whose control and data connections leave by different ones: the TLS session proves who it is. Needs
        /// `tls.resumption: require`; a data connection in clear is for the control connection's address alone.
        Any = "any",
    }
}

choice! {
    /// What happens when a negotiation names a host that is not the peer of the control connection.
    pub enum ForeignAddress {
        /// The negotiation is refused and recorded.
        Refuse = "refuse",
        /// Only the port is taken; the address is the control connection's peer.
        Ignore = "ignore",
        /// Addresses in `allow_addresses` are taken as named, others are refused.
        Allow = "allow",
    }
}

choice! {
    /// What happens to a client's line that ends in a bare LF.
    pub enum BareLf {
        /// The line is answered with 501 and goes nowhere.
        Refuse = "refuse",
        /// The line is taken as if it ended in CRLF.
        Accept = "accept",
    }
}

choice! {
    /// A check of a client's commands that can be observed before it bites.
    pub enum Check {
        /// A line ends in CRLF.
        BareLf = "bare_lf",
        /// A verb is known to somebody (`everything-but-dangerous`).
        UnknownVerb = "unknown_verb",
        /// PORT and EPRT name the client; observed, the client is dialled whatever they name.
        ForeignAddress = "foreign_address",
        /// PORT and EPRT name a port from 1024 on.
        LowPort = "low_port",
        /// TYPE, STRU and ALLO have an argument that RFC 959 knows.
        Argument = "argument",
        /// After EPSV ALL nothing but EPSV comes.
        EpsvAll = "epsv_all",
    }
}

fn gateway_mode() -> Mode {
    Mode::Gateway
}

fn advertise_dialled() -> Vec<Advertise> {
    vec![Advertise::default()]
}

fn control_minus_one() -> DataSourcePort {
    DataSourcePort::ControlMinusOne
}

fn exact_peer() -> PeerMatch {
    PeerMatch::Exact
}

fn refuse_foreign() -> ForeignAddress {
    ForeignAddress::Refuse
}

fn refuse_bare_lf() -> BareLf {
    BareLf::Refuse
}

/// The loader fills `upstream` in when there is one; the type has it always.
fn upstream_may_be_left_out(schema: &mut schemars::Schema) {
    if let Some(required) = schema
        .get_mut("required")
        .and_then(|list| list.as_array_mut())
    {
        required.retain(|key| key != "upstream");
    }
}
