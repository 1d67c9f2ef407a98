//! Which of thousands of rules can match at all: by verb, client, user and the beginning of a path.
//!
//! Each answers with a set of bits, one for each rule, and what is in all of them is asked one by one. Invariant: a rule
//! that is left out has a condition that is false or concerns no such command, so that asking it would change nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::asks::{Asks, PathPattern, VerbName};
use super::condition::Condition;
use super::facts::{Facts, PathFact, Subject};
use super::network::number as network_bits;
use super::operation::Operation;
use super::rule::Rule;
use super::user::is_overlong;
use crate::ftp::Verb;

/// The most rules of a set.
pub const MOST_RULES: usize = 20_000;

const WORDS: usize = MOST_RULES.div_ceil(64);

/// Up to so many rules are asked without looking for which.
const FEW: usize = 16;

/// Numbers of rules, as bits.
#[derive(Clone, Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn none(rules: usize) -> Bits {
        Bits(vec![0; rules.div_ceil(64)])
    }

    fn set(&mut self, rule: usize) {
        if let Some(word) = self.0.get_mut(rule / 64) {
            *word |= 1 << (rule % 64);
        }
    }
}

/// The rules that have to be asked.
pub(super) struct Candidates {
    words: [u64; WORDS],
    rules: usize,
}

impl Candidates {
    fn all(rules: usize) -> Candidates {
        let mut words = [0; WORDS];
        for (number, word) in words.iter_mut().enumerate().take(rules.div_ceil(64)) {
            let rest = rules - number * 64;
            *word = if rest >= 64 {
                u64::MAX
            } else {
                (1 << rest) - 1
            };
        }
        Candidates { words, rules }
    }

    fn keep(&mut self, bits: &Bits) {
        for (word, kept) in self.words.iter_mut().zip(&bits.0) {
            *word &= kept;
        }
    }

    /// Keeps what is free and what is in one of these lists.
    fn keep_listed<'l>(&mut self, free: &Bits, lists: impl Iterator<Item = &'l [u32]>) {
        let mut kept = [0; WORDS];
        for (word, free) in kept.iter_mut().zip(&free.0) {
            *word = *free;
        }
        for rule in lists.flatten() {
            let rule = *rule as usize;
            if let Some(word) = kept.get_mut(rule / 64) {
                *word |= 1 << (rule % 64);
            }
        }
        for (word, kept) in self.words.iter_mut().zip(&kept) {
            *word &= kept;
        }
    }

    /// Returns their numbers in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let used = self.rules.div_ceil(64);
        self.words
            .iter()
            .take(used)
            .enumerate()
            .flat_map(|(number, word)| {
                let mut rest = *word;
                std::iter::from_fn(move || {
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest.checked_sub(1)?;
                    Some(number * 64 + bit)
                })
            })
    }
}

/// Rules by keys of one kind. Many rules may share one set of keys (a named list), and many sets one key.
#[derive(Clone, Debug)]
struct Dimension<K> {
    /// Rules that this says nothing about.
    free: Bits,
    sets_by_key: HashMap<K, Vec<u32>>,
    rules_by_set: Vec<Vec<u32>>,
    set_by_pointer: HashMap<usize, u32>,
}

impl<K: Hash + Eq> Dimension<K> {
    fn new(rules: usize) -> Self {
        Dimension {
            free: Bits::none(rules),
            sets_by_key: HashMap::new(),
            rules_by_set: Vec::new(),
            set_by_pointer: HashMap::new(),
        }
    }

    fn add(&mut self, rule: u32, pointer: Option<usize>, keys: impl FnOnce() -> Vec<K>) {
        let known = pointer
            .and_then(|pointer| self.set_by_pointer.get(&pointer))
            .copied();
        let set = match known {
            Some(set) => set,
            None => {
                let set = self.rules_by_set.len() as u32;
                self.rules_by_set.push(Vec::new());
                for key in keys() {
                    self.sets_by_key.entry(key).or_default().push(set);
                }
                if let Some(pointer) = pointer {
                    self.set_by_pointer.insert(pointer, set);
                }
                set
            }
        };
        if let Some(rules) = self.rules_by_set.get_mut(set as usize) {
            rules.push(rule);
        }
    }

    /// Returns the lists of rules that have this key.
    fn rules<'d, Q: Hash + Eq + ?Sized>(
        &'d self,
        key: &Q,
    ) -> impl Iterator<Item = &'d [u32]> + use<'d, K, Q>
    where
        K: std::borrow::Borrow<Q>,
    {
        let sets: &'d [u32] = self
            .sets_by_key
            .get(key)
            .map(Vec::as_slice)
            .unwrap_or_default();
        sets.iter()
            .filter_map(|set| self.rules_by_set.get(*set as usize).map(Vec::as_slice))
    }
}

/// A prefix: whether it is IPv4, its length, its bits.
type Prefix = (bool, u8, u128);

/// Finds the rules that can match.
#[derive(Clone, Debug)]
pub(super) struct Index {
    rules: usize,
    /// For each verb in the order of their numbers.
    by_verb: Vec<Bits>,
    /// Before there is a command: the rules that can apply then, or that put a verdict off.
    at_connection: Bits,
    /// Whether one of them puts off every refusal behind it, then, whoever arrives.
    is_put_off: bool,
    by_client: Dimension<Prefix>,
    /// The lengths that prefixes have, of IPv6 and of IPv4.
    lengths: [Vec<u8>; 2],
    by_user: Dimension<Box<[u8]>>,
    by_path: Dimension<Box<[u8]>>,
}

impl Index {
    pub(super) fn of(rules: &[Rule]) -> Index {
        let count = rules.len();
        let mut index = Index {
            rules: count,
            by_verb: Vec::new(),
            at_connection: Bits::none(count),
            is_put_off: false,
            by_client: Dimension::new(count),
            lengths: [Vec::new(), Vec::new()],
            by_user: Dimension::new(count),
            by_path: Dimension::new(count),
        };
        if count <= FEW {
            return index;
        }
        for (number, rule) in rules.iter().enumerate() {
            let mut conditions = Vec::new();
            rule.when.flatten(&mut conditions);
            index.add(number, rule, &conditions);
        }
        let rows = Verb::ALL.iter().copied().chain([Verb::Unknown]);
        index.by_verb = rows.map(|verb| row(rules, verb)).collect();
        index
    }

    fn add(&mut self, number: usize, rule: &Rule, conditions: &[&Condition]) {
        let waiting = conditions
            .iter()
            .filter(|condition| waits_for_a_command(condition))
            .count();
        let may_put_off = rule.decides().is_some_and(|effect| !effect.refuses());
        // Behind a rule that puts off whatever comes, another one that only puts off changes nothing.
        if waiting == 0 || (may_put_off && !self.is_put_off) {
            self.at_connection.set(number);
        }
        self.is_put_off |= may_put_off && waiting == conditions.len() && waiting > 0;
        let rule = number as u32;
        match conditions.iter().find_map(|condition| match condition {
            Condition::Client(sets) => Some(sets),
            _ => None,
        }) {
            None => self.by_client.free.set(number),
            Some(sets) => {
                for set in sets {
                    for prefix in set.prefixes() {
                        let lengths = &mut self.lengths[usize::from(prefix.addr().is_ipv4())];
                        if !lengths.contains(&prefix.prefix_len()) {
                            lengths.push(prefix.prefix_len());
                        }
                    }
                    self.by_client
                        .add(rule, Some(Arc::as_ptr(set) as usize), || {
                            let key = |prefix: &ipnet::IpNet| {
                                let address = prefix.network();
                                (
                                    address.is_ipv4(),
                                    prefix.prefix_len(),
                                    network_bits(address),
                                )
                            };
                            set.prefixes().iter().map(key).collect()
                        });
                }
            }
        }
        let users = conditions.iter().find_map(|condition| match condition {
            Condition::User(sets) if sets.iter().all(|set| set.bare_names().is_some()) => {
                Some(sets)
            }
            _ => None,
        });
        match users {
            None => self.by_user.free.set(number),
            Some(sets) => {
                for set in sets {
                    self.by_user.add(rule, Some(Arc::as_ptr(set) as usize), || {
                        set.bare_names()
                            .into_iter()
                            .flatten()
                            .map(Box::from)
                            .collect()
                    });
                }
            }
        }
        match conditions.iter().find_map(|condition| starts(condition)) {
            None => self.by_path.free.set(number),
            Some(starts) => self.by_path.add(rule, None, || starts),
        }
    }

    /// Finds the rules that have to be asked; none where they are so few that all are.
    pub(super) fn candidates(&self, facts: &Facts<'_>) -> Option<Candidates> {
        if self.rules <= FEW {
            return None;
        }
        let mut candidates = Candidates::all(self.rules);
        match &facts.subject {
            Subject::None => candidates.keep(&self.at_connection),
            Subject::Command { words, .. } => {
                if let Some(row) = self.by_verb.get(words.verb as usize) {
                    candidates.keep(row);
                }
            }
            Subject::AnyOf(_) | Subject::Coming => {}
        }
        if let Some((address, is_ipv4)) = facts.client() {
            let width = if is_ipv4 { 32 } else { 128 };
            let lengths = &self.lengths[usize::from(is_ipv4)];
            let lists = lengths.iter().flat_map(|length| {
                let cut = width - u32::from(*length);
                let network = address
                    .checked_shr(cut)
                    .unwrap_or(0)
                    .checked_shl(cut)
                    .unwrap_or(0);
                self.by_client.rules(&(is_ipv4, *length, network))
            });
            candidates.keep_listed(&self.by_client.free, lists);
        }
        if let Some(account) = &facts.account
            && !is_overlong(
                facts
                    .words()
                    .and_then(|words| words.argument)
                    .unwrap_or_default(),
            )
            && !is_overlong(facts.session.user.unwrap_or_default())
        {
            candidates.keep_listed(
                &self.by_user.free,
                self.by_user.rules(account.folded_bare()),
            );
        }
        if let Subject::Command {
            path: PathFact::Known(path),
            ..
        } = &facts.subject
            && let Some(path) = path.single()
        {
            let ends = memchr::memchr_iter(b'/', path).skip(1).chain([path.len()]);
            let starts = ends.filter_map(|end| path.get(..end));
            candidates.keep_listed(
                &self.by_path.free,
                starts.flat_map(|start| self.by_path.rules(start)),
            );
        }
        Some(candidates)
    }
}

/// Tells whether a condition waits whenever there is no command yet.
fn waits_for_a_command(condition: &Condition) -> bool {
    match condition {
        Condition::Command(_) | Condition::User(_) | Condition::LoggedIn(_) => true,
        Condition::ControlTls(_) | Condition::DataTls(_) | Condition::Certificate(_) => true,
        Condition::DataMode { .. } => true,
        Condition::All(_) | Condition::Any(_) | Condition::Not(_) | Condition::Client(_) => false,
        Condition::Listener(_) | Condition::Upstream(_) => false,
        Condition::Time(_) | Condition::Moment(_) => false,
    }
}

/// Returns the beginnings of which a path must have one, if every pattern has one.
fn starts(condition: &Condition) -> Option<Vec<Box<[u8]>>> {
    let Condition::Command(Asks::Path(patterns)) = condition else {
        return None;
    };
    let start = |pattern: &PathPattern| {
        let start = pattern.folded.literal_start();
        (!start.is_empty()).then(|| start.into_boxed_slice())
    };
    patterns.iter().map(start).collect()
}

/// Finds the rules that commands with this verb can match.
fn row(rules: &[Rule], verb: Verb) -> Bits {
    let mut bits = Bits::none(rules.len());
    let possible = Operation::possible(verb).map(|all| {
        all.into_iter()
            .flatten()
            .fold(0, |set, operation| set | operation.bit())
    });
    for (number, rule) in rules.iter().enumerate() {
        if can_match(&rule.when, verb, possible) {
            bits.set(number);
        }
    }
    bits
}

/// Tells whether a verb has what a condition asks of verb and operation.
pub(super) fn can_match(condition: &Condition, verb: Verb, possible: Option<u16>) -> bool {
    match condition {
        Condition::All(all) => all
            .iter()
            .all(|condition| can_match(condition, verb, possible)),
        Condition::Command(Asks::Verb(names)) => names.iter().any(|name| match name {
            VerbName::Known(known) => known.canonical() == verb.canonical(),
            VerbName::Other(_) => verb == Verb::Unknown,
        }),
        Condition::Command(Asks::Operation(set)) => {
            possible.is_none_or(|possible| set & possible != 0)
        }
        Condition::Command(Asks::Site(_)) => verb == Verb::Site,
        _ => true,
    }
}
