//! The journal against real files, pipes and full disks.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use portcullis::engine::{
    Carried, CloseReason, Event, PinholeId, Record, SessionEnd, SessionId, Side, TransferId, Wall,
};
use portcullis::gateway::journal::{
    Addresses, Journal, JournalSettings, Refused, Target, siblings,
};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(target: Target) -> JournalSettings {
    JournalSettings {
        target,
        mode: 0o640,
        rotate_size: None,
        keep: None,
        warn_free: Some(10),
        anonymous_email: false,
        addresses: Addresses::Full,
    }
}

fn to_file(path: &Path) -> JournalSettings {
    settings(Target::File(path.to_owned()))
}

fn record(user: &str, event: Event) -> Record {
    Record {
        at: Wall(1_795_233_600_000_000),
        session: Some(SessionId(*b"k3j2wq7m4pxa")),
        client: Some("198.51.100.7".parse().expect("an address")),
        user: Some(Arc::from(user)),
        event,
    }
}

/// A record that gates an effect.
fn opened(number: u32) -> Record {
    let event = Event::PinholeOpened {
        pinhole: PinholeId(number),
        transfer: TransferId(number),
        side: Side::Client,
        from: "198.51.100.7/32".parse().expect("a network"),
        at: "203.0.113.10:21007".parse().expect("an address"),
        leads_to: None,
        command: "PASV",
        ttl: 30,
    };
    record("alice", event)
}

/// A record that gates nothing.
fn closed(number: u32) -> Record {
    let event = Event::PinholeClosed {
        pinhole: PinholeId(number),
        transfer: TransferId(number),
        side: Side::Client,
        from: "198.51.100.7/32".parse().expect("a network"),
        at: "203.0.113.10:21007".parse().expect("an address"),
        leads_to: None,
        command: "PASV",
        opened: Wall(1_795_233_590_000_000),
        used: None,
        bytes_up: 0,
        bytes_down: 0,
        reason: CloseReason::NeverUsed,
        carried: Carried::Relayed,
    };
    record("alice", event)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("read");
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    lines
        .iter()
        .map(|line| line["seq"].as_u64().expect("a number"))
        .collect()
}

fn named_pipe(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a named pipe");
}

/// Opens the reading end without waiting for a writer.
fn reader(path: &Path) -> File {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).expect("opened");
    File::from(fd)
}

/// Reads lines until one is `last`, waiting for each.
fn read_until(pipe: &mut File, last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let end = Instant::now() + PATIENCE;
    let (mut text, mut found) = (Vec::new(), Vec::new());
    let mut chunk = [0; 65536];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => panic!("the journal closed the pipe"),
            Ok(count) => text.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                assert!(Instant::now() < end, "it never came");
                let mut polled = [rustix::event::PollFd::new(
                    pipe,
                    rustix::event::PollFlags::IN,
                )];
                let second = Duration::from_secs(1).try_into().expect("a time");
                rustix::event::poll(&mut polled, Some(&second)).expect("polled");
            }
            Err(error) => panic!("{error}"),
        }
        while let Some(at) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=at).collect();
            let line: Value = serde_json::from_slice(&line).expect("JSON");
            found.push(line);
            if found.last().is_some_and(&last) {
                return found;
            }
        }
    }
}

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
        let email = Some(Arc::from("guest@example.org"));
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
    // Dropping joins the journal's thread, which deletes on its way in.
    drop(journal);
    assert!(!old.exists());
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

#[test]
fn a_pipe_whose_reader_is_gone_refuses_until_there_is_a_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    named_pipe(&path);
    let mut first = reader(&path);
    let journal = Journal::open(to_file(&path)).expect("opened");
    journal.write(&opened(1)).expect("accepted");
    read_until(&mut first, |line| line["pinhole"] == "k3j2wq7m4pxa.1");
    drop(first);
    assert_eq!(journal.write(&opened(2)), Err(Refused));
    assert_eq!(journal.write(&closed(1)), Ok(()));
    assert!(!journal.state().accepting);

    // No call wakes it: it recovers by itself.
    let mut second = reader(&path);
    let seen = read_until(&mut second, |line| line["event"] == "journal.gap");
    let ids: Vec<&str> = seen
        .iter()
        .filter_map(|line| line["event"].as_str())
        .collect();
    assert_eq!(ids, ["pinhole.closed", "journal.gap"]);
    assert_eq!(seqs(&seen), [2, 3]);
    journal.write(&opened(3)).expect("accepted");
    assert!(journal.state().accepting);
}

#[test]
fn a_reader_that_stands_still_holds_nobody_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    named_pipe(&path);
    let mut pipe = reader(&path);
    let journal = Journal::open(to_file(&path)).expect("opened");
    let (start, mut accepted, mut slowest) = (Instant::now(), 0_u32, Duration::ZERO);
    loop {
        let before = Instant::now();
        let answer = journal.write(&opened(accepted + 1));
        slowest = slowest.max(before.elapsed());
        match answer {
            Ok(()) => accepted += 1,
            Err(Refused) => break,
        }
        assert!(start.elapsed() < PATIENCE, "never refused");
    }
    // The kernel's buffer and the queue were used, and no call waited for the reader's two seconds.
    assert!(accepted > 4096, "{accepted}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");

    // Records that gate nothing are never refused, only counted.
    journal.write(&closed(1)).expect("never refused");
    assert_eq!(journal.state().lost, 1);

    // What was accepted comes, in order; then what was lost is told.
    let seen = read_until(&mut pipe, |line| line["event"] == "journal.gap");
    let (gap, holes) = seen.split_last().expect("lines");
    assert_eq!(gap["lost"], 1);
    assert_eq!(seqs(holes), (1..=u64::from(accepted)).collect::<Vec<u64>>());
    journal.write(&opened(1)).expect("accepted");
}

#[test]
fn a_reader_that_stops_for_good_gets_refusals_after_two_seconds() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    named_pipe(&path);
    let _pipe = reader(&path);
    let journal = Journal::open(to_file(&path)).expect("opened");
    // Enough for the kernel's buffer, far from enough for the queue.
    let mut number = 0;
    while journal.state().waiting < 10 {
        number += 1;
        journal.write(&opened(number)).expect("accepted");
    }
    let start = Instant::now();
    while journal.state().accepting {
        assert!(start.elapsed() < PATIENCE, "never given up");
        std::thread::yield_now();
    }
    assert!(start.elapsed() > Duration::from_millis(1500));
    assert_eq!(journal.write(&opened(number + 1)), Err(Refused));
}

#[test]
fn what_waits_is_written_before_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    named_pipe(&path);
    let mut pipe = reader(&path);
    let journal = Journal::open(to_file(&path)).expect("opened");
    let mut number = 0;
    while journal.state().waiting < 10 {
        number += 1;
        journal.write(&opened(number)).expect("accepted");
    }
    let end = Event::SessionClosed {
        reason: SessionEnd::Shutdown,
        micros: 1,
        commands: 0,
        transfers: 0,
        pinholes: 0,
    };
    journal.write(&record("alice", end)).expect("accepted");
    let ending = std::thread::spawn(move || drop(journal));
    let seen = read_until(&mut pipe, |line| line["event"] == "session.closed");
    assert_eq!(seen.len() as u32, number + 1);
    ending.join().expect("joined");
}

/// Runs one of the ignored tests below in a process of its own.
fn inner(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

#[test]
fn standard_output_that_is_a_closed_pipe_refuses() {
    let mut child = inner("inner_standard_output")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawned");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("{\"time\":") {
        line.clear();
        assert_ne!(out.read_line(&mut line).expect("read"), 0, "no record came");
    }
    let value: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(value["event"], "pinhole.opened");
    drop(out);
    drop(child.stdin.take());
    let status = child.wait().expect("waited");
    assert_eq!(status.code(), Some(42));
}

#[test]
#[ignore = "the inside of standard_output_that_is_a_closed_pipe_refuses"]
fn inner_standard_output() {
    let journal = Journal::open(settings(Target::Stdout)).expect("opened");
    println!();
    journal.write(&opened(1)).expect("accepted");
    // The other side closes the pipe, then standard input.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let refused = journal.write(&opened(2)) == Err(Refused);
    let down = !journal.state().accepting;
    // The test harness must not print to the closed pipe.
    std::process::exit(if refused && down { 42 } else { 1 });
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
        .args(["--exact", "inner_full_disk", "--ignored", "--nocapture"])
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
