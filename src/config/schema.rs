//! How values look in the file: as text and in the JSON Schema.
//!
//! The scalar types write themselves as the text that the loader reads, and say the same to editors as a pattern.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use super::choice::Choice;
use super::quantity::{FileMode, Percent, Rate, show_duration, show_size};
use super::settings::{JournalFile, RuleFile, SHIPPED_RULES};
use super::tls::{Pin, TrustAnchors, words};

pub(super) fn write_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show_duration(*duration))
}

pub(super) fn write_size<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show_size(*bytes))
}

pub(super) fn write_count_or_none<S: Serializer>(
    count: &Option<NonZeroU32>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match count {
        Some(count) => serializer.serialize_u32(count.get()),
        None => serializer.serialize_str("none"),
    }
}

pub(super) fn write_path_or_none<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.collect_str(&path.display()),
        None => serializer.serialize_str("none"),
    }
}

pub(super) fn write_text_or_none<S: Serializer>(
    text: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.as_deref().unwrap_or("none"))
}

pub(super) fn text_or_none(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]+$", "maxLength": 255, "examples": ["none", "guest"]})
}

pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["500ms", "30s", "15m", "90d"]})
}

pub(super) fn size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)$", "examples": ["512B", "4KiB", "100MiB"]})
}

pub(super) fn count_or_none(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"const": "none"}, {"type": "integer", "minimum": 1, "maximum": u32::MAX}]})
}

pub(super) fn path_or_none(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"const": "none"}, {"type": "string", "pattern": "^/"}]})
}

pub(super) fn path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1})
}

pub(super) fn path_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"const": null}, {"type": "string", "minLength": 1}]})
}

pub(super) fn text_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"const": null}, {"type": "string", "pattern": "^[0-9A-Za-z_.:-]+$"}]})
}

pub(super) fn choice_or_null<C: Choice>(_: &mut SchemaGenerator) -> Schema {
    let words = words::<C>().into_iter();
    let words: Vec<Value> = words
        .map(|word| serde_json::json!({"const": word}))
        .collect();
    let mut choices = vec![serde_json::json!({"const": null})];
    choices.extend(words);
    json_schema!({"anyOf": choices})
}

/// Returns the schema of the configuration.
pub(super) fn of_config() -> Schema {
    schemars::schema_for!(super::Config)
}

/// Returns the paths at which `key` would be right, for whoever wrote it elsewhere.
pub(super) fn homes(key: &str) -> Vec<String> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| of_config().to_value());
    let mut homes = Vec::new();
    seek(&SCHEMA, &SCHEMA, key, "", &mut homes);
    homes
}

/// Follows properties, names (`patternProperties`), entries and references; the schema is our own and not recursive.
fn seek(whole: &Value, part: &Value, key: &str, path: &str, homes: &mut Vec<String>) {
    if let Some(part) = part
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|to| whole.pointer(to.strip_prefix('#')?))
    {
        seek(whole, part, key, path, homes);
    }
    let names = part.get("patternProperties").and_then(Value::as_object);
    for part in names.into_iter().flat_map(|patterns| patterns.values()) {
        seek(whole, part, key, &format!("{path}<name>."), homes);
    }
    if let Some(entries) = part.get("items") {
        seek(whole, entries, key, path, homes);
    }
    for (name, part) in part
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = format!("{path}{name}");
        if name == key {
            homes.push(path.clone());
        }
        seek(whole, part, key, &format!("{path}."), homes);
    }
}

/// Implements `Serialize` as text and `JsonSchema` as a string with a pattern.
macro_rules! text_with_pattern {
    ($name:ty, $title:literal, $description:literal, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"description": $description, "type": "string", "pattern": $pattern})
            }
        }
    };
}

text_with_pattern!(
    Rate,
    "Rate",
    "A count per second, minute or hour: `20/s`, `100/min`, `500/h`.",
    "^[0-9]+/(s|min|h)$"
);
text_with_pattern!(
    Percent,
    "Percent",
    "A percentage: `10%`.",
    "^(100|[0-9]{1,2})%$"
);
text_with_pattern!(
    FileMode,
    "FileMode",
    "Permissions in octal: `\"0640\"`.",
    "^0?[0-7]{3}$"
);

impl Serialize for RuleFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Shipped(name) => serializer.serialize_str(name),
            Self::Path(path) => serializer.collect_str(&path.display()),
        }
    }
}

impl JsonSchema for RuleFile {
    fn schema_name() -> Cow<'static, str> {
        "RuleFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Rules that come with the program, by their name, or the whole path of a rule file.",
            "anyOf": [{"type": "string", "enum": SHIPPED_RULES}, {"type": "string", "pattern": "^/"}],
        })
    }
}

text_with_pattern!(
    Pin,
    "Pin",
    "The SHA-256 of a server's public key (SubjectPublicKeyInfo) in base64.",
    "^[A-Za-z0-9+/]{43}=$"
);

impl JsonSchema for TrustAnchors {
    fn schema_name() -> Cow<'static, str> {
        "TrustAnchors".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "`system`, `none`, or the path of a file.", "type": "string", "minLength": 1})
    }
}

impl Serialize for JournalFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Stdout => serializer.serialize_str("stdout"),
            Self::Path(path) => serializer.collect_str(&path.display()),
        }
    }
}

impl JsonSchema for JournalFile {
    fn schema_name() -> Cow<'static, str> {
        "JournalFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "`stdout`, or the path of a file.", "type": "string", "minLength": 1})
    }
}

/// Stands in the schema for a network in CIDR form.
pub(super) struct Network;

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A network in CIDR form: `192.0.2.0/24`, `2001:db8::/32`.",
            "type": "string",
            "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
        })
    }
}
