//! Full disks.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use portcullis::gateway::journal::{Journal, Refused};
use serde_json::Value;

use super::{PATIENCE, closed, opened, seqs, to_file};

#[test]
fn on_a_full_device_effects_are_refused_and_losses_counted() {
    let journal = Journal::open(to_file(Path::new("/dev/full"))).expect("opened");
    assert_eq!(journal.write(&opened(1)), Err(Refused));
    for number in 0..5000 {
        assert_eq!(journal.write(&closed(number)), Ok(()));
    }
    assert_eq!(journal.write(&opened(2)), Err(Refused));
    let state = journal.state();
    assert!(!state.accepting);
    assert_eq!((state.waiting, state.lost, state.records), (4096, 904, 0));
}

/// In a mount namespace of its own, so that it needs no privilege and leaves nothing behind.
#[test]
fn a_full_disk_refuses_tears_and_recovers() {
    let directory = tempfile::tempdir().expect("a directory");
    let exe = std::env::current_exe().expect("a path");
    let script = "mount -t tmpfs -o size=64k tmpfs \"$DISK\" && exec \"$@\"";
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(exe)
        .args([
            "--exact",
            "full::inner_full_disk",
            "--ignored",
            "--nocapture",
        ])
        .env("DISK", directory.path())
        .output()
        .expect("unshare(1) runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "the inside of a_full_disk_refuses_tears_and_recovers"]
fn inner_full_disk() {
    let log = log_lines();
    let disk = std::env::var_os("DISK").expect("a mount");
    let disk = Path::new(&disk);
    let path = disk.join("journal");
    // All but a few pages.
    fs::write(disk.join("ballast"), vec![0; 40 * 1024]).expect("written");
    let journal = Journal::open(to_file(&path)).expect("opened");
    let mut accepted = 0;
    while journal.write(&opened(accepted + 1)).is_ok() {
        accepted += 1;
        assert!(accepted < 10_000, "never full");
    }
    assert_eq!(journal.write(&opened(accepted + 1)), Err(Refused));
    assert_eq!(journal.write(&closed(1)), Ok(()));
    let torn = fs::read(&path).expect("read");
    assert_ne!(torn.last(), Some(&b'\n'), "the page's end tears a line");
    assert!(!journal.state().accepting);
    wait_for(&log, "the journal cannot be written");

    // Space comes back; nobody tells the journal.
    fs::remove_file(disk.join("ballast")).expect("removed");
    wait_for(&log, "the journal is written again");
    journal.write(&opened(accepted + 1)).expect("accepted");

    let text = fs::read_to_string(&path).expect("read");
    assert!(text.ends_with('\n'));
    let (mut whole, mut broken) = (Vec::new(), 0);
    for line in text.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(line) => whole.push(line),
            Err(_) => broken += 1,
        }
    }
    assert_eq!(broken, 1);
    // The accepted ones, then (behind the number of the torn one) what waited, the gap, the new one.
    let accepted = u64::from(accepted);
    let expected: Vec<u64> = (1..=accepted).chain(accepted + 2..=accepted + 4).collect();
    assert_eq!(seqs(&whole), expected);
    let tail: Vec<&str> = whole
        .iter()
        .rev()
        .take(3)
        .filter_map(|line| line["event"].as_str())
        .collect();
    assert_eq!(tail, ["pinhole.opened", "journal.gap", "pinhole.closed"]);
    assert_eq!(journal.state().lost, 0);
}

/// Sends what goes to the log, by line.
struct LogLines(mpsc::Sender<String>);

impl std::io::Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn log_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || LogLines(sender.clone()))
        .init();
    receiver
}

fn wait_for(log: &mpsc::Receiver<String>, what: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let line = log.recv_timeout(left).expect("told in time");
        if line.contains(what) {
            return;
        }
    }
}
