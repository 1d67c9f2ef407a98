//! Whether a machine suits a configuration: `portcullis check --system`.
//!
//! The facts are read once, by reading alone; what follows from them is a pure function of facts and configuration, one
//! file per kind. Invariant: nothing on the machine is changed, and every finding says what is wrong, why it matters and
//! what mends it. This module must not be needed by a running gateway; a start asks only for [`obstacle`].

mod filters;
mod finding;
mod foreign;
mod netfilter;
mod network;
mod obstacle;
mod ports;
mod process;
mod program;
pub mod ruleset;

pub use finding::Finding;
pub use netfilter::Netfilter;
pub use network::{Interface, Network, Way};
pub use obstacle::{Obstacle, obstacle};
pub use ports::Ports;
pub use process::{Process, descriptors_needed};
pub use program::Silence;

use crate::config::{Config, Firewall};

/// The name of the gateway's own table, in the family inet.
const TABLE: &str = "portcullis";

/// What the comment of the gateway's own table begins with.
const SIGNATURE: &str = "made by Portcullis";

/// Holds what is known about this machine and this user, as far as a configuration wants it known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What this process may do.
    pub process: Process,
    /// Which ports are free.
    pub ports: Ports,
    /// Interfaces and routes.
    pub network: Network,
    /// The kernel's firewall; none where it may not be read and the configuration does not ask for it.
    pub netfilter: Option<Netfilter>,
}

impl Machine {
    /// Reads the facts that matter to `config`.
    #[must_use]
    pub fn read(config: &Config) -> Self {
        let process = Process::read(config);
        let nftables = config.pinholes.firewall == Firewall::Nftables;
        let netfilter = process.may_read_rules().then(Netfilter::read);
        // A user who can't see the rules is told so once, by the capabilities that he lacks.
        let asked = netfilter.filter(|netfilter| nftables || netfilter.rules.is_ok());
        Self {
            ports: Ports::read(config),
            network: Network::read(config),
            netfilter: asked,
            process,
        }
    }

    /// Returns what this machine lacks for `config`.
    #[must_use]
    pub fn findings(&self, config: &Config) -> Vec<Finding> {
        let mut findings = self.process.findings(config);
        findings.extend(self.ports.findings(config));
        findings.extend(self.network.findings(config));
        let Some(netfilter) = &self.netfilter else {
            return findings;
        };
        findings.extend(netfilter.findings(config));
        if let Ok(rules) = &netfilter.rules {
            findings.extend(filters::findings(rules, config, |v6| {
                self.network.forwards(v6)
            }));
            if config.pinholes.firewall == Firewall::Nftables {
                findings.extend(foreign::findings(rules, &self.network, config));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a configuration of the smallest file and some more text.
    pub(super) fn config(text: &str) -> Config {
        let text = format!(
            "version: 1\nlisteners: {{main: {{listen: [\"*:21\"]}}}}\nupstreams: {{legacy: {{addresses: [\"10.0.0.5\"]}}}}\n{text}"
        );
        Config::parse(&text, "test").unwrap().config
    }
}
