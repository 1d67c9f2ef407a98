//! From `nft -j list ruleset` (libnftables-json(5)).

use serde_json::Value;
use std::ops::RangeInclusive;

use super::walk::State;
use super::{
    Base, Chain, Effect, Family, Hook, Match, Rule, Ruleset, Table, Tool, Verdict, is_inner,
};

/// Reads what nft printed; tables of other families than ip, ip6 and inet are left out.
///
/// # Errors
/// When `text` is not JSON, or not nft's.
pub fn parse(text: &str) -> Result<Ruleset, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let objects = value
        .get("nftables")
        .and_then(Value::as_array)
        .ok_or("it has no `nftables`")?;
    let mut ruleset = Ruleset::default();
    for (kind, object) in objects
        .iter()
        .filter_map(Value::as_object)
        .flat_map(|object| object.iter())
    {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let Some(family) = text("family").and_then(family) else {
            continue;
        };
        let owner = if kind == "table" { "name" } else { "table" };
        let (Some(owner), name) = (text(owner), text("name").unwrap_or_default()) else {
            continue;
        };
        let table = ruleset.table(family, owner);
        match kind.as_str() {
            "chain" => table.chains.push(Chain {
                name: name.to_owned(),
                base: text("hook").and_then(Hook::from_word).map(|hook| Base {
                    hook,
                    filters: text("type") != Some("nat"),
                    drops: text("policy") == Some("drop"),
                }),
                rules: Vec::new(),
            }),
            "ct helper" if text("type") == Some("ftp") => table.ftp_helpers.push(name.to_owned()),
            "rule" => {
                let rule = rule(object, &table.ftp_helpers);
                let chain = text("chain").unwrap_or_default();
                if let Some(chain) = table.chains.iter_mut().find(|known| known.name == chain) {
                    chain.rules.push(rule);
                }
            }
            _ => {}
        }
    }
    Ok(ruleset)
}

impl Ruleset {
    fn table(&mut self, family: Family, name: &str) -> &mut Table {
        let known = self
            .tables
            .iter()
            .position(|table| table.family == family && table.name == name);
        let at = known.unwrap_or_else(|| {
            self.tables.push(Table {
                tool: Tool::Nft,
                family,
                name: name.to_owned(),
                chains: Vec::new(),
                ours: false,
                ftp_helpers: Vec::new(),
            });
            self.tables.len() - 1
        });
        #[expect(
            clippy::indexing_slicing,
            reason = "the place was found or made just before"
        )]
        &mut self.tables[at]
    }
}

fn family(word: &str) -> Option<Family> {
    [Family::Ip, Family::Ip6, Family::Inet]
        .into_iter()
        .find(|family| family.word() == word)
}

fn rule(object: &Value, ftp_helpers: &[String]) -> Rule {
    let mut rule = Rule {
        handle: object.get("handle").and_then(Value::as_u64),
        ..Rule::default()
    };
    let statements = object.get("expr").and_then(Value::as_array);
    for (kind, body) in statements
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|statement| statement.iter())
    {
        match kind.as_str() {
            "match" => rule.matches.extend(matches(body)),
            "accept" | "drop" | "reject" | "return" | "jump" | "goto" | "queue" => {
                rule.verdict = verdict(kind, body);
            }
            "vmap" => rule.verdict = by_state(body),
            "notrack" => rule.effects.push(Effect::Untracked),
            "ct helper" if assigns_ftp(body, ftp_helpers) => rule.effects.push(Effect::FtpHelper),
            "mangle" => rule.effects.extend(mangled(body)),
            // Both let some packets pass to the verdict and others not; what iptables added is opaque to nft.
            "limit" | "quota" | "xt" | "ct count" => rule.matches.push(Match::Unknown),
            _ => {}
        }
    }
    rule
}

fn assigns_ftp(body: &Value, ftp_helpers: &[String]) -> bool {
    let name = body.as_str();
    name.is_some_and(|name| ftp_helpers.iter().any(|ftp| ftp == name))
}

fn verdict(kind: &str, body: &Value) -> Verdict {
    let target = || {
        let target = body.get("target").and_then(Value::as_str);
        target.unwrap_or_default().to_owned()
    };
    match kind {
        "accept" => Verdict::Accept,
        "drop" | "reject" => Verdict::Drop,
        "return" => Verdict::Return,
        "jump" => Verdict::Jump(target()),
        "goto" => Verdict::Goto(target()),
        "continue" => Verdict::Next,
        _ => Verdict::Unknown,
    }
}

/// `ct state vmap { established : accept, invalid : drop }`; other maps can't be judged.
fn by_state(body: &Value) -> Verdict {
    let elements = body.pointer("/data/set").and_then(Value::as_array);
    if body.pointer("/key/ct/key").and_then(Value::as_str) != Some("state") {
        return Verdict::Unknown;
    }
    let element = |element: &Value| {
        let state = State::from_word(element.get(0)?.as_str()?)?;
        let (kind, body) = element.get(1)?.as_object()?.iter().next()?;
        Some((state, verdict(kind, body)))
    };
    Verdict::ByState(elements.into_iter().flatten().filter_map(element).collect())
}

fn matches(body: &Value) -> Vec<Match> {
    let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
        return vec![Match::Unknown];
    };
    let not = match body.get("op").and_then(Value::as_str) {
        Some("==" | "in") => false,
        Some("!=") => true,
        _ => return vec![Match::Unknown],
    };
    let ct = left.pointer("/ct/key").and_then(Value::as_str);
    let meta = left.pointer("/meta/key").and_then(Value::as_str);
    let payload = left.get("payload").and_then(|payload| {
        Some((
            payload.get("protocol")?.as_str()?,
            payload.get("field")?.as_str()?,
        ))
    });
    let one = match (ct, meta, payload) {
        _ if asks_where_to(left) => match words(right).as_slice() {
            ["local"] => Some(Match::Local(!not)),
            _ => None,
        },
        (Some("state"), _, _) => states(right, not),
        (Some("status"), _, _) if words(right) == ["dnat"] => Some(Match::Translated(!not)),
        (Some("mark"), _, _) => mark(u32::MAX, right, not),
        (_, Some("nfproto"), _) => one_word(right).map(|word| Match::V6((word == "ipv6") != not)),
        (_, Some("iif" | "iifname" | "oif" | "oifname"), _) => match words(right).as_slice() {
            [] => None,
            names if names.iter().all(|name| is_inner(name)) => Some(Match::Inner(!not)),
            _ => None,
        },
        (_, Some("l4proto"), _) | (_, _, Some(("ip", "protocol") | ("ip6", "nexthdr"))) => {
            return protocol(right, not, payload.map(|(family, _)| family));
        }
        (_, _, Some(("tcp" | "th", field @ ("dport" | "sport")))) => {
            ports(right).map(|ports| Match::Port {
                source: field == "sport",
                ports,
                not,
            })
        }
        (
            _,
            _,
            Some(("udp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "arp" | "ether" | "vlan", _)),
        ) => Some(Match::Never),
        (_, _, Some((family @ ("ip" | "ip6"), _))) => {
            return vec![Match::V6(family == "ip6"), Match::Unknown];
        }
        _ => left
            .get("&")
            .and_then(Value::as_array)
            .and_then(|both| match both.as_slice() {
                [left, mask] if left.pointer("/ct/key").and_then(Value::as_str) == Some("mark") => {
                    mark(number(mask)?, right, not)
                }
                _ => None,
            }),
    };
    vec![one.unwrap_or(Match::Unknown)]
}

/// `fib daddr type`.
fn asks_where_to(left: &Value) -> bool {
    let flags = left.pointer("/fib/flags");
    let flags = flags.and_then(|flags| flags.get(0).or(Some(flags)));
    left.pointer("/fib/result").and_then(Value::as_str) == Some("type")
        && flags.and_then(Value::as_str) == Some("daddr")
}

fn states(right: &Value, not: bool) -> Option<Match> {
    let states: Option<Vec<State>> = words(right).into_iter().map(State::from_word).collect();
    let states = states.filter(|states| !states.is_empty())?;
    Some(if not {
        Match::NotState(states)
    } else {
        Match::State(states)
    })
}

fn mark(mask: u32, right: &Value, not: bool) -> Option<Match> {
    Some(Match::Mark {
        mask,
        value: number(right)?,
        not,
    })
}

fn protocol(right: &Value, not: bool, family: Option<&str>) -> Vec<Match> {
    let words = words(right);
    let known = !words.is_empty();
    let tcp = words.contains(&"tcp") || numbers(right).contains(&6);
    let mut matches: Vec<Match> = family
        .map(|family| Match::V6(family == "ip6"))
        .into_iter()
        .collect();
    if !known && numbers(right).is_empty() {
        matches.push(Match::Unknown);
    } else if tcp == not {
        matches.push(Match::Never);
    }
    matches
}

fn ports(right: &Value) -> Option<Vec<RangeInclusive<u16>>> {
    let port = |value: &Value| u16::try_from(number(value)?).ok();
    let range = |value: &Value| match value.get("range").and_then(Value::as_array) {
        Some(ends) => Some(port(ends.first()?)?..=port(ends.get(1)?)?),
        None => port(value).map(|port| port..=port),
    };
    match right.get("set").and_then(Value::as_array) {
        Some(set) => set.iter().map(range).collect(),
        None => range(right).map(|range| vec![range]),
    }
}

/// Returns the words of one word, a list or a set; none where something else is among them.
fn words(value: &Value) -> Vec<&str> {
    let list = value.get("set").unwrap_or(value);
    match list.as_array() {
        Some(list) => list
            .iter()
            .map(Value::as_str)
            .collect::<Option<_>>()
            .unwrap_or_default(),
        None => list
            .as_str()
            .filter(|word| !word.starts_with('@'))
            .into_iter()
            .collect(),
    }
}

fn one_word(value: &Value) -> Option<&str> {
    match words(value).as_slice() {
        [word] => Some(word),
        _ => None,
    }
}

fn numbers(value: &Value) -> Vec<u32> {
    let list = value.get("set").unwrap_or(value);
    match list.as_array() {
        Some(list) => list.iter().filter_map(number).collect(),
        None => number(list).into_iter().collect(),
    }
}

fn number(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

fn mangled(body: &Value) -> Option<Effect> {
    let key = body.get("key")?;
    if key.pointer("/tcp option/name").and_then(Value::as_str) == Some("maxseg") {
        return Some(Effect::ClampsSegments);
    }
    if key.pointer("/ct/key").and_then(Value::as_str) != Some("mark") {
        return None;
    }
    let written = Written::of(body.get("value")?);
    Some(Effect::WritesMark {
        sets: written.set | written.unknown,
        clears: !written.kept & !written.set,
    })
}

/// What a value makes of each bit of the connection mark.
#[derive(Clone, Copy)]
struct Written {
    /// Bits that stay what they were.
    kept: u32,
    /// Bits that are 1.
    set: u32,
    /// Bits that come from elsewhere.
    unknown: u32,
}

impl Written {
    const ELSEWHERE: Self = Self {
        kept: 0,
        set: 0,
        unknown: u32::MAX,
    };

    fn of(value: &Value) -> Self {
        if let Some(set) = number(value) {
            return Self {
                kept: 0,
                set,
                unknown: 0,
            };
        }
        if value.pointer("/ct/key").and_then(Value::as_str) == Some("mark") {
            return Self {
                kept: u32::MAX,
                set: 0,
                unknown: 0,
            };
        }
        let parts = |sign: &str| {
            let parts = value.get(sign)?.as_array()?;
            let (first, rest) = parts.split_first()?;
            let numbers: Option<Vec<u32>> = rest.iter().map(number).collect();
            Some((Self::of(first), numbers?))
        };
        if let Some((first, masks)) = parts("&") {
            return masks.into_iter().fold(first, |written, mask| Self {
                kept: written.kept & mask,
                set: written.set & mask,
                unknown: written.unknown & mask,
            });
        }
        if let Some((first, bits)) = parts("|") {
            return bits.into_iter().fold(first, |written, bits| Self {
                kept: written.kept & !bits,
                set: written.set | bits,
                unknown: written.unknown & !bits,
            });
        }
        if let Some((first, bits)) = parts("^") {
            return bits.into_iter().fold(first, |written, bits| Self {
                kept: written.kept & !bits,
                set: written.set & !bits,
                unknown: written.unknown | bits,
            });
        }
        Self::ELSEWHERE
    }
}
