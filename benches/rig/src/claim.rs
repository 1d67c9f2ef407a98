//! Names of what a run keeps outside its own memory, so that what a killed run left can be told and removed.
//!
//! Everything is called `pc-PID-WHAT`: network namespaces, the control group, temporary directories.

use std::path::{Path, PathBuf};

/// Returns this run's name for something.
pub fn name(what: &str) -> String {
    name_for(std::process::id(), what)
}

/// Returns the entries of a directory that dead runs left under such names; `what` may have more behind it.
pub fn left_behind(directory: &Path, what: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| owner(name, what));
            owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists())
        })
        .map(|entry| entry.path())
        .collect()
}

fn name_for(process: u32, what: &str) -> String {
    format!("pc-{process}-{what}")
}

fn owner(name: &str, what: &str) -> Option<u32> {
    let owner = name.strip_prefix("pc-")?.split('-').next()?.parse().ok()?;
    name.starts_with(&name_for(owner, what)).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_are_robbed() {
        let directory = tempfile::tempdir().expect("a directory");
        // No process has the highest id that the kernel could give (2^22, proc(5)).
        let dead = name_for(4_194_305, "bench-x");
        for entry in [
            &dead,
            &name("bench-x"),
            "pc-x-bench-x",
            "bench-x",
            "pc-4194305-other",
        ] {
            std::fs::write(directory.path().join(entry), "").expect("a file");
        }
        assert_eq!(
            left_behind(directory.path(), "bench-"),
            [directory.path().join(dead)]
        );
    }
}
