//! Versions and cipher suites, asked for by OpenSSL.

use std::process::{Command, Stdio};

use crate::field::Field;
use crate::suites::OFFERS;

/// Lets `openssl s_client` shake hands; answers with what it says.
fn ask(field: &Field, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &field.at.to_string(),
            "-servername",
            "localhost",
            "-brief",
        ])
        .args(["-starttls", "ftp"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (said.contains("CONNECTION ESTABLISHED"), said)
}

#[test]
fn nothing_below_tls_1_2_and_no_weak_suite_is_accepted() {
    let field = Field::new("mode: explicit");
    for (arguments, good) in OFFERS {
        let (established, said) = ask(&field, arguments);
        assert_eq!(established, good, "{arguments:?}: {said}");
    }
    field.journal_shows(&["tls.failed", "old_version", "127.0.0.1"]);
    field.journal_shows(&[
        "tls.failed",
        "no_common_suite",
        "\"alert\":\"handshake_failure\"",
    ]);
}
