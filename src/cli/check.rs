//! `portcullis check`: what `run` would say about a configuration and its rules.

use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ctl::Format;
use super::output::print;
use super::run::DEFAULT_CONFIG;
use super::{Exit, Failure};
use crate::config::files::{Disk, Files as _};
use crate::config::{Config, ConfigErrors, Loaded, Problem, RuleFile, Severity};
use crate::gateway::{exit_points, guests};
use crate::policy::{Failed, LoadedRules};
use crate::rules;
use crate::system::{Finding, Machine};
use crate::tls;

const EXAMPLES: &str = "\
Examples:
  portcullis check
      The installed configuration.
  portcullis check --system portcullis.yaml
      And whether this machine suits it, with the commands that mend it; for nftables as root.
  portcullis check house.yaml
      A rule file by itself, with its examples.
  portcullis check --format json conf.d/ | jq '.files[].problems[]'
      Every .yaml and .yml file of a directory, for programs.

Exit codes: 0 good (warnings may be printed); 1 the machine lacks something, or an example failed;
  2 could not be read; 78 wrong.";

/// Checks configurations and rule files.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file, or a directory of files
    #[arg(value_name = "FILE|DIR", default_value = DEFAULT_CONFIG)]
    pub path: PathBuf,

    /// The same, as `run` and `explain` take it
    #[arg(short, long, value_name = "FILE", conflicts_with = "path")]
    pub config: Option<PathBuf>,

    /// Say too what this machine and this user lack
    #[arg(long)]
    pub system: bool,

    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What is said about all files.
#[derive(Debug, Serialize)]
struct Report {
    files: Vec<Checked>,
}

/// What is said about one file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    good: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    problems: Vec<Problem>,
    /// How many problems there are beyond those that are kept.
    more: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Finding>,
    /// How many examples of rule files were put.
    examples: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_examples: Vec<Failed>,
    #[serde(skip)]
    summary: String,
}

impl Args {
    /// Checks and reports.
    ///
    /// # Errors
    /// When the file or directory can't be read, or standard output can't be written.
    pub fn execute(self) -> Result<Exit, Failure> {
        let files = self.files()?;
        let report = Report {
            files: files.iter().map(|file| check(file, self.system)).collect(),
        };
        let text = match self.format {
            Format::Text => report.to_text(),
            Format::Json => {
                serde_json::to_string_pretty(&report).map_err(anyhow::Error::from)? + "\n"
            }
        };
        print(text.as_bytes())?;
        Ok(report.exit())
    }

    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let path = self.config.as_ref().unwrap_or(&self.path);
        if !path.is_dir() {
            return Ok(vec![path.clone()]);
        }
        let unreadable =
            |error| Failure::new(Exit::Unreadable, format!("{}: {error}", path.display()));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml" || extension == "yml")
            {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(Failure::new(
                Exit::Unreadable,
                format!("{}: no .yaml file in this directory", path.display()),
            ));
        }
        Ok(files)
    }
}

fn check(path: &Path, system: bool) -> Checked {
    let mut checked = Checked {
        file: path.display().to_string(),
        good: false,
        unreadable: None,
        problems: Vec::new(),
        more: 0,
        system: Vec::new(),
        examples: 0,
        failed_examples: Vec::new(),
        summary: String::new(),
    };
    let outcome = match Disk.read(path) {
        Ok(contents) if rules::is_rule_file(&contents.bytes) => checked.rule_file(path),
        // What can't be read is told by the loader, in its own words.
        Ok(_) | Err(_) => checked.configuration(path, system),
    };
    match outcome {
        Ok(()) => {
            let wrong = |problem: &Problem| problem.severity == Severity::Error;
            checked.good = !checked.problems.iter().any(wrong);
        }
        Err(ConfigErrors::Unreadable(why)) => checked.unreadable = Some(why),
        Err(ConfigErrors::Wrong { problems, more }) => {
            (checked.problems, checked.more) = (problems, more)
        }
    }
    checked
}

impl Checked {
    fn configuration(&mut self, path: &Path, system: bool) -> Result<(), ConfigErrors> {
        let Loaded { config, warnings } = Config::load(path)?;
        let loaded = rules::load(&config, &Disk)?;
        guests::load(&config, &Disk)?;
        let exits = exit_points::load(&loaded.rules, &Disk)?;
        self.problems = warnings;
        self.problems.extend(exits.warnings);
        self.problems.extend(loaded.warnings);
        self.problems.extend(certificates(&config));
        for file in &config.rules.files {
            if let RuleFile::Path(path) = file {
                self.run_examples(&rules::load_alone(path, &Disk)?);
            }
        }
        if system {
            self.system = Machine::read(&config).findings(&config);
        }
        self.summary = summary(&config);
        Ok(())
    }

    fn rule_file(&mut self, path: &Path) -> Result<(), ConfigErrors> {
        let loaded = rules::load_alone(path, &Disk)?;
        self.run_examples(&loaded);
        let count = |number, word| match number {
            1 => format!("1 {word}"),
            number => format!("{number} {word}s"),
        };
        self.summary = format!(
            "{}, {}",
            count(loaded.rules.len(), "rule"),
            count(loaded.examples.len(), "example")
        );
        self.problems = loaded.warnings;
        self.problems
            .extend(exit_points::load(&loaded.rules, &Disk)?.warnings);
        Ok(())
    }

    /// Puts a file's examples to its own rules.
    fn run_examples(&mut self, loaded: &LoadedRules) {
        self.examples += loaded.examples.len();
        self.failed_examples.extend(rules::failed_examples(loaded));
    }
}

/// Reads certificates and keys as a gateway does at its start.
fn certificates(config: &Config) -> Vec<Problem> {
    let now = SystemTime::now();
    match tls::load(config, &Disk) {
        Ok(material) => {
            let soon = material.expiries.iter().filter(|one| one.is_soon(now));
            let warnings = soon.map(|one| {
                let message = format!(
                    "the certificate expires in {} days; renew it",
                    one.days_left(now)
                );
                Problem::of_file(Severity::Warning, one.file.display().to_string(), message)
            });
            warnings.collect()
        }
        Err(errors) => {
            let errors = errors.into_iter();
            errors
                .map(|error| {
                    Problem::of_file(Severity::Error, error.file.display().to_string(), error.why)
                })
                .collect()
        }
    }
}

/// One line that lets the reader see whether it is the configuration that was meant.
fn summary(config: &Config) -> String {
    let mut parts = Vec::new();
    for (name, listener) in &config.listeners {
        let addresses: Vec<String> = listener.listen.iter().map(ToString::to_string).collect();
        parts.push(format!(
            "{name} ({}) leads to {}",
            addresses.join(", "),
            listener.upstream
        ));
    }
    parts.join("; ")
}

impl Report {
    fn to_text(&self) -> String {
        let mut text = String::new();
        for checked in &self.files {
            for problem in &checked.problems {
                let _ = writeln!(text, "{problem}\n");
            }
            for failed in &checked.failed_examples {
                let _ = writeln!(text, "{failed}\n");
            }
            for finding in &checked.system {
                let _ = writeln!(text, "this machine: {finding}\n");
            }
            let _ = match &checked.unreadable {
                Some(why) => writeln!(text, "{why}"),
                None if !checked.failed_examples.is_empty() => writeln!(
                    text,
                    "{}: {} of {} examples failed",
                    checked.file,
                    checked.failed_examples.len(),
                    checked.examples
                ),
                None if checked.good => {
                    writeln!(text, "{}: good: {}", checked.file, checked.summary)
                }
                None => writeln!(text, "{}: {}", checked.file, checked.count()),
            };
        }
        text
    }

    /// Returns the gravest of all files' results.
    fn exit(&self) -> Exit {
        let lacks = |checked: &Checked| {
            !checked.failed_examples.is_empty()
                || checked
                    .system
                    .iter()
                    .any(|finding| finding.severity == Severity::Error)
        };
        if self
            .files
            .iter()
            .any(|checked| checked.unreadable.is_none() && !checked.good)
        {
            Exit::Configuration
        } else if self
            .files
            .iter()
            .any(|checked| checked.unreadable.is_some())
        {
            Exit::Unreadable
        } else if self.files.iter().any(lacks) {
            Exit::Failed
        } else {
            Exit::Done
        }
    }
}

impl Checked {
    fn count(&self) -> String {
        let errors = self
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .count();
        match (errors, self.more) {
            (1, 0) => "1 error".to_owned(),
            (errors, 0) => format!("{errors} errors"),
            (errors, more) => format!("{errors} errors and {more} problems more"),
        }
    }
}
