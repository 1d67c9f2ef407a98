//! The process dies with pinholes open, and comes back at once.
//!
//! A program of its own: a child between fork and exec holds copies of every descriptor, also of the listeners that
//! tests beside it expect to be shut.

#[path = "gateway/client.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod client;
#[path = "gateway/server.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod server;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::server::Server;

/// How long anything that must happen may take, also on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway process that is listening; killed when the test ends.
struct Process(Child);

impl Process {
    fn start(at: SocketAddr, upstream: SocketAddr, journal: &Path) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args([
                "run",
                "--listen",
                &at.to_string(),
                "--upstream",
                &upstream.to_string(),
            ])
            .args(["--window", "25900-25901", "--journal"])
            .arg(journal)
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let process = Process(child);
        let mut line = String::new();
        while !line.contains("listener") {
            line.clear();
            assert!(log.read_line(&mut line).expect("its log") > 0, "it ended");
        }
        // Whatever it says later must not stop it.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        process
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("dead");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn after_kill_9_every_pinhole_is_shut_and_a_restart_opens_the_same_ports_at_once() {
    let server = Server::start()
        .with_file("held", b"first half, second half")
        .with_file("file", b"some content");
    let _hold = server.hold();
    let directory = tempfile::tempdir().expect("a directory");
    let journal = directory.path().join("journal");
    // Other processes that run the same test have other addresses.
    let [.., high, low] = std::process::id().to_be_bytes();
    let at = SocketAddr::from(([127, 63, high, low.max(1)], 25_899));
    let mut process = Process::start(at, server.at, &journal);
    let mut waiting = Client::login(at);
    let hole = waiting.passive();
    let mut busy = Client::connect_from(IpAddr::from([127, 0, 0, 2]), at).logged_in();
    let dialled = busy.passive();
    let mut data = busy.dial(dialled);
    busy.asks("RETR held", "150");
    data.read_exact(&mut [0; 11]).expect("the first half");

    process.kill();
    assert!(
        TcpStream::connect(hole).is_err(),
        "the pinhole is still open"
    );
    assert!(TcpStream::connect(at).is_err(), "nobody listens");
    // The transfer ends, and what there was of it does not go on.
    let mut rest = Vec::new();
    let _ = data.read_to_end(&mut rest);
    assert_eq!(rest, b"");

    let _again = Process::start(at, server.at, &journal);
    let mut client = Client::login(at);
    let ports = [client.passive().port(), Client::login(at).passive().port()];
    assert!(
        ports.contains(&25_900) || ports.contains(&25_901),
        "{ports:?}"
    );
    assert_eq!(client.download("file"), b"some content");
    let text = std::fs::read_to_string(&journal).expect("a journal");
    // The gateway may be in the middle of its next line.
    let (whole, _) = text.rsplit_once('\n').expect("a line");
    let records: Vec<Value> = whole
        .lines()
        .map(|line| serde_json::from_str(line).expect("whole lines"))
        .collect();
    let starts = records
        .iter()
        .filter(|record| record["event"] == "gateway.started");
    assert_eq!(starts.count(), 2);
}
