//! The program as a process: signals, exit codes, the service manager, `ctl`.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::PATIENCE;
use crate::client::{Client, read_all};
use crate::gate::{Journal, Setup, until};
use crate::server::{GREETING, Server};

/// A gateway process; killed when the test ends early.
struct Process {
    child: Child,
    journal: Journal,
    log: Receiver<String>,
    /// What was logged before the listeners.
    early: Vec<String>,
    at: SocketAddr,
    directory: TempDir,
}

impl Process {
    fn start(setup: &Setup) -> Process {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .arg("run")
            .arg("--config")
            .arg(config(directory.path(), setup));
        Process::spawn(command, directory)
    }

    fn spawn(mut command: Command, directory: TempDir) -> Process {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let stdout: ChildStdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        let (tell, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The test may have seen enough.
                let _ = tell.send(line);
            }
        });
        let mut process = Process {
            child,
            journal: Journal::from_lines(stdout),
            log,
            early: Vec::new(),
            at: SocketAddr::from(([0, 0, 0, 0], 0)),
            directory,
        };
        let mut line = process.logs("");
        while !line.contains("listener main on ") {
            process.early.push(line);
            line = process.logs("");
        }
        let (_, at) = line.split_once(" on ").expect("an address");
        let (at, _) = at.split_once(',').expect("an address");
        process.at = at.parse().expect("an address");
        process.journal.shows("gateway.started");
        process
    }

    /// Waits for a line of the log.
    fn logs(&self, part: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }

    fn ends(&mut self) -> Option<i32> {
        self.child.wait().expect("waited").code()
    }

    fn ctl(&self, arguments: &[&str]) -> Output {
        let socket = self.directory.path().join("control.sock");
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["ctl", "--socket"])
            .arg(socket)
            .args(arguments)
            .output()
            .expect("ctl")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a config; its control socket is beside it.
fn config(directory: &Path, setup: &Setup) -> PathBuf {
    let path = directory.join("portcullis.yaml");
    let mut setup = setup.clone();
    setup.control = directory.join("control.sock").display().to_string();
    std::fs::write(&path, setup.text()).expect("a config");
    path
}

fn run(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("run").arg("--config").arg(config);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn sigterm_takes_no_new_sessions_lets_transfers_finish_and_exits_0() {
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let mut process = Process::start(&Setup::to(server.at));
    let mut client = Client::login(process.at);
    let at = client.passive();
    let data = client.dial(at);
    client.asks("RETR held", "150");
    process.signal(Signal::TERM);
    process.journal.shows("gateway.stopping");
    until("new sessions are still taken", || {
        TcpStream::connect(process.at).is_err()
    });
    drop(hold);
    assert_eq!(read_all(data), b"first half, second half");
    client.hears("226");
    assert_eq!(
        process.journal.shows("pinhole.closed")["reason"],
        "completed"
    );
    process.journal.shows("session.closed");
    assert_eq!(process.ends(), Some(0));
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let server = Server::start().with_file("held", b"first half, second half");
    let _hold = server.hold();
    let mut process = Process::start(&Setup::to(server.at));
    let mut client = Client::login(process.at);
    let at = client.passive();
    let _data = client.dial(at);
    client.asks("RETR held", "150");
    process.signal(Signal::TERM);
    process.journal.shows("gateway.stopping");
    process.signal(Signal::INT);
    assert_eq!(
        process.journal.shows("session.closed")["reason"],
        "shutdown"
    );
    assert_eq!(process.ends(), Some(0));
}

#[test]
fn sighup_reloads_the_config_and_says_what_needs_a_restart() {
    let server = Server::start().with_file("file", b"some content");
    let setup = Setup::to(server.at);
    let process = Process::start(&setup);
    let mut client = Client::login(process.at);
    let mut changed = setup.clone().more("rules: {default: deny}");
    changed.listen = "127.0.0.1:2".to_owned();
    config(process.directory.path(), &changed);
    process.signal(Signal::HUP);
    process.journal.shows("gateway.reloaded");
    process.logs("listeners.main.listen");
    client.passive();
    client.asks("RETR file", "550");
}

#[test]
fn ctl_status_sessions_kill_reload_and_drain() {
    let server = Server::start();
    let setup = Setup::to(server.at);
    let mut process = Process::start(&setup);
    let mut client = Client::login(process.at);
    client.passive();

    let status = process.ctl(&["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(
        (&status["sessions"], &status["pinholes"]),
        (&1.into(), &1.into())
    );
    assert_eq!(status["journal"]["accepting"], true);
    assert_eq!(status["listeners"][0]["address"], process.at.to_string());
    let shown = text(&process.ctl(&["status"]).stdout);
    assert!(shown.contains("sessions   1"), "{shown}");

    let sessions = process.ctl(&["sessions", "--format", "json"]);
    let sessions: serde_json::Value = serde_json::from_slice(&sessions.stdout).expect("JSON");
    let session = &sessions[0];
    assert_eq!(
        (&session["user"], &session["state"]),
        (&"bob".into(), &"idle".into())
    );
    let id = session["id"].as_str().expect("an id").to_owned();
    assert!(text(&process.ctl(&["sessions"]).stdout).contains(&id));

    let nobody = process.ctl(&["kill", "aaaaaaaaaaaa"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("aaaaaaaaaaaa"));
    assert!(process.ctl(&["kill", &id]).status.success());
    client.hears("421");
    assert_eq!(
        process.journal.shows("pinhole.closed")["reason"],
        "session_closed"
    );
    assert_eq!(process.journal.shows("session.closed")["reason"], "killed");

    config(
        process.directory.path(),
        &setup.more("limits: {sessions: 1}"),
    );
    let reloaded = process.ctl(&["reload"]);
    assert!(reloaded.status.success(), "{}", text(&reloaded.stderr));
    std::fs::write(process.directory.path().join("portcullis.yaml"), "nonsense").expect("written");
    let refused = process.ctl(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));

    assert!(process.ctl(&["drain"]).status.success());
    assert_eq!(process.ends(), Some(0));
    assert!(!process.directory.path().join("control.sock").exists());
    let gone = process.ctl(&["status"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        text(&gone.stderr).contains("no gateway answers"),
        "{}",
        text(&gone.stderr)
    );
}

#[test]
fn an_address_in_use_and_a_living_control_socket_are_one_clear_line_each() {
    let server = Server::start();
    let process = Process::start(&Setup::to(server.at));
    let directory = tempfile::tempdir().expect("a directory");
    let mut taken = Setup::to(server.at);
    taken.listen = process.at.to_string();
    let output = run(&config(directory.path(), &taken))
        .output()
        .expect("an end");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains(&process.at.to_string()) && said.contains("in use"),
        "{said}"
    );

    let again = config(process.directory.path(), &Setup::to(server.at));
    let output = run(&again).output().expect("an end");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.lines().count() == 1 && said.contains("another gateway answers"),
        "{said}"
    );
}

#[test]
fn no_permission_for_port_21_exits_77_and_says_what_to_do() {
    let floor =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("a number");
    if floor.trim().parse::<u32>().expect("a number") <= 21 {
        eprintln!("n/a: this machine lets everybody have port 21");
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args([
        "run",
        "--listen",
        "127.0.0.1:21",
        "--upstream",
        "127.0.0.1:2",
    ]);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534);
    }
    let Ok(output) = command.output() else {
        eprintln!("n/a: this build directory is closed to other users");
        return;
    };
    assert_eq!(output.status.code(), Some(77), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    for remedy in ["CAP_NET_BIND_SERVICE", "socket activation", "--listen"] {
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn an_upstream_that_is_unreachable_at_start_is_one_warning_line() {
    let at = SocketAddr::from(([127, 0, 0, 1], 23_903));
    let process = Process::start(&Setup::to(at));
    let line = process.logs("WARN");
    assert!(
        line.contains("cannot be reached") && line.contains("421 until it is back"),
        "{line}"
    );
    Client::connect(process.at).hears("421");
}

#[test]
fn sockets_of_a_service_manager_are_taken_by_name_and_it_is_told_when_all_is_ready() {
    let server = Server::start();
    let directory = tempfile::tempdir().expect("a directory");
    let told = directory.path().join("notify");
    let manager = UnixDatagram::bind(&told).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let at = listener.local_addr().expect("an address");
    // Its own address would be refused: nothing may be bound besides what was handed over.
    let mut setup = Setup::to(server.at);
    setup.listen = "192.0.2.1:21".to_owned();
    let config = config(directory.path(), &setup);
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg("exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=main exec \"$0\" run --config \"$1\"")
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .arg(config)
        .env("NOTIFY_SOCKET", &told)
        .stdin(Stdio::from(OwnedFd::from(listener)));
    let mut process = Process::spawn(command, directory);
    assert_eq!(process.at, at);
    let hears = || {
        let mut buffer = [0; 512];
        let read = manager.recv(&mut buffer).expect("a notification");
        text(&buffer[..read])
    };
    assert!(hears().contains("READY=1"));
    assert_eq!(Client::connect(at).reply(), GREETING);
    process.signal(Signal::HUP);
    assert!(hears().contains("RELOADING=1"));
    assert!(hears().contains("READY=1"));
    process.signal(Signal::TERM);
    assert!(hears().contains("STOPPING=1"));
    assert_eq!(process.ends(), Some(0));
}

#[test]
fn without_descriptors_accepting_waits_says_so_and_goes_on_later() {
    let server = Server::start();
    let directory = tempfile::tempdir().expect("a directory");
    let setup = Setup::to(server.at).more("limits: {connects_per_address: 100000/s}");
    let config = config(directory.path(), &setup);
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg("ulimit -n 60; exec \"$0\" run --config \"$1\"")
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .arg(config);
    let process = Process::spawn(command, directory);
    let mut first = Client::login(process.at);
    let crowd: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(process.at).expect("the backlog"))
        .collect();
    let line = process.logs("clients wait at listener main");
    assert!(line.contains("LimitNOFILE"), "{line}");
    first.asks("NOOP", "200");
    drop(crowd);
    until("nobody is ever accepted again", || {
        Client::connect(process.at).reply() == GREETING
    });
}

#[test]
fn a_descriptor_limit_that_is_too_low_is_told_with_the_number_that_fits() {
    let server = Server::start();
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path(), &Setup::to(server.at));
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg("ulimit -n 1000; exec \"$0\" run --config \"$1\"")
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .arg(config);
    let process = Process::spawn(command, directory);
    let said = process.early.join("\n");
    assert!(
        said.contains("limits.sessions is 8000") && said.contains("enough for 332 sessions"),
        "{said}"
    );
}
