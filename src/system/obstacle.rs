//! What a start with `firewall: nftables` must not pass over, told before anything in the kernel is changed.
//!
//! The rest of the findings is for `check --system`: a start does not judge the rules of others.

use std::fmt;

use super::finding::Finding;
use super::netfilter::{old_kernel, running_kernel};
use super::ports::Ports;
use crate::config::Config;

/// Says why a start would come to nothing good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The kernel is older than what is supported.
    Kernel(Finding),
    /// Other programs listen in a window: behind our table nobody would reach them.
    Window(Finding),
}

impl Obstacle {
    fn finding(&self) -> &Finding {
        match self {
            Obstacle::Kernel(finding) | Obstacle::Window(finding) => finding,
        }
    }
}

/// On one line, with the remedy.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = self.finding();
        write!(f, "{}: {}", finding.message, finding.why)?;
        match &finding.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// Looks for the first obstacle; with all of root's rights, so that whoever listens has a name.
#[must_use]
pub fn obstacle(config: &Config) -> Option<Obstacle> {
    first(running_kernel(), &Ports::read(config), config)
}

fn first(kernel: Option<(u32, u32)>, ports: &Ports, config: &Config) -> Option<Obstacle> {
    let old = old_kernel(kernel).map(Obstacle::Kernel);
    old.or_else(|| ports.taken_by_others(config).pop().map(Obstacle::Window))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::system::tests::config;

    #[test]
    fn an_old_kernel_is_named_with_what_is_wanted_and_the_way_out() {
        let config = config("pinholes: {firewall: nftables}");
        let ports = Ports::default();
        for old in [(5, 10), (6, 0), (4, 19)] {
            let obstacle = first(Some(old), &ports, &config).unwrap();
            let said = obstacle.to_string();
            assert!(matches!(obstacle, Obstacle::Kernel(_)), "{said}");
            let running = format!("Linux {}.{}", old.0, old.1);
            for part in [running.as_str(), "6.1", "`firewall: none`"] {
                assert!(said.contains(part), "{said}");
            }
        }
        // What can't be told is tried.
        for fine in [Some((6, 1)), Some((6, 18)), Some((7, 0)), None] {
            assert_eq!(first(fine, &ports, &config), None);
        }
    }

    #[test]
    fn a_program_in_a_window_is_named_with_the_way_out() {
        let config = config("pinholes: {firewall: nftables}");
        let ports = |port| Ports {
            taken: BTreeMap::from([(port, Some("netcat".to_owned()))]),
            ..Ports::default()
        };
        for (port, key) in [
            (21_003, "pinholes.window"),
            (22_000, "pinholes.upstream_window"),
        ] {
            let said = first(Some((6, 1)), &ports(port), &config)
                .unwrap()
                .to_string();
            let program = format!("{port} (netcat)");
            for part in [program.as_str(), key, "`firewall: none`"] {
                assert!(said.contains(part), "{said}");
            }
        }
        assert_eq!(first(Some((6, 1)), &ports(80), &config), None);
    }
}
