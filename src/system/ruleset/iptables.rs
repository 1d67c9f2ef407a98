//! From `iptables-save`: what nft shows of these rules is opaque, and the legacy tables it does not show at all.

use std::ops::RangeInclusive;

use super::walk::State;
use super::{Base, Chain, Effect, Family, Hook, Match, Rule, Table, Tool, Verdict, is_inner};

/// Reads what `iptables-save` or `ip6tables-save` printed; `tool` is the program that changes these rules.
#[must_use]
pub fn parse(text: &str, family: Family, tool: &'static str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table {
                tool: Tool::Iptables(tool),
                family,
                name: name.to_owned(),
                chains: Vec::new(),
                ours: false,
                ftp_helpers: Vec::new(),
            });
            continue;
        }
        let Some(table) = tables.last_mut() else {
            continue;
        };
        if let Some(line) = line.strip_prefix(':') {
            table.chains.extend(chain(line, &table.name));
        } else if let Some(line) = line.strip_prefix("-A ") {
            let (name, rule) = line.split_once(' ').unwrap_or((line, ""));
            if let Some(chain) = table.chains.iter_mut().find(|chain| chain.name == name) {
                chain.rules.push(parse_rule(rule));
            }
        }
    }
    tables
}

/// Reads `FORWARD DROP [0:0]`; chains of the user have `-` for a policy.
fn chain(line: &str, table: &str) -> Option<Chain> {
    let mut words = line.split(' ');
    let (name, policy) = (words.next()?, words.next()?);
    let base = (policy != "-")
        .then(|| Hook::from_word(name))
        .flatten()
        .map(|hook| Base {
            hook,
            filters: table != "nat",
            drops: policy == "DROP",
        });
    Some(Chain {
        name: name.to_owned(),
        base,
        rules: Vec::new(),
    })
}

fn parse_rule(text: &str) -> Rule {
    let words = split(text);
    let mut words = words.iter().map(String::as_str).peekable();
    let mut rule = Rule {
        text: text.to_owned(),
        ..Rule::default()
    };
    let mut not = false;
    let mut module = "";
    while let Some(word) = words.next() {
        if word == "!" {
            not = true;
            continue;
        }
        let negated = std::mem::take(&mut not);
        let mut value = || words.next().unwrap_or_default();
        match word {
            "-m" => {
                // The match's own options say what it wants; one that is not known below stays unknown.
                module = value();
                if ![
                    "tcp",
                    "conntrack",
                    "state",
                    "connmark",
                    "multiport",
                    "addrtype",
                    "udp",
                    "comment",
                ]
                .contains(&module)
                {
                    rule.matches.push(Match::Unknown);
                }
            }
            "--comment" => {
                value();
            }
            "-p" => rule.matches.extend(protocol(value(), negated)),
            "-i" | "-o" => rule.matches.push(match value() {
                name if is_inner(name) => Match::Inner(!negated),
                _ => Match::Unknown,
            }),
            "--dst-type" => match value() {
                "LOCAL" => rule.matches.push(Match::Local(!negated)),
                "BROADCAST" | "MULTICAST" | "ANYCAST" if !negated => {
                    rule.matches.push(Match::Never)
                }
                _ => rule.matches.push(Match::Unknown),
            },
            "--ctstate" | "--state" => rule.matches.push(states(value(), negated)),
            "--mark" if module == "connmark" => rule.matches.push(mark(value(), negated)),
            "--dport" | "--dports" => rule.matches.push(ports(value(), false, negated)),
            "--sport" | "--sports" => rule.matches.push(ports(value(), true, negated)),
            "-j" => {
                let target = value().to_owned();
                let rest: Vec<&str> = words.by_ref().collect();
                (rule.verdict, rule.effects) = target_of(&target, &rest);
            }
            "-g" => rule.verdict = Verdict::Goto(value().to_owned()),
            _ => {
                // An option that is not known, with its value if it has one.
                if words
                    .peek()
                    .is_some_and(|next| !next.starts_with('-') && *next != "!")
                {
                    words.next();
                }
                rule.matches.push(Match::Unknown);
            }
        }
    }
    rule
}

/// Splits at spaces, but for those in double quotes.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => {
                escaped = false;
                words.last_mut().into_iter().for_each(|word| word.push(c));
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn protocol(name: &str, not: bool) -> Option<Match> {
    let tcp = matches!(name, "tcp" | "6" | "all");
    (tcp == not).then_some(Match::Never)
}

fn states(list: &str, not: bool) -> Match {
    let mut known = Vec::new();
    for word in list.split(',') {
        match (State::from_word(word), word) {
            (Some(state), _) => known.push(state),
            // The only one of ours is that of a destination that was translated, and it stands alone or nothing is known.
            (None, "DNAT") if list == "DNAT" => return Match::Translated(!not),
            (None, _) => return Match::Unknown,
        }
    }
    if not {
        Match::NotState(known)
    } else {
        Match::State(known)
    }
}

/// Reads `0x1000/0x1000`.
fn mark(text: &str, not: bool) -> Match {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    match (number(value), number(mask)) {
        (Some(value), Some(mask)) => Match::Mark { mask, value, not },
        _ => Match::Unknown,
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn ports(list: &str, source: bool, not: bool) -> Match {
    let port = |text: &str| text.parse::<u16>().ok();
    let range = |text: &str| match text.split_once(':') {
        Some((first, last)) => Some(port(first)?..=port(last)?),
        None => port(text).map(|port| port..=port),
    };
    let ports: Option<Vec<RangeInclusive<u16>>> = list.split(',').map(range).collect();
    ports.map_or(Match::Unknown, |ports| Match::Port { source, ports, not })
}

fn target_of(target: &str, rest: &[&str]) -> (Verdict, Vec<Effect>) {
    let value = |name: &str| {
        let at = rest.iter().position(|word| *word == name)?;
        rest.get(at + 1).copied()
    };
    match target {
        "ACCEPT" => (Verdict::Accept, Vec::new()),
        "DROP" | "REJECT" => (Verdict::Drop, Vec::new()),
        "RETURN" => (Verdict::Return, Vec::new()),
        "NFQUEUE" => (Verdict::Unknown, Vec::new()),
        "NOTRACK" => (Verdict::Next, vec![Effect::Untracked]),
        "CT" if rest.contains(&"--notrack") => (Verdict::Next, vec![Effect::Untracked]),
        "CT" if value("--helper") == Some("ftp") => (Verdict::Next, vec![Effect::FtpHelper]),
        "TCPMSS" => (Verdict::Next, vec![Effect::ClampsSegments]),
        "CONNMARK" => (Verdict::Next, connmark(rest, &value).into_iter().collect()),
        "LOG" | "NFLOG" | "MARK" | "CT" | "CLASSIFY" | "TRACE" | "SET" | "DSCP" | "TOS" | "TTL"
        | "HL" | "CHECKSUM" | "AUDIT" | "SNAT" | "DNAT" | "MASQUERADE" | "REDIRECT" | "TPROXY" => {
            (Verdict::Next, Vec::new())
        }
        chain => (Verdict::Jump(chain.to_owned()), Vec::new()),
    }
}

/// iptables-extensions(8), CONNMARK: set-xmark zeroes the mask's bits and XORs the value; save-mark does the same with
/// bits of the packet's mark.
fn connmark<'w>(rest: &[&str], value: &impl Fn(&str) -> Option<&'w str>) -> Option<Effect> {
    if let Some(text) = value("--set-xmark").or_else(|| value("--set-mark")) {
        let (set, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
        let (set, mask) = (number(set)?, number(mask)?);
        return Some(Effect::WritesMark {
            sets: set,
            clears: mask & !set,
        });
    }
    // Restoring writes the packet's mark and not the connection's.
    if !rest.contains(&"--save-mark") {
        return None;
    }
    let bits = |name| value(name).map_or(Some(u32::MAX), number);
    Some(Effect::WritesMark {
        sets: bits("--nfmask")?,
        clears: bits("--ctmask")?,
    })
}
