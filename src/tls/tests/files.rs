//! What the loader says about files.

use std::time::{Duration, SystemTime};

use super::super::material::load_at;
use super::*;
use crate::tls::{MaterialError, files_of};

fn errors(shelf: &Shelf, names: &[&str], more: &str) -> Vec<MaterialError> {
    let config = config(&listener(names, more), "");
    load(&config, shelf).expect_err("bad files")
}

/// Says what is wrong with the only file that is wrong.
fn complaint(shelf: &Shelf, names: &[&str], more: &str) -> String {
    let errors = errors(shelf, names, more);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

#[test]
fn good_files_are_good_and_their_end_is_known() {
    let halves = Halves::new();
    let mut shelf = halves.shelf.clone();
    let ends_soon = halves.authority.issue_with(&["soon"], |params| {
        params.not_after = rcgen::date_time_ymd(2300, 1, 8);
    });
    shelf.put_pair("soon", &ends_soon);
    let material = load(&config(&listener(&["one", "soon"], ""), ""), &shelf).expect("good files");
    let [_, soon] = &material.expiries[..] else {
        panic!("{:?}", material.expiries);
    };
    assert_eq!(soon.file, std::path::Path::new("/t/soon.pem"));
    assert_eq!(
        soon.days_left(soon.not_after - Duration::from_secs(7 * 24 * 3600)),
        7
    );
    assert_eq!(soon.days_left(soon.not_after + Duration::from_secs(1)), 0);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = complaint(&Shelf::default(), &["one"], "");
    assert!(said.starts_with("/t/one.pem: "), "{said}");
}

#[test]
fn a_key_that_does_not_belong_to_the_certificate_is_refused() {
    let halves = Halves::new();
    let mut shelf = halves.shelf.clone();
    let (chain, _) = halves.authority.issue(&["localhost"]);
    let (_, key) = halves.authority.issue(&["localhost"]);
    shelf.put_pair("one", &(chain, key));
    let said = complaint(&shelf, &["one"], "");
    assert_eq!(
        said,
        "/t/one.key: its key does not belong to the certificate in /t/one.pem"
    );
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let halves = Halves::new();
    let mut shelf = halves.shelf.clone();
    let (chain, key) = halves.authority.issue(&["localhost"]);
    for (mode, good) in [
        (0o600, true),
        (0o640, true),
        (0o660, true),
        (0o644, false),
        (0o604, false),
        (0o642, false),
    ] {
        shelf.put("/t/one.pem", &chain, 0o644);
        shelf.put("/t/one.key", &key, mode);
        let loaded = load(&config(&listener(&["one"], ""), ""), &shelf);
        assert_eq!(loaded.is_ok(), good, "{mode:o}");
    }
    let said = complaint(&shelf, &["one"], "");
    assert!(
        said.contains("everybody on this machine") && said.contains("chmod o= /t/one.key"),
        "{said}"
    );
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let halves = Halves::new();
    let mut shelf = halves.shelf.clone();
    let expired = halves.authority.issue_with(&["localhost"], |params| {
        params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    });
    shelf.put_pair("one", &expired);
    let said = complaint(&shelf, &["one"], "");
    assert!(
        said.starts_with("/t/one.pem: the certificate expired on "),
        "{said}"
    );
    // The same file was good before.
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_000_000);
    let config = config(&listener(&["one"], ""), "");
    assert!(load_at(&config, &shelf, then).is_ok());
    let early = halves.authority.issue_with(&["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2300, 1, 1);
    });
    shelf.put_pair("one", &early);
    let said = complaint(&shelf, &["one"], "");
    assert!(said.contains("not valid before"), "{said}");
}

#[test]
fn a_chain_out_of_order_is_refused() {
    let halves = Halves::new();
    let mut shelf = halves.shelf.clone();
    let (leaf, key) = halves.authority.issue(&["localhost"]);
    let (root, other) = (halves.authority.pem(), Authority::new("Other CA").pem());
    shelf.put_pair("one", &(format!("{leaf}{root}"), key.clone()));
    assert!(load(&config(&listener(&["one"], ""), ""), &shelf).is_ok());
    shelf.put_pair("one", &(format!("{leaf}{other}"), key.clone()));
    let said = complaint(&shelf, &["one"], "");
    assert!(
        said.contains("certificate 2 is not from the issuer"),
        "{said}"
    );
    shelf.put_pair("one", &(format!("{root}{leaf}"), key));
    errors(&shelf, &["one"], "");
}

#[test]
fn what_is_no_pem_or_the_wrong_kind_is_refused() {
    let halves = Halves::new();
    let (chain, key) = halves.authority.issue(&["localhost"]);
    let small = "-----BEGIN PRIVATE KEY-----\nMIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEAvJ7DKC/kTVXw5VHj\n-----END PRIVATE KEY-----\n";
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBVQIBADANBgkqhkiG9w0BAQEFAASC\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (chain, key, expected) in [
        ("", &*key, "/t/one.pem: no certificate is in it"),
        (&*key, &*key, "/t/one.pem: no certificate is in it"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
            &*key,
            "/t/one.pem: it is no good PEM",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &*key,
            "/t/one.pem: a certificate in it cannot be read",
        ),
        (&*chain, "", "/t/one.key: no private key is in it"),
        (&*chain, &*chain, "/t/one.key: no private key is in it"),
        (
            &*chain,
            small,
            "/t/one.key: its key is of a kind or size that is not supported",
        ),
        (
            &*chain,
            locked,
            "/t/one.key: the private key has a password",
        ),
    ] {
        let mut shelf = halves.shelf.clone();
        shelf.put_pair("one", &(chain.to_owned(), key.to_owned()));
        let said = complaint(&shelf, &["one"], "");
        assert!(said.starts_with(expected), "{said}");
        assert!(!said.contains("MIIB"), "a key is never shown: {said}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = config(
        &listener(
            &["one"],
            ", client_certificates: {verify: require, ca: /t/none.pem}",
        ),
        "mode: explicit, ca: /t/nobody.pem",
    );
    let halves = Halves::new();
    let errors = load(&text, &halves.shelf).expect_err("bad files");
    let files: Vec<_> = errors
        .iter()
        .map(|error| error.file.display().to_string())
        .collect();
    assert_eq!(files, ["/t/none.pem", "/t/nobody.pem"]);
}

#[test]
fn the_files_of_a_config_are_known_without_reading_them() {
    let config = config(
        &listener(
            &["one"],
            ", client_certificates: {verify: request, ca: /t/ca.pem, crl: /t/crl.pem}",
        ),
        "mode: explicit, client_certificate: {chain: /t/own.pem, key: /t/own.key}",
    );
    let files = files_of(&config);
    for file in [
        "/t/one.pem",
        "/t/one.key",
        "/t/ca.pem",
        "/t/crl.pem",
        "/t/own.pem",
        "/t/own.key",
        "/etc/ssl/certs/ca-certificates.crt",
    ] {
        assert!(
            files.iter().any(|known| known.as_os_str() == file),
            "{file}"
        );
    }
}
