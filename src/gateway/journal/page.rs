//! Holds lines, catalogue and docs page to each other.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::engine::Record;
use crate::engine::catalogue::{CATALOGUE, Entry, FIELDS, WORDS};

use super::Addresses;
use super::line::{Line, Privacy};
use super::samples;

/// What is promised to whoever reads the journal with a program.
const INTRODUCTION: &str = "\
# Events of the journal

The journal holds one JSON object per line, in UTF-8. Event ids, field names and words are stable: new ones may be
added, none changes its meaning. Read it leniently: ignore fields that you do not know, and lines that are no JSON (a
full disk or a crash can tear a line; the next one begins on a line of its own).

- Times are UTC, RFC 3339, with microseconds. Durations are seconds with six decimals.
- `seq` counts from 1 in each run of the gateway, and `gateway.started` marks where one begins. Lines stand in the order
  of `seq`. A number that is missing belongs to a record that was lost or torn.
- `pinhole.opened`, `data.dialled` and `session.opened` are written before their effect happens; if they can't be, it does not.
- Of what may be a health check (`login_guard.probes_from`) nothing is written until it does more than such do; then all of it, with its own times.
- A pinhole is named `session.n`, unique over restarts. `pinhole.closed` alone tells the whole of its life.
- Text from peers is escaped: no line holds a control character, and no password is ever written (`email` is the one exception, by choice).
- With `journal.addresses: prefix`, addresses of the client's side are networks (`198.51.100.0/24`), without ports.
";

fn line(record: &Record, seq: u64, privacy: Privacy) -> String {
    let mut line = Line::new();
    line.render(record, privacy);
    line.number(seq);
    String::from_utf8(line.bytes().to_vec()).expect("UTF-8")
}

const OPEN: Privacy = Privacy {
    anonymous_email: true,
    addresses: Addresses::Full,
};

fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut add = |text: std::fmt::Arguments<'_>| page.write_fmt(text).expect("memory");
    add(format_args!(
        "\n## Fields\n\n| Field | Form | Meaning |\n|---|---|---|\n"
    ));
    for field in FIELDS {
        let everywhere = if field.everywhere {
            " (every event)"
        } else {
            ""
        };
        add(format_args!(
            "| `{}` | {} | {}{everywhere} |\n",
            field.name, field.form, field.meaning
        ));
    }
    add(format_args!(
        "\n## Words\n\n| Event and field | Word | Meaning |\n|---|---|---|\n"
    ));
    for word in WORDS {
        add(format_args!(
            "| `{}` | `{}` | {} |\n",
            word.place, word.word, word.meaning
        ));
    }
    add(format_args!(
        "\n## Events\n\n| Event | Severity | Meaning |\n|---|---|---|\n"
    ));
    for entry in CATALOGUE {
        add(format_args!(
            "| `{}` | {} | {} |\n",
            entry.id, entry.severity, entry.meaning
        ));
    }
    for entry in CATALOGUE {
        add(format_args!(
            "\n### `{}` ({})\n\n{}\n\n",
            entry.id, entry.severity, entry.meaning
        ));
        add(format_args!(
            "- The gateway: {}\n- You: {}\n- Fields: {}\n",
            entry.gateway,
            entry.operator,
            fields(entry)
        ));
        add(format_args!("\n```json\n"));
        for (record, seq) in samples::records().iter().zip(1..) {
            if record.event.id() == entry.id {
                add(format_args!("{}", line(record, seq, OPEN)));
            }
        }
        add(format_args!("```\n"));
    }
    page
}

fn fields(entry: &Entry) -> String {
    let names: Vec<String> = entry
        .fields
        .iter()
        .map(|name| match name.strip_suffix('?') {
            Some(name) => format!("`{name}` (may be absent)"),
            None => format!("`{name}`"),
        })
        .collect();
    names.join(", ")
}

#[test]
fn every_kind_of_event_has_a_sample() {
    let sampled: HashSet<&str> = samples::records()
        .iter()
        .map(|record| record.event.id())
        .collect();
    let known: HashSet<&str> = CATALOGUE.iter().map(|entry| entry.id).collect();
    assert_eq!(sampled, known);
}

#[test]
fn lines_have_the_fields_of_the_catalogue_in_its_order() {
    let mut always: Vec<(&str, HashSet<&str>)> = Vec::new();
    for record in samples::records() {
        let entry = CATALOGUE
            .iter()
            .find(|entry| entry.id == record.event.id())
            .expect("an entry");
        let text = line(&record, 1, OPEN);
        let value: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).expect("JSON");
        // The map sorts its keys, so their order is looked up in the text.
        let mut present: Vec<&str> = value.keys().map(String::as_str).collect();
        present.sort_by_key(|name| text.find(&format!("\"{name}\":")));
        let frame = FIELDS
            .iter()
            .filter(|field| field.everywhere)
            .map(|field| field.name);
        let allowed: Vec<&str> = frame
            .chain(entry.fields.iter().map(|name| name.trim_end_matches('?')))
            .collect();
        let expected: Vec<&str> = allowed
            .iter()
            .copied()
            .filter(|name| value.contains_key(*name))
            .collect();
        assert_eq!(present, expected, "{text}");
        for name in entry.fields.iter().filter(|name| !name.ends_with('?')) {
            assert!(value.contains_key(*name), "{name} is missing: {text}");
        }
        always.push((
            entry.id,
            value
                .keys()
                .filter_map(|key| allowed.iter().find(|name| *name == key))
                .copied()
                .collect(),
        ));
    }
    for entry in CATALOGUE {
        for optional in entry
            .fields
            .iter()
            .filter_map(|name| name.strip_suffix('?'))
        {
            let mut seen = always
                .iter()
                .filter(|(id, _)| *id == entry.id)
                .map(|(_, names)| names.contains(optional));
            assert!(
                seen.clone().any(|there| there),
                "{}: {optional} is never there",
                entry.id
            );
            assert!(
                seen.any(|there| !there),
                "{}: {optional} is always there",
                entry.id
            );
        }
    }
}

/// Every word that an event serialises to by itself is the one that lines have.
#[test]
fn words_are_those_that_events_serialise_to() {
    for record in samples::records() {
        let line: serde_json::Value = serde_json::from_str(&line(&record, 1, OPEN)).expect("JSON");
        let event = serde_json::to_value(&record.event).expect("JSON");
        let (_variant, derived) = event
            .as_object()
            .and_then(|one| one.iter().next())
            .expect("one event");
        for name in ["reason", "what", "why"] {
            let derived = match &derived[name] {
                // A word with a number.
                serde_json::Value::Object(map) => map.keys().next().map(String::as_str),
                other => other.as_str(),
            };
            assert_eq!(line[name].as_str(), derived, "{line}");
        }
    }
}

#[test]
fn lines_with_cut_addresses_tell_no_client() {
    let privacy = Privacy {
        anonymous_email: false,
        addresses: Addresses::Prefix,
    };
    let mut lines = String::new();
    for (record, seq) in samples::records().iter().zip(1..) {
        lines.push_str(&line(record, seq, privacy));
    }
    // 192.0.2.66 is the intruder, 10.0.0.99 the third party that a client named.
    for told in [
        "198.51.100.7",
        "198,51,100,7",
        "192.0.2.66",
        "10.0.0.99",
        "guest@example.org",
    ] {
        assert!(!lines.contains(told), "{told}");
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn the_docs_page_is_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/EVENTS.md");
    let page = page();
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(&path, &page).expect("written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/EVENTS.md is not what the catalogue says; PORTCULLIS_BLESS=1 writes it anew"
    );
}
