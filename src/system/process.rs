//! What this user and this process may do: descriptors, capabilities, the account of the gateway.

use rustix::process::{Resource, getrlimit};
use std::fs::read_to_string;

use super::finding::Finding;
use super::program::ask;
use crate::config::{Account, Config, DataSourcePort, Firewall, ListenAddress};

/// Descriptors that are neither sessions' nor listeners': log, journal, control socket, runtime (64), and the shut
/// sockets that are kept for the next pinholes of their ports (64).
const OWN_DESCRIPTORS: u64 = 128;

/// CAP_NET_BIND_SERVICE of capabilities(7).
const BIND_SERVICE: (u32, &str) = (10, "CAP_NET_BIND_SERVICE");

/// What the privileged process of `firewall: nftables` needs (capabilities(7)): the firewall, ports below 1024, and to
/// start and end the gateway as another user without any of these.
const BROKERS: [(u32, &str); 6] = [
    (12, "CAP_NET_ADMIN"),
    BIND_SERVICE,
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
];

/// Holds what is known about this process and its user; what could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// How many descriptors this process may open; `None` for any number.
    pub descriptors: Option<u64>,
    /// Its effective capabilities, as bits.
    pub capabilities: u64,
    /// The first port that everybody may listen on.
    pub first_free_port: Option<u16>,
    /// Whether the gateway's account exists.
    pub account_exists: Option<bool>,
}

impl Process {
    pub(super) fn read(config: &Config) -> Self {
        let status = read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            descriptors: getrlimit(Resource::Nofile).current,
            capabilities: effective(&status).unwrap_or(0),
            first_free_port: read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            account_exists: match &config.process.user {
                Account::Numbered(_) => Some(true),
                Account::Named(name) => Some(ask("id", &["-u", name], "").is_ok()),
            },
        }
    }

    /// Tells whether other people's firewall rules can be read at all.
    #[must_use]
    pub fn may_read_rules(&self) -> bool {
        self.capabilities & (1 << 12) != 0
    }

    pub(super) fn findings(&self, config: &Config) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.too_few_descriptors(config));
        match config.pinholes.firewall {
            Firewall::None => {
                findings.extend(self.low_ports(config));
                findings.extend(self.low_source_ports(config));
            }
            Firewall::Nftables => {
                findings.extend(self.lacks_capabilities());
                findings.extend(self.lacks_account(config));
            }
        }
        findings
    }

    fn may_bind_low(&self) -> bool {
        self.capabilities & (1 << BIND_SERVICE.0) != 0
    }

    fn too_few_descriptors(&self, config: &Config) -> Option<Finding> {
        let needed = descriptors_needed(config);
        let granted = self.descriptors.filter(|granted| *granted < needed)?;
        let message = format!(
            "{granted} descriptors for this process, and {} sessions need {needed}",
            config.limits.sessions
        );
        let finding = Finding::error(
            "descriptors",
            message,
            "beyond that clients are turned away",
        )
        .command(format!("ulimit -n {needed}"));
        Some(finding.help(format!(
            "for the service write `LimitNOFILE={needed}` in the systemd unit; or lower `limits.sessions`"
        )))
    }

    fn low_ports(&self, config: &Config) -> Option<Finding> {
        let free = self.first_free_port.unwrap_or(1024);
        let mut addresses = config
            .listeners
            .values()
            .flat_map(|listener| &listener.listen);
        let low = addresses.find(|address| address.port() != 0 && address.port() < free)?;
        (!self.may_bind_low()).then(|| {
            Finding::warning(
                "low_ports",
                format!("this user may not listen on `{low}`"),
                format!("ports below {free} need a privilege"),
            )
            .help("let systemd open the port (portcullis.socket), or give the capability CAP_NET_BIND_SERVICE")
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
        (!self.may_bind_low()).then(|| {
            Finding::warning(
                "low_source_ports",
                format!("this user may not dial clients in active mode from port {port}"),
                format!("ports below {free} need a privilege; clients are dialled from another port, which some firewalls refuse"),
            )
            .help("write `data_source_port: random`, or give the capability CAP_NET_BIND_SERVICE")
        })
    }

    fn lacks_capabilities(&self) -> Option<Finding> {
        let lacking: Vec<&str> = BROKERS
            .iter()
            .filter(|(bit, _)| self.capabilities & (1 << bit) == 0)
            .map(|(_, name)| *name)
            .collect();
        (!lacking.is_empty()).then(|| {
            Finding::error(
                "capabilities",
                format!("this user lacks {}", lacking.join(", ")),
                "`firewall: nftables` needs them in one small process that reads no byte from the network; the gateway itself runs without any",
            )
            .help("run `portcullis` as root (also for this check: only root sees the firewall's rules), or write `firewall: none`, which needs no privilege")
        })
    }

    fn lacks_account(&self, config: &Config) -> Option<Finding> {
        let user = &config.process.user;
        (self.account_exists == Some(false)).then(|| {
            Finding::error(
                "account",
                format!("there is no user `{user}` (`process.user`)"),
                "the gateway runs as this user, so that it may do nothing else on this machine",
            )
            .command(format!(
                "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {user}"
            ))
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

/// Reads the effective set of /proc/self/status.
fn effective(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;
    use crate::system::tests::config;

    fn good() -> Process {
        Process {
            descriptors: Some(65_536),
            capabilities: u64::MAX,
            first_free_port: Some(1024),
            account_exists: Some(true),
        }
    }

    #[test]
    fn a_good_process_lacks_nothing() {
        let nftables = config("pinholes: {firewall: nftables}");
        assert_eq!(good().findings(&nftables), []);
        assert_eq!(good().findings(&config("")), []);
        let unlimited = Process {
            descriptors: None,
            ..good()
        };
        assert_eq!(unlimited.findings(&config("")), []);
    }

    #[test]
    fn two_descriptors_a_session_are_needed() {
        let process = Process {
            descriptors: Some(1024),
            ..good()
        };
        let findings = process.findings(&config(""));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].severity, Severity::Error);
        assert!(
            findings[0].message.contains("8000 sessions need 16146"),
            "{}",
            findings[0]
        );
        assert_eq!(process.findings(&config("limits: {sessions: 400}")), []);
    }

    #[test]
    fn low_ports_need_a_privilege() {
        let process = Process {
            capabilities: 0,
            ..good()
        };
        let checks = |process: &Process| -> Vec<&str> {
            let findings = process.findings(&config(""));
            findings.iter().map(|finding| finding.check).collect()
        };
        assert_eq!(checks(&process), ["low_ports", "low_source_ports"]);
        let from = |port| Process {
            first_free_port: Some(port),
            ..process.clone()
        };
        assert_eq!(checks(&from(21)), ["low_source_ports"]);
        assert_eq!(checks(&from(20)), [""; 0]);
    }

    #[test]
    fn nftables_needs_capabilities_and_an_account() {
        let process = Process {
            capabilities: 1 << 12,
            account_exists: Some(false),
            ..good()
        };
        let findings = process.findings(&config(
            "pinholes: {firewall: nftables}\nprocess: {user: ftp}",
        ));
        assert_eq!(findings.len(), 2);
        assert!(
            findings[0].message.contains("CAP_SETUID")
                && !findings[0].message.contains("CAP_NET_ADMIN"),
            "{}",
            findings[0]
        );
        assert!(findings[1].commands[0].ends_with(" ftp"), "{}", findings[1]);
        assert!(process.may_read_rules());
    }

    #[test]
    fn the_kernels_text_is_understood() {
        assert_eq!(
            effective("Name:\tx\nCapEff:\t000001ffffffffff\n"),
            Some(0x1ff_ffff_ffff)
        );
        assert_eq!(effective(""), None);
    }
}
