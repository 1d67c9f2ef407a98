//! The rule files that come with the program, and those that a configuration names, to the rule set in force.
//!
//! Invariant: a rule set is loaded whole or not at all. This module decides nothing by itself.

use std::io;
use std::path::Path;

use crate::config::files::Files;
use crate::config::{Config, ConfigErrors, Name, RuleFile, SHIPPED_RULES, Verdict};
use crate::policy::RULE_FILE;
use crate::policy::{Default, Failed, LoadedRules, RuleSet, Source, Surroundings};
use crate::yaml::problem::{Problem, Severity};
use crate::yaml::source::{self, Value};

/// The texts of the files that come with the program, in the order of [`SHIPPED_RULES`].
const TEXTS: [&str; SHIPPED_RULES.len()] = [
    include_str!("../../rules/everything-but-dangerous.yaml"),
    include_str!("../../rules/anonymous-read-only.yaml"),
    include_str!("../../rules/upload-drop-box.yaml"),
    include_str!("../../rules/download-only.yaml"),
    include_str!("../../rules/jail-to-home.yaml"),
    include_str!("../../rules/legacy-strict.yaml"),
    include_str!("../../rules/business-hours.yaml"),
    include_str!("../../rules/cisco-strict.yaml"),
    include_str!("../../rules/ibm-i.yaml"),
    include_str!("../../rules/iis.yaml"),
];

/// Returns the text of a file that comes with the program.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    let names = SHIPPED_RULES.iter().zip(TEXTS);
    names
        .into_iter()
        .find(|(known, _)| **known == name)
        .map(|(_, text)| text)
}

/// Makes a rule set of files that come with the program; names that are none of them are passed over.
///
/// The files are right: a test loads each of them. Should one not be, everything is denied.
#[must_use]
pub fn built_in(default: Default, names: &[&str]) -> RuleSet {
    let texts = names
        .iter()
        .filter_map(|name| Some((*name, shipped(name)?)));
    let sources: Vec<Source<'_>> = texts
        .map(|(name, text)| Source {
            name,
            bytes: text.as_bytes(),
        })
        .collect();
    match RuleSet::load(default, &sources, Surroundings::default()) {
        Ok(loaded) => loaded.rules,
        Err(_) => RuleSet::empty(Default::Deny),
    }
}

/// Loads the rules that a configuration names.
///
/// # Errors
/// When a file can't be read or anything in any of them is wrong.
pub fn load(config: &Config, files: &dyn Files) -> Result<LoadedRules, ConfigErrors> {
    let listeners: Vec<&str> = config.listeners.keys().map(Name::as_str).collect();
    let upstreams: Vec<&str> = config.upstreams.keys().map(Name::as_str).collect();
    let surroundings = Surroundings {
        listeners: Some(&listeners),
        upstreams: Some(&upstreams),
    };
    let default = match config.rules.default {
        Verdict::Allow => Default::Allow,
        Verdict::Deny => Default::Deny,
    };
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    let mut unreadable = Vec::new();
    for file in &config.rules.files {
        match file {
            RuleFile::Shipped(name) => {
                texts.push(((*name).to_owned(), shipped(name).unwrap_or_default().into()));
            }
            RuleFile::Path(path) => match files.read(path) {
                Ok(contents) => texts.push((path.display().to_string(), contents.bytes)),
                Err(error) => unreadable.push(cannot_read(path, &error)),
            },
        }
    }
    let sources: Vec<Source<'_>> = texts
        .iter()
        .map(|(name, bytes)| Source { name, bytes })
        .collect();
    let loaded = RuleSet::load(default, &sources, surroundings);
    match (loaded, unreadable.is_empty()) {
        (loaded, true) => loaded,
        (Ok(_), false) => Err(ConfigErrors::Wrong {
            problems: unreadable,
            more: 0,
        }),
        (Err(ConfigErrors::Wrong { problems, more }), false) => {
            unreadable.extend(problems);
            Err(ConfigErrors::Wrong {
                problems: unreadable,
                more,
            })
        }
        (Err(error @ ConfigErrors::Unreadable(_)), false) => Err(error),
    }
}

/// Loads one rule file by itself, as `check` does.
///
/// # Errors
/// When it can't be read or is wrong.
pub fn load_alone(path: &Path, files: &dyn Files) -> Result<LoadedRules, ConfigErrors> {
    let name = path.display().to_string();
    let contents = files
        .read(path)
        .map_err(|error| ConfigErrors::Unreadable(format!("{name}: {error}")))?;
    let source = Source {
        name: &name,
        bytes: &contents.bytes,
    };
    RuleSet::load(Default::Allow, &[source], Surroundings::default())
}

/// Tells whether a text is that of a rule file, and not of a configuration: by its keys, right or wrong.
#[must_use]
pub fn is_rule_file(bytes: &[u8]) -> bool {
    let Ok(text) = source::decode(bytes, RULE_FILE) else {
        return false;
    };
    let (Some(root), _) = source::parse(text, RULE_FILE) else {
        return false;
    };
    let has = |key| root.get(key).is_some();
    let has_list = matches!(
        root.get("rules").map(|node| &node.value),
        Some(Value::List(_))
    );
    !has("listeners") && !has("upstreams") && (has_list || has("examples") || has("lists"))
}

/// Runs a file's examples against its own rules; what is otherwise than expected.
#[must_use]
pub fn failed_examples(loaded: &LoadedRules) -> Vec<Failed> {
    let run = loaded
        .examples
        .iter()
        .map(|example| example.run(&loaded.rules));
    run.filter_map(Result::err).collect()
}

fn cannot_read(path: &Path, error: &io::Error) -> Problem {
    Problem {
        severity: Severity::Error,
        file: path.display().to_string(),
        line: None,
        column: None,
        key: "rules.files".to_owned(),
        message: format!("the rule file can't be read: {error}"),
        help: Some("write the path of a file that this process may read".to_owned()),
        excerpt: None,
    }
}
