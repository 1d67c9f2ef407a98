//! The gateway's machine with a firewall: the operator's table, which drops by default, and what ours holds.
//!
//! The operator's table has an operator's usual lines and the one that accepts our mark, and never a range of ports.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{Failure, Lab, Node, program};

/// Who the gateway's process runs as: `nobody`, which is on every machine.
pub const ACCOUNT: u32 = 65534;

/// The bit of the connection mark that says "let in by a pinhole", as README has it.
pub const MARK: &str = "0x1000";

/// What stands between the gateway's windows and the network: `pinholes.firewall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Firewall {
    /// Sockets of the gateway alone; it carries every byte.
    None,
    /// The kernel's, beside the operator's.
    Nftables,
}

impl Firewall {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::None, Self::Nftables];

    /// The value in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nftables => "nftables",
        }
    }
}

/// Has the gateway's machine forward packets of both families.
///
/// # Errors
/// The kernel refuses.
pub fn forward_packets(lab: &Lab) -> Result<(), Failure> {
    let settings = "echo 1 >/proc/sys/net/ipv4/ip_forward
                    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
    program::finish(
        lab.command(Node::Gateway, "sh")
            .args(["-e", "-c", settings]),
    )
    .map(drop)
}

/// Gives the gateway's machine the operator's table, with these ports open to everybody and nothing else.
///
/// # Errors
/// What `nft` said.
pub fn drop_by_default(lab: &Lab, ports: &[u16]) -> Result<(), Failure> {
    load(lab, &operators_table(ports, &accept_marked()))
}

/// Loads a ruleset into the gateway's machine.
///
/// # Errors
/// What `nft` said.
pub fn load(lab: &Lab, ruleset: &str) -> Result<(), Failure> {
    let nft = program::find("nft")?;
    program::finish(lab.command(Node::Gateway, nft).arg(ruleset)).map(drop)
}

/// The one line, as README has it.
pub fn accept_marked() -> String {
    format!("ct mark and {MARK} == {MARK} accept")
}

/// The operator's table, with a line of its own behind the usual ones of each chain.
pub fn operators_table(ports: &[u16], line: &str) -> String {
    let listed: Vec<String> = ports.iter().map(u16::to_string).collect();
    // Connections inside the machine, and IPv6's neighbours (RFC 4890 section 4.4.1). What the gateway dials is its user's,
    // also from a port that was asked for (active mode, `data_source_port`), for which the broker made the socket.
    let usual = "ct state established,related accept\n";
    let local = "iifname lo accept\nmeta l4proto ipv6-icmp accept\n";
    let outward =
        format!("oifname lo accept\nmeta l4proto ipv6-icmp accept\nmeta skuid {ACCOUNT} accept\n");
    let open = format!("tcp dport {{ {} }} accept\n", listed.join(", "));
    let mut table = String::from("table inet operator {\n");
    for (hook, lines) in [
        ("input", format!("{usual}{local}{open}")),
        ("forward", usual.to_owned()),
        ("output", format!("{usual}{outward}")),
    ] {
        let _ = write!(
            table,
            "chain {hook} {{\ntype filter hook {hook} priority filter; policy drop;\n{lines}{line}\n}}\n"
        );
    }
    table + "}\n"
}

/// What the gateway's machine has of the operator's table.
///
/// # Errors
/// What `nft` said.
pub fn operators(lab: &Lab) -> Result<String, Failure> {
    let nft = program::find("nft")?;
    let arguments = ["list", "table", "inet", "operator"];
    program::finish(lab.command(Node::Gateway, nft).args(arguments))
}

/// The entries of our table's sets that let somebody in: one text for each, with the set's name.
///
/// # Errors
/// What `nft` said, or the table is not there.
pub fn entries(lab: &Lab) -> Result<Vec<String>, Failure> {
    let nft = program::find("nft")?;
    let arguments = ["-j", "list", "table", "inet", "portcullis"];
    let listed = program::finish(lab.command(Node::Gateway, nft).args(arguments))?;
    entries_in(&listed)
}

fn entries_in(listed: &str) -> Result<Vec<String>, Failure> {
    let listed: Value =
        serde_json::from_str(listed).map_err(|error| format!("JSON of nft: {error}"))?;
    let things = listed
        .get("nftables")
        .and_then(Value::as_array)
        .ok_or_else(|| format!("nft lists nothing: {listed}"))?;
    let mut entries = Vec::new();
    for thing in things {
        for set in [thing.get("set"), thing.get("map")].into_iter().flatten() {
            let name = set.get("name").and_then(Value::as_str).unwrap_or_default();
            let elements = set.get("elem").and_then(Value::as_array);
            // The listeners' ports are there for as long as the gateway is.
            if name != "listeners" {
                entries.extend(
                    elements
                        .into_iter()
                        .flatten()
                        .map(|element| format!("{name} {element}")),
                );
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{accept_marked, entries_in, operators_table};

    #[test]
    fn entries_of_sets_and_maps_are_found_but_not_the_listeners() {
        let listed = r#"{"nftables": [{"metainfo": {}}, {"set": {"name": "open4", "elem": ["a", "b"]}},
            {"map": {"name": "dnat4", "elem": [["a", "b"]]}}, {"set": {"name": "listeners", "elem": [21]}}, {"set": {"name": "open6"}}]}"#;
        let found = entries_in(listed).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(entries_in("{}").is_err());
    }

    #[test]
    fn the_operators_table_names_no_port_of_a_window() {
        let table = operators_table(&[21], &accept_marked());
        assert_eq!(table.matches("dport").count(), 1);
        assert_eq!(table.matches("policy drop").count(), 3);
        assert_eq!(
            table.matches("ct mark and 0x1000 == 0x1000 accept").count(),
            3
        );
    }
}
