//! Runs every fuzz body over its corpus and over seeded mutations of it, on any toolchain.
//!
//! The bodies are in `bodies.rs`; `fuzz/` holds the cargo-fuzz targets around the same functions.

mod bodies;
mod mutation;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// How many mutations are made for each body.
const MUTATIONS: usize = 4000;

macro_rules! replayed {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), bodies::$name);
            }
        )+

        const NAMES: &[&str] = &[$(stringify!($name),)+];
    };
}

replayed! { lines commands replies features addresses printing session messages packets rules answers }

#[test]
fn every_body_has_a_corpus_and_a_target_and_no_other_is_left_over() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bodies: Vec<_> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    bodies.sort();
    assert_eq!(names_in(&root.join("tests/fuzz/corpus")), bodies);
    assert_eq!(names_in(&root.join("fuzz/fuzz_targets")), bodies);
}

fn names_in(folder: &Path) -> Vec<String> {
    entries(folder)
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = folder
        .read_dir()
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths
}

fn replay(name: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let seeds: Vec<Vec<u8>> = entries(&folder)
        .iter()
        .map(|path| std::fs::read(path).expect("a readable seed"))
        .collect();
    assert!(!seeds.is_empty(), "no corpus for {name}");
    run(body, &[]);
    seeds.iter().for_each(|seed| run(body, seed));
    let mut mutator = mutation::Mutator::new(name);
    for _ in 0..MUTATIONS {
        run(body, &mutator.mutated(&seeds));
    }
}

/// Runs a body, and shows the input when it fails.
fn run(body: fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(input))) {
        eprintln!("failing input: b\"{}\"", input.escape_ascii());
        resume_unwind(panic);
    }
}
