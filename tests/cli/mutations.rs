//! Whatever the text, the loader answers, and keeps its promises.

use portcullis::config::{Config, Severity};
use proptest::prelude::*;

const GOOD: &str = include_str!("examples/complete/everything-else.yaml");

/// Good text, and errors that can be shown.
fn holds_promises(text: &str) {
    match Config::parse(text, "test") {
        Ok(loaded) => {
            let printed = loaded.config.to_yaml();
            let again = Config::parse(&printed, "printed").expect("what is printed is good");
            assert_eq!(again.config, loaded.config);
        }
        Err(errors) => {
            let problems = errors.problems();
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.severity == Severity::Error)
            );
            assert!(
                problems.iter().all(|problem| problem.help.is_some()),
                "{errors}"
            );
            let shown = errors.to_string();
            assert!(
                !shown.chars().any(|c| c.is_control() && c != '\n'),
                "{shown:?}"
            );
            let lines = text.lines().count();
            assert!(
                problems
                    .iter()
                    .filter_map(|problem| problem.line)
                    .all(|line| line <= lines + 1),
                "{errors}"
            );
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}") {
        holds_promises(&text);
    }

    #[test]
    fn any_yaml_like_text_is_answered(text in "([a-z]{1,3}|[:,\\[\\]{}\"'#&*!|>%@`?-]| |\n|\n  |: |- ){0,60}") {
        holds_promises(&text);
    }

    /// A slip of the hand: some characters go, others come.
    #[test]
    fn any_slip_is_answered(at in 0..GOOD.len(), gone in 0..4usize, new in "([a-z0-9:,\\[\\]{}\"'*/.\n\t -]){0,3}") {
        let text: String = GOOD.chars().take(at).chain(new.chars()).chain(GOOD.chars().skip(at + gone)).collect();
        holds_promises(&text);
    }

    /// A line moved, doubled or lost.
    #[test]
    fn any_shuffled_line_is_answered(from in 0..70usize, to in 0..70usize, keep: bool) {
        let mut lines: Vec<&str> = GOOD.lines().collect();
        let line = lines[from % lines.len()];
        if !keep {
            lines.remove(from % lines.len());
        }
        lines.insert(to % lines.len(), line);
        holds_promises(&lines.join("\n"));
    }
}
