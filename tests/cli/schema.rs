//! The JSON Schema agrees with the loader.

use portcullis::config::Config;
use serde_json::Value;

use crate::fits::{misfit, pattern_of};
use crate::program::{examples, portcullis};

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
