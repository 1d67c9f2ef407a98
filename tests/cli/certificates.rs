//! `check` reads certificates and keys, and says what `run` would say about them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::program::{Ran, portcullis_in};

const DAY: u64 = 24 * 3600;

/// A directory with a configuration that names a certificate and its key.
struct Site(TempDir);

impl Site {
    fn new(days: u64) -> Site {
        let site = Site(tempfile::tempdir().expect("a directory"));
        let path = |name: &str| site.path(name).display().to_string();
        let text = format!(
            "version: 1\nlisteners: {{main: {{listen: [\"127.0.0.1:2121\"], tls: {{mode: explicit, certificates: [{{chain: {}, key: {}}}]}}}}}}\nupstreams: {{old: {{addresses: [\"10.0.0.5\"]}}}}\n",
            path("chain.pem"),
            path("key.pem"),
        );
        std::fs::write(site.path("config.yaml"), text).expect("written");
        site.issue(days, "chain.pem");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a certificate for so many days, with a key of its own, into the files.
    fn issue(&self, days: u64, chain: &str) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_before = (SystemTime::now() - Duration::from_secs(DAY)).into();
        params.not_after = (SystemTime::now() + Duration::from_secs(days * DAY)).into();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(self.path(chain), certificate.pem()).expect("written");
        if chain == "chain.pem" {
            std::fs::write(self.path("key.pem"), key.serialize_pem()).expect("written");
            self.set_mode(0o640);
        }
    }

    fn set_mode(&self, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path("key.pem"), mode).expect("set");
    }

    fn check(&self) -> Ran {
        portcullis_in(self.0.path(), &["check", "config.yaml"])
    }

    fn refused(&self, file: &str, why: &str) {
        let begin = format!("{}: error: ", self.path(file).display());
        let ran = self.check();
        assert_eq!((ran.code, ran.stderr.as_str()), (78, ""), "{}", ran.stdout);
        assert!(ran.stdout.starts_with(&begin), "{}", ran.stdout);
        assert!(ran.stdout.contains(why), "{}", ran.stdout);
        assert!(
            ran.stdout.ends_with("config.yaml: 1 error\n"),
            "{}",
            ran.stdout
        );
        // And the gateway starts with none of it.
        let ran = portcullis_in(self.0.path(), &["run", "--config", "config.yaml"]);
        assert_eq!(ran.code, 78, "{}", ran.stderr);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
}

#[test]
fn a_good_certificate_is_good_and_one_that_ends_soon_is_a_warning() {
    let site = Site::new(90);
    let ran = site.check();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(
        ran.stdout.starts_with("config.yaml: good: "),
        "{}",
        ran.stdout
    );

    let site = Site::new(7);
    let ran = site.check();
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let warning = format!(
        "{}: warning: the certificate expires in 6 days; renew it\n",
        site.path("chain.pem").display()
    );
    assert!(ran.stdout.starts_with(&warning), "{}", ran.stdout);
    assert!(ran.stdout.contains("config.yaml: good: "), "{}", ran.stdout);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let site = Site::new(90);
    site.issue(90, "other.pem");
    std::fs::rename(site.path("other.pem"), site.path("chain.pem")).expect("renamed");
    site.refused("key.pem", "does not belong to the certificate");
}

#[test]
fn an_expired_certificate_is_refused() {
    let site = Site::new(0);
    site.refused("chain.pem", "the certificate expired on ");
}

#[test]
fn a_key_that_everybody_may_read_is_refused() {
    let site = Site::new(90);
    site.set_mode(0o644);
    site.refused("key.pem", "everybody on this machine may read");
}

#[test]
fn a_missing_file_is_refused() {
    let site = Site::new(90);
    std::fs::remove_file(site.path("chain.pem")).expect("removed");
    site.refused("chain.pem", "No such file");
}
