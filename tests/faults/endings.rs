//! Ends that somebody wants, and those that nobody wanted: both sides of a forwarded transfer come to know.

use std::fs;
use std::time::{Duration, Instant};

use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{Node, program};
use rustix::process::Signal;

use crate::site::{EXPIRY, ROOMY, Site};

/// As [`ROOMY`], and nobody waits long.
const HASTY: &str = "process: {user: 65534}\n\
    timeouts: {stall: 2s, drain: 2s, linger: 2s, idle: 5s, send_stall: 2s}\n";

/// How many files one session takes.
const FILES: usize = 3000;

/// Takes all files `f0`, `f1`, ... in one session, and compares each with what it must be.
const TAKE_ALL: &str = "
import ftplib, sys
host, port, user, password, count = sys.argv[1:]
client = ftplib.FTP(timeout=30)
client.connect(host, int(port))
client.login(user, password)
for number in range(int(count)):
    got = []
    client.retrbinary('RETR f%d' % number, got.append)
    wanted = (b'%06d:' % number) * 128
    assert b''.join(got) == wanted, number
client.quit()
print('all')
";

/// No end leaves anything behind.
#[track_caller]
fn is_tidy(site: &Site, before: &str) {
    site.empties(EXPIRY);
    assert_eq!(site.others(), before);
}

#[test]
fn ctl_kill_resets_a_forwarded_transfer_on_both_sides() {
    let site = Site::new(ROOMY);
    let before = site.others();
    let down = site.downloading();
    let sessions = site.program.ctl(&["sessions", "--format", "json"]);
    let sessions: serde_json::Value = serde_json::from_slice(&sessions.stdout).expect("JSON");
    let session = sessions[0]["id"].as_str().expect("an id").to_owned();
    let killed = site.program.ctl(&["kill", &session]);
    assert!(killed.status.success(), "{killed:?}");
    let mut client = down.finds_a_reset();
    client.hears("421");
    site.server_keeps(0);
    site.journal_tells("session.closed", &session);
    is_tidy(&site, &before);
    site.works();
}

#[test]
fn sigterm_resets_what_is_not_over_when_the_drain_is() {
    let mut site = Site::new(HASTY);
    let before = site.others();
    // The stall would end them, too: that takes longer.
    let (down, up) = (site.downloading(), site.uploading("cut"));
    let begun = Instant::now();
    site.program.signal(Signal::TERM);
    assert_eq!(site.program.ends(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20));
    down.finds_a_reset();
    up.finds_a_reset();
    site.server_keeps(0);
    is_tidy(&site, &before);
    site.program = site.program.start_again();
    site.works();
}

/// The client takes nothing more; its kernel goes on to say so to the server's.
#[test]
fn a_download_that_nobody_reads_is_reset_by_the_stall() {
    let site = Site::new(HASTY);
    let before = site.others();
    let mut down = site.downloading();
    down.client.hears("426");
    site.journal_tells("transfer.failed", "no byte moved for too long");
    down.finds_a_reset();
    site.server_keeps(1);
    is_tidy(&site, &before);
    site.works();
}

/// The server waits for an upload, and nothing comes.
#[test]
fn an_upload_that_stands_still_is_reset_by_the_stall() {
    let site = Site::new(HASTY);
    let before = site.others();
    let mut up = site.uploading("cut");
    up.client.hears("426");
    site.journal_tells("transfer.failed", "no byte moved for too long");
    up.finds_a_reset();
    site.server_keeps(1);
    is_tidy(&site, &before);
    site.works();
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let site = Site::new(HASTY);
    let before = site.others();
    let down = site.downloading();
    let mut waiting = site.client();
    waiting.passive();
    site.run(Node::Client, &["ip", "link", "set", "gateway", "down"]);
    // The server sends again and again what nobody takes: that is no movement.
    site.journal_tells("transfer.failed", "no byte moved for too long");
    site.server_keeps(0);
    is_tidy(&site, &before);
    site.run(Node::Client, &["ip", "link", "set", "gateway", "up"]);
    site.works();
    drop((down, waiting));
}

#[test]
fn three_thousand_small_files_in_one_session() {
    let site = Site::new(ROOMY);
    let before = site.others();
    for number in 0..FILES {
        let text = format!("{number:06}:").repeat(128);
        fs::write(site.server.home().join(format!("f{number}")), text).expect("written");
    }
    let home = site.server.home();
    site.server.give_to_account(home).expect("given");
    let python = program::find("python3").expect("python3");
    let (at, count) = (site.program.at, FILES.to_string());
    let printed = site.run(
        Node::Client,
        &[
            &python.display().to_string(),
            "-c",
            TAKE_ALL,
            &at.ip().to_string(),
            &at.port().to_string(),
            USER,
            PASSWORD,
            &count,
        ],
    );
    assert_eq!(printed.trim(), "all");
    site.program
        .journal_shows_times(FILES, "transfer.completed");
    let journal = fs::read_to_string(site.program.journal_path()).expect("a journal");
    let count = |part: &str| journal.matches(part).count();
    assert_eq!(count("\"event\":\"pinhole.opened\""), FILES);
    assert_eq!(count("\"event\":\"transfer.failed\""), 0);
    site.program.journal_shows_times(FILES, "pinhole.closed");
    is_tidy(&site, &before);
}
