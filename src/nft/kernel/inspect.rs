//! Whether the table in the kernel is ours, and all there.
//!
//! Every rule carries its name as a comment, and the table a number of all its contents. This module must not change
//! anything.

use std::collections::{BTreeMap, BTreeSet};

use super::Layout;
use super::channel::Channel;
use super::element::commented;
use super::error::Error;
use super::message::{DUMP, attribute, be32, nested, string};
use super::set::Set;
use super::table::{SIGNATURE, bare, chains, contents, rules};

const GET_TABLE: u8 = 1;
const GET_CHAIN: u8 = 4;
const GET_RULE: u8 = 7;
const GET_SET: u8 = 10;

/// NF_ACCEPT
const ACCEPT: u32 = 1;

/// What of our name is in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A table of our name that somebody else made.
    Foreign,
    /// A table that we made, with the number of what it held when it was made.
    Ours(String),
}

/// Looks at the table itself.
pub(super) fn table(channel: &mut Channel, layout: &Layout) -> Result<Found, Error> {
    let asked = channel.ask(
        "looking for the firewall's table",
        bare(GET_TABLE, 0, layout),
        |table| {
            let comment = attribute(table, 6).and_then(commented);
            let contents = comment.and_then(|text| Some(text.strip_prefix(SIGNATURE)?.to_owned()));
            Some(contents.map_or(Found::Foreign, Found::Ours))
        },
    )?;
    Ok(asked.unwrap_or(Found::Nothing))
}

/// Looks at everything in the table; tells whether it is as it was made.
pub(super) fn whole(channel: &mut Channel, layout: &Layout) -> Result<bool, Error> {
    Ok(table(channel, layout)? == Found::Ours(contents(layout))
        && all_chains(channel, layout)?
        && all_rules(channel, layout)?
        && all_sets(channel, layout)?)
}

fn all_chains(channel: &mut Channel, layout: &Layout) -> Result<bool, Error> {
    let doing = "looking at the firewall's chains";
    let found: Vec<(String, Option<i32>, bool)> =
        channel.dump(doing, &bare(GET_CHAIN, DUMP, layout), |chain, found| {
            if attribute(chain, 1).map(string).as_ref() != Some(&layout.table) {
                return;
            }
            let priority = nested(chain, &[4, 2]).and_then(be32).map(u32::cast_signed);
            let policy = attribute(chain, 5).and_then(be32);
            let name = attribute(chain, 3).map(string).unwrap_or_default();
            found.push((name, priority, policy.is_none_or(|policy| policy == ACCEPT)));
        })?;
    let expected: BTreeSet<_> = chains()
        .into_iter()
        .map(|(name, priority)| (name.to_owned(), priority, true))
        .collect();
    Ok(expected == found.into_iter().collect())
}

fn all_rules(channel: &mut Channel, layout: &Layout) -> Result<bool, Error> {
    let doing = "looking at the firewall's rules";
    let found: Vec<(String, String)> =
        channel.dump(doing, &bare(GET_RULE, DUMP, layout), |rule, found| {
            if attribute(rule, 1).map(string).as_ref() == Some(&layout.table) {
                let chain = attribute(rule, 2).map(string).unwrap_or_default();
                let name = attribute(rule, 7).and_then(commented).unwrap_or_default();
                found.push((chain, name));
            }
        })?;
    let expected = rules(layout)
        .into_iter()
        .map(|rule| (rule.chain.to_owned(), rule.name));
    Ok(by_chain(expected) == by_chain(found))
}

/// The names of the rules in each chain, in their order.
fn by_chain(rules: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (chain, name) in rules {
        chains.entry(chain).or_default().push(name);
    }
    chains
}

fn all_sets(channel: &mut Channel, layout: &Layout) -> Result<bool, Error> {
    let doing = "looking at the firewall's sets";
    let found: Vec<String> = channel.dump(doing, &bare(GET_SET, DUMP, layout), |set, found| {
        if attribute(set, 1).map(string).as_ref() == Some(&layout.table) {
            found.push(attribute(set, 2).map(string).unwrap_or_default());
        }
    })?;
    let expected: BTreeSet<String> = Set::all()
        .into_iter()
        .map(|set| set.name().to_owned())
        .collect();
    Ok(expected == found.into_iter().collect())
}
