//! A whole gateway in its sandbox: logins, transfers of all kinds, names, the journal, a reload, the end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStderr, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use portcullis::config::Config;
use portcullis::gateway::journal::keeper::HandedKeeper;
use portcullis::gateway::journal::{JournalSettings, siblings};
use portcullis::gateway::{Gateway, Overrides, journal_settings};
use portcullis::helper::{Client as Resolver, Lines};
use portcullis::pinhole::OwnSockets;
use portcullis::sandbox::{Account, Confinement, confine_gateway, ending};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, read_all};
use crate::probe::{self, WINDOW};
use crate::server::Server;
use crate::{helper, keeping};

/// Where the upstreams' pinholes open.
const UPSTREAM_WINDOW: &str = "23936-23951";

fn config(upstream_port: u16, journal: &str, more: &str) -> Config {
    let text = format!(
        "version: 1\nlisteners: {{main: {{listen: [\"127.0.0.1:0\"]}}}}\n\
         upstreams: {{server: {{addresses: [\"localhost:{upstream_port}\"]}}}}\n\
         pinholes: {{window: {}-{}, upstream_window: {UPSTREAM_WINDOW}}}\n\
         journal: {{file: {journal:?}, rotate_size: 64KiB}}\ncontrol: {{socket: none}}\n{more}\n",
        WINDOW.start(),
        WINDOW.end()
    );
    Config::parse(&text, "test").expect("a good config").config
}

/// The gateway's process: standard input is the keeper's line, standard output the helper's.
pub fn subject(arguments: &[String]) -> ExitCode {
    let [upstream, journal] = arguments else {
        panic!("an upstream and a journal: {arguments:?}");
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let upstream: u16 = upstream.parse().expect("a port");
    let (first, second) = (
        config(upstream, journal, ""),
        config(upstream, journal, "rules: {default: deny}"),
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let sockets = Arc::new(OwnSockets::new());
    let line = |end| rustix::io::fcntl_dupfd_cloexec(end, 3).expect("a descriptor");
    let (keeper, names) = (
        Mutex::new(line(rustix::stdio::stdin())),
        line(rustix::stdio::stdout()),
    );

    let report = confine_gateway(&Confinement {
        account: Account::find(crate::SOMEBODY).expect("numbers"),
        descriptors: Some(2048),
        windows: vec![WINDOW, first.pinholes.upstream_window.ports()],
    })
    .expect("confined");

    let keeper = HandedKeeper::new(Box::new(move |request| {
        keeping::ask(&keeper.lock().expect("the line"), request)
    }));
    let overrides = Overrides {
        workers: NonZeroUsize::new(2),
        inherited: [("main".to_owned(), vec![listener])].into(),
        loader: Some(Box::new(move || Ok(second.clone()))),
        sockets: Some(sockets),
        keeper: Some(Arc::new(keeper)),
        names: Some(Arc::new(Resolver::new(names).expect("a client"))),
        sandbox: Some(report.to_string()),
        ..Overrides::default()
    };
    let signals = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime");
    let running = Gateway::start(first, overrides).expect("a gateway");
    let remote = running.remote();
    std::thread::spawn(move || {
        signals.block_on(async move {
            use tokio::signal::unix::{SignalKind, signal};
            let mut hang_up = signal(SignalKind::hangup()).expect("a signal");
            let mut terminate = signal(SignalKind::terminate()).expect("a signal");
            eprintln!("hears signals");
            loop {
                tokio::select! {
                    _ = hang_up.recv() => remote.reload(),
                    _ = terminate.recv() => remote.drain(),
                }
            }
        });
    });
    running.wait();
    ExitCode::SUCCESS
}

/// The gateway's process as its parent has it.
struct Confined {
    child: Child,
    log: BufReader<ChildStderr>,
    keeping: Option<JoinHandle<[usize; 3]>>,
    helper: Child,
    /// The broker's ends.
    _lines: Lines,
    at: SocketAddr,
}

impl Confined {
    fn start(upstream: u16, journal: &Path, settings: JournalSettings) -> Confined {
        let (ours, theirs): (OwnedFd, OwnedFd) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("a pair");
        let lines = Lines::new().expect("lines");
        let helper = helper::start(&lines);
        let mut command = probe::subject_of("gateway", "work");
        command
            .arg(upstream.to_string())
            .arg(journal)
            .stdin(theirs)
            .stdout(lines.for_gateway().expect("an end"))
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        // The command has the child's end of the line still.
        drop(command);
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let mut confined = Confined {
            child,
            log,
            keeping: Some(std::thread::spawn(move || keeping::keep(&ours, &settings))),
            helper,
            _lines: lines,
            at: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        let line = confined.logs("listener main on ");
        let (_, at) = line.split_once(" on ").expect("an address");
        let (at, _) = at.split_once(',').expect("an address");
        confined.at = at.parse().expect("an address");
        confined.logs("hears signals");
        confined
    }

    /// Reads the log up to a line; the end of the log is the end of the process, so this can't last.
    fn logs(&mut self, part: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).expect("a line");
            assert!(
                read > 0,
                "no {part:?} in {all}\n{}",
                ending(self.child.wait().expect("waited"))
            );
            if line.contains(part) {
                return line;
            }
            all.push_str(&line);
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        for child in [&mut self.child, &mut self.helper] {
            // They may have ended by themselves.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn a_confined_gateway_does_all_its_work() {
    let large: Vec<u8> = (0..24_u32 << 20)
        .map(|at| (at >> 7).to_le_bytes()[0])
        .collect();
    let server = Server::start()
        .with_file("file", b"some content")
        .with_file("large", &large);
    let directory = tempfile::tempdir().expect("a directory");
    let journal = directory.path().join("journal");
    let settings = journal_settings(&config(
        server.at.port(),
        journal.to_str().expect("UTF-8"),
        "",
    ));
    let mut gateway = Confined::start(server.at.port(), &journal, settings);

    let mut client = Client::login(gateway.at);
    assert_eq!(client.download("file"), b"some content");
    // What is large is spliced.
    assert_eq!(client.download("large"), large);
    client.upload("upload", &large);
    assert_eq!(server.file("upload").as_ref(), Some(&large));
    let at = client.extended_passive();
    let data = client.dial(at);
    client.asks("RETR file", "150");
    assert_eq!(read_all(data), b"some content");
    client.hears("226");
    let listener = client.active();
    client.send("RETR file");
    let (data, _) = listener.accept().expect("dialled");
    client.hears("150");
    assert_eq!(read_all(data), b"some content");
    client.hears("226");
    // A transfer that is broken off, and urgent bytes.
    let at = client.passive();
    let data = client.dial(at);
    client.asks("RETR file", "150");
    drop(data);
    client.reply();
    client.send_urgent(b"\xff\xf4\xff\xf2");
    client.asks("NOOP", "200");

    // Enough records for several files.
    let mut rotated = 0;
    for _ in 0..2000 {
        assert_eq!(client.download("file"), b"some content");
        rotated = siblings(&journal).expect("a list").len();
        if rotated > 0 {
            break;
        }
    }
    assert!(rotated > 0, "no file was put aside");

    gateway.signal(Signal::HUP);
    gateway.logs("the config was reloaded");
    client.passive();
    client.asks("RETR file", "550");

    client.control.write_all(b"QUIT\r\n").expect("sent");
    client.hears("221");
    gateway.signal(Signal::TERM);
    gateway.logs("stopped");
    assert_eq!(gateway.child.wait().expect("waited").code(), Some(0));
    let keeping = gateway.keeping.take().expect("a keeper");
    let [opened, put_aside, expired] = keeping.join().expect("no panic");
    assert!(
        opened >= 2 && put_aside >= 1 && expired >= 1,
        "opened {opened}, put aside {put_aside}, expired {expired}"
    );

    // Every line is there, in whichever file, and belongs to root's keeper.
    let mut files: Vec<_> = siblings(&journal).expect("a list");
    files.push((portcullis::engine::Wall(u64::MAX), journal));
    let mut expected = 1;
    for (_, path) in files {
        for line in std::fs::read_to_string(path).expect("a journal").lines() {
            let record: serde_json::Value = serde_json::from_str(line).expect("a record");
            assert_eq!(record["seq"], expected, "{line}");
            expected += 1;
        }
    }
    assert!(expected > 100, "{expected} records");
}
