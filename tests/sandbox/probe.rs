//! A process that confines itself and tries one thing, and how the tests see what came of it.

use std::ffi::{c_int, c_long};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::{fs, io};

use portcullis::sandbox::{Account, Confinement, Error, Landlock, Report};
use portcullis::sandbox::{confine_broker, confine_gateway, confine_helper, ending};
use rustix::net::{AddressFamily, SocketType, socket_with};

use crate::work;

/// What the gateway may listen on; the port beside is not among them.
pub const WINDOW: std::ops::RangeInclusive<u16> = 23_920..=23_935;
pub const OUTSIDE: u16 = 23_936;

/// What came of a try.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused(c_int),
    Died(c_int),
    NotConfined(String),
}

/// Runs a process that confines itself as `who` and tries `what`.
pub fn tries(who: &str, what: &str) -> Outcome {
    outcome(subject_of(who, what).stdin(Stdio::null()))
}

pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.stdout(Stdio::piped()).output().expect("a process");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().last().unwrap_or_default();
    match (output.status.signal(), last.split_once(' ')) {
        (Some(signal), _) => Outcome::Died(signal),
        (None, Some(("refused", errno))) => Outcome::Refused(errno.parse().expect("a number")),
        (None, Some(("unconfined", why))) => Outcome::NotConfined(why.to_owned()),
        (None, Some(("done", _))) => Outcome::Done,
        (None, _) => panic!(
            "{:?} said {said:?} and {}",
            command.get_args(),
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

/// This program again, as a process that is to be confined.
pub fn subject_of(who: &str, what: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--subject", who, what]);
    command
}

/// A confined process that waits until it is let go, to be looked at from outside.
pub struct Waiting {
    child: Child,
    /// Open to the end, since it has a last word.
    said: BufReader<ChildStdout>,
    pub report: String,
}

impl Waiting {
    pub fn start(who: &str) -> Waiting {
        let mut child = subject_of(who, "wait")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut report = String::new();
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        said.read_line(&mut report).expect("a report");
        Waiting {
            child,
            said,
            report: report.trim_end().to_owned(),
        }
    }

    /// A field of /proc/PID/status.
    pub fn status(&self, field: &str) -> String {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("a status");
        status_field(&status, field)
    }

    /// Who owns its files in /proc.
    pub fn owner(&self) -> u32 {
        let path = format!("/proc/{}/fd", self.child.id());
        fs::metadata(path).expect("a directory").uid()
    }

    /// The soft and the hard limit of /proc/PID/limits.
    pub fn limits(&self, name: &str) -> [String; 2] {
        let path = format!("/proc/{}/limits", self.child.id());
        let limits = fs::read_to_string(path).expect("the limits");
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        let mut values = line.expect(name).split_whitespace().map(str::to_owned);
        [values.next(), values.next()].map(|value| value.expect("a value"))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It may have died.
        let _ = self.said.read_to_end(&mut Vec::new());
        let _ = self.child.wait();
    }
}

pub fn status_field(status: &str, field: &str) -> String {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.expect(field)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The process itself.
pub fn subject(arguments: &[String]) -> ExitCode {
    let [who, what, more @ ..] = arguments else {
        panic!("a subject needs to know who it is and what to try: {arguments:?}");
    };
    if what == "work" {
        return work::subject(more);
    }
    if what == "thread-first" {
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
    }
    if who != "unconfined" {
        match confine(who) {
            Ok(report) => println!("{report}"),
            Err(error) => {
                println!("unconfined {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let tried = if what == "start" {
        start(more)
    } else {
        attempt(what)
    };
    match tried {
        Ok(()) => println!("done {what}"),
        Err(error) => println!("refused {}", error.raw_os_error().unwrap_or(0)),
    }
    ExitCode::SUCCESS
}

pub fn confine(who: &str) -> Result<Report, Error> {
    let account = || Account::find(crate::SOMEBODY).expect("numbers");
    match who {
        "gateway" => confine_gateway(&Confinement {
            account: account(),
            descriptors: Some(512),
            windows: vec![WINDOW],
        }),
        "root-gateway" => confine_gateway(&Confinement {
            account: Account { uid: 0, gid: 0 },
            descriptors: None,
            windows: Vec::new(),
        }),
        "helper" => confine_helper(account()),
        "broker" => confine_broker(),
        // A broker's child that confines itself in its turn.
        "broker-gateway" => confine("broker").and_then(|_| confine("gateway")),
        "broker-helper" => confine("broker").and_then(|_| confine("helper")),
        other => panic!("nobody is called {other}"),
    }
}

/// Tells whether landlock's rules for ports are in force here; without them the tests of them say n/a.
pub fn landlock_version() -> i32 {
    let report = Waiting::start("gateway").report.clone();
    let (_, version) = report.split_once("landlock ").unwrap_or_default();
    version
        .split_whitespace()
        .next()
        .and_then(|version| version.parse().ok())
        .unwrap_or_else(|| {
            assert!(report.contains(&Landlock::Absent.to_string()), "{report}");
            0
        })
}

/// Starts a program, and tells how it ended.
fn start(command: &[String]) -> io::Result<()> {
    let (program, arguments) = command.split_first().expect("a program");
    let status = Command::new(program).args(arguments).status()?;
    println!("{}", ending(status));
    Ok(())
}

fn attempt(what: &str) -> io::Result<()> {
    let local = Ipv4Addr::LOCALHOST;
    match what {
        "nothing" | "thread-first" => Ok(()),
        "wait" => io::stdin().read_to_end(&mut Vec::new()).map(drop),
        "thread" => std::thread::Builder::new()
            .name("one-more".to_owned())
            .spawn(|| ())?
            .join()
            .map_err(|_| io::ErrorKind::Other.into()),
        "runtime" => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map(drop),
        "panic" => {
            // With a backtrace, whose symbols stand in files.
            let caught = std::panic::catch_unwind(|| panic!("this one is meant"));
            caught.expect_err("it was meant");
            Ok(())
        }
        "random" => random(),
        "listen-window" => TcpListener::bind((local, *WINDOW.start())).map(drop),
        "listen-anywhere" => {
            let listener = TcpListener::bind((local, 0))?;
            let dialled = TcpStream::connect(listener.local_addr()?)?;
            dialled.set_nodelay(true)?;
            dialled.set_nonblocking(true)?;
            let (mut taken, _) = listener.accept()?;
            taken.write_all(b"x")
        }
        "listen-outside" => TcpListener::bind((local, OUTSIDE)).map(drop),
        "listen-21" => TcpListener::bind((local, 21)).map(drop),
        "read-file" => fs::read("/etc/passwd").map(drop),
        "list-directory" => fs::read_dir("/").map(drop),
        "look-at-file" => fs::metadata("/etc/passwd").map(drop),
        "read-memory-of-others" => fs::read("/proc/self/maps").map(drop),
        "write-file" => fs::OpenOptions::new()
            .write(true)
            .open("/etc/passwd")
            .map(drop),
        "create-file" => fs::write(hidden_file(), "x"),
        "append-device" => fs::OpenOptions::new()
            .append(true)
            .open("/dev/null")
            .map(drop),
        "remove-file" => fs::remove_file(hidden_file()),
        "rename-file" => fs::rename("/etc/passwd", hidden_file()),
        "make-directory" => fs::create_dir(hidden_file()),
        "exec" => Err(Command::new("/bin/true").exec()),
        "run" => Command::new("/bin/true").status().map(drop),
        "unix-socket" => make(AddressFamily::UNIX, SocketType::STREAM),
        "netlink-socket" => make(AddressFamily::NETLINK, SocketType::RAW),
        "udp-socket" => make(AddressFamily::INET, SocketType::DGRAM),
        "raw-socket" => make(AddressFamily::INET, SocketType::RAW),
        "packet-socket" => make(AddressFamily::PACKET, SocketType::RAW),
        "bluetooth-socket" => make(AddressFamily::BLUETOOTH, SocketType::RAW),
        "clear-append" => {
            rustix::fs::fcntl_setfl(io::stdin().as_fd(), rustix::fs::OFlags::empty())?;
            Ok(())
        }
        "signal-parent" => {
            let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
            Ok(rustix::process::test_kill_process(parent)?)
        }
        "abort" => std::process::abort(),
        "become-root" => Ok(rustix::thread::set_thread_uid(rustix::process::Uid::ROOT)?),
        "executable-memory" => raw(
            libc::SYS_mmap,
            [0, 4096, 7, 0x22, -1, 0], // PROT_READ|WRITE|EXEC, MAP_PRIVATE|ANONYMOUS
        ),
        "executable-later" => raw(libc::SYS_mprotect, [0, 4096, 5, 0, 0, 0]),
        "mark-packets" => raw(
            libc::SYS_setsockopt,
            [0, libc::SOL_SOCKET.into(), libc::SO_MARK.into(), 0, 4, 0],
        ),
        "multipath-socket" => raw(
            libc::SYS_socket,
            [2, 1, libc::IPPROTO_MPTCP.into(), 0, 0, 0],
        ),
        "dumpable-again" => raw(
            libc::SYS_prctl,
            [libc::PR_SET_DUMPABLE.into(), 1, 0, 0, 0, 0],
        ),
        "others-processors" => raw(libc::SYS_sched_setaffinity, [1, 0, 0, 0, 0, 0]),
        "others-limits" => raw(libc::SYS_prlimit64, [1, 7, 0, 0, 0, 0]),
        "fork" => raw(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]),
        name => raw(by_name(name), [0; 6]),
    }
}

fn random() -> io::Result<()> {
    getrandom::fill(&mut [0; 8]).map_err(io::Error::other)
}

/// A place that everybody may write to.
pub fn hidden_file() -> String {
    format!("/tmp/pc-sandbox-{}", std::process::id())
}

fn make(family: AddressFamily, kind: SocketType) -> io::Result<()> {
    socket_with(family, kind, rustix::net::SocketFlags::CLOEXEC, None)?;
    Ok(())
}

fn by_name(name: &str) -> c_long {
    match name {
        "ptrace" => libc::SYS_ptrace,
        "mount" => libc::SYS_mount,
        "unshare" => libc::SYS_unshare,
        "setns" => libc::SYS_setns,
        "bpf" => libc::SYS_bpf,
        "io_uring_setup" => libc::SYS_io_uring_setup,
        "keyctl" => libc::SYS_keyctl,
        "init_module" => libc::SYS_init_module,
        "userfaultfd" => libc::SYS_userfaultfd,
        "perf_event_open" => libc::SYS_perf_event_open,
        "process_vm_writev" => libc::SYS_process_vm_writev,
        "setuid" => libc::SYS_setuid,
        "capset" => libc::SYS_capset,
        "ftruncate" => libc::SYS_ftruncate,
        "fchmod" => libc::SYS_fchmod,
        "pwrite64" => libc::SYS_pwrite64,
        "memfd_create" => libc::SYS_memfd_create,
        "execveat" => libc::SYS_execveat,
        "pidfd_open" => libc::SYS_pidfd_open,
        "kill" => libc::SYS_kill,
        "seccomp" => libc::SYS_seccomp,
        "reboot" => libc::SYS_reboot,
        other => panic!("nobody can try {other}"),
    }
}

fn raw(call: c_long, arguments: [c_long; 6]) -> io::Result<()> {
    let [a, b, c, d, e, f] = arguments;
    #[expect(
        unsafe_code,
        reason = "the very call is what is tried, and most have no wrapper"
    )]
    // SAFETY: no argument is an address that the kernel could write to: all pointers are null or low, and refused.
    let result = unsafe { libc::syscall(call, a, b, c, d, e, f) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
