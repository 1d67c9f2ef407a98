//! The JSON Schema of rule files names what the loader takes, and nothing else.

use portcullis::config::SHIPPED_RULES;
use portcullis::policy::{Default, RuleSet, Source, Surroundings, schema};
use portcullis::rules::shipped;
use regex::Regex;
use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(&schema()).expect("a JSON schema")
}

/// Says why `value` does not fit `part` of the schema `whole`. Knows the keywords that ours has, and no others.
fn misfit(whole: &Value, part: &Value, value: &Value, path: &str) -> Option<String> {
    part.as_object()?.iter().find_map(|(keyword, wanted)| {
        let all = |fits: bool| (!fits).then(|| format!("{path}: {keyword} {wanted}: {value}"));
        let text = |fits: &dyn Fn(&str) -> bool| all(value.as_str().is_none_or(fits));
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => None,
            "$ref" => {
                let target = wanted
                    .as_str()
                    .and_then(|to| whole.pointer(to.strip_prefix('#')?));
                misfit(whole, target.expect("a known definition"), value, path)
            }
            "type" => all(match wanted.as_str().expect("one type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                other => panic!("type {other}"),
            }),
            "const" => all(value == wanted),
            "enum" => all(wanted.as_array().expect("choices").contains(value)),
            "pattern" => {
                let pattern =
                    Regex::new(wanted.as_str().expect("a pattern")).expect("a good pattern");
                text(&|text| pattern.is_match(text))
            }
            "minLength" => text(&|text| text.len() as u64 >= wanted.as_u64().expect("a number")),
            "minItems" => all(value
                .as_array()
                .is_none_or(|items| items.len() as u64 >= wanted.as_u64().expect("a number"))),
            "minProperties" => all(value
                .as_object()
                .is_none_or(|map| map.len() as u64 >= wanted.as_u64().expect("a number"))),
            "items" => value
                .as_array()?
                .iter()
                .enumerate()
                .find_map(|(number, item)| {
                    misfit(whole, wanted, item, &format!("{path}[{number}]"))
                }),
            "properties" => value.as_object()?.iter().find_map(|(key, value)| {
                misfit(whole, wanted.get(key)?, value, &format!("{path}.{key}"))
            }),
            "patternProperties" => value.as_object()?.iter().find_map(|(key, value)| {
                let (pattern, part) = wanted.as_object()?.iter().next()?;
                let fits = Regex::new(pattern).expect("a good pattern").is_match(key);
                if fits {
                    misfit(whole, part, value, &format!("{path}.{key}"))
                } else {
                    Some(format!("{path}: {key}"))
                }
            }),
            "required" => all(wanted
                .as_array()?
                .iter()
                .all(|key| value.get(key.as_str().expect("a key")).is_some())),
            "additionalProperties" => value.as_object()?.keys().find_map(|key| {
                let known = part
                    .get("properties")
                    .is_some_and(|known| known.get(key).is_some());
                (!known && part.get("patternProperties").is_none())
                    .then(|| format!("{path}: unknown key {key}"))
            }),
            other => panic!("the test does not know the keyword {other}"),
        }
    })
}

#[test]
fn the_shipped_files_fit() {
    let schema = document();
    for name in SHIPPED_RULES {
        let value: Value = serde_yaml::from_str(shipped(name).expect("a text")).expect("YAML");
        assert_eq!(misfit(&schema, &schema, &value, ""), None, "{name}");
    }
}

/// Every key of the schema, with some value, is taken by the loader.
#[test]
fn every_key_is_one_of_the_loaders() {
    let text = include_str!("everything.yaml");
    let source = Source {
        name: "everything.yaml",
        bytes: text.as_bytes(),
    };
    let loaded = RuleSet::load(Default::Allow, &[source], Surroundings::default())
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert!(
        portcullis::rules::failed_examples(&loaded).is_empty(),
        "{:?}",
        portcullis::rules::failed_examples(&loaded)
    );
    let schema = document();
    let value: Value = serde_yaml::from_str(text).expect("YAML");
    assert_eq!(misfit(&schema, &schema, &value, ""), None);
    let mut keys = Vec::new();
    collect(&schema, &mut keys);
    assert!(keys.len() > 50, "{}", keys.len());
    for key in keys {
        assert!(
            text.contains(&format!("{key}:")),
            "{key} does not stand in everything.yaml"
        );
    }
}

fn collect(part: &Value, keys: &mut Vec<String>) {
    if let Some(properties) = part.get("properties").and_then(Value::as_object) {
        keys.extend(properties.keys().cloned());
        for part in properties.values() {
            assert!(part.get("description").is_some(), "no description: {part}");
        }
    }
    for part in part.as_object().into_iter().flat_map(|map| map.values()) {
        collect(part, keys);
    }
}

/// What is misspelt fits no schema either.
#[test]
fn bad_files_do_not_fit() {
    let schema = document();
    for name in [
        "misspelt",
        "verdicts",
        "conditions",
        "no-rules",
        "other-version",
    ] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/rules/bad/{name}.yaml"));
        let text = std::fs::read_to_string(file).expect("a file");
        let value: Value = serde_yaml::from_str(&text).expect("YAML");
        assert!(misfit(&schema, &schema, &value, "").is_some(), "{name}");
    }
}
