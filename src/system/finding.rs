//! What a check has to say.

use serde::Serialize;
use std::fmt;

use crate::config::Severity;

/// Says what a machine lacks for a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it; stable, for programs.
    pub check: &'static str,
    /// An error will fail the gateway, a warning may.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Why it matters.
    pub why: String,
    /// The commands that mend it at once, for a shell of root, in this order; none where no command can.
    pub commands: Vec<String>,
    /// What to do besides, or instead.
    pub help: Option<String>,
}

impl Finding {
    pub(super) fn error(
        check: &'static str,
        message: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Error, check, message.into(), why.into())
    }

    pub(super) fn warning(
        check: &'static str,
        message: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, check, message.into(), why.into())
    }

    fn new(severity: Severity, check: &'static str, message: String, why: String) -> Self {
        Self {
            check,
            severity,
            message,
            why,
            commands: Vec::new(),
            help: None,
        }
    }

    pub(super) fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}\n  = {}", self.message, self.why)?;
        for command in &self.commands {
            write!(f, "\n  # {command}")?;
        }
        match &self.help {
            Some(help) => write!(f, "\n  = {help}"),
            None => Ok(()),
        }
    }
}
