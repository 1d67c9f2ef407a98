//! What is doubtful about rules that are right in themselves: rules that never match, and rules that an earlier one
//! leaves nothing to.

use super::asks::{Asks, VerbName};
use super::condition::Condition;
use super::index::can_match;
use super::operation::Operation;
use super::request::{Moment, moves_a_file, negotiates};
use super::rule::Rule;
use crate::ftp::Verb;
use crate::yaml::problem::Refusal;
use crate::yaml::reader::Reader;
use crate::yaml::source::Place;

/// Up to so many rules are compared with each other; the pairs of more would take longer than loading them.
const COMPARED: usize = 2000;

/// Warns about the rules from `begin` on; `places` says where each of these stands.
pub(super) fn warn(reader: &mut Reader<'_>, rules: &[Rule], begin: usize, places: &[Place]) {
    let end = rules
        .iter()
        .position(|rule| rule.ends() && is_always(&rule.when));
    for (number, rule) in rules.iter().enumerate().skip(begin) {
        let at = places.get(number - begin).copied().unwrap_or(Place::Whole);
        let name = &rule.origin.rule;
        let key = format!("rules[{}]", number - begin);
        if !is_possible(&rule.when) {
            let refusal = Refusal::new(format!(
                "the rule `{name}` can never match: no command has all that it asks for"
            ));
            reader.warn(
                at,
                &key,
                refusal.help("ask for less, or make two rules of it"),
            );
            continue;
        }
        let by = match end {
            Some(end) if end < number => rules.get(end),
            _ if rules.len() > COMPARED => None,
            _ => rules
                .iter()
                .take(number)
                .find(|earlier| earlier.ends() && covers(&earlier.when, &rule.when)),
        };
        if let Some(by) = by {
            let refusal = Refusal::new(format!(
                "the rule `{name}` is never asked: `{}` (line {}) decides before it",
                by.origin.name, by.origin.line
            ));
            reader.warn(
                at,
                &key,
                refusal.help("the first verdict decides: put the narrower rule first"),
            );
        }
    }
}

fn is_always(condition: &Condition) -> bool {
    let mut parts = Vec::new();
    condition.flatten(&mut parts);
    parts.is_empty()
}

/// Tells whether some request can have all that must hold.
fn is_possible(condition: &Condition) -> bool {
    let mut parts = Vec::new();
    condition.flatten(&mut parts);
    let asks_of_command = parts
        .iter()
        .any(|part| matches!(part, Condition::Command(_)));
    let moments = parts.iter().find_map(|part| match part {
        Condition::Moment(moments) => Some(moments.as_slice()),
        _ => None,
    });
    if asks_of_command && moments == Some(&[Moment::Connection]) {
        return false;
    }
    let fits = |verb: Verb| {
        let possible = Operation::possible(verb);
        let set = possible
            .as_ref()
            .map(|all| all.iter().flatten().fold(0, |set, one| set | one.bit()));
        can_match(condition, verb, set) && parts.iter().all(|part| concerns(part, verb, set))
    };
    !asks_of_command || Verb::ALL.iter().copied().chain([Verb::Unknown]).any(fits)
}

/// Tells whether a verb can have what a condition asks for at all.
fn concerns(condition: &Condition, verb: Verb, operations: Option<u16>) -> bool {
    match condition {
        Condition::DataTls(_) | Condition::DataMode { .. } => {
            verb.is_transfer() || negotiates(verb)
        }
        Condition::Command(Asks::Size { .. }) => moves_a_file(verb),
        Condition::Command(Asks::Path(_) | Asks::Extension(_)) => operations != Some(0),
        Condition::Command(
            Asks::Verb(_) | Asks::Operation(_) | Asks::Site(_) | Asks::Argument(_),
        ) => true,
        Condition::All(_) | Condition::Any(_) | Condition::Not(_) | Condition::Client(_) => true,
        Condition::Listener(_)
        | Condition::Upstream(_)
        | Condition::User(_)
        | Condition::LoggedIn(_) => true,
        Condition::ControlTls(_)
        | Condition::Certificate(_)
        | Condition::Time(_)
        | Condition::Moment(_) => true,
    }
}

/// Tells whether the wider condition holds wherever the narrower one does, as far as that can be seen part by part.
fn covers(wider: &Condition, narrower: &Condition) -> bool {
    let (mut wide, mut narrow) = (Vec::new(), Vec::new());
    wider.flatten(&mut wide);
    narrower.flatten(&mut narrow);
    wide.iter()
        .all(|wide| narrow.iter().any(|narrow| holds_where(wide, narrow)))
}

fn holds_where(wide: &Condition, narrow: &Condition) -> bool {
    match (wide, narrow) {
        (Condition::Client(wide), Condition::Client(narrow)) => narrow
            .iter()
            .all(|narrow| wide.iter().any(|wide| narrow.are_within(wide))),
        (Condition::Listener(wide), Condition::Listener(narrow))
        | (Condition::Upstream(wide), Condition::Upstream(narrow)) => is_subset(narrow, wide),
        (Condition::User(wide), Condition::User(narrow)) => narrow
            .iter()
            .all(|narrow| wide.iter().any(|wide| narrow.are_within(wide))),
        (Condition::LoggedIn(wide), Condition::LoggedIn(narrow))
        | (Condition::ControlTls(wide), Condition::ControlTls(narrow))
        | (Condition::DataTls(wide), Condition::DataTls(narrow)) => wide == narrow,
        (Condition::Certificate(wide), Condition::Certificate(narrow)) => is_subset(narrow, wide),
        (Condition::Moment(wide), Condition::Moment(narrow)) => is_subset(narrow, wide),
        (Condition::Time(wide), Condition::Time(narrow)) => wide == narrow,
        (Condition::Command(wide), Condition::Command(narrow)) => asks_cover(wide, narrow),
        (Condition::Any(any), _) => any.iter().any(|wide| covers(wide, narrow)),
        (Condition::Not(wide), Condition::Not(narrow)) => covers(narrow, wide),
        _ => false,
    }
}

fn is_subset<T: PartialEq>(small: &[T], large: &[T]) -> bool {
    small.iter().all(|one| large.contains(one))
}

fn asks_cover(wide: &Asks, narrow: &Asks) -> bool {
    match (wide, narrow) {
        (Asks::Verb(wide), Asks::Verb(narrow)) => is_subset(narrow, wide),
        (Asks::Operation(wide), Asks::Operation(narrow)) => wide & narrow == *narrow,
        (Asks::Operation(wide), Asks::Verb(narrow)) => narrow.iter().all(|name| match name {
            VerbName::Known(verb) => Operation::possible(*verb).is_some_and(|all| {
                all.iter()
                    .all(|one| one.is_some_and(|one| wide & one.bit() != 0))
            }),
            VerbName::Other(_) => wide & Operation::Unknown.bit() != 0,
        }),
        (Asks::Site(wide), Asks::Site(narrow)) => is_subset(narrow, wide),
        (Asks::Path(wide), Asks::Path(narrow)) => narrow.iter().all(|narrow| {
            wide.iter()
                .any(|wide| wide.exact.holds_all_of(&narrow.exact))
        }),
        (Asks::Extension(wide), Asks::Extension(narrow)) => is_subset(narrow, wide),
        (Asks::Argument(wide), Asks::Argument(narrow)) => narrow
            .iter()
            .all(|narrow| wide.iter().any(|wide| wide.as_str() == narrow.as_str())),
        (
            Asks::Size { over, up_to },
            Asks::Size {
                over: least,
                up_to: most,
            },
        ) => {
            let from = match (over, least) {
                (None, _) => true,
                (Some(wide), Some(narrow)) => wide <= narrow,
                (Some(_), None) => false,
            };
            let to = match (up_to, most) {
                (None, _) => true,
                (Some(wide), Some(narrow)) => wide >= narrow,
                (Some(_), None) => false,
            };
            from && to
        }
        _ => false,
    }
}
