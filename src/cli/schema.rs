//! `portcullis schema`: the JSON Schema of the configuration.

use super::output::print;
use super::{Exit, Failure};
use crate::config::Config;

const EXAMPLES: &str = "\
Example:
  portcullis schema > portcullis.schema.json
      With `# yaml-language-server: $schema=portcullis.schema.json` as the first line of the
      configuration, editors complete and check it while you write.";

/// Prints the JSON Schema of the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

impl Args {
    /// Prints the schema.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn execute(self) -> Result<Exit, Failure> {
        print(format!("{}\n", Config::schema()).as_bytes())?;
        Ok(Exit::Done)
    }
}
