//! The JSON Schema of rule files names what the loader takes, and nothing else.

use portcullis::config::SHIPPED_RULES;
use portcullis::policy::{Default, RuleSet, Source, Surroundings, schema};
use portcullis::rules::shipped;
use serde_json::Value;

use crate::fits::misfit;

fn document() -> Value {
    serde_json::from_str(&schema()).expect("a JSON schema")
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
