//! Everybody's rules, read with their own programs.

use std::fs::read_to_string;

use super::super::program::{Silence, ask};
use super::super::ruleset::{Family, Ruleset, parse_iptables, parse_nft};
use super::super::{SIGNATURE, TABLE};

/// Reads everybody's rules: nft's own, and those of iptables where there are any.
pub(super) fn rules() -> Result<Ruleset, Silence> {
    let text = ask("nft", &["--json", "list", "ruleset"], "")?;
    let mut ruleset = parse_nft(&text).map_err(Silence::Failed)?;
    if let Some(table) = ruleset.tables.iter_mut().find(|table| table.has_our_name()) {
        table.ours = is_signed();
    }
    for (family, save, change, legacy_tables, legacy_save, legacy_change) in [
        (
            Family::Ip,
            "iptables-nft-save",
            "iptables",
            "/proc/self/net/ip_tables_names",
            "iptables-legacy-save",
            "iptables-legacy",
        ),
        (
            Family::Ip6,
            "ip6tables-nft-save",
            "ip6tables",
            "/proc/self/net/ip6_tables_names",
            "ip6tables-legacy-save",
            "ip6tables-legacy",
        ),
    ] {
        let ours = |ruleset: &Ruleset| {
            ruleset
                .tables
                .iter()
                .any(|table| table.is_of_iptables(family))
        };
        if ours(&ruleset)
            && let Ok(text) = ask(save, &[], "")
        {
            ruleset.tables.retain(|table| !table.is_of_iptables(family));
            ruleset.tables.extend(parse_iptables(&text, family, change));
        }
        // Asking the legacy program would make its tables, so the kernel is asked first whether there are any.
        let legacy = read_to_string(legacy_tables).unwrap_or_default();
        if !legacy.trim().is_empty()
            && let Ok(text) = ask(legacy_save, &[], "")
        {
            ruleset
                .tables
                .extend(parse_iptables(&text, family, legacy_change));
        }
    }
    Ok(ruleset)
}

/// Tells whether the table of our name says that we made it; nft 1.0.6 tells comments of tables in its text alone.
fn is_signed() -> bool {
    let text = ask("nft", &["list", "table", "inet", TABLE], "").unwrap_or_default();
    let comment = |line: &str| {
        let comment = line.trim().strip_prefix("comment \"");
        comment.is_some_and(|comment| comment.starts_with(SIGNATURE))
    };
    // The comment stands before everything else, so that a rule's own comment is not taken for it.
    text.lines().nth(1).is_some_and(comment)
}
