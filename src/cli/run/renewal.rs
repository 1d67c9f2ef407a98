//! Looks whether certificates and keys on disk are others than those in force, for a gateway that may not look itself.
//!
//! Invariant: files that are wrong change nothing, and are told of once. This module must not change what is in force.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::config::files::Files;
use crate::tls;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(60);

/// When to look next, and what was seen.
#[derive(Debug)]
pub(super) struct Renewal {
    look_at: Instant,
    complaint: Option<String>,
}

impl Renewal {
    /// Begins now.
    pub(super) fn new() -> Renewal {
        Renewal {
            look_at: Instant::now() + LOOK,
            complaint: None,
        }
    }

    /// When it wants to look; never where the config names no such file.
    pub(super) fn next_look(&self, config: &Config) -> Option<Instant> {
        (!tls::files_of(config).is_empty()).then_some(self.look_at)
    }

    /// Looks, if it is time to; tells whether there is something new, and good.
    pub(super) fn look(
        &mut self,
        now: Instant,
        config: &Config,
        fingerprint: &[u8],
        files: &dyn Files,
    ) -> bool {
        if self.next_look(config).is_none_or(|at| now < at) {
            return false;
        }
        self.look_at = now + LOOK;
        match tls::load(config, files) {
            Ok(material) => {
                self.complaint = None;
                material.fingerprint != fingerprint
            }
            Err(errors) => {
                let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
                let complaint = lines.join("\n");
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(
                        "certificates cannot be read again, the old ones stay in force:\n{complaint}"
                    );
                    self.complaint = Some(complaint);
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Authority, Shelf, config, listener};

    #[test]
    fn what_is_new_and_good_is_seen_once_a_minute() {
        let authority = Authority::new("Test CA");
        let mut shelf = Shelf::default();
        shelf.put_pair("one", &authority.issue(&["one"]));
        let config = config(&listener(&["one"], ""), "");
        let first = tls::load(&config, &shelf).expect("good files").fingerprint;
        let mut renewal = Renewal::new();
        let mut now = renewal.next_look(&config).expect("there are files");

        assert!(!renewal.look(now, &config, &first, &shelf));
        shelf.put("/t/one.pem", "nothing", 0o644);
        now += LOOK;
        assert!(!renewal.look(now, &config, &first, &shelf));
        assert!(renewal.complaint.is_some());

        shelf.put_pair("one", &authority.issue(&["one"]));
        assert!(
            !renewal.look(now + LOOK / 2, &config, &first, &shelf),
            "too early"
        );
        now += LOOK;
        assert!(renewal.look(now, &config, &first, &shelf));
        assert!(renewal.complaint.is_none());
    }

    #[test]
    fn without_tls_there_is_nothing_to_look_at() {
        let text = "version: 1\nlisteners: {main: {listen: [\"*:21\"]}}\nupstreams: {old: {addresses: [\"10.0.0.5\"]}}\n";
        let config = Config::parse(text, "test").expect("a config").config;
        assert_eq!(Renewal::new().next_look(&config), None);
    }
}
