//! Broker and gateway of one test, on a loopback address of their own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clap::Parser as _;
use portcullis::cli::{self, Cli};
use portcullis::sandbox::Account;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::fake::FakeHands;
use crate::server::Server;

/// Where this program, run again, finds the config.
pub const CONFIG: &str = "PORTCULLIS_TEST_BROKER";

/// Who a gateway becomes when the tests run as root.
const NOBODY: Account = Account {
    uid: 65534,
    gid: 65534,
};

/// Runs the broker in this process, and never returns.
pub fn serve(config: &Path) -> ! {
    let arguments = ["portcullis", "run", "--config"].map(Into::into);
    let cli = Cli::parse_from(arguments.into_iter().chain([config.as_os_str().to_owned()]));
    let cli::Command::Run(args) = cli.command else {
        unreachable!("it says run");
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let loaded = args.configuration().expect("a good config");
    let account = rustix::process::geteuid().is_root().then_some(NOBODY);
    let (hands, _world) = FakeHands::new();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_portcullis"));
    let code = match cli::run::serve(*args, loaded.config, hands, program, account) {
        Ok(exit) => exit.code(),
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit.code()
        }
    };
    std::process::exit(code.into())
}

/// How a broker is started that reads the config at a path.
type Start = Arc<dyn Fn(&Path) -> Command + Send + Sync>;

/// Where a broker and its successors are.
#[derive(Clone)]
struct Place {
    at: SocketAddr,
    upstream: String,
    /// What every config of it says besides.
    always: &'static str,
    directory: Arc<TempDir>,
    start: Start,
}

pub struct Program {
    pub at: SocketAddr,
    place: Place,
    child: Child,
    log: Receiver<String>,
    notify: UnixDatagram,
}

impl Program {
    pub fn start(number: u8, server: &Server) -> Program {
        Program::to(number, server.at.to_string())
    }

    /// The upstream is given by name.
    pub fn start_named(number: u8, server: &Server) -> Program {
        Program::to(number, format!("localhost:{}", server.at.port()))
    }

    fn to(number: u8, upstream: String) -> Program {
        // Other processes that run the same test have other addresses.
        let [.., high, low] = std::process::id().to_be_bytes();
        let at = SocketAddr::from(([127, 64 + number, high, low.max(1)], 2121));
        Program::at(at, upstream, "", this_program)
    }

    /// A broker at this address in front of this upstream, started by a command.
    pub fn at(
        at: SocketAddr,
        upstream: String,
        always: &'static str,
        start: impl Fn(&Path) -> Command + Send + Sync + 'static,
    ) -> Program {
        Program::run(Place {
            at,
            upstream,
            always,
            directory: Arc::new(tempfile::tempdir().expect("a directory")),
            start: Arc::new(start),
        })
    }

    /// Another one in the same place.
    pub fn start_again(&self) -> Program {
        Program::run(self.place.clone())
    }

    fn run(place: Place) -> Program {
        let socket = place.directory.path().join("notify");
        // A successor's replaces its predecessor's.
        let _ = std::fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).expect("a socket");
        notify.set_read_timeout(Some(PATIENCE)).expect("set");
        place.configure("main", "");
        let mut child = (place.start)(&place.directory.path().join("portcullis.yaml"))
            .env("NOTIFY_SOCKET", &socket)
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let stderr = child.stderr.take().expect("piped");
        let (tell, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The test may have seen enough.
                let _ = tell.send(line);
            }
        });
        let program = Program {
            at: place.at,
            place,
            child,
            log,
            notify,
        };
        program.notified("READY=1");
        program
    }

    /// Writes the config anew, with more in it.
    pub fn configure(&self, more: &str) {
        self.place.configure("main", more);
    }

    pub fn configure_listener(&self, listener: &str, more: &str) {
        self.place.configure(listener, more);
    }

    /// Waits until the service manager is told this.
    pub fn notified(&self, state: &str) {
        let mut told = [0; 4096];
        loop {
            let length = match self.notify.recv(&mut told) {
                Ok(length) => length,
                Err(error) => panic!("no {state}: {error}; {}", self.printed()),
            };
            let told = String::from_utf8_lossy(&told[..length]).into_owned();
            if told.lines().any(|line| line == state) {
                return;
            }
        }
    }

    /// Waits for a line of the log.
    pub fn logs(&self, part: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line with {part:?}"));
            if line.contains(part) {
                return;
            }
        }
    }

    fn printed(&self) -> String {
        self.log.try_iter().collect::<Vec<_>>().join("\n")
    }

    pub fn ctl(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["ctl", "--socket"])
            .arg(self.place.directory.path().join("control.sock"))
            .args(arguments)
            .output()
            .expect("ctl")
    }

    pub fn status(&self) -> Value {
        let output = self.ctl(&["status", "--format", "json"]);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("no status: {output:?}; {}", self.printed()))
    }

    pub fn broker(&self) -> u32 {
        self.child.id()
    }

    pub fn gateway(&self) -> u32 {
        let id = self.status()["process"]["gateway"].as_u64();
        u32::try_from(id.expect("a process")).expect("a process id")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }

    /// As `kill -9` does.
    pub fn kill(&self, process: u32) {
        kill_process(pid(process), Signal::KILL).expect("killed");
    }

    pub fn kill_broker(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
    }

    pub fn lives(process: u32) -> bool {
        test_kill_process(pid(process)).is_ok() && !is_zombie(process)
    }

    /// Waits until a process is gone that is no child of ours.
    pub fn gone(process: u32) {
        let handle = match pidfd_open(pid(process), PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return,
            Err(error) => panic!("process {process}: {error}"),
        };
        // It can be read when the process has ended (pidfd_open(2)).
        let patience = Timespec::try_from(PATIENCE).expect("a time");
        let ended = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&patience));
        assert_eq!(ended, Ok(1), "process {process} still runs");
    }

    pub fn ends(&mut self) -> Option<i32> {
        self.child.wait().expect("waited").code()
    }

    pub fn journal_path(&self) -> PathBuf {
        self.place.directory.path().join("journal")
    }

    /// Waits for a record of this event.
    pub fn journal_shows(&self, event: &str) {
        self.journal_shows_times(1, event);
    }

    /// Waits for so many records of this event.
    pub fn journal_shows_times(&self, times: usize, event: &str) {
        let until = Instant::now() + PATIENCE;
        let event = format!("\"event\":\"{event}\"");
        loop {
            let text = std::fs::read_to_string(self.journal_path()).unwrap_or_default();
            if text.matches(&event).count() >= times {
                return;
            }
            assert!(Instant::now() < until, "no {event} in\n{text}");
            // Nobody tells of it, so it is looked at again, up to the bound above.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Its gateway sees that and ends, as the test's clients are gone too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(process: u32) -> Pid {
    Pid::from_raw(i32::try_from(process).expect("a pid")).expect("a pid")
}

/// Whoever adopted it may be slow to bury it.
fn is_zombie(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// This program again, as the broker in front of a firewall of values.
fn this_program(config: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "process::as_broker", "--nocapture"])
        .env(CONFIG, config);
    command
}

impl Place {
    fn configure(&self, listener: &str, more: &str) {
        let Place {
            at,
            upstream,
            always,
            directory,
            start: _,
        } = self;
        let path = |name: &str| directory.path().join(name).display().to_string();
        let text = format!(
            "version: 1\nlisteners:\n  {listener}:\n    listen: [\"{at}\"]\nupstreams:\n  server:\n    addresses: [\"{upstream}\"]\n\
             pinholes: {{firewall: nftables, window: 25950-25959, upstream_window: 25960-25969, ttl: 4s}}\n\
             journal: {{file: {:?}}}\ncontrol: {{socket: {:?}}}\n{always}{more}",
            path("journal"),
            path("control.sock"),
        );
        // Whole at once: a reload may read it at any time.
        let fresh = path("fresh");
        std::fs::write(&fresh, text).expect("written");
        std::fs::rename(fresh, path("portcullis.yaml")).expect("moved");
    }
}
