//! What other people's rules do to our connections besides dropping them.

use super::filters::{FIREWALLD, others};
use super::finding::Finding;
use super::network::Network;
use super::ruleset::{
    Chain, Effect, Family, Hook, Match, Packet, Rule, Ruleset, State, Table, Tool,
};
use crate::config::{Config, Mark};

/// Bits to propose, those first that least others claim ([`Mark::DEFAULT`] has who claims which).
const PROPOSALS: [u32; 8] = [
    0x1000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
    0x0200_0000,
    0x0400_0000,
    0x2000,
    0x100,
];

/// Finds rules and a table that get in our way.
pub(super) fn findings(rules: &Ruleset, network: &Network, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(table_of_our_name(rules));
    findings.extend(marks(rules, config.pinholes.mark));
    findings.extend(untracked(rules, config));
    findings.extend(helpers(rules));
    findings.extend(unclamped(rules, network));
    findings
}

/// A table that has our name and not our comment is somebody else's.
fn table_of_our_name(rules: &Ruleset) -> Option<Finding> {
    let mut tables = rules.tables.iter();
    let table = tables.find(|table| table.has_our_name())?;
    (!table.ours).then(|| {
        let name = super::TABLE;
        Finding::error(
            "foreign_table",
            format!("there is a table inet {name} that is not ours"),
            "the gateway does not touch it, and can't start beside it",
        )
        .command(format!("nft delete table inet {name}"))
        .help(format!(
            "look at it first (`nft list table inet {name}`): what it holds is gone then"
        ))
    })
}

fn marks(rules: &Ruleset, mark: Mark) -> Vec<Finding> {
    let mut findings = Vec::new();
    let help = match free_bit(rules) {
        Some(free) => format!(
            "give us another bit: `mark: \"{free}\"` below `pinholes`, also in your firewall's line"
        ),
        None => "let these rules write and compare only bits of their own (a mask)".to_owned(),
    };
    for (table, chain, rule) in all(rules) {
        let place = place(table, chain, rule);
        for effect in &rule.effects {
            let Effect::WritesMark { sets, clears } = effect else {
                continue;
            };
            let whole = sets | clears == u32::MAX;
            let finding = if clears & mark.bits() != 0 {
                Finding::warning(
                    "mark_cleared",
                    format!("{place} writes over our bit ({mark}) of the connection mark"),
                    "a connection of a pinhole that it meets loses the mark, and your firewall drops it",
                )
            } else if sets & mark.bits() != 0 {
                Finding::warning(
                    "mark_set",
                    format!("{place} sets our bit ({mark}) of the connection mark"),
                    "your firewall lets in what carries it, whoever set it",
                )
            } else {
                continue;
            };
            findings.push(finding.help(if whole {
                "let this rule write only bits of its own: `ct mark set ct mark and MASK or VALUE`, `--set-xmark VALUE/MASK`, `--save-mark --mask MASK`".to_owned()
            } else {
                help.clone()
            }));
        }
        let compared = rule.matches.iter().any(|part| {
            matches!(part, Match::Mark { mask, value, not }
                if *mask != u32::MAX && mask & mark.bits() != 0 && !(*mask == mark.bits() && (*value == *mask) != *not))
        });
        if compared {
            let finding = Finding::warning(
                "mark_compared",
                format!("{place} compares our bit ({mark}) of the connection mark with others"),
                "it takes our connections for its own, or no longer knows its own among ours",
            );
            findings.push(finding.help(help.clone()));
        }
    }
    findings
}

/// Returns a bit that no rule writes or compares.
fn free_bit(rules: &Ruleset) -> Option<Mark> {
    let mut used = 0;
    for (_, _, rule) in all(rules) {
        for effect in &rule.effects {
            if let Effect::WritesMark { sets, clears } = effect {
                used |= sets | clears;
            }
        }
        for part in &rule.matches {
            if let Match::Mark { mask, .. } = part
                && *mask != u32::MAX
            {
                used |= mask;
            }
        }
    }
    let free = PROPOSALS.into_iter().find(|bit| used & bit == 0);
    free.and_then(Mark::new)
}

/// Without tracking there is neither mark nor translation.
fn untracked(rules: &Ruleset, config: &Config) -> Vec<Finding> {
    let pinholes = &config.pinholes;
    let mut findings: Vec<Finding> = Vec::new();
    for table in others(rules) {
        for (hook, ports) in [
            (Hook::Prerouting, pinholes.window.ports()),
            (Hook::Prerouting, pinholes.upstream_window.ports()),
        ] {
            for chain in table.filters(hook) {
                let packet = Packet {
                    hook,
                    v6: table.family == Family::Ip6,
                    state: State::New,
                    mark: 0,
                    translated: false,
                    ports: Some(ports.clone()),
                    from: None,
                };
                for (chain, rule, surely) in table.met(chain, &packet) {
                    if !rule.effects.contains(&Effect::Untracked) {
                        continue;
                    }
                    let finding = if surely {
                        Finding::error
                    } else {
                        Finding::warning
                    };
                    let finding = finding(
                        "untracked",
                        format!(
                            "{} takes connections to our windows out of connection tracking",
                            place(table, chain, rule)
                        ),
                        "the kernel can neither let them in by a pinhole nor carry them",
                    );
                    let finding = finding
                        .command(delete(table, chain, rule))
                        .help("or let the rule pass over the ports of both windows");
                    if !findings.contains(&finding) {
                        findings.push(finding);
                    }
                }
            }
        }
    }
    findings
}

fn helpers(rules: &Ruleset) -> Vec<Finding> {
    let assigning = all(rules).filter(|(_, _, rule)| rule.effects.contains(&Effect::FtpHelper));
    assigning
        .map(|(table, chain, rule)| {
            Finding::warning(
                "ftp_helper",
                format!(
                    "{} assigns the kernel's FTP helper",
                    place(table, chain, rule)
                ),
                "it reads along and opens what it likes, beside our rules and not in our journal",
            )
            .command(delete(table, chain, rule))
            .help(if table.name == FIREWALLD {
                "firewalld brings it with its service `ftp`: for good, `firewall-cmd --permanent --remove-service=ftp --add-port=21/tcp`, then `firewall-cmd --reload`"
            } else {
                "and take it out of the file that loads these rules"
            })
        })
        .collect()
}

/// Where ICMP is dropped, a transfer into a tunnel begins and then stands still.
fn unclamped(rules: &Ruleset, network: &Network) -> Vec<Finding> {
    let clamps = |v6: bool| {
        others(rules)
            .filter(|table| table.family.has(v6))
            .flat_map(|table| &table.chains)
            .flat_map(|chain| &chain.rules)
            .any(|rule| rule.effects.contains(&Effect::ClampsSegments))
    };
    let missing: Vec<&str> = [(false, "IPv4"), (true, "IPv6")]
        .into_iter()
        .filter(|(v6, _)| network.forwards(*v6) && !clamps(*v6))
        .map(|(_, name)| name)
        .collect();
    let narrow: Vec<String> = network
        .narrow()
        .iter()
        .map(|interface| format!("{} ({})", interface.name, interface.mtu))
        .collect();
    if missing.is_empty() || narrow.is_empty() {
        return Vec::new();
    }
    let message = format!(
        "packets have to be small behind {}, and no rule clamps the segments of TCP over {}",
        narrow.join(" and "),
        missing.join(" and ")
    );
    let why =
        "where somebody drops ICMP, transfers that the kernel carries begin and then stand still";
    let finding = Finding::warning("mss_clamp", message, why)
        .command("nft add table inet clamp")
        .command("nft 'add chain inet clamp forward { type filter hook forward priority mangle; }'")
        .command("nft add rule inet clamp forward tcp flags syn tcp option maxseg size set rt mtu")
        .help("write it into /etc/nftables.conf too");
    vec![finding]
}

fn all(rules: &Ruleset) -> impl Iterator<Item = (&Table, &Chain, &Rule)> {
    others(rules).flat_map(|table| {
        let chains = table.chains.iter();
        chains.flat_map(move |chain| chain.rules.iter().map(move |rule| (table, chain, rule)))
    })
}

fn place(table: &Table, chain: &Chain, rule: &Rule) -> String {
    let (family, table_name, chain_name) = (table.family.word(), &table.name, &chain.name);
    match (table.tool, rule.handle) {
        (Tool::Nft, Some(handle)) => {
            format!("rule {handle} of chain {chain_name} of table {family} {table_name}")
        }
        (Tool::Nft, None) => format!("a rule of chain {chain_name} of table {family} {table_name}"),
        (Tool::Iptables(tool), _) => {
            format!("`{tool} -t {table_name} -A {chain_name} {}`", rule.text)
        }
    }
}

fn delete(table: &Table, chain: &Chain, rule: &Rule) -> String {
    let (family, table_name, chain_name) = (table.family.word(), &table.name, &chain.name);
    match table.tool {
        Tool::Nft => format!(
            "nft delete rule {family} {table_name} {chain_name} handle {}",
            rule.handle.unwrap_or_default()
        ),
        Tool::Iptables(tool) => format!("{tool} -t {table_name} -D {chain_name} {}", rule.text),
    }
}
