//! Files: order, escaping, modes, rotation, reopening.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use portcullis::engine::Event;
use portcullis::gateway::journal::{Journal, siblings};
use serde_json::Value;

use super::{PATIENCE, closed, lines, opened, record, seqs, to_file};

#[test]
fn the_order_of_numbers_is_the_order_in_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let journal = Journal::open(to_file(&path)).expect("opened");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..500 {
                    journal
                        .write(&opened(thread * 1000 + number))
                        .expect("accepted");
                }
            });
        }
    });
    let lines = lines(&path);
    assert_eq!(seqs(&lines), (1..=4000).collect::<Vec<u64>>());
    let holes: HashSet<&str> = lines
        .iter()
        .filter_map(|line| line["pinhole"].as_str())
        .collect();
    assert_eq!(holes.len(), 4000);
    assert_eq!(journal.state().records, 4000);
}

#[test]
fn hostile_text_is_one_escaped_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let journal = Journal::open(to_file(&path)).expect("opened");
    let long = "x".repeat(10_000);
    let users = [
        "\x1b[2J",
        "%n%s",
        "../../",
        "a\r\n{\"event\":\"forged\"}",
        "\u{9b}31m\u{202e}\0\x7f",
        long.as_str(),
    ];
    for user in users {
        let event = Event::LoginFailed { code: 530 };
        journal.write(&record(user, event)).expect("accepted");
    }
    let text = fs::read_to_string(&path).expect("read");
    assert!(
        !text
            .chars()
            .any(|character| character.is_control() && character != '\n')
    );
    assert!(!text.contains('\u{202e}'));
    let back: Vec<Value> = lines(&path);
    let names: Vec<&str> = back
        .iter()
        .filter_map(|line| line["user"].as_str())
        .collect();
    assert_eq!(names, users);
}

#[test]
fn the_password_of_anonymous_is_dropped_unless_wanted() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let journal = Journal::open(to_file(&path)).expect("opened");
    let login = || {
        let email = Some("guest@example.org".into());
        record("anonymous", Event::LoginSucceeded { email })
    };
    journal.write(&login()).expect("accepted");
    assert!(
        !fs::read_to_string(&path)
            .expect("read")
            .contains("guest@example.org")
    );
    let mut wanted = to_file(&path);
    wanted.anonymous_email = true;
    journal.replace_settings(wanted).expect("replaced");
    journal.write(&login()).expect("accepted");
    assert_eq!(lines(&path)[1]["email"], "guest@example.org");
}

#[test]
fn the_file_has_its_mode_and_is_never_a_symbolic_link() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut settings = to_file(&path);
    // A bit that every usual umask takes away.
    settings.mode = 0o662;
    drop(Journal::open(settings).expect("opened"));
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o662);

    let link = directory.path().join("link");
    symlink(&path, &link).expect("linked");
    let refused = Journal::open(to_file(&link)).expect_err("refused");
    assert_eq!(
        refused.raw_os_error(),
        Some(rustix::io::Errno::LOOP.raw_os_error())
    );
}

#[test]
fn a_line_that_a_crash_tore_is_ended_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    fs::write(&path, "{\"time\":\"2026-11-2").expect("written");
    let journal = Journal::open(to_file(&path)).expect("opened");
    journal.write(&opened(1)).expect("accepted");
    let text = fs::read_to_string(&path).expect("read");
    let (torn, rest) = text.split_once('\n').expect("two lines");
    assert_eq!(torn, "{\"time\":\"2026-11-2");
    let line: Value = serde_json::from_str(rest).expect("JSON");
    assert_eq!(line["seq"], 1);
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let moved = directory.path().join("journal.1");
    let journal = Journal::open(to_file(&path)).expect("opened");
    journal.write(&opened(1)).expect("accepted");
    fs::rename(&path, &moved).expect("renamed");
    journal.write(&opened(2)).expect("accepted");
    journal.reopen();
    journal.write(&opened(3)).expect("accepted");
    assert_eq!(seqs(&lines(&moved)), [1, 2]);
    assert_eq!(seqs(&lines(&path)), [3]);

    // Nothing to open: the old file goes on.
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    journal.reopen();
    journal.write(&opened(4)).expect("accepted");
    assert!(journal.state().accepting);
}

#[test]
fn a_long_file_is_put_aside_and_an_old_one_deleted() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let old = directory.path().join("journal.20200101T000000Z");
    let foreign = directory.path().join("journal.20200101T000000Z.gz");
    for name in [&old, &foreign] {
        fs::write(name, "").expect("written");
    }
    let mut settings = to_file(&path);
    settings.rotate_size = Some(2000);
    settings.keep = Some(Duration::from_secs(3600));
    let journal = Journal::open(settings).expect("opened");
    for number in 1..=20 {
        journal.write(&opened(number)).expect("accepted");
    }
    let end = Instant::now() + PATIENCE;
    while old.exists() {
        assert!(Instant::now() < end, "never deleted");
        std::thread::yield_now();
    }
    drop(journal);
    assert!(foreign.exists());
    let aside = siblings(&path).expect("read");
    assert!(!aside.is_empty());
    let mut all = Vec::new();
    for (_, path) in &aside {
        assert!(fs::metadata(path).expect("there").len() <= 2000);
        all.extend(lines(path));
    }
    all.extend(lines(&path));
    assert_eq!(seqs(&all), (1..=20).collect::<Vec<u64>>());
}

#[test]
fn a_rename_by_somebody_else_does_not_confuse_rotation() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let moved = directory.path().join("elsewhere");
    let mut settings = to_file(&path);
    settings.rotate_size = Some(1000);
    let journal = Journal::open(settings).expect("opened");
    journal.write(&opened(1)).expect("accepted");
    fs::rename(&path, &moved).expect("renamed");
    let mut other = File::create(&path).expect("made");
    other.write_all(b"{\"not\":\"ours\"}\n").expect("written");
    for number in 2..=5 {
        journal.write(&opened(number)).expect("accepted");
    }
    // The file that somebody put there is used, not put aside under our name.
    assert!(siblings(&path).expect("read").is_empty());
    let taken = fs::read_to_string(&path).expect("read");
    assert!(
        taken.starts_with("{\"not\":\"ours\"}\n{\"time\":"),
        "{taken}"
    );
}

#[test]
fn lines_held_back_leave_in_order_with_the_next_that_gates_or_at_a_flush() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let journal = Journal::open(to_file(&path)).expect("opened");
    let events = || {
        let lines = lines(&path);
        assert_eq!(seqs(&lines), (1..=lines.len() as u64).collect::<Vec<u64>>());
        let event = |line: &Value| line["event"].as_str().expect("an event").to_owned();
        lines.iter().map(event).collect::<Vec<String>>()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            journal.hold_back();
            journal.write(&closed(1)).expect("never refused");
            assert!(events().is_empty(), "nothing was to be written yet");
            journal.write(&opened(2)).expect("accepted");
            assert_eq!(events(), ["pinhole.closed", "pinhole.opened"]);
            journal.write(&closed(2)).expect("never refused");
            journal.flush();
            assert_eq!(events().len(), 3);
        });
    });
    assert_eq!(journal.state().records, 3);
}
