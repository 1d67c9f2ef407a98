//! What an operator sees of a session.

use std::sync::Arc;

use super::session::Session;
use crate::ftp::Verb;

/// What `ctl sessions` shows of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The user name as the client gave it (escaped), once it did.
    pub user: Option<Arc<str>>,
    /// Whether the upstream accepted the user.
    pub logged_in: bool,
    /// The transfer command that runs.
    pub transfer: Option<&'static str>,
    /// Commands that the client sent.
    pub commands: u64,
    /// Transfers that ended well.
    pub transfers: u32,
    /// Bytes of all transfers that are over, both directions together.
    pub bytes: u64,
}

impl Session {
    /// Shows what an operator wants to know.
    pub fn summary(&self) -> Summary {
        Summary {
            user: self.user.clone(),
            logged_in: self.logged_in,
            transfer: self.running_verb().map(Verb::name),
            commands: u64::from(self.commands),
            transfers: self.transfers,
            bytes: self.carried,
        }
    }
}
