//! The JSON Schema agrees with the loader.

use portcullis::config::Config;
use regex::Regex;
use serde_json::Value;

use crate::program::{examples, portcullis};

/// Says why `value` does not fit `part` of the schema `whole`. Knows the keywords that ours has, and no others.
fn misfit(whole: &Value, part: &Value, value: &Value, path: &str) -> Option<String> {
    let keywords = part.as_object()?;
    keywords.iter().find_map(|(keyword, wanted)| {
        let all = |fits: bool| (!fits).then(|| format!("{path}: {keyword} {wanted}: {value}"));
        let length = || value.as_str().map(|text| text.chars().count() as u64);
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "examples" | "format" => {
                None
            }
            "$ref" => {
                let target = whole
                    .pointer(wanted.as_str()?.strip_prefix('#')?)
                    .expect("a known definition");
                misfit(whole, target, value, path)
            }
            "type" => all(match wanted.as_str().expect("one type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_u64(),
                "boolean" => value.is_boolean(),
                other => panic!("type {other}"),
            }),
            "const" => all(value == wanted),
            "enum" => all(wanted.as_array().expect("choices").contains(value)),
            "anyOf" => {
                let choices = wanted.as_array().expect("choices");
                all(choices
                    .iter()
                    .any(|choice| misfit(whole, choice, value, path).is_none()))
            }
            "oneOf" => {
                let choices = wanted.as_array().expect("choices");
                all(choices
                    .iter()
                    .filter(|choice| misfit(whole, choice, value, path).is_none())
                    .count()
                    == 1)
            }
            "pattern" => {
                let pattern =
                    Regex::new(wanted.as_str().expect("a pattern")).expect("a good pattern");
                all(value.as_str().is_none_or(|text| pattern.is_match(text)))
            }
            "minimum" => all(value
                .as_u64()
                .is_none_or(|number| number >= wanted.as_u64().expect("a number"))),
            "maximum" => all(value
                .as_u64()
                .is_none_or(|number| number <= wanted.as_u64().expect("a number"))),
            "minLength" => {
                all(length().is_none_or(|length| length >= wanted.as_u64().expect("a number")))
            }
            "maxLength" => {
                all(length().is_none_or(|length| length <= wanted.as_u64().expect("a number")))
            }
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
                misfit(
                    whole,
                    pattern_of(wanted, key)?,
                    value,
                    &format!("{path}.{key}"),
                )
            }),
            "required" => all(wanted
                .as_array()?
                .iter()
                .all(|key| value.get(key.as_str().expect("a key")).is_some())),
            "additionalProperties" => value.as_object()?.keys().find_map(|key| {
                assert_eq!(wanted, &Value::Bool(false));
                let known = part
                    .get("properties")
                    .is_some_and(|known| known.get(key).is_some());
                let named = part
                    .get("patternProperties")
                    .is_some_and(|names| pattern_of(names, key).is_some());
                (!known && !named).then(|| format!("{path}: unknown key {key}"))
            }),
            other => panic!("the test does not know the keyword {other}"),
        }
    })
}

/// Returns the schema for the name `key`.
fn pattern_of<'s>(patterns: &'s Value, key: &str) -> Option<&'s Value> {
    let fits = |pattern: &str| Regex::new(pattern).expect("a good pattern").is_match(key);
    patterns
        .as_object()?
        .iter()
        .find_map(|(pattern, part)| fits(pattern).then_some(part))
}

fn schema() -> Value {
    serde_json::from_str(&Config::schema()).expect("a JSON schema")
}

fn yaml(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok()
}

#[test]
fn the_program_prints_it() {
    let ran = portcullis(&["schema"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stdout, format!("{}\n", Config::schema()));
}

#[test]
fn good_files_fit() {
    let schema = schema();
    for file in examples("good") {
        let text = std::fs::read_to_string(&file).expect("readable");
        let value = yaml(text.trim_start_matches('\u{feff}')).expect("YAML");
        assert_eq!(
            misfit(&schema, &schema, &value, ""),
            None,
            "{}",
            file.display()
        );
        let printed = Config::load(&file).expect("a good file").config.to_yaml();
        assert_eq!(
            misfit(&schema, &schema, &yaml(&printed).expect("YAML"), ""),
            None,
            "{}",
            file.display()
        );
    }
}

/// What a schema can't say: combinations, and what YAML's own types hide (an unquoted 0640 is a number, a duplicate key is gone).
const BEYOND_A_SCHEMA: [&str; 12] = [
    "allow-without-networks",
    "any-peer",
    "bad-windows",
    "duplicate-keys",
    "gateway-in-front-of-itself",
    "listener-in-window",
    "no-upstream-chosen",
    "overlapping-windows",
    "same-address-twice",
    "source-without-nftables",
    "tls-combinations",
    "unknown-upstream",
];

#[test]
fn bad_files_do_not_fit() {
    let schema = schema();
    let mut compared = 0;
    for file in examples("bad") {
        let stem = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a plain name");
        let Some(value) = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| yaml(&text))
        else {
            continue;
        };
        let found = misfit(&schema, &schema, &value, "");
        assert_eq!(
            found.is_none(),
            BEYOND_A_SCHEMA.contains(&stem),
            "{stem}: {found:?}"
        );
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}

/// Every key that the loader takes is in the schema and the other way round: what is printed has all of them.
#[test]
fn every_key_of_the_schema_is_printed_and_described() {
    let schema = schema();
    let printed = yaml(
        &Config::parse(
            include_str!("examples/complete/everything-else.yaml"),
            "test",
        )
        .expect("a good file")
        .config
        .to_yaml(),
    )
    .expect("YAML");
    walk(&schema, &schema, &printed, "");
}

fn walk(whole: &Value, part: &Value, printed: &Value, path: &str) {
    if let Some(target) = part.get("$ref").and_then(Value::as_str) {
        walk(
            whole,
            whole
                .pointer(target.trim_start_matches('#'))
                .expect("a known definition"),
            printed,
            path,
        );
    }
    if let Some(names) = part.get("patternProperties") {
        for (name, value) in printed.as_object().expect("a map") {
            walk(
                whole,
                pattern_of(names, name).expect("a good name"),
                value,
                &format!("{path}.{name}"),
            );
        }
    }
    for (key, part) in part
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = format!("{path}.{key}");
        assert!(
            part.get("description").is_some(),
            "{path} has no description"
        );
        walk(
            whole,
            part,
            printed
                .get(key)
                .unwrap_or_else(|| panic!("{path} is not printed")),
            &path,
        );
    }
}
