//! Looks after the certificates in force: whether their files have changed, and whether they end soon.
//!
//! Invariant: files that are wrong change nothing, and are told of once.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::documents::in_lines;
use super::status::CertificateReport;
use crate::config::Config;
use crate::config::files::Files;
use crate::tls::{self, Expiry, Material};

/// How often the files are read again.
pub(super) const LOOK: Duration = Duration::from_secs(60);
/// Between two warnings of one certificate.
const QUIET: Duration = Duration::from_secs(24 * 3600);

/// What is known of the certificates in force.
#[derive(Debug)]
pub(super) struct Certificates {
    expiries: Vec<Expiry>,
    fingerprint: Vec<u8>,
    any: bool,
    warned_at: Option<SystemTime>,
    complaint: Option<String>,
}

impl Certificates {
    pub(super) fn new(material: &Material) -> Certificates {
        Certificates {
            any: !material.acceptors.is_empty() || !material.connectors.is_empty(),
            expiries: material.expiries.clone(),
            fingerprint: material.fingerprint.clone(),
            warned_at: None,
            complaint: None,
        }
    }

    /// Notes what is in force from now on.
    pub(super) fn replace(&mut self, material: &Material) {
        *self = Certificates::new(material);
    }

    /// Tells whether there is anything to look after.
    pub(super) fn are_any(&self) -> bool {
        self.any
    }

    /// Reads the files again; answers if they are others than those in force, and good.
    pub(super) fn changed(&mut self, config: &Config, files: &dyn Files) -> Option<Material> {
        match tls::load(config, files) {
            Ok(material) => {
                self.complaint = None;
                (material.fingerprint != self.fingerprint).then_some(material)
            }
            Err(errors) => {
                let complaint = in_lines(&errors);
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(
                        "certificates cannot be read again, the old ones stay in force:\n{complaint}"
                    );
                    self.complaint = Some(complaint);
                }
                None
            }
        }
    }

    /// Answers, at most once a day, with the certificates that end soon and how many days they have.
    pub(super) fn expiring(&mut self, now: SystemTime) -> Vec<(PathBuf, u64)> {
        let quiet = |at: SystemTime| now.duration_since(at).is_ok_and(|since| since < QUIET);
        if self.warned_at.is_some_and(quiet) {
            return Vec::new();
        }
        self.warned_at = Some(now);
        let soon = self.expiries.iter().filter(|one| one.is_soon(now));
        soon.map(|one| (one.file.clone(), one.days_left(now)))
            .collect()
    }

    /// Says of each certificate how long it lasts.
    pub(super) fn report(&self, now: SystemTime) -> Vec<CertificateReport> {
        let reports = self.expiries.iter().map(|one| CertificateReport {
            file: one.file.display().to_string(),
            days_left: one.days_left(now),
            seconds_left: one.seconds_left(now),
        });
        reports.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Authority, Shelf, config, listener};

    #[test]
    fn what_ends_soon_is_told_daily_and_what_changed_is_noticed() {
        let authority = Authority::new("Test CA");
        let mut shelf = Shelf::default();
        shelf.put_pair(
            "one",
            &authority.issue_with(&["one"], |params| {
                params.not_after = rcgen::date_time_ymd(2300, 1, 1);
            }),
        );
        let config = config(&listener(&["one"], ""), "");
        let material = tls::load(&config, &shelf).expect("good files");
        let end = material.expiries[0].not_after;
        let mut certificates = Certificates::new(&material);
        let day = Duration::from_secs(24 * 3600);
        let days = |told: Vec<(PathBuf, u64)>| told.first().map(|(_, days)| *days);
        assert_eq!(days(certificates.expiring(end - 15 * day)), None);
        assert_eq!(days(certificates.expiring(end - 13 * day)), Some(13));
        assert_eq!(days(certificates.expiring(end - 13 * day + day / 2)), None);
        assert_eq!(days(certificates.expiring(end - 12 * day)), Some(12));

        let report = certificates.report(end - 12 * day);
        assert_eq!((&*report[0].file, report[0].days_left), ("/t/one.pem", 12));
        for (at, left) in [
            (end - 12 * day, 12 * 86_400),
            (end, 0),
            (end + day / 2, -43_200),
        ] {
            assert_eq!(certificates.report(at)[0].seconds_left, left);
        }

        assert!(certificates.changed(&config, &shelf).is_none());
        let good = shelf.clone();
        shelf.put("/t/one.pem", "nothing", 0o644);
        assert!(certificates.changed(&config, &shelf).is_none());
        assert!(certificates.complaint.is_some());
        assert!(certificates.changed(&config, &good).is_none());
        shelf.put_pair("one", &authority.issue(&["one"]));
        assert!(certificates.changed(&config, &shelf).is_some());
    }
}
