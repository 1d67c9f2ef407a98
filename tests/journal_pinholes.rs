//! `portcullis journal pinholes` over real files.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use portcullis::cli::pinholes::{PinholeQuery, Source, Summary, pinholes};
use portcullis::engine::Wall;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn opened(time: &str, hole: &str, client: &str, user: &str) -> String {
    format!(
        r#"{{"time":"2026-11-21T{time}Z","seq":1,"event":"pinhole.opened","severity":"info","session":"s","client":"{client}","user":"{user}","pinhole":"{hole}","transfer":1,"side":"client","from":"{client}/32","at":"203.0.113.10:21007","leads_to":"10.0.0.5:50006","command":"PASV","ttl":30}}"#
    ) + "\n"
}

fn used(time: &str, hole: &str) -> String {
    format!(
        r#"{{"time":"2026-11-21T{time}Z","seq":1,"event":"pinhole.used","severity":"info","session":"s","pinhole":"{hole}","side":"client","peer":"198.51.100.7:40000","at":"203.0.113.10:21007"}}"#
    ) + "\n"
}

fn closed(time: &str, since: &str, hole: &str, client: &str, user: &str, reason: &str) -> String {
    format!(
        r#"{{"time":"2026-11-21T{time}Z","seq":1,"event":"pinhole.closed","severity":"info","session":"s","client":"{client}","user":"{user}","pinhole":"{hole}","transfer":1,"side":"client","from":"{client}/32","at":"203.0.113.10:21007","leads_to":"10.0.0.5:50006","command":"PASV","opened":"2026-11-21T{since}Z","used":"2026-11-21T{since}Z","seconds":1.000000,"bytes_up":0,"bytes_down":1048576,"reason":"{reason}","carried":"relayed"}}"#
    ) + "\n"
}

const STARTED: &str = r#"{"time":"2026-11-21T04:30:00.000000Z","seq":1,"event":"gateway.started","severity":"info","version":"0.1.0"}
"#;

/// A journal of one rotation, one crash and one restart.
fn journal(directory: &Path) -> PathBuf {
    let path = directory.join("journal.jsonl");
    let aside = directory.join("journal.jsonl.20261121T041000Z");
    let mut old = String::new();
    old += &opened("04:00:00.000000", "aaaaaaaaaaaa.1", "198.51.100.7", "alice");
    old += &used("04:00:00.042000", "aaaaaaaaaaaa.1");
    old += &closed(
        "04:00:05.500000",
        "04:00:00.000000",
        "aaaaaaaaaaaa.1",
        "198.51.100.7",
        "alice",
        "completed",
    );
    old += &opened("04:09:00.000000", "bbbbbbbbbbbb.1", "2001:db8::7", "bob");
    // Opened before the rotation, closed after it.
    old += &opened("04:09:59.000000", "bbbbbbbbbbbb.2", "2001:db8::7", "bob");
    fs::write(&aside, old).expect("written");

    let mut new = String::new();
    new += r#"{"time":"2026-11-21T04:10:00.000000Z","seq":9,"event":"pinho"#;
    new += "\n";
    new += &closed(
        "04:11:00.000000",
        "04:09:59.000000",
        "bbbbbbbbbbbb.2",
        "2001:db8::7",
        "bob",
        "transfer_failed",
    );
    new += STARTED;
    new += &opened(
        "04:59:00.000000",
        "cccccccccccc.1",
        "198.51.100.7",
        "\\u001b[2J%n%s",
    );
    new += &used("04:59:01.500000", "cccccccccccc.1");
    new += &opened(
        "04:59:30.000000",
        "dddddddddddd.1",
        "192.0.2.0/24",
        &"x".repeat(10_000),
    );
    fs::write(&path, new).expect("written");
    path
}

fn run(query: &PinholeQuery, sources: &[Source]) -> (String, String, Summary) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let summary = pinholes(query, sources, &mut out, &mut notes).expect("printed");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(out), text(notes), summary)
}

fn names(table: &str) -> Vec<&str> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect()
}

#[test]
fn the_table_spans_rotation_crash_and_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = journal(directory.path());
    let (out, notes, summary) = run(&PinholeQuery::default(), &[Source::File(path)]);
    assert!(!out.chars().any(|it| it.is_control() && it != '\n'));
    insta::assert_snapshot!(out);
    assert!(notes.starts_with("1 lines could not be read"), "{notes}");
    assert_eq!((summary.rows, summary.unreadable), (5, 1));
}

#[test]
fn what_the_kernel_carried_is_shown_as_such_and_what_it_did_not_tell_as_a_dash() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal.jsonl");
    let one = |hole: &str, volume: &str| {
        let (end, start) = ("04:00:05.500000", "04:00:00.000000");
        let line = closed(end, start, hole, "198.51.100.7", "alice", "completed");
        line.replace(r#""bytes_up":0,"bytes_down":1048576,"#, volume)
            .replace("relayed", "forwarded")
    };
    let told =
        r#""wire_bytes_up":19140,"wire_bytes_down":1086312,"packets_up":368,"packets_down":728,"#;
    fs::write(
        &path,
        one("aaaaaaaaaaaa.1", told) + &one("aaaaaaaaaaaa.2", ""),
    )
    .expect("written");
    let (out, _, summary) = run(&PinholeQuery::default(), &[Source::File(path)]);
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(summary.rows, 2);
    assert!(
        out.contains("19140 wire") && out.contains("1086312 wire"),
        "{out}"
    );
    let end = rows[2].len();
    assert_eq!(rows[2][end - 3..], ["-", "-", "completed"], "{out}");
}

#[test]
fn files_are_read_in_the_order_of_their_time_and_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = journal(directory.path());
    let aside = directory.path().join("journal.jsonl.20261121T041000Z");
    let both = [Source::File(path.clone()), Source::File(aside.clone())];
    let alone = run(&PinholeQuery::default(), &[Source::File(path.clone())]);
    assert_eq!(run(&PinholeQuery::default(), &both), alone);

    // Without the file that they came from, files that were put aside sort by their names.
    fs::rename(
        &path,
        directory.path().join("journal.jsonl.20261121T050000Z"),
    )
    .expect("renamed");
    let later = directory.path().join("journal.jsonl.20261121T050000Z");
    let both = [Source::File(later), Source::File(aside)];
    assert_eq!(run(&PinholeQuery::default(), &both), alone);
}

#[test]
fn since_keeps_what_was_open_then_or_later() {
    let directory = tempfile::tempdir().expect("a directory");
    let sources = [Source::File(journal(directory.path()))];
    let mut query = PinholeQuery::default();
    let at = |text: &str| {
        let time: jiff::Timestamp = text.parse().expect("a time");
        Some(Wall(u64::try_from(time.as_microsecond()).expect("late")))
    };
    query.since = at("2026-11-21T04:10:30Z");
    assert_eq!(
        names(&run(&query, &sources).0),
        [
            "bbbbbbbbbbbb.2",
            "bbbbbbbbbbbb.1",
            "cccccccccccc.1",
            "dddddddddddd.1"
        ]
    );
    query.since = at("2026-11-21T05:00:00Z");
    assert_eq!(
        names(&run(&query, &sources).0),
        ["cccccccccccc.1", "dddddddddddd.1"]
    );
}

#[test]
fn client_keeps_a_network() {
    let directory = tempfile::tempdir().expect("a directory");
    let sources = [Source::File(journal(directory.path()))];
    let shown = |client: &str| {
        let query = PinholeQuery {
            client: Some(client.parse().expect("a network")),
            ..PinholeQuery::default()
        };
        let table = run(&query, &sources).0;
        names(&table)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown("198.51.100.0/24"),
        ["aaaaaaaaaaaa.1", "cccccccccccc.1"]
    );
    assert_eq!(shown("2001:db8::/32"), ["bbbbbbbbbbbb.2", "bbbbbbbbbbbb.1"]);
    // The journal cut this one's address: it may be the one that is asked for.
    assert_eq!(shown("192.0.2.9/32"), ["dddddddddddd.1"]);
    assert!(shown("203.0.113.0/24").is_empty());
}

#[test]
fn open_keeps_what_is_open_still() {
    let directory = tempfile::tempdir().expect("a directory");
    let sources = [Source::File(journal(directory.path()))];
    let query = PinholeQuery {
        open: true,
        ..PinholeQuery::default()
    };
    let (out, _, _) = run(&query, &sources);
    assert_eq!(names(&out), ["cccccccccccc.1", "dddddddddddd.1"]);
    assert!(
        out.lines().skip(1).all(|line| line.ends_with("open")),
        "{out}"
    );
}

#[test]
fn nonsense_is_counted_and_harms_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut bytes = b"\xff\xfe\n[]\n{\"event\":\"pinhole.closed\"}\n{\"time\":5,\"event\":\"pinhole.used\"}\n\n".to_vec();
    bytes.extend_from_slice(
        opened("04:00:00.000000", "eeeeeeeeeeee.1", "198.51.100.7", "eve")
            .trim_end()
            .as_bytes(),
    );
    fs::write(&path, bytes).expect("written");
    let (out, notes, summary) = run(&PinholeQuery::default(), &[Source::File(path)]);
    // The last line has no line feed and is whole.
    assert_eq!(names(&out), ["eeeeeeeeeeee.1"]);
    assert_eq!(summary.unreadable, 5);
    assert!(notes.starts_with("5 lines"), "{notes}");
}

#[test]
fn a_missing_file_is_named() {
    let missing = Path::new("/nonexistent/journal.jsonl");
    let answer = pinholes(
        &PinholeQuery::default(),
        &[Source::File(missing.to_owned())],
        &mut Vec::new(),
        &mut Vec::new(),
    );
    let error = answer.expect_err("an error").to_string();
    assert!(error.contains("/nonexistent/journal.jsonl"), "{error}");
    assert_eq!(Source::from_argument(Path::new("-")), Source::Stdin);
}

/// Sends rows to the test, until the test has gone away.
struct Rows {
    sender: mpsc::Sender<String>,
    gone: Arc<AtomicBool>,
}

impl Write for Rows {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let _ = self
            .sender
            .send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn following_survives_rotation_and_ends_with_its_reader() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal.jsonl");
    fs::write(&path, "").expect("written");
    let (sender, receiver) = mpsc::channel();
    let gone = Arc::new(AtomicBool::new(false));
    let follower = std::thread::spawn({
        let (path, gone) = (path.clone(), Arc::clone(&gone));
        move || {
            let query = PinholeQuery {
                follow: true,
                ..PinholeQuery::default()
            };
            let mut out = io::BufWriter::new(Rows { sender, gone });
            pinholes(&query, &[Source::File(path)], &mut out, &mut Vec::new())
        }
    });
    let append = |text: &str| {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    };
    let mut shown = String::new();
    let mut wait_for = |what: &str| {
        while !shown.contains(what) {
            shown += &receiver.recv_timeout(PATIENCE).expect("shown in time");
        }
        std::mem::take(&mut shown)
    };

    // A line in two parts is one line.
    let line = opened("04:00:00.000000", "aaaaaaaaaaaa.1", "198.51.100.7", "alice");
    let (first, second) = line.split_at(100);
    append(first);
    append(second);
    let row = wait_for("open\n");
    assert!(row.contains("aaaaaaaaaaaa.1"), "{row}");

    append(&opened(
        "04:00:01.000000",
        "aaaaaaaaaaaa.2",
        "198.51.100.7",
        "alice",
    ));
    fs::rename(
        &path,
        directory.path().join("journal.jsonl.20261121T040001Z"),
    )
    .expect("renamed");
    append(&closed(
        "04:00:02.000000",
        "04:00:00.000000",
        "aaaaaaaaaaaa.1",
        "198.51.100.7",
        "alice",
        "completed",
    ));
    let rows = wait_for("completed\n");
    assert!(rows.contains("aaaaaaaaaaaa.2"), "{rows}");

    gone.store(true, Ordering::SeqCst);
    append(&opened(
        "04:00:03.000000",
        "aaaaaaaaaaaa.3",
        "198.51.100.7",
        "alice",
    ));
    let summary = follower.join().expect("joined").expect("no error");
    assert_eq!(summary.unreadable, 0);
}

fn program(directory: &Path, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("portcullis").expect("built");
    command.current_dir(directory);
    command.args(["journal", "pinholes"]).args(arguments);
    command
}

#[test]
fn the_program_reads_files_and_standard_input() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = journal(directory.path());
    let table = |mut command: assert_cmd::Command| {
        let output = command.assert().success().get_output().stdout.clone();
        String::from_utf8(output).expect("UTF-8")
    };
    let open = table(program(directory.path(), &["--open", "journal.jsonl"]));
    assert_eq!(names(&open), ["cccccccccccc.1", "dddddddddddd.1"]);

    let text = fs::read(&path).expect("read");
    for arguments in [&["--open", "-"][..], &["--open"], &["--open", "--follow"]] {
        let mut command = program(directory.path(), arguments);
        command.write_stdin(text.clone());
        let shown = table(command);
        assert_eq!(names(&shown).first(), Some(&"cccccccccccc.1"), "{shown}");
    }

    program(directory.path(), &["missing.jsonl"])
        .assert()
        .code(2)
        .stderr("portcullis: cannot open missing.jsonl: No such file or directory (os error 2)\n");
}
