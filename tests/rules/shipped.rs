//! The files that come with the program do what their examples say.

use portcullis::config::SHIPPED_RULES;
use portcullis::policy::{Default, RuleSet, Source, Surroundings};
use portcullis::rules::{failed_examples, shipped};

#[test]
fn every_shipped_file_loads_without_a_warning_and_keeps_its_examples() {
    for name in SHIPPED_RULES {
        let text = shipped(name).expect("a text");
        let source = Source {
            name,
            bytes: text.as_bytes(),
        };
        let loaded = RuleSet::load(Default::Allow, &[source], Surroundings::default())
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert!(loaded.warnings.is_empty(), "{name}: {}", loaded.warnings[0]);
        assert!(
            loaded.examples.len() >= 8,
            "{name} has {} examples",
            loaded.examples.len()
        );
        let failed = failed_examples(&loaded);
        assert!(
            failed.is_empty(),
            "{}",
            failed
                .iter()
                .map(|one| format!("{one}\n"))
                .collect::<String>()
        );
    }
}
