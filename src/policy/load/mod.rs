//! The YAML form of rules: text to a rule set, or everything that is wrong with it.
//!
//! Nothing is used of files of which one has an error. What could take long or grow large (patterns, regular expressions,
//! nesting, numbers of rules) is bounded here, so that no rule set that was loaded can be slow.

mod example;
mod scalar;
mod then;
mod time;
mod when;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::condition::Condition;
use super::decision::Origin;
use super::example::Example;
use super::index::MOST_RULES;
use super::network::Networks;
use super::review;
use super::rule::Rule;
use super::set::{Default, RuleSet};
use super::user::Users;
use crate::yaml::name::Name;
use crate::yaml::network::parse_network;
use crate::yaml::problem::{ConfigErrors, Problem, Refusal};
use crate::yaml::reader::{Item, Reader};
use crate::yaml::section::Section;
use crate::yaml::source::{self, Bounds, Place};

/// How large a rule file may be: ten thousand rules have a tenth of it.
pub(crate) const RULE_FILE: Bounds = Bounds {
    longest: 8 << 20,
    longest_in_words: "8 MiB",
    most_nodes: 1_000_000,
    usual: "a rule file is a page or two",
};

/// The most regular expressions of a rule set.
const MOST_REGEXES: usize = 500;

/// The smallest file, as errors show it.
const SMALLEST: &str = "the smallest rule file is\n  version: 1\n  rules:\n    - {name: no-deletes, when: {operation: [delete]}, then: {deny: \"550 Not here.\"}}";

/// One rule file.
#[derive(Clone, Copy, Debug)]
pub struct Source<'t> {
    /// What errors call it: its path, or `everything-but-dangerous`.
    pub name: &'t str,
    /// What it holds.
    pub bytes: &'t [u8],
}

/// What rules may name besides what their own file says.
#[derive(Clone, Copy, Debug, std::default::Default)]
pub struct Surroundings<'s> {
    /// The names of the listeners, where a configuration says which there are.
    pub listeners: Option<&'s [&'s str]>,
    /// The names of the upstreams.
    pub upstreams: Option<&'s [&'s str]>,
}

/// Holds rules that can be used, and what is doubtful about them.
#[derive(Clone, Debug)]
pub struct LoadedRules {
    /// The rules.
    pub rules: RuleSet,
    /// The examples of all files, in order.
    pub examples: Vec<Example>,
    /// What probably does not do what was meant.
    pub warnings: Vec<Problem>,
    /// Tells texts of rules apart (64 bit FNV-1a, in hex); it is no proof of anything.
    pub digest: String,
}

impl RuleSet {
    /// Reads rule files, in the order in which their rules are asked.
    ///
    /// # Errors
    /// When anything is wrong in any of them; all problems that can be told are in the error.
    pub fn load(
        default: Default,
        sources: &[Source<'_>],
        surroundings: Surroundings<'_>,
    ) -> Result<LoadedRules, ConfigErrors> {
        let mut rules = Vec::new();
        let mut examples = Vec::new();
        let (mut problems, mut more, mut wrong) = (Vec::new(), 0, false);
        let mut regexes = 0;
        for source in sources {
            let text = source::decode(source.bytes, RULE_FILE);
            let mut reader = Reader::new(source.name, text.as_ref().unwrap_or(&""), homes);
            match &text {
                Ok(text) => {
                    let mut file = File {
                        origin: Arc::from(source.name),
                        stem: stem(source.name).to_owned(),
                        users: HashMap::new(),
                        networks: HashMap::new(),
                        surroundings,
                        regexes,
                    };
                    let (root, complaints) = source::parse(text, RULE_FILE);
                    for (place, refusal) in complaints {
                        reader.error(place, "", refusal);
                    }
                    if let Some(root) = root {
                        let begin = rules.len();
                        let item = Item {
                            node: &root,
                            key: String::new(),
                            at: Place::Whole,
                        };
                        file.read(&mut reader, &item, &mut rules, &mut examples);
                        if !reader.has_errors() {
                            let places = file.places(&item);
                            review::warn(&mut reader, &rules, begin, &places);
                        }
                    }
                    regexes = file.regexes;
                }
                Err((place, refusal)) => reader.error(*place, "", refusal.clone()),
            }
            wrong |= reader.has_errors();
            let (found, dropped) = reader.finish();
            problems.extend(found);
            more += dropped;
        }
        if wrong {
            return Err(ConfigErrors::Wrong { problems, more });
        }
        let bytes = sources
            .iter()
            .flat_map(|source| source.bytes.iter().chain(b"\0"));
        let digest = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Ok(LoadedRules {
            rules: RuleSet::of(default, rules),
            examples,
            warnings: problems,
            digest: format!("{digest:016x}"),
        })
    }
}

/// Returns a file's name without folders and ending.
fn stem(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(".yaml")
        .or_else(|| name.strip_suffix(".yml"))
        .unwrap_or(name)
}

/// Says where a key would be right that stands elsewhere.
fn homes(key: &str) -> Vec<String> {
    let mut homes = Vec::new();
    if when::KEYS.contains(&key) {
        homes.push(format!("rules[].when.{key}"));
    }
    if then::KEYS.contains(&key) {
        homes.push(format!("rules[].then.{key}"));
    }
    if then::LIMITS.contains(&key) {
        homes.push(format!("rules[].then.limit.{key}"));
    }
    if key == "default" {
        homes.push("rules.default of the configuration".to_owned());
    }
    homes
}

/// One file that is being read.
struct File<'s> {
    origin: Arc<str>,
    stem: String,
    users: HashMap<String, Arc<Users>>,
    networks: HashMap<String, Arc<Networks>>,
    surroundings: Surroundings<'s>,
    regexes: usize,
}

impl File<'_> {
    fn read(
        &mut self,
        reader: &mut Reader<'_>,
        item: &Item<'_>,
        rules: &mut Vec<Rule>,
        examples: &mut Vec<Example>,
    ) {
        if item.node.is_null() {
            let refusal = Refusal::new("the file is empty").help(SMALLEST);
            return reader.error(Place::Whole, "", refusal);
        }
        let Some(mut section) = reader.section(item) else {
            return;
        };
        self.version(reader, &mut section);
        if let Some(lists) = section.take("lists") {
            self.lists(reader, &lists);
        }
        let mut names = HashSet::new();
        match section.take("rules") {
            Some(list) => {
                let entries = reader.entries(&list, "- {name: .., when: .., then: ..}", true);
                for entry in entries.unwrap_or_default() {
                    if rules.len() == MOST_RULES {
                        let refusal = Refusal::new(format!("more than {MOST_RULES} rules"));
                        reader.error(
                            entry.at,
                            &entry.key,
                            refusal.help("put what differs only in names into lists"),
                        );
                        break;
                    }
                    if let Some(rule) = self.rule(reader, &entry, &mut names) {
                        rules.push(rule);
                    }
                }
            }
            None => {
                let refusal = Refusal::new("`rules` is missing").help(SMALLEST);
                section.missing(reader, "rules", refusal);
            }
        }
        if let Some(list) = section.take("examples") {
            let entries = reader.entries(&list, "- {client: .., command: .., expect: ..}", false);
            for entry in entries.unwrap_or_default() {
                examples.extend(self.example(reader, &entry, &names));
            }
        }
        section.finish(reader);
    }

    /// Returns where each rule stands.
    fn places(&self, item: &Item<'_>) -> Vec<Place> {
        match item.node.get("rules").map(|node| &node.value) {
            Some(source::Value::List(nodes)) => nodes.iter().map(|node| node.at).collect(),
            _ => Vec::new(),
        }
    }

    fn version(&self, reader: &mut Reader<'_>, section: &mut Section<'_>) {
        let Some(item) = section.take("version") else {
            let refusal =
                Refusal::new("`version` is missing").help("write `version: 1` at the top");
            return section.missing(reader, "version", refusal);
        };
        if let Some(number) = reader.count(&item, 0, u32::MAX)
            && number != 1
        {
            let refusal = Refusal::new(format!("version {number} of rule files is not known here"));
            reader.error(item.node.at, "version", refusal.help("write `version: 1`"));
        }
    }

    fn lists(&mut self, reader: &mut Reader<'_>, item: &Item<'_>) {
        let Some(mut section) = reader.section(item) else {
            return;
        };
        if let Some(item) = section.take("users") {
            named(reader, &item, |reader, name, item| {
                let users = users(reader, item);
                self.users.insert(name, Arc::new(users));
            });
        }
        if let Some(item) = section.take("networks") {
            named(reader, &item, |reader, name, item| {
                let networks = reader.list(item, "[192.0.2.0/24]", true, |reader, item| {
                    reader.text(item, "a network: `192.0.2.0/24`", parse_network)
                });
                self.networks
                    .insert(name, Arc::new(Networks::of(networks.unwrap_or_default())));
            });
        }
        section.finish(reader);
    }

    fn rule(
        &mut self,
        reader: &mut Reader<'_>,
        item: &Item<'_>,
        names: &mut HashSet<String>,
    ) -> Option<Rule> {
        let mut section = reader.section(item)?;
        let name = match section.take("name") {
            Some(item) => {
                let name = reader.text(&item, "a name for the rule: `no-deletes`", Name::parse);
                if let Some(name) = &name
                    && !names.insert(name.as_str().to_owned())
                {
                    let refusal = Refusal::new(format!("two rules have the name `{name}`"));
                    reader.error(
                        item.node.at,
                        &item.key,
                        refusal.help("give each rule a name of its own: the journal repeats it"),
                    );
                }
                name
            }
            None => {
                let refusal = Refusal::new("a rule without a name")
                    .help("write `name: no-deletes`: the journal and `explain` call it so");
                section.missing(reader, "name", refusal);
                None
            }
        };
        let when = match section.take("when") {
            Some(item) => self.when(reader, &item),
            None => Some(Condition::All(Vec::new())),
        };
        let then = match section.take("then") {
            Some(item) => then::read(reader, &item),
            None => {
                let refusal = Refusal::new("a rule without a verdict")
                    .help("write `then: {deny: \"550 Not here.\"}`, or allow, close, ask, limit, hide or observe");
                section.missing(reader, "then", refusal);
                None
            }
        };
        section.finish(reader);
        let (when, then, name) = (when?, then?, name?);
        let line = match item.node.at {
            Place::File { line, .. } => line,
            Place::Flag(_) | Place::Whole => 0,
        };
        Some(Rule {
            origin: Arc::new(Origin {
                name: Arc::from(format!("{}/{name}", self.stem)),
                rule: Arc::from(name.as_str()),
                file: Arc::clone(&self.origin),
                line,
            }),
            when,
            effect: then.effect,
            limits: then.limits,
            hide: then.hide,
            observe: then.observe,
        })
    }
}

/// Reads a map whose keys are names of lists.
fn named(
    reader: &mut Reader<'_>,
    item: &Item<'_>,
    mut each: impl FnMut(&mut Reader<'_>, String, &Item<'_>),
) {
    let Some(section) = reader.section(item) else {
        return;
    };
    for (entry, item) in section.entries() {
        match Name::parse(&entry.key) {
            Ok(name) => each(reader, name.as_str().to_owned(), &item),
            Err(refusal) => reader.error(entry.key_at, &item.key, refusal),
        }
    }
}

/// Reads a list of users into a set.
fn users(reader: &mut Reader<'_>, item: &Item<'_>) -> Users {
    let mut users = Users::default();
    let texts = reader.list(item, "[bob, \"svc-*\"]", true, |reader, item| {
        reader.text(
            item,
            "a user's name or a pattern: `bob`, `\"svc-*\"`",
            |text| {
                Users::default()
                    .add(text)
                    .map(|()| text.to_owned())
                    .map_err(|why| scalar::no_pattern(text, why))
            },
        )
    });
    for text in texts.unwrap_or_default() {
        // Each has just been read once.
        let _ = users.add(&text);
    }
    users
}
