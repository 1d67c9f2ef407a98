//! A gateway inside the test's own process, and its journal as it is written.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis::config::Config;
use portcullis::gateway::{Gateway, Overrides, Running};
use portcullis::nft::Firewall;
use portcullis::pinhole::{OwnSockets, Sockets};
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat, open};
use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::kernel::{Elsewhere, Kernel};

/// The text of a config: one listener and one upstream, and what a test wants besides.
#[derive(Clone)]
pub struct Setup {
    pub listen: String,
    pub upstreams: Vec<SocketAddr>,
    pub listener_more: String,
    pub upstream_more: String,
    pub journal: String,
    pub control: String,
    pub window: String,
    pub upstream_window: String,
    /// Whole top-level sections.
    pub more: String,
    pub firewall: Option<Arc<Kernel>>,
}

impl Setup {
    pub fn to(upstream: SocketAddr) -> Setup {
        Setup {
            listen: "127.0.0.1:0".to_owned(),
            upstreams: vec![upstream],
            listener_more: String::new(),
            upstream_more: String::new(),
            journal: "stdout".to_owned(),
            control: "none".to_owned(),
            window: window(16),
            upstream_window: window(16),
            more: String::new(),
            firewall: None,
        }
    }

    pub fn more(mut self, more: &str) -> Setup {
        self.more.push_str(more);
        self.more.push('\n');
        self
    }

    pub fn text(&self) -> String {
        let upstreams: Vec<_> = self
            .upstreams
            .iter()
            .map(|at| format!("\"{at}\""))
            .collect();
        format!(
            "version: 1\nlisteners:\n  main:\n    listen: [\"{}\"]\n{}\nupstreams:\n  server:\n    addresses: [{}]\n{}\n\
             pinholes: {{window: {}, upstream_window: {}}}\njournal: {{file: {:?}}}\ncontrol: {{socket: {}}}\n{}",
            self.listen,
            self.listener_more,
            upstreams.join(", "),
            self.upstream_more,
            self.window,
            self.upstream_window,
            self.journal,
            self.control,
            self.more,
        )
    }

    /// Starts the gateway; its journal goes to the test by a pipe.
    pub fn start(self) -> Gate {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("journal");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        // The reader comes first, or the writer finds nobody; it reads when there is a writer, or it finds the end.
        let reader =
            open(&pipe, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("a reader");
        let setup = Setup {
            journal: pipe.display().to_string(),
            ..self
        };
        let gate = setup.start_with(directory);
        fcntl_setfl(&reader, OFlags::empty()).expect("a reader that waits");
        Gate {
            journal: Journal::from_lines(File::from(reader)),
            ..gate
        }
    }

    /// Starts the gateway with the journal that the setup names.
    pub fn start_with(self, directory: TempDir) -> Gate {
        let text = Arc::new(Mutex::new(self.text()));
        let read = Arc::clone(&text);
        let load = move || {
            let text = read.lock().expect("the text").clone();
            Config::parse(&text, "test.yaml")
                .map(|loaded| loaded.config)
                .map_err(|error| error.to_string())
        };
        let config = load().expect("a good config");
        let overrides = Overrides {
            workers: NonZeroUsize::new(2),
            loader: Some(Box::new(load)),
            sockets: self
                .firewall
                .as_ref()
                .map(|_| -> Arc<dyn Sockets> { Arc::new(Elsewhere(OwnSockets::new())) }),
            firewall: self
                .firewall
                .clone()
                .map(|kernel| -> Arc<dyn Firewall> { kernel }),
            ..Overrides::default()
        };
        let running = Gateway::start(config, overrides).expect("a gateway");
        let at = running.addresses()[0].1;
        Gate {
            at,
            running,
            text,
            journal: Journal::none(),
            setup: self,
            _directory: directory,
        }
    }
}

pub struct Gate {
    pub at: SocketAddr,
    pub running: Running,
    pub journal: Journal,
    pub setup: Setup,
    /// What the next reload reads.
    pub text: Arc<Mutex<String>>,
    _directory: TempDir,
}

impl Gate {
    /// Puts more of a config in force, for the sessions that run too.
    pub fn reload_with(&self, more: &str) {
        *self.text.lock().expect("the text") = self.setup.clone().more(more).text();
        self.running.reload().expect("reloaded");
    }
}

/// The records of a gateway, one after the other.
pub struct Journal {
    records: Receiver<Value>,
}

impl Journal {
    fn none() -> Journal {
        Journal {
            records: channel().1,
        }
    }

    /// Reads lines until whoever writes them is gone.
    pub fn from_lines(lines: impl std::io::Read + Send + 'static) -> Journal {
        let (tell, records) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let record = serde_json::from_str(&line).expect("a record");
                if tell.send(record).is_err() {
                    // Whoever writes must not be stopped by a test that has seen enough.
                    continue;
                }
            }
        });
        Journal { records }
    }

    /// Waits for the next record of this event; others are passed over.
    pub fn shows(&self, event: &str) -> Value {
        loop {
            let record = self.records.recv_timeout(PATIENCE);
            let record = record.unwrap_or_else(|_| panic!("no record {event}"));
            if record["event"] == event {
                return record;
            }
        }
    }

    /// All records until the gateway has closed its journal.
    pub fn to_the_end(&self) -> Vec<Value> {
        let mut records = Vec::new();
        loop {
            match self.records.recv_timeout(PATIENCE) {
                Ok(record) => records.push(record),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return records,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("the journal stays open"),
            }
        }
    }
}

/// Waits until something is so that nobody tells of: it is looked at again and again, for a time and not so many times, since
/// whoever has to act may not get the processor meanwhile.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Up to 16 ports of the loopback interface that no other test uses, in this process or another.
pub fn window(ports: u16) -> String {
    assert!(ports <= 16);
    let first = (24_000..32_000).step_by(16).find(|first| {
        // UDP ports are no obstacle to TCP, and say to other processes that the window is taken.
        UdpSocket::bind(("127.0.0.1", *first))
            .map(std::mem::forget)
            .is_ok()
    });
    let first = first.expect("a free window");
    format!("{first}-{}", first + ports - 1)
}
