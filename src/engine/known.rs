//! What a session keeps for its rules alone: where it is, what it was told of sizes, how fast it has been.
//!
//! Invariant: a session whose rules ask for none of it holds nothing here.

use std::time::Duration;

use super::exits::Exits;
use super::{Direction, Legs};
use crate::ftp::Reply;
use crate::policy::{Directory, Paths};

/// All of it, if there is any.
#[derive(Debug, Default)]
pub(super) struct Known(Option<Box<Facts>>);

#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The user's name as it was sent, where it is another than the journal's escaped form.
    pub(super) user: Option<Box<[u8]>>,
    /// How the upstream writes paths, by its answer to SYST.
    pub(super) paths: Option<Paths>,
    /// SYST was asked.
    pub(super) syst_asked: bool,
    /// The working directory, as the last PWD reported it.
    pub(super) directory: Option<Directory>,
    /// PWD was asked since the directory may last have changed.
    pub(super) pwd_asked: bool,
    /// Whose size the client asks for.
    pub(super) sizing: Option<Box<[u8]>>,
    /// What SIZE told, and of which name.
    pub(super) size: Option<(Box<[u8]>, u64)>,
    /// What ALLO announced for the next upload.
    pub(super) allocated: Option<u64>,
    /// Until when what was carried is paid for, by the rates that limited it.
    pub(super) paid_until: Paid,
    /// What is asked and was answered at exit points.
    pub(super) exits: Option<Box<Exits>>,
    /// The answer to a login that waits for its start directory.
    pub(super) welcome: Option<Reply>,
}

/// A time for each direction: `client` for what the client sends, `upstream` for what it gets.
type Paid = Legs<Duration>;

impl Known {
    pub(super) fn get(&self) -> Option<&Facts> {
        self.0.as_deref()
    }

    /// Gives what there is, to be changed; makes nothing.
    pub(super) fn existing(&mut self) -> Option<&mut Facts> {
        self.0.as_deref_mut()
    }

    pub(super) fn facts(&mut self) -> &mut Facts {
        self.0.get_or_insert_default()
    }

    /// Tells until when a direction is paid for.
    pub(super) fn paid_until(&self, direction: Direction) -> Duration {
        self.get()
            .map_or(Duration::ZERO, |facts| facts.paid_until[direction.source()])
    }
}
