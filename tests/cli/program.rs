//! Runs the program and takes what it prints.

use assert_cmd::Command;
use std::path::{Path, PathBuf};

/// What a run of the program left behind.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `portcullis` in `directory`, away from the settings of whoever runs the tests.
pub fn portcullis_in(directory: &Path, args: &[&str]) -> Ran {
    let output = Command::cargo_bin("portcullis")
        .expect("cargo built the program")
        .current_dir(directory)
        .args(args)
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("COLUMNS")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .expect("the program starts");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("it prints UTF-8"),
    }
}

pub fn portcullis(args: &[&str]) -> Ran {
    portcullis_in(Path::new(env!("CARGO_MANIFEST_DIR")), args)
}

/// Returns the example files of a kind (`good`, `bad`, or `complete`: good, but for the files that they name), sorted.
pub fn examples(kind: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/examples")
        .join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the examples are there")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    files.sort();
    files
}

pub fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a plain name")
}
