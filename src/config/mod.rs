//! The gateway's configuration: YAML and flags become a [`Config`], which is right once it exists.
//!
//! "Parse, don't validate": whoever holds a [`Config`] need not check it again. Every section has a type with its defaults.

pub mod advertise;
pub mod choice;
mod endpoint;
mod listener;
mod name;
mod problem;
pub mod quantity;
mod schema;
mod settings;
mod upstream;
mod window;

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

pub use advertise::{Advertise, AdvertisedAddress, Clients};
pub use endpoint::{FTP_PORT, Host, ListenAddress, UpstreamAddress};
pub use listener::{BareLf, DataSourcePort, ForeignAddress, Listener, Mode, PeerMatch};
pub use name::Name;
pub use problem::Refusal;
pub use quantity::{FileMode, Percent, Rate};
pub use settings::{
    Control, DEFAULT_SOCKET, Firewall, Journal, JournalFile, Limits, Pinholes, RecordedAddresses,
    RuleFile, Rules, Timeouts, Verdict,
};
pub use upstream::{DataMode, Upstream};
pub use window::PortRange;

/// Configures a Portcullis gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct Config {
    /// The version of this format: 1.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// Where clients arrive, by names that the journal repeats.
    #[schemars(extend("minProperties" = 1))]
    pub listeners: BTreeMap<Name, Listener>,
    /// The FTP servers behind the gateway, by names that listeners refer to.
    #[schemars(extend("minProperties" = 1))]
    pub upstreams: BTreeMap<Name, Upstream>,
    /// How pinholes are opened.
    #[schemars(default)]
    pub pinholes: Pinholes,
    /// What clients may do.
    #[schemars(default)]
    pub rules: Rules,
    /// How much of everything there may be at once.
    #[schemars(default)]
    pub limits: Limits,
    /// How long everything may take.
    #[schemars(default)]
    pub timeouts: Timeouts,
    /// Where the journal goes and what it says.
    #[schemars(default)]
    pub journal: Journal,
    /// How a running gateway is asked and told.
    #[schemars(default)]
    pub control: Control,
}

impl Config {
    /// Returns the upstream that a listener's sessions are carried to; the loader made sure that it exists.
    #[must_use]
    pub fn upstream_of(&self, listener: &Listener) -> Option<&Upstream> {
        self.upstreams.get(&listener.upstream)
    }
}
