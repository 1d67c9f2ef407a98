//! What the files say that a config names: certificates, rules, passwords. Loaded together, at the start, at a reload and by
//! whoever hands them over.
//!
//! Invariant: all of them are good, or none is used.

use std::sync::Arc;

use super::exit_points;
use super::guests::{self, Guests};
use crate::config::files::Files;
use crate::config::{Config, ConfigErrors, Problem};
use crate::engine::Passwords;
use crate::helper;
use crate::policy::RuleSet;
use crate::rules;
use crate::tls::{self, MaterialError};

/// The contents of the files, ready to be used.
#[derive(Debug)]
pub struct Documents {
    /// For TLS.
    pub material: tls::Material,
    /// The rules in force.
    pub rules: Arc<RuleSet>,
    /// By which the journal names these rules.
    pub rules_digest: String,
    /// The accounts of anonymous users.
    pub guests: Guests,
    /// Whoever the rules ask.
    pub exits: Vec<helper::Exit>,
    /// The passwords that an answer may lead to.
    pub passwords: Arc<Passwords>,
    /// What probably does not do what was meant.
    pub warnings: Vec<Problem>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// A rule file or a password file could not be read or is wrong.
    #[error(transparent)]
    Text(#[from] ConfigErrors),
    /// Certificates, keys or issuers can't be used.
    #[error("{}", in_lines(.0))]
    Tls(Vec<MaterialError>),
}

impl Documents {
    /// Reads every file that a config names.
    ///
    /// # Errors
    /// When one of them can't be read or is wrong.
    pub fn load(config: &Config, files: &dyn Files) -> Result<Documents, DocumentsError> {
        let mut loaded = rules::load(config, files)?;
        let mut exit_points = exit_points::load(&loaded.rules, files)?;
        loaded.warnings.append(&mut exit_points.warnings);
        Ok(Documents {
            guests: guests::load(config, files)?,
            material: tls::load(config, files).map_err(DocumentsError::Tls)?,
            rules: Arc::new(loaded.rules),
            rules_digest: loaded.digest,
            warnings: loaded.warnings,
            exits: exit_points.exits,
            passwords: Arc::new(exit_points.passwords),
        })
    }

    /// Tells the log what is doubtful.
    pub(super) fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
}

/// Writes what is wrong with files, one line each.
pub(super) fn in_lines(errors: &[MaterialError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
