//! Whoever the rules ask: looked at when the rules are loaded, with the password files that an answer may name.
//!
//! Invariant: a program that everybody may change is never started, and a password is in memory here and in the engine, and
//! nowhere in a message.

use std::collections::BTreeMap;
use std::path::Path;

use super::guests::password;
use crate::config::files::Files;
use crate::config::{ConfigErrors, Problem, Severity};
use crate::engine::{AskFault, Passwords};
use crate::helper::{self, Fault};
use crate::policy::{Exit, Origin, RuleSet};

/// Most programs and sockets that rules may name.
const MOST_EXITS: usize = 64;

/// What rules need to ask.
#[derive(Debug, Default)]
pub struct ExitPoints {
    /// Each of them once.
    pub exits: Vec<helper::Exit>,
    /// The passwords that an answer may lead to.
    pub passwords: Passwords,
    /// What probably does not do what was meant.
    pub warnings: Vec<Problem>,
}

/// Looks at whoever the rules ask.
///
/// # Errors
/// When a program is not there, can't be executed or can be changed by everybody; when a password file can't be used.
pub fn load(rules: &RuleSet, files: &dyn Files) -> Result<ExitPoints, ConfigErrors> {
    let mut found = ExitPoints::default();
    let mut passwords = BTreeMap::new();
    let mut problems = Vec::new();
    for (rule, ask) in rules.exits() {
        let exit = helper_exit(&ask.exit);
        if !found.exits.contains(&exit) {
            match &ask.exit {
                Exit::Unix(path) => found.warnings.extend(no_socket(rule, path, files)),
                Exit::Exec(words) => {
                    let program = words.first().map_or("", String::as_str);
                    problems.extend(no_program(rule, program, files));
                }
            }
            found.exits.push(exit);
        }
        for path in &ask.password_files {
            if passwords.contains_key(path) {
                continue;
            }
            match password(Path::new(path), files) {
                Ok(bytes) => {
                    passwords.insert(path.clone(), bytes);
                }
                Err(why) => problems.push(problem(
                    Severity::Error,
                    rule,
                    "password_files",
                    format!("{path}: {why}"),
                    "write one line with the account's password into it, and let nobody else read it (mode 0600 or 0640)",
                )),
            }
        }
        if found.exits.len() > MOST_EXITS {
            problems.push(problem(
                Severity::Error,
                rule,
                "ask",
                format!("more than {MOST_EXITS} programs and sockets are asked"),
                "ask one for several rules: the question names the rule",
            ));
            break;
        }
    }
    found.passwords = Passwords(passwords);
    match problems.is_empty() {
        true => Ok(found),
        false => Err(ConfigErrors::Wrong { problems, more: 0 }),
    }
}

/// Names whoever is asked, in the helper's terms.
pub(super) fn helper_exit(exit: &Exit) -> helper::Exit {
    match exit {
        Exit::Unix(path) => helper::Exit::Socket(path.clone()),
        Exit::Exec(words) => helper::Exit::Program(words.clone()),
    }
}

/// Says in the engine's terms why there is no answer.
pub(super) fn ask_fault(fault: Fault) -> AskFault {
    match fault {
        Fault::TimedOut => AskFault::TimedOut,
        Fault::Busy => AskFault::Busy,
        Fault::Garbage => AskFault::Garbage,
        Fault::TooLong => AskFault::TooLong,
        Fault::ExitStatus => AskFault::ExitStatus,
        Fault::Unreachable => AskFault::Unreachable,
        Fault::NotPermitted => AskFault::NotPermitted,
    }
}

fn no_program(rule: &Origin, program: &str, files: &dyn Files) -> Option<Problem> {
    let wrong = |why: String, help: &str| {
        let message = format!("the program {program} {why}");
        Some(problem(Severity::Error, rule, "exec", message, help))
    };
    let status = match files.examine(Path::new(program)) {
        Ok(status) => status,
        Err(error) => {
            return wrong(
                format!("can't be found: {error}"),
                "write the path of a program that is there",
            );
        }
    };
    if !status.is_file || status.mode & 0o111 == 0 {
        return wrong(
            format!("can't be executed (mode {:04o})", status.mode),
            "make it executable: chmod 0755",
        );
    }
    if status.mode & 0o002 != 0 {
        return wrong(
            format!("can be changed by everybody (mode {:04o})", status.mode),
            "let its owner alone change it: chmod 0755",
        );
    }
    match status.loose {
        None => None,
        Some(directory) => wrong(
            format!(
                "can be replaced by everybody, who may write into {}",
                directory.display()
            ),
            "put it where only root may write, such as /usr/local/libexec",
        ),
    }
}

fn no_socket(rule: &Origin, path: &str, files: &dyn Files) -> Option<Problem> {
    let help = "start whoever listens there; until then everything that is asked there is refused";
    let warn = |message| problem(Severity::Warning, rule, "unix", message, help);
    match files.examine(Path::new(path)) {
        Ok(status) if status.is_socket => None,
        Ok(_) => Some(warn(format!("{path} is no socket"))),
        Err(error) => Some(warn(format!("nobody listens at {path}: {error}"))),
    }
}

fn problem(severity: Severity, rule: &Origin, key: &str, message: String, help: &str) -> Problem {
    Problem {
        severity,
        file: rule.file.to_string(),
        line: Some(rule.line),
        // Of a rule only its line is kept.
        column: Some(1),
        key: format!("{}: then.ask.{key}", rule.rule),
        message,
        help: Some(help.to_owned()),
        excerpt: None,
    }
}
