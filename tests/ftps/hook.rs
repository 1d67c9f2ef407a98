//! The hook for certbot that is shipped: what it hands over is what the gateway takes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use portcullis_netlab::{Lab, Node};

use crate::papers::{Flaw, Papers};

#[test]
fn the_hook_for_certbot_copies_a_pair_that_the_gateway_takes() {
    let lab = Lab::new(&[Node::Client]).expect("a laboratory");
    let papers = Papers::new(lab.directory()).expect("papers");
    let renewed = lab.directory().join("live/ftp.example.org");
    let target = lab.directory().join("tls");
    fs::create_dir_all(&renewed).expect("a directory");
    // The second time is a renewal.
    for name in ["first", "second"] {
        let files = papers.issue(name, Flaw::None).expect("a certificate");
        fs::copy(&files.chain, renewed.join("fullchain.pem")).expect("copied");
        fs::copy(&files.key, renewed.join("privkey.pem")).expect("copied");
        let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/certbot/portcullis.sh");
        let ran = Command::new("sh")
            .arg(hook)
            .env("RENEWED_LINEAGE", &renewed)
            .env("PORTCULLIS_TLS", &target)
            .env("PORTCULLIS_GROUP", "nogroup")
            .output()
            .expect("sh");
        assert!(ran.status.success(), "{ran:?}");
        let place = target.join("ftp.example.org");
        for name in ["fullchain.pem", "privkey.pem"] {
            let facts = fs::metadata(place.join(name)).expect("copied");
            let seen = (
                facts.permissions().mode() & 0o7777,
                facts.uid(),
                facts.gid(),
            );
            assert_eq!(seen, (0o640, 0, 65534), "{name}");
            let (got, wanted) = (fs::read(place.join(name)), fs::read(renewed.join(name)));
            assert_eq!(got.expect("read"), wanted.expect("read"), "{name}");
        }
        assert_eq!(checked(lab.directory(), &place), (Some(0), String::new()));
    }
}

/// What `portcullis check` says of a config that names the pair: its exit code, and its errors.
fn checked(directory: &Path, place: &Path) -> (Option<i32>, String) {
    let config = directory.join("hook.yaml");
    let place = place.display();
    let text = format!(
        "version: 1\nlisteners: {{main: {{listen: [\"*:21\"], tls: {{mode: explicit, certificates: \
         [{{chain: {place}/fullchain.pem, key: {place}/privkey.pem}}]}}}}}}\nupstreams: {{legacy: {{addresses: [\"10.0.0.5:21\"]}}}}\n"
    );
    fs::write(&config, text).expect("written");
    let ran = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("check")
        .arg(&config)
        .output()
        .expect("portcullis");
    (
        ran.status.code(),
        String::from_utf8_lossy(&ran.stderr).into_owned(),
    )
}
