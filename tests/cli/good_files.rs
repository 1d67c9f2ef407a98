//! Files that are right, what they come to, and what `--print-config` makes of them.

use portcullis::config::Config;

use crate::program::{examples, portcullis};

#[test]
fn good_files_are_good() {
    for file in examples("good") {
        let ran = portcullis(&["check", file.to_str().expect("UTF-8")]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        assert!(ran.stdout.contains(": good: "), "{}", ran.stdout);
    }
}

#[test]
fn a_directory_is_checked_file_by_file() {
    let ran = portcullis(&["check", "tests/cli/examples/good"]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.stdout.matches(": good: ").count(),
        examples("good").len()
    );
    assert_eq!(portcullis(&["check", "tests/cli/examples/bad"]).code, 78);
    assert_eq!(portcullis(&["check", "tests/cli/examples"]).code, 2);
}

#[test]
fn the_file_may_be_named_as_for_run() {
    let file = "tests/cli/examples/good/smallest.yaml";
    let named = portcullis(&["check", "--config", file]);
    assert_eq!(named.code, 0, "{}", named.stderr);
    assert_eq!(named.stdout, portcullis(&["check", file]).stdout);
    assert_eq!(portcullis(&["check", "-c", "no-such.yaml"]).code, 2);
    assert_eq!(portcullis(&["check", "-c", file, file]).code, 2);
}

#[test]
fn what_print_config_prints_reads_back_as_the_same() {
    for file in examples("good").into_iter().chain(examples("complete")) {
        let printed = portcullis(&[
            "run",
            "--config",
            file.to_str().expect("UTF-8"),
            "--print-config",
        ]);
        assert_eq!(printed.code, 0, "{}", printed.stderr);
        let original = Config::load(&file).expect("a good file").config;
        let again = Config::parse(&printed.stdout, "printed")
            .expect("what was printed is good")
            .config;
        assert_eq!(original, again, "{}", file.display());
        assert_eq!(again.to_yaml(), printed.stdout);
    }
}

#[test]
fn every_default_is_printed() {
    let printed = portcullis(&[
        "run",
        "--config",
        "tests/cli/examples/good/smallest.yaml",
        "--print-config",
    ]);
    insta::assert_snapshot!("smallest_printed", printed.stdout);
}

/// Each key of this file differs from its default, so that a key that is read into the wrong place shows.
#[test]
fn every_key_arrives() {
    let printed = portcullis(&[
        "run",
        "--config",
        "tests/cli/examples/complete/everything-else.yaml",
        "--print-config",
    ]);
    insta::assert_snapshot!("everything_else_printed", printed.stdout);
}

#[test]
fn doubtful_files_are_good_with_warnings() {
    let ran = portcullis(&["check", "tests/cli/examples/good/with-warnings.yaml"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!("warnings", ran.stdout);
}

#[test]
fn the_report_for_programs_says_what_the_one_for_people_says() {
    let ran = portcullis(&[
        "check",
        "--format",
        "json",
        "tests/cli/examples/good/with-warnings.yaml",
    ]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let file = &report["files"][0];
    assert_eq!(
        (ran.code, &file["good"]),
        (0, &serde_json::Value::Bool(true))
    );
    let first = &file["problems"][0];
    assert_eq!(first["severity"], "warning");
    assert_eq!(
        (first["line"].as_u64(), first["column"].as_u64()),
        (Some(6), Some(9))
    );
    assert_eq!(first["key"], "listeners.main.advertise[0]");
}

#[test]
fn the_machine_is_looked_at_when_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("large.yaml");
    let text = "version: 1\nlisteners: {main: {listen: [\"127.0.0.1:2121\"]}}\nupstreams: {legacy: {addresses: [\"10.0.0.5\"]}}\n";
    std::fs::write(&file, format!("{text}limits: {{sessions: 4}}\n")).expect("a file");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(portcullis(&["check", "--system", path]).code, 0);
    // With 64 descriptors nothing is large enough.
    let shell = format!(
        "ulimit -n 64; exec '{}' check --system '{path}'",
        assert_cmd::cargo::cargo_bin!("portcullis").display()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &shell])
        .output()
        .expect("a shell");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains("64 descriptors for this process, and 4 sessions need"),
        "{stdout}"
    );
}
