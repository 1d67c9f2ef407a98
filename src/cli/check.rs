//! `portcullis check`: what `run` would say about a configuration.

use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ctl::Format;
use super::output::print;
use super::run::DEFAULT_CONFIG;
use super::{Exit, Failure};
use crate::config::files::Disk;
use crate::config::{Config, ConfigErrors, Loaded, Problem, Severity};
use crate::system::{Finding, Machine};
use crate::tls;

const EXAMPLES: &str = "\
Examples:
  portcullis check
      The installed configuration.
  portcullis check --system portcullis.yaml
      And whether this machine suits it, with the commands that mend it; for nftables as root.
  portcullis check --format json conf.d/ | jq '.files[].problems[]'
      Every .yaml and .yml file of a directory, for programs.

Exit codes: 0 good (warnings may be printed); 1 the machine lacks something; 2 could not be read; 78 wrong.";

/// Checks a configuration.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file, or a directory of files
    #[arg(value_name = "FILE|DIR", default_value = DEFAULT_CONFIG)]
    pub path: PathBuf,

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
        if !self.path.is_dir() {
            return Ok(vec![self.path.clone()]);
        }
        let unreadable = |error| {
            Failure::new(
                Exit::Unreadable,
                format!("{}: {error}", self.path.display()),
            )
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(unreadable)? {
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
                format!("{}: no .yaml file in this directory", self.path.display()),
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
        summary: String::new(),
    };
    match Config::load(path) {
        Ok(Loaded { config, warnings }) => {
            checked.problems = warnings;
            checked.problems.extend(certificates(&config));
            let wrong = |problem: &Problem| problem.severity == Severity::Error;
            checked.good = !checked.problems.iter().any(wrong);
            if system {
                checked.system = Machine::read(&config).findings(&config);
            }
            checked.summary = summary(&config);
        }
        Err(ConfigErrors::Unreadable(why)) => checked.unreadable = Some(why),
        Err(ConfigErrors::Wrong { problems, more }) => {
            (checked.problems, checked.more) = (problems, more)
        }
    }
    checked
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
                Problem::of_file(Severity::Warning, &one.file, message)
            });
            warnings.collect()
        }
        Err(errors) => {
            let errors = errors.into_iter();
            errors
                .map(|error| Problem::of_file(Severity::Error, &error.file, error.why))
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
            for finding in &checked.system {
                let _ = writeln!(text, "this machine: {finding}\n");
            }
            let _ = match &checked.unreadable {
                Some(why) => writeln!(text, "{why}"),
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
            checked
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
