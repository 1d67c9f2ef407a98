//! Every file of `examples/bad` is refused with exit code 78, and told what to write instead.

use std::path::Path;

use crate::program::{Ran, examples, file_name, portcullis, portcullis_in};

fn check(file: &Path) -> Ran {
    portcullis_in(
        file.parent().expect("a directory"),
        &["check", file_name(file)],
    )
}

#[test]
fn every_bad_file_is_explained() {
    let files = examples("bad");
    assert!(files.len() >= 20, "{}", files.len());
    for file in files {
        let ran = check(&file);
        assert_eq!(ran.code, 78, "{}: {}", file.display(), ran.stdout);
        assert_eq!(ran.stderr, "");
        insta::assert_snapshot!(file.file_stem().and_then(|stem| stem.to_str()), &ran.stdout);
    }
}

#[test]
fn every_error_says_what_to_write_instead() {
    for file in examples("bad") {
        let ran = portcullis(&["check", "--format", "json", file.to_str().expect("UTF-8")]);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let problems = report["files"][0]["problems"].as_array().expect("problems");
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(problem["help"].is_string(), "{}: {problem}", file.display());
            let whole_file = matches!(
                problem["key"].as_str(),
                Some("" | "version" | "listeners" | "upstreams")
            );
            assert!(
                problem["line"].is_number() || whole_file,
                "{}: {problem}",
                file.display()
            );
        }
    }
}

#[test]
fn nothing_that_moves_a_terminal_is_printed() {
    for file in examples("bad") {
        let ran = check(&file);
        assert!(
            !ran.stdout.chars().any(|c| c.is_control() && c != '\n'),
            "{}",
            file.display()
        );
    }
}

#[test]
fn run_refuses_the_same_files_in_the_same_words() {
    for file in examples("bad") {
        let ran = portcullis_in(
            file.parent().expect("a directory"),
            &["run", "--config", file_name(&file), "--print-config"],
        );
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (78, ""),
            "{}",
            file.display()
        );
        let checked = check(&file).stdout;
        assert!(
            checked.starts_with(ran.stderr.trim_end()),
            "{}: {}",
            file.display(),
            ran.stderr
        );
    }
}

#[test]
fn a_file_that_is_not_there_could_not_be_read() {
    let ran = portcullis(&["check", "no-such-file.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.contains("no-such-file.yaml: No such file"),
        "{}",
        ran.stdout
    );
    let ran = portcullis(&["run", "--config", "no-such-file.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no-such-file.yaml: No such file"),
        "{}",
        ran.stderr
    );
}

#[test]
fn files_of_any_size_and_shape_are_refused_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("big.yaml");
    let shapes = [
        "version: 1\n".repeat(100_000),
        "- ".repeat(500_000),
        "[".repeat(1_000_000),
        "{a: ".repeat(250_000),
        "? ".repeat(500_000),
        format!("a: {}", "x".repeat(1_000_000)),
        format!("a: \"{}\"", "x ".repeat(500_000)),
        "a: b\n".repeat(200_000),
        (0..80_000).map(|n| format!("key{n}: x\n")).collect(),
        "#".repeat(1 << 21),
    ];
    for text in shapes {
        std::fs::write(&file, &text).expect("a file");
        let begun = std::time::Instant::now();
        let ran = check(&file);
        assert_eq!(ran.code, 78, "{}", ran.stdout);
        assert!(ran.stdout.len() < 100_000, "{}", ran.stdout.len());
        assert!(
            begun.elapsed().as_secs() < 20,
            "{:?}: {:.40}",
            begun.elapsed(),
            text
        );
    }
}
