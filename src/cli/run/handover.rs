//! What a gateway process is told at its start, beside the descriptors that it is handed.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::config::bundle::Bundle;

/// Everything that is no descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Handover {
    /// The config with its files.
    pub bundle: Bundle,
    /// The names of the listeners, in the order in which their sockets come.
    pub listeners: Vec<String>,
    /// The broker's process id.
    pub broker: u32,
    /// Whether the broker holds the right to share ports.
    pub shares_ports: bool,
    /// The networks that an earlier gateway had banned in the kernel, with what is left of their time.
    #[serde(default)]
    pub bans: Vec<(IpNet, Duration)>,
    /// Who the gateway becomes, by the numbers of user and group; none where it stays as it is.
    pub account: Option<(u32, u32)>,
}
