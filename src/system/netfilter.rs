//! Whether the kernel's firewall has what pinholes need, and what else is set in it.

mod rules;

use rustix::fs::{Access, access};
use std::collections::BTreeMap;
use std::fs::read_to_string;

use super::finding::Finding;
use super::program::{Silence, ask};
use super::ruleset::Ruleset;
use crate::config::{Config, Firewall};
use rules::rules;

/// The oldest kernel that is supported.
const OLDEST: (u32, u32) = (6, 1);

/// What the table is made of, each alone, so that what is missing has a name. nft checks it with the kernel (`--check`)
/// and the kernel puts it away again; nothing is left but perhaps a loaded module.
const PROBES: [(&str, &str); 5] = [
    (
        "sets with timeouts",
        "set s { type ipv4_addr . ipv4_addr . inet_service; size 16; flags dynamic,timeout; }",
    ),
    (
        "connection tracking (nft_ct)",
        "chain c { type filter hook forward priority -5; ct mark and 0x1000 == 0x1000 ct state established counter accept; }",
    ),
    (
        "address translation (nft_chain_nat, nft_nat)",
        "chain p { type nat hook prerouting priority -105; meta l4proto tcp dnat ip to 192.0.2.1:21; }\n chain q { type nat hook postrouting priority 95; meta l4proto tcp snat ip6 to [2001:db8::1]:20; }\n chain r { type nat hook input priority 95; accept; }",
    ),
    (
        "NFLOG (nft_log, nfnetlink_log)",
        "chain c { type filter hook input priority -5; log prefix \"portcullis\" group 2100; }",
    ),
    (
        "resets and rates (nft_reject_inet, nft_limit)",
        "chain c { type filter hook forward priority -5; limit rate 5/second reject with tcp reset; }",
    ),
];

/// Holds what is known about the kernel's firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netfilter {
    /// The kernel's version.
    pub kernel: Option<(u32, u32)>,
    /// What of [`PROBES`] the kernel refused, with its words.
    pub lacks: Vec<(&'static str, String)>,
    /// Everybody's rules, or why they can't be known.
    pub rules: Result<Ruleset, Silence>,
    /// The most connections that are tracked.
    pub most_connections: Option<u64>,
    /// Whether bytes are counted.
    pub counts: Option<bool>,
    /// Whether this process may switch that on, as the gateway does when it starts.
    pub may_count: bool,
    /// The NFLOG groups at which programs listen that are no Portcullis, with the program where it is known.
    pub groups: BTreeMap<u16, Option<String>>,
    /// Whether the kernel assigns helpers by itself; kernels from 6.1 on can't.
    pub helps_unasked: bool,
    /// Whether the module of the kernel's FTP helper was loaded.
    pub helper_loaded: bool,
}

impl Netfilter {
    pub(super) fn read() -> Self {
        let rules = rules();
        let lacks = match &rules {
            Ok(_) => lacks(),
            Err(_) => Vec::new(),
        };
        let setting = |name: &str| -> Option<u64> {
            let text = read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?;
            text.trim().parse().ok()
        };
        let modules = read_to_string("/proc/modules").unwrap_or_default();
        Self {
            kernel: running_kernel(),
            lacks,
            rules,
            most_connections: setting("nf_conntrack_max"),
            counts: setting("nf_conntrack_acct").map(|value| value != 0),
            may_count: access(
                "/proc/sys/net/netfilter/nf_conntrack_acct",
                Access::WRITE_OK,
            )
            .is_ok(),
            groups: groups(
                &read_to_string("/proc/self/net/netfilter/nfnetlink_log").unwrap_or_default(),
            ),
            helps_unasked: setting("nf_conntrack_helper") == Some(1),
            helper_loaded: modules
                .lines()
                .any(|line| line.starts_with("nf_conntrack_ftp ")),
        }
    }

    pub(super) fn findings(&self, config: &Config) -> Vec<Finding> {
        let mut findings = Vec::new();
        if config.pinholes.firewall == Firewall::Nftables {
            findings.extend(old_kernel(self.kernel));
            findings.extend(self.lacks_features());
            findings.extend(self.unknown_rules());
            findings.extend(self.too_few_connections(config));
            findings.extend(self.does_not_count());
            findings.extend(self.taken_groups(config));
            findings.extend(self.helper());
        }
        findings
    }

    fn lacks_features(&self) -> Vec<Finding> {
        let lacking = self.lacks.iter();
        lacking
            .map(|(feature, words)| {
                Finding::error(
                    "nf_tables",
                    format!("the kernel lacks {feature}: {words}"),
                    "`firewall: nftables` can't start without it",
                )
                .help("load the module, boot a kernel that has it, or write `firewall: none`")
            })
            .collect()
    }

    fn unknown_rules(&self) -> Option<Finding> {
        let finding = |message: String| {
            Finding::warning(
                "rules_unknown",
                message,
                "whether another table drops what pinholes let in can't be told then",
            )
        };
        match self.rules.as_ref().err()? {
            Silence::Missing => Some(
                finding("the program `nft` is not here".to_owned())
                    .command("apt-get install nftables"),
            ),
            Silence::Failed(words) => Some(
                finding(format!("the firewall's rules can't be read: {words}"))
                    .help("ask as root, on a kernel with nf_tables"),
            ),
        }
    }

    /// Two control connections a session; a transfer's entry stays for two minutes in TIME_WAIT (nf_conntrack_tcp_timeout_time_wait).
    fn too_few_connections(&self, config: &Config) -> Option<Finding> {
        let needed = 4 * u64::from(config.limits.sessions);
        let most = self.most_connections.filter(|most| *most < needed)?;
        let message = format!(
            "the kernel tracks at most {most} connections, and {} sessions want {needed}",
            config.limits.sessions
        );
        let why = "beyond that it drops new connections, other services' too";
        let finding = Finding::warning("conntrack_max", message, why);
        let needed = needed.next_power_of_two();
        Some(
            finding
                .command(format!("sysctl -w net.netfilter.nf_conntrack_max={needed}"))
                .help("write it into /etc/sysctl.d/ too, or lower `limits.sessions`"),
        )
    }

    fn does_not_count(&self) -> Option<Finding> {
        (self.counts == Some(false) && !self.may_count).then(|| {
            Finding::warning(
                "conntrack_acct",
                "the kernel does not count the bytes of connections, and the gateway may not switch that on (/proc/sys is read-only here)",
                "records of forwarded transfers have no bytes then, and one that stalls can't be told from one that runs",
            )
            .command("sysctl -w net.netfilter.nf_conntrack_acct=1")
            .help("outside of the container that hides /proc/sys; and write it into /etc/sysctl.d/ there")
        })
    }

    fn taken_groups(&self, config: &Config) -> Vec<Finding> {
        let first = config.pinholes.nflog_group;
        let taken = [first, first.saturating_add(1)]
            .into_iter()
            .filter_map(|group| Some((group, self.groups.get(&group)?)));
        let finding = |(group, program): (u16, &Option<String>)| {
            let program = program.as_deref().unwrap_or("another program");
            Finding::error(
                "nflog_taken",
                format!("{program} listens at NFLOG group {group}"),
                "by this group and its neighbour the kernel tells the gateway of used pinholes and of knocks, and one program alone can listen at each",
            )
            .help("write another `nflog_group` below `pinholes`, or stop the program")
        };
        taken.map(finding).collect()
    }

    fn helper(&self) -> Vec<Finding> {
        let why = "the kernel's own FTP helper reads along and opens what it likes, beside our rules and not in our journal";
        let mut findings = Vec::new();
        if self.helps_unasked {
            findings.push(
                Finding::warning(
                    "ftp_helper",
                    "the kernel assigns its FTP helper to port 21 by itself",
                    why,
                )
                .command("sysctl -w net.netfilter.nf_conntrack_helper=0"),
            );
        }
        if self.helper_loaded {
            findings.push(
                Finding::warning("ftp_helper", "the module nf_conntrack_ftp is loaded", why)
                    .command("modprobe -r nf_nat_ftp nf_conntrack_ftp")
                    .help("remove it from /etc/modules and /etc/modules-load.d/ too"),
            );
        }
        findings
    }
}

/// Tells that a kernel is older than what is supported.
pub(super) fn old_kernel(kernel: Option<(u32, u32)>) -> Option<Finding> {
    let (major, minor) = kernel.filter(|kernel| *kernel < OLDEST)?;
    let (oldest_major, oldest_minor) = OLDEST;
    let finding = Finding::error(
        "kernel",
        format!(
            "this is Linux {major}.{minor}, and `firewall: nftables` wants {oldest_major}.{oldest_minor} or newer"
        ),
        "older ones lack parts of nftables, or have them with faults",
    );
    Some(finding.help("boot a newer kernel, or write `firewall: none`"))
}

/// The version of the kernel that runs, where it can be told.
pub(super) fn running_kernel() -> Option<(u32, u32)> {
    parse_kernel(&rustix::system::uname().release().to_string_lossy())
}

fn lacks() -> Vec<(&'static str, String)> {
    let probe = |(feature, body): (&'static str, &'static str)| {
        // A name of our own, so that nothing of others is touched even in the check.
        let text = format!(
            "table inet portcullis-probe-{} {{\n {body}\n}}\n",
            std::process::id()
        );
        match ask("nft", &["--check", "--file", "-"], &text) {
            Err(Silence::Failed(words)) => Some((feature, words)),
            Ok(_) | Err(Silence::Missing) => None,
        }
    };
    PROBES.into_iter().filter_map(probe).collect()
}

/// Reads /proc/net/netfilter/nfnetlink_log (net/netfilter/nfnetlink_log.c, seq_show): group, and the netlink port that
/// listens, which is as a rule the number of the process.
fn groups(text: &str) -> BTreeMap<u16, Option<String>> {
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (group, port) = (fields.next()?.parse().ok()?, fields.next()?);
        let program = read_to_string(format!("/proc/{port}/comm")).ok();
        Some((group, program.map(|name| name.trim().to_owned())))
    };
    let groups = text.lines().filter_map(line);
    groups
        .filter(|(_, program)| program.as_deref() != Some("portcullis"))
        .collect()
}

fn parse_kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;
    use crate::system::tests::config;

    fn good() -> Netfilter {
        Netfilter {
            kernel: Some((6, 1)),
            lacks: Vec::new(),
            rules: Ok(Ruleset::default()),
            most_connections: Some(65_536),
            counts: Some(false),
            may_count: true,
            groups: BTreeMap::from([(5, None)]),
            helps_unasked: false,
            helper_loaded: false,
        }
    }

    fn checks(netfilter: &Netfilter, text: &str) -> Vec<(&'static str, Severity)> {
        let findings = netfilter.findings(&config(text));
        findings
            .iter()
            .map(|finding| (finding.check, finding.severity))
            .collect()
    }

    const NFTABLES: &str = "pinholes: {firewall: nftables}";

    #[test]
    fn a_good_kernel_lacks_nothing_and_without_nftables_none_does() {
        assert_eq!(checks(&good(), NFTABLES), []);
        let bad = Netfilter {
            kernel: Some((5, 10)),
            lacks: vec![("NFLOG", "no".to_owned())],
            rules: Err(Silence::Missing),
            most_connections: Some(1),
            counts: Some(false),
            may_count: false,
            groups: BTreeMap::from([(2101, None)]),
            helps_unasked: true,
            helper_loaded: true,
        };
        assert_eq!(checks(&bad, ""), []);
        let (error, warning) = (Severity::Error, Severity::Warning);
        assert_eq!(
            checks(&bad, NFTABLES),
            [
                ("kernel", error),
                ("nf_tables", error),
                ("rules_unknown", warning),
                ("conntrack_max", warning),
                ("conntrack_acct", warning),
                ("nflog_taken", error),
                ("ftp_helper", warning),
                ("ftp_helper", warning),
            ]
        );
    }

    #[test]
    fn kernels_are_compared_as_numbers() {
        assert_eq!(parse_kernel("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(parse_kernel("6.1.0-28-amd64"), Some((6, 1)));
        assert_eq!(parse_kernel("x"), None);
        let newer = Netfilter {
            kernel: Some((6, 18)),
            ..good()
        };
        assert_eq!(checks(&newer, NFTABLES), []);
    }
}
