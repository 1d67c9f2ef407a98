//! `portcullis schema`: the JSON Schema of the configuration and of rule files.

use super::output::print;
use super::{Exit, Failure};
use crate::config::Config;
use crate::policy;

const EXAMPLES: &str = "\
Examples:
  portcullis schema > portcullis.schema.json
      With `# yaml-language-server: $schema=portcullis.schema.json` as the first line of the
      configuration, editors complete and check it while you write.
  portcullis schema rules > rules.schema.json
      The same for rule files.";

/// Prints the JSON Schema of the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Of which kind of file
    #[arg(value_enum, default_value_t)]
    pub of: Kind,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum Kind {
    /// The configuration
    #[default]
    Config,
    /// Rule files
    Rules,
}

impl Args {
    /// Prints the schema.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn execute(self) -> Result<Exit, Failure> {
        let schema = match self.of {
            Kind::Config => Config::schema(),
            Kind::Rules => policy::schema(),
        };
        print(format!("{schema}\n").as_bytes())?;
        Ok(Exit::Done)
    }
}
