//! `portcullis helper`: the process that resolves names for a gateway and asks whom the rules name; the broker starts it, nobody else.

use super::{Exit, Failure};
use crate::helper;
use crate::sandbox::{Account, Error};

/// Resolves names on standard input and output.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Who it becomes: a user's name, or UID:GID
    #[arg(long, value_name = "ACCOUNT")]
    pub account: String,
}

impl Args {
    /// Confines this process and serves until nobody can ask any more.
    ///
    /// # Errors
    /// When it can't be confined.
    pub fn execute(self) -> Result<Exit, Failure> {
        super::run::log_to_stderr();
        let account = Account::find(&self.account)?;
        match helper::run(account) {
            Ok(()) => Ok(Exit::Done),
            Err(helper::Failed::Confining(error)) => Err(error.into()),
            Err(error @ helper::Failed::Line(_)) => {
                Err(Failure::new(Exit::Failed, error.to_string()))
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = if error.wants_rights() {
            Exit::NotPermitted
        } else if error.lacks_feature() {
            Exit::Unavailable
        } else {
            match error {
                Error::NoSuchUser { .. } | Error::Root => Exit::Configuration,
                Error::Lacks { .. }
                | Error::Threads(_)
                | Error::Kept(_)
                | Error::Machine(_)
                | Error::Kernel { .. } => Exit::Failed,
            }
        };
        Failure {
            exit,
            error: error.into(),
        }
    }
}
