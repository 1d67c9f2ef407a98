//! What is shipped under `deploy/`.

use portcullis::config::{Config, Loaded};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::portcullis;

/// The drop-in for `firewall: nftables`.
const NFTABLES: &str = "systemd/portcullis.service.d/nftables.conf";

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

fn shipped() -> Loaded {
    Config::load(&deploy("portcullis.yaml")).expect("the shipped configuration is good")
}

#[test]
fn the_shipped_configuration_is_good() {
    let ran = portcullis(&["check", "deploy/portcullis.yaml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(
        ran.stdout.starts_with("deploy/portcullis.yaml: good: "),
        "{}",
        ran.stdout
    );
}

/// It shows each key with its default, so it must not lag behind.
#[test]
fn the_shipped_configuration_says_every_default() {
    let text = std::fs::read_to_string(deploy("portcullis.yaml")).expect("readable");
    let config = shipped().config;
    let smallest = "version: 1\nlisteners: {main: {listen: [\"*:21\"]}}\nupstreams: {legacy: {addresses: [\"10.0.0.5:21\"]}}\njournal: {file: /var/log/portcullis/journal.jsonl}";
    assert_eq!(
        config,
        Config::parse(smallest, "test").expect("a good file").config
    );
    for line in config.to_yaml().lines() {
        let Some((key, _)) = line.trim().trim_start_matches("- ").split_once(": ") else {
            continue;
        };
        let said = text
            .match_indices(&format!("{key}:"))
            .any(|(at, _)| text[..at].ends_with([' ', '{', '\n']));
        assert!(said, "{key} is not in deploy/portcullis.yaml");
    }
}

/// systemd hands sockets over by name, and stops waiting for transfers when its own time is up.
#[test]
fn the_units_fit_the_configuration() {
    let read = |name: &str| std::fs::read_to_string(deploy(name)).expect("readable");
    let (service, socket) = (
        read("systemd/portcullis.service"),
        read("systemd/portcullis.socket"),
    );
    let config = shipped().config;
    let value = |unit: &str, key: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{key} is missing"))
            .to_owned()
    };
    let (name, listener) = config.listeners.first_key_value().expect("a listener");
    assert_eq!(value(&socket, "FileDescriptorName"), name.as_str());
    for address in listener.listen.iter().flat_map(|address| address.sockets()) {
        assert!(
            socket.contains(&format!("ListenStream={address}")),
            "{address}"
        );
    }
    let stop: u64 = value(&service, "TimeoutStopSec").parse().expect("seconds");
    assert!(stop > config.timeouts.drain.as_secs(), "{stop}");
    let descriptors: u64 = value(&service, "LimitNOFILE").parse().expect("a number");
    assert!(
        descriptors >= portcullis::system::descriptors_needed(&config),
        "{descriptors}"
    );
    let start = value(&service, "ExecStart");
    assert!(
        start.contains("run --config /etc/portcullis/portcullis.yaml"),
        "{start}"
    );
}

/// What the broker would drop at once need not be given to it, and what it keeps must be.
#[test]
fn the_drop_in_for_nftables_gives_the_broker_what_it_keeps_and_no_more() {
    let text = std::fs::read_to_string(deploy(NFTABLES)).expect("readable");
    let values = |key: &str| -> Vec<&str> {
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.collect()
    };
    // An empty value first: else the unit's own would be added to.
    let given = values("CapabilityBoundingSet");
    let kept: Vec<_> = portcullis::sandbox::KEPT_BY_BROKER
        .iter()
        .map(|(_, name)| *name)
        .collect();
    assert_eq!(given, ["", &kept.join(" ")]);
    assert_eq!(values("AmbientCapabilities"), [""]);
    assert_eq!(values("DynamicUser"), ["no"]);
    let users = std::fs::read_to_string(deploy("sysusers.d/portcullis.conf")).expect("readable");
    assert!(
        users.lines().any(|line| line.starts_with("u portcullis ")),
        "{users}"
    );
}

/// What is said of the service as it is, and as the drop-in changes it.
#[test]
fn systemd_accepts_the_units() {
    systemd_accepts(&[]);
    systemd_accepts(&[NFTABLES]);
}

/// The drop-in is found: the same check fails when it has a line that nobody knows.
#[test]
fn systemd_reads_the_drop_in() {
    let Some(said) = systemd_says(&[NFTABLES], "Unheard=of\n") else {
        return;
    };
    assert!(said.contains("Unheard"), "{said}");
}

fn systemd_accepts(drop_ins: &[&str]) {
    if let Some(said) = systemd_says(drop_ins, "") {
        assert!(!said.contains("portcullis"), "{said}");
    }
}

/// What systemd-analyze complains of; none where it is missing and may be.
fn systemd_says(drop_ins: &[&str], more: &str) -> Option<String> {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        let left_out = std::env::var_os("PORTCULLIS_TEST_FAST").is_some();
        assert!(
            left_out,
            "systemd-analyze is missing: apt-get install systemd, or scripts/test --fast, which leaves this out"
        );
        return None;
    };
    assert!(version.status.success());
    // The unit names the installed program, which need not be on this machine.
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("portcullis");
    std::fs::copy(assert_cmd::cargo::cargo_bin!("portcullis"), &program).expect("a copy");
    let mut units = Vec::new();
    for name in ["portcullis.service", "portcullis.socket"] {
        let text = std::fs::read_to_string(deploy("systemd").join(name)).expect("readable");
        let path = directory.path().join(name);
        std::fs::write(
            &path,
            text.replace("/usr/bin/portcullis", program.to_str().expect("UTF-8")),
        )
        .expect("a file");
        units.push(path);
    }
    for drop_in in drop_ins {
        let text = std::fs::read_to_string(deploy(drop_in)).expect("readable");
        let name = Path::new(drop_in)
            .strip_prefix("systemd")
            .expect("beside the units");
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(&path, text + more).expect("a file");
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output()
        .expect("systemd-analyze runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    Some(said)
}
