//! Whether a machine suits a configuration.
//!
//! The facts are read once; what follows from them is a pure function, so that tests can make up machines.

use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use std::fmt;
use std::fs::read_to_string;
use std::ops::RangeInclusive;

use super::Config;
use super::endpoint::ListenAddress;
use super::listener::DataSourcePort;
use super::problem::Severity;
use super::window::PortRange;

/// Descriptors that are neither sessions' nor listeners': log, journal, control socket, runtime (64), and the shut
/// sockets that are kept for the next pinholes of their ports (64).
const OWN_DESCRIPTORS: u64 = 128;
/// CAP_NET_BIND_SERVICE in the mask of capabilities(7).
const CAP_NET_BIND_SERVICE: u64 = 1 << 10;

/// Holds what is known about this machine and this user; what could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// How many descriptors this process may open; `None` for any number.
    pub descriptors: Option<u64>,
    /// The ports that the kernel gives to outgoing connections.
    pub ephemeral: Option<RangeInclusive<u16>>,
    /// The first port that everybody may listen on.
    pub first_free_port: Option<u16>,
    /// Whether this process may listen on lower ones.
    pub may_bind_low: bool,
}

/// Says what a machine lacks for a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// An error will fail the gateway, a warning may.
    pub severity: Severity,
    /// What is lacking.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Machine {
    /// Reads the facts from the kernel.
    #[must_use]
    pub fn read() -> Self {
        let number = |path: &str| read_to_string(path).ok()?.trim().parse().ok();
        Self {
            descriptors: getrlimit(Resource::Nofile).current,
            ephemeral: read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
                .ok()
                .and_then(|text| parse_range(&text)),
            first_free_port: number("/proc/sys/net/ipv4/ip_unprivileged_port_start"),
            may_bind_low: read_to_string("/proc/self/status")
                .is_ok_and(|status| has_capability(&status, CAP_NET_BIND_SERVICE)),
        }
    }

    /// Returns what this machine lacks for `config`.
    #[must_use]
    pub fn findings(&self, config: &Config) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.too_few_descriptors(config));
        let pinholes = &config.pinholes;
        for (key, window) in [
            ("window", pinholes.window),
            ("upstream_window", pinholes.upstream_window),
        ] {
            findings.extend(self.inside_ephemeral(key, window));
        }
        findings.extend(self.low_ports(config));
        findings.extend(self.low_source_ports(config));
        findings
    }

    fn too_few_descriptors(&self, config: &Config) -> Option<Finding> {
        let needed = descriptors_needed(config);
        let granted = self.descriptors.filter(|granted| *granted < needed)?;
        Some(Finding {
            severity: Severity::Error,
            message: format!(
                "{granted} descriptors for this process, and {} sessions need {needed}",
                config.limits.sessions
            ),
            help: format!(
                "raise the limit (`LimitNOFILE={needed}` in the systemd unit, `ulimit -n {needed}` in a shell), or lower `limits.sessions`"
            ),
        })
    }

    fn inside_ephemeral(&self, key: &str, window: PortRange) -> Option<Finding> {
        let ephemeral = self.ephemeral.as_ref()?;
        let (first, last) = (*ephemeral.start(), *ephemeral.end());
        (window.first() <= last && first <= window.last()).then(|| Finding {
            severity: Severity::Warning,
            message: format!("`pinholes.{key}` ({window}) lies in the kernel's ephemeral range ({first}-{last}): outgoing connections can take its ports"),
            help: format!("move the window out of it, or reserve it: `sysctl net.ipv4.ip_local_reserved_ports={window}`"),
        })
    }

    fn low_ports(&self, config: &Config) -> Option<Finding> {
        let free = self.first_free_port.unwrap_or(1024);
        let mut addresses = config
            .listeners
            .values()
            .flat_map(|listener| &listener.listen);
        let low = addresses.find(|address| address.port() != 0 && address.port() < free)?;
        (!self.may_bind_low).then(|| Finding {
            severity: Severity::Warning,
            message: format!("this user may not listen on `{low}`: ports below {free} need a privilege"),
            help: "let systemd open the port (portcullis.socket), or give the capability CAP_NET_BIND_SERVICE".to_owned(),
        })
    }

    fn low_source_ports(&self, config: &Config) -> Option<Finding> {
        let free = self.first_free_port.unwrap_or(1024);
        let dialling = config
            .listeners
            .values()
            .filter(|listener| listener.data_source_port == DataSourcePort::ControlMinusOne);
        let mut ports = dialling
            .flat_map(|listener| &listener.listen)
            .map(ListenAddress::port);
        let port = ports.find(|port| (2..=free).contains(port))? - 1;
        (!self.may_bind_low).then(|| Finding {
            severity: Severity::Warning,
            message: format!("this user may not dial clients in active mode from port {port}: ports below {free} need a privilege"),
            help: "write `data_source_port: random`, or give the capability CAP_NET_BIND_SERVICE".to_owned(),
        })
    }
}

/// Returns how many descriptors the gateway needs with all its sessions idle; each running transfer takes up to six more.
#[must_use]
pub fn descriptors_needed(config: &Config) -> u64 {
    let listeners: usize = config
        .listeners
        .values()
        .flat_map(|listener| &listener.listen)
        .map(|address| address.sockets().len())
        .sum();
    2 * u64::from(config.limits.sessions)
        + listeners as u64
        + config.pinholes.window.size() as u64
        + OWN_DESCRIPTORS
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(|number| number.parse().ok());
    Some(numbers.next()??..=numbers.next()??)
}

/// Looks for a capability in the effective set of /proc/self/status.
fn has_capability(status: &str, capability: u64) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & capability != 0)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}\n  = {}", self.message, self.help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let text = format!(
            "version: 1\nlisteners: {{main: {{listen: [\"*:21\"]}}}}\nupstreams: {{legacy: {{addresses: [\"10.0.0.5\"]}}}}\n{text}"
        );
        Config::parse(&text, "test").unwrap().config
    }

    fn good_machine() -> Machine {
        Machine {
            descriptors: Some(65_536),
            ephemeral: Some(32_768..=60_999),
            first_free_port: Some(1024),
            may_bind_low: true,
        }
    }

    #[test]
    fn a_good_machine_lacks_nothing() {
        assert_eq!(good_machine().findings(&config("")), []);
        assert_eq!(
            Machine {
                descriptors: None,
                ..good_machine()
            }
            .findings(&config("")),
            []
        );
    }

    #[test]
    fn two_descriptors_a_session_are_needed() {
        let machine = Machine {
            descriptors: Some(1024),
            ..good_machine()
        };
        let findings = machine.findings(&config(""));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].severity, Severity::Error);
        assert!(
            findings[0].message.contains("8000 sessions need 16146"),
            "{}",
            findings[0]
        );
        assert_eq!(machine.findings(&config("limits: {sessions: 400}")), []);
    }

    #[test]
    fn a_window_in_the_ephemeral_range_is_doubtful() {
        let findings = good_machine().findings(&config("pinholes: {window: 32000-33000}"));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].severity, Severity::Warning);
        assert!(
            findings[0].message.contains("32768-60999"),
            "{}",
            findings[0]
        );
    }

    #[test]
    fn low_ports_need_a_privilege() {
        let machine = Machine {
            may_bind_low: false,
            ..good_machine()
        };
        let findings = machine.findings(&config(""));
        assert!(
            findings[0].message.contains("may not listen on `*:21`"),
            "{}",
            findings[0]
        );
        assert!(
            findings[1].message.contains("from port 20:"),
            "{}",
            findings[1]
        );
        let from_21 = Machine {
            first_free_port: Some(21),
            ..machine.clone()
        };
        assert_eq!(
            from_21.findings(&config("")),
            findings[1..]
                .iter()
                .map(|finding| Finding {
                    message: finding.message.replace("1024", "21"),
                    ..finding.clone()
                })
                .collect::<Vec<_>>()
        );
        assert_eq!(
            Machine {
                first_free_port: Some(20),
                ..machine
            }
            .findings(&config("")),
            []
        );
    }

    #[test]
    fn the_kernels_texts_are_understood() {
        assert_eq!(parse_range("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(parse_range("32768"), None);
        assert!(has_capability(
            "Name:\tx\nCapEff:\t000001ffffffffff\n",
            CAP_NET_BIND_SERVICE
        ));
        assert!(!has_capability(
            "Name:\tx\nCapEff:\t0000000000000000\n",
            CAP_NET_BIND_SERVICE
        ));
        assert!(!has_capability("", CAP_NET_BIND_SERVICE));
    }
}
