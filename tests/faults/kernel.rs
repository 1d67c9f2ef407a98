//! The kernel has no room, or does not say what it did.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{Family, Node};
use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;
use crate::site::{EXPIRY, ROOMY, Site, nft};

/// The size of each set.
const SIZE: u32 = 65_536;

/// How many transfers are tried while the kernel is disturbed.
const TRIES: usize = 40;

#[test]
fn a_full_set_refuses_with_425_until_there_is_room() {
    let site = Site::new(ROOMY);
    let mut client = site.client();
    let mut all = "add element inet portcullis snat4 {\n".to_owned();
    for number in 0..SIZE {
        let peer = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let _ = writeln!(
            all,
            "{peer} . 198.51.100.1 . 25950 timeout 1h : 203.0.113.1,"
        );
    }
    all.push_str("}\n");
    nft(&site.lab, &all);
    let before = site.others();
    client.asks("PASV", "425");
    site.journal_tells("pinhole.refused", "\"side\":\"client\"");
    client.asks("NOOP", "200");
    // Nothing of the refused one stands anywhere.
    let dnat = site.run(
        Node::Gateway,
        &["nft", "list", "map", "inet", "portcullis", "dnat4"],
    );
    assert!(!dnat.contains("192.0.2.7"), "{dnat}");
    nft(&site.lab, "flush map inet portcullis snat4\n");
    let taken = site.lab.inside(Node::Client, || client.download("file"));
    assert_eq!(taken.expect("inside"), b"some content");
    site.empties(EXPIRY);
    assert_eq!(site.others(), before);
}

/// What the kernel answered is lost: nobody knows whether a hole opened, or shut.
#[test]
fn lost_answers_of_the_kernel_open_nothing_for_good() {
    disturbed("recvmsg:error=ENOBUFS:when=5+3");
}

/// A question never gets to the kernel, or the broker's answer never to the gateway.
#[test]
fn lost_questions_open_nothing_for_good() {
    disturbed("sendto:error=ENOBUFS:when=4+5");
}

fn disturbed(injection: &str) {
    let site = Site::new(ROOMY);
    let before = site.others();
    site.works();
    let disturbance = Disturbance::of(site.program.broker(), injection);
    let mut taken = 0;
    for _ in 0..TRIES {
        let at = site.program.at;
        let tried = site.lab.inside(Node::Client, || try_once(at));
        // Else an honest refusal, or a connection that could not be.
        if let Ok(Some(content)) = tried.expect("inside") {
            assert_eq!(content, b"some content");
            taken += 1;
        }
    }
    let disturbed = disturbance.ends();
    println!("{injection}: {disturbed} disturbances, {taken} of {TRIES} files came");
    assert!(disturbed >= TRIES / 4, "only {disturbed} disturbances");
    site.empties(EXPIRY);
    assert_eq!(site.others(), before);
    site.works();
}

/// Takes a file if that is possible; whenever the server's word says so, all of it has come.
fn try_once(at: SocketAddr) -> io::Result<Option<Vec<u8>>> {
    let patience = Some(Duration::from_secs(15));
    let control = TcpStream::connect(at)?;
    control.set_read_timeout(patience)?;
    let mut lines = BufReader::new(control.try_clone()?);
    let mut control = control;
    let mut asks = |command: &str| -> io::Result<String> {
        if !command.is_empty() {
            control.write_all(format!("{command}\r\n").as_bytes())?;
        }
        let mut line = String::new();
        match lines.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    };
    asks("")?;
    asks(&format!("USER {USER}"))?;
    asks(&format!("PASS {PASSWORD}"))?;
    asks("TYPE I")?;
    let passive = asks("EPSV")?;
    let port = passive.split('|').nth(3).and_then(|port| port.parse().ok());
    let (true, Some(port)) = (passive.starts_with("229"), port) else {
        assert!(passive.starts_with("42"), "{passive}");
        return Ok(None);
    };
    let to = SocketAddr::new(Node::Gateway.address(Family::V4), port);
    let mut data = TcpStream::connect_timeout(&to, Duration::from_secs(3))?;
    data.set_read_timeout(patience)?;
    if !asks("RETR file")?.starts_with("150") {
        return Ok(None);
    }
    let mut content = Vec::new();
    data.read_to_end(&mut content)?;
    Ok(asks("")?.starts_with("226").then_some(content))
}

/// strace(1), which lets system calls of a process fail.
struct Disturbance {
    strace: Child,
    log: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl Disturbance {
    fn of(process: u32, injection: &str) -> Disturbance {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("strace");
        let strace = Command::new("strace")
            .args([
                "-p",
                &process.to_string(),
                "-e",
                &format!("inject={injection}"),
            ])
            .arg("-o")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace, which `scripts/test` installs");
        let until = Instant::now() + PATIENCE;
        let traced = || {
            let status = fs::read_to_string(format!("/proc/{process}/status"));
            let status = status.expect("a status");
            status.lines().any(|line| {
                line.strip_prefix("TracerPid:")
                    .is_some_and(|tracer| tracer.trim() != "0")
            })
        };
        while !traced() {
            assert!(Instant::now() < until, "strace does not trace {process}");
            // Nobody tells of it, so it is looked at again, up to the bound above.
            thread::sleep(Duration::from_millis(5));
        }
        Disturbance {
            strace,
            log,
            _directory: directory,
        }
    }

    /// Lets go of the process; answers with how many calls failed.
    fn ends(mut self) -> usize {
        kill_process(Pid::from_child(&self.strace), Signal::INT).expect("told");
        self.strace.wait().expect("ended");
        let log = fs::read_to_string(&self.log).expect("strace's log");
        log.matches("(INJECTED)").count()
    }
}

impl Drop for Disturbance {
    fn drop(&mut self) {
        // It may be gone.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}
