//! What is told of each gateway, and what must hold.

use crate::peer::{Exposure, Peer};
use crate::scan::Sight;
use crate::site::{THEFTS, TRANSFERS};

/// What a thief who dials first got.
#[derive(Debug, Default)]
pub struct Thefts {
    pub files: usize,
    pub bytes: usize,
    /// How many files the client got nonetheless.
    pub arrived: usize,
}

pub struct Figures {
    pub peer: Peer,
    /// Transfers that came whole while the window was scanned.
    pub done: usize,
    pub sight: Sight,
    pub thefts: Thefts,
    pub exposure: Exposure,
}

impl Figures {
    pub fn head() -> String {
        let heads = "| gateway | transfers while scanned | attempts | answered | connected | stolen bytes |";
        let more = " files of a thief who dials first (bytes) | exposure, all in all |";
        format!("{heads}{more}\n|---|---|---|---|---|---|---|---|")
    }

    pub fn row(&self) -> String {
        let (sight, thefts) = (&self.sight, &self.thefts);
        format!(
            "| {} | {} of {TRANSFERS} | {} | {} | {} | {} | {} of {THEFTS} ({}) | {} |",
            self.peer.name(),
            self.done,
            sight.attempts,
            sight.refused + sight.opened,
            sight.opened,
            sight.bytes + thefts.bytes,
            thefts.files,
            thefts.bytes,
            self.exposure
        )
    }

    /// Ours gives nothing away and loses nothing; mod_proxy shows that this attack is one.
    pub fn check(&self) {
        let (sight, thefts) = (&self.sight, &self.thefts);
        match self.peer {
            Peer::Portcullis | Peer::Relayed => {
                assert_eq!(self.done, TRANSFERS);
                assert_eq!(
                    (sight.opened, sight.refused, sight.bytes),
                    (0, 0, 0),
                    "{sight:?}"
                );
                assert_eq!((thefts.files, thefts.bytes), (0, 0), "{thefts:?}");
                assert_eq!(thefts.arrived, THEFTS, "{thefts:?}");
            }
            Peer::ModProxy => assert!(thefts.bytes > 0, "the thief is none: {thefts:?}"),
            Peer::Helper => {}
        }
    }
}
