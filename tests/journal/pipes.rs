//! Pipes: readers that go away, come back or stand still.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::engine::{Event, SessionEnd};
use portcullis::gateway::journal::{Journal, Refused, Target};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use super::{PATIENCE, closed, opened, record, seqs, settings, to_file};

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

/// Waits until a pipe has no reader: a process that another test starts holds a copy of each for a moment.
fn wait_until_unread(writer: impl AsFd) {
    let mut polled = [PollFd::new(&writer, PollFlags::empty())];
    let patience = PATIENCE.try_into().expect("a time");
    rustix::event::poll(&mut polled, Some(&patience)).expect("polled");
    let [polled] = polled;
    assert!(polled.revents().contains(PollFlags::ERR), "somebody reads");
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
                let mut polled = [PollFd::new(pipe, PollFlags::IN)];
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
fn a_pipe_whose_reader_is_gone_refuses_until_there_is_a_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    named_pipe(&path);
    let mut first = reader(&path);
    let journal = Journal::open(to_file(&path)).expect("opened");
    journal.write(&opened(1)).expect("accepted");
    read_until(&mut first, |line| line["pinhole"] == "k3j2wq7m4pxa.1");
    let writer = File::options().write(true).open(&path).expect("opened");
    drop(first);
    wait_until_unread(writer);
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
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");

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
    // The reader has moved for the last time at some moment behind this one.
    let start = Instant::now();
    while journal.state().waiting < 10 {
        number += 1;
        journal.write(&opened(number)).expect("accepted");
    }
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

#[test]
fn standard_output_that_is_a_closed_pipe_refuses() {
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args([
            "--exact",
            "pipes::inner_standard_output",
            "--ignored",
            "--nocapture",
        ])
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
    wait_until_unread(std::io::stdout());
    let refused = journal.write(&opened(2)) == Err(Refused);
    let down = !journal.state().accepting;
    // The test harness must not print to the closed pipe.
    std::process::exit(if refused && down { 42 } else { 1 });
}
