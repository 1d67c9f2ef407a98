//! Whether a value fits a JSON Schema, as far as the schemas of this program go.

use regex::Regex;
use serde_json::Value;

/// Says why `value` does not fit `part` of the schema `whole`. Knows the keywords that ours has, and no others.
pub fn misfit(whole: &Value, part: &Value, value: &Value, path: &str) -> Option<String> {
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
pub fn pattern_of<'s>(patterns: &'s Value, key: &str) -> Option<&'s Value> {
    let fits = |pattern: &str| Regex::new(pattern).expect("a good pattern").is_match(key);
    patterns
        .as_object()?
        .iter()
        .find_map(|(pattern, part)| fits(pattern).then_some(part))
}
