//! Whether the windows' ports are free for pinholes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_link, read_to_string};
use std::ops::RangeInclusive;

use super::finding::Finding;
use crate::config::{Config, Firewall, PortRange};

/// Holds what is known about ports; what could not be read is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// The ports that the kernel gives to outgoing connections.
    pub ephemeral: Option<RangeInclusive<u16>>,
    /// The ports that it leaves out of these.
    pub reserved: Vec<RangeInclusive<u16>>,
    /// Ports that other programs listen on, with the program where it is known.
    pub taken: BTreeMap<u16, Option<String>>,
}

impl Ports {
    pub(super) fn read(config: &Config) -> Self {
        let setting =
            |name: &str| read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
        let windows = [config.pinholes.window, config.pinholes.upstream_window];
        Self {
            ephemeral: parse_pair(&setting("ip_local_port_range")),
            reserved: parse_list(&setting("ip_local_reserved_ports")),
            taken: taken(|port| windows.iter().any(|window| window.contains(port))),
        }
    }

    pub(super) fn findings(&self, config: &Config) -> Vec<Finding> {
        let pinholes = &config.pinholes;
        let windows = [
            ("window", pinholes.window),
            ("upstream_window", pinholes.upstream_window),
        ];
        let mut findings = Vec::new();
        for (key, window) in windows {
            findings.extend(self.inside_ephemeral(key, window));
        }
        findings.extend(self.taken_by_others(config));
        findings
    }

    /// With nftables this keeps the gateway from starting.
    pub(super) fn taken_by_others(&self, config: &Config) -> Vec<Finding> {
        let pinholes = &config.pinholes;
        let windows = [
            ("window", pinholes.window),
            ("upstream_window", pinholes.upstream_window),
        ];
        let findings =
            windows.map(|(key, window)| self.others_listen(key, window, pinholes.firewall));
        findings.into_iter().flatten().collect()
    }

    fn inside_ephemeral(&self, key: &str, window: PortRange) -> Option<Finding> {
        let ephemeral = self.ephemeral.as_ref()?;
        let exposed = window.ports().any(|port| {
            ephemeral.contains(&port) && !self.reserved.iter().any(|range| range.contains(&port))
        });
        if !exposed {
            return None;
        }
        let mut reserved: Vec<String> = self.reserved.iter().map(show).collect();
        reserved.push(window.to_string());
        let message = format!(
            "`pinholes.{key}` ({window}) lies in the kernel's ephemeral range ({})",
            show(ephemeral)
        );
        let why = "outgoing connections can take its ports, and a pinhole can't open there then";
        let finding = Finding::warning("ephemeral_range", message, why).command(format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={}",
            reserved.join(",")
        ));
        Some(
            finding.help(
                "write the setting into /etc/sysctl.d/ too, or move the window out of the range",
            ),
        )
    }

    fn others_listen(&self, key: &str, window: PortRange, firewall: Firewall) -> Option<Finding> {
        let taken: Vec<String> = self
            .taken
            .iter()
            .filter(|(port, _)| window.contains(**port))
            .map(|(port, program)| match program {
                Some(program) => format!("{port} ({program})"),
                None => port.to_string(),
            })
            .collect();
        if taken.is_empty() {
            return None;
        }
        let message = format!(
            "other programs listen in `pinholes.{key}` ({window}): {}",
            taken.join(", ")
        );
        let move_it = format!("move the programs, or write another range at `pinholes.{key}`");
        let check = "window_taken";
        Some(match firewall {
            Firewall::None => {
                let why = "no pinhole can open at these ports";
                Finding::warning(check, message, why).help(move_it)
            }
            Firewall::Nftables => {
                let why = "behind our table nobody could reach these programs, so the gateway does not start";
                let remedy =
                    format!("{move_it}, or `firewall: none`, which passes over such ports");
                Finding::error(check, message, why).help(remedy)
            }
        })
    }
}

fn show(range: &RangeInclusive<u16>) -> String {
    match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

fn parse_pair(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(|number| number.parse().ok());
    Some(numbers.next()??..=numbers.next()??)
}

/// Reads `8080,9000-9010`.
fn parse_list(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(first.parse().ok()?..=last.parse().ok()?),
        None => part.parse().ok().map(|port| port..=port),
    };
    text.trim().split(',').filter_map(range).collect()
}

/// Returns the wanted ports on which somebody but a Portcullis listens.
fn taken(wanted: impl Fn(u16) -> bool) -> BTreeMap<u16, Option<String>> {
    let mut inodes: BTreeMap<u64, u16> = BTreeMap::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let text = read_to_string(table).unwrap_or_default();
        let sockets = text.lines().skip(1).filter_map(listening);
        inodes.extend(sockets.filter(|(_, port)| wanted(*port)));
    }
    if inodes.is_empty() {
        return BTreeMap::new();
    }
    let owners = owners(&inodes.keys().copied().collect());
    inodes
        .into_iter()
        .map(|(inode, port)| (port, owners.get(&inode).cloned()))
        .filter(|(_, program)| program.as_deref() != Some("portcullis"))
        .collect()
}

/// Reads a line of /proc/net/tcp (proc(5)): inode and local port of a socket that listens (state 0A).
fn listening(line: &str) -> Option<(u64, u16)> {
    let mut fields = line.split_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (fields.nth(1)? == "0A").then_some(())?;
    Some((fields.nth(5)?.parse().ok()?, port))
}

/// Returns the programs that hold these sockets, as far as this user may see.
fn owners(inodes: &BTreeSet<u64>) -> BTreeMap<u64, String> {
    let mut owners = BTreeMap::new();
    for process in read_dir("/proc").into_iter().flatten().flatten() {
        let descriptors = read_dir(process.path().join("fd"));
        for descriptor in descriptors.into_iter().flatten().flatten() {
            let inode = read_link(descriptor.path())
                .ok()
                .as_deref()
                .and_then(|link| {
                    link.to_str()?
                        .strip_prefix("socket:[")?
                        .strip_suffix(']')?
                        .parse()
                        .ok()
                })
                .filter(|inode| inodes.contains(inode));
            if let (Some(inode), Ok(name)) = (inode, read_to_string(process.path().join("comm"))) {
                owners.insert(inode, name.trim().to_owned());
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::config;

    fn good() -> Ports {
        Ports {
            ephemeral: Some(32_768..=60_999),
            ..Ports::default()
        }
    }

    #[test]
    fn a_window_in_the_ephemeral_range_is_doubtful_unless_it_is_reserved() {
        let config = config("pinholes: {window: 32000-33000}");
        let findings = good().findings(&config);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].message.contains("32768-60999"),
            "{}",
            findings[0]
        );
        let ports = Ports {
            reserved: parse_list("80,40000-40010\n"),
            ..good()
        };
        assert_eq!(
            ports.findings(&config)[0].commands,
            ["sysctl -w net.ipv4.ip_local_reserved_ports=80,40000-40010,32000-33000"]
        );
        let ports = Ports {
            reserved: parse_list("32000-33000\n"),
            ..good()
        };
        assert_eq!(ports.findings(&config), []);
    }

    #[test]
    fn ports_that_others_hold_are_named() {
        let ports = Ports {
            taken: BTreeMap::from([
                (21_000, Some("netcat".to_owned())),
                (22_001, None),
                (80, None),
            ]),
            ..good()
        };
        let findings = ports.findings(&config(""));
        assert_eq!(findings.len(), 2);
        assert!(
            findings[0].message.ends_with("21000 (netcat)"),
            "{}",
            findings[0]
        );
        assert!(findings[1].message.ends_with(": 22001"), "{}", findings[1]);
    }

    #[test]
    fn the_kernels_texts_are_understood() {
        assert_eq!(parse_pair("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(parse_pair("32768"), None);
        assert_eq!(parse_list("\n"), []);
        let line = "   0: 0100007F:5208 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(listening(line), Some((4711, 21_000)));
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening(""), None);
    }
}
