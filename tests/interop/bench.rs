//! The bench on which cells are tried: laboratory, servers and gateway, and a few workers.
//!
//! Cells of the same server follow each other, so that what the server logs between two moments belongs to one cell: the
//! test reads from it in which mode the server was really spoken to.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_netlab::server::Server;
use portcullis_netlab::{
    Failure, Firewall, Gateway, Lab, Listener, Node, ServerKind, firewall, program, server,
};

use crate::carried;
use crate::cell::Cell;
use crate::client::{Job, Mode, Run};
use crate::content;

/// How many cells are tried at the same time.
const WORKERS: usize = 3;

/// The size of the big transfers.
const BIG: u64 = 1 << 30;

/// After how many seconds a client is stopped.
const PATIENCE: u32 = 60;

/// The same for the long transfers.
const LONG_PATIENCE: u32 = 300;

/// After how many failures the rest is not tried any more.
const ENOUGH: usize = 25;

/// How long a server's log may lag behind its replies.
const LAG: Duration = Duration::from_secs(2);

/// How long our table may hold entries after the last transfer.
const EMPTIED: Duration = Duration::from_secs(20);

/// How much of a log is shown with a failure.
const TAIL: usize = 6000;

pub struct Bench {
    lab: Lab,
    servers: Vec<Server>,
    gateway: Gateway,
    firewall: Firewall,
    /// What the operator's table was at the start, with nftables.
    operators: String,
    big: PathBuf,
}

/// What is told of a cell that was tried: its position, how long it took, and whether it failed.
pub type Tell<'a> = dyn Fn(usize, &Cell, Duration, &Result<(), Failure>) + Sync + 'a;

/// What is left to do and what is in use.
struct Queue {
    waiting: Vec<(usize, Cell)>,
    busy: HashSet<(ServerKind, Node)>,
    big_is_running: bool,
    failures: usize,
}

impl Bench {
    /// Looks for every program that the cells need, then starts servers and gateway.
    pub fn new(cells: &[(usize, Cell)], firewall: Firewall) -> Result<Self, Failure> {
        server::programs()?;
        for name in [
            "timeout", "curl", "lftp", "ncftpls", "ncftpget", "ncftpput", "tnftp", "wget",
            "rclone", "python3",
        ] {
            program::find(name)?;
        }
        let lab = Lab::new(&[Node::Client, Node::Server])?;
        let hosts = [Node::Server, Node::Gateway].into_iter();
        let all = hosts.flat_map(|host| ServerKind::ALL.map(|kind| (kind, host)));
        let needed: Vec<(ServerKind, Node)> = all
            .filter(|needed| cells.iter().any(|(_, cell)| cell.place() == *needed))
            .collect();
        let servers = needed
            .iter()
            .map(|(kind, host)| Server::start_on(&lab, *host, *kind))
            .collect::<Result<Vec<_>, _>>()?;
        let portcullis = Path::new(env!("CARGO_BIN_EXE_portcullis"));
        let gateway = Gateway::start(&lab, portcullis, &Listener::every(&needed), firewall)?;
        let operators = match firewall {
            Firewall::None => String::new(),
            Firewall::Nftables => firewall::operators(&lab)?,
        };
        let big = lab.directory().join("big.bin");
        if cells.iter().any(|(_, cell)| cell.operation.is_big()) {
            content::write_big(&big, BIG)?;
            // Every account may read it; nobody may write.
            let readable = std::os::unix::fs::PermissionsExt::from_mode(0o444);
            fs::set_permissions(&big, readable).map_err(|error| error.to_string())?;
        }
        Ok(Self {
            lab,
            servers,
            gateway,
            firewall,
            operators,
            big,
        })
    }

    /// Tries all cells, and returns what failed of each.
    pub fn run(&self, cells: &[(usize, Cell)], told: &Tell<'_>) {
        let queue = Mutex::new(Queue {
            waiting: cells.to_vec(),
            busy: HashSet::new(),
            big_is_running: false,
            failures: 0,
        });
        let freed = Condvar::new();
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some((index, cell)) = take(&queue, &freed) {
                        let begin = Instant::now();
                        let result = self.try_cell(index, &cell);
                        told(index, &cell, begin.elapsed(), &result);
                        let mut queue = lock(&queue);
                        queue.busy.remove(&cell.place());
                        queue.failures += usize::from(result.is_err());
                        queue.big_is_running &= !cell.operation.is_big();
                        freed.notify_all();
                    }
                });
            }
        });
    }

    /// Ends the gateway, whose journal must show that every pinhole was closed; with nftables the kernel must have none left
    /// before that, and the operator's table must be what it was.
    pub fn finish(self) -> Result<String, Failure> {
        if self.firewall == Firewall::Nftables {
            self.expect_no_entries()?;
        }
        let records = self.gateway.stop()?;
        if self.firewall == Firewall::Nftables {
            let left = firewall::entries(&self.lab)?;
            if !left.is_empty() {
                return Err(format!("the gateway ended and left {left:?}"));
            }
            let now = firewall::operators(&self.lab)?;
            if now != self.operators {
                let then = &self.operators;
                return Err(format!("the operator's table was\n{then}\nand is\n{now}"));
            }
        }
        let pinholes = portcullis_netlab::journal::balanced_pinholes(&records)?;
        if pinholes.is_empty() {
            return Err("the journal shows no pinhole at all".to_owned());
        }
        Ok(format!(
            "firewall {}: {} pinholes were opened, and each was closed once; {}",
            self.firewall.name(),
            pinholes.len(),
            carried::summary(&records)?
        ))
    }

    /// Waits until the kernel has no pinhole.
    fn expect_no_entries(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + EMPTIED;
        loop {
            let entries = firewall::entries(&self.lab)?;
            if entries.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("all is over, and the kernel still has {entries:?}"));
            }
            // The kernel does not tell of entries that are gone.
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_cell(&self, index: usize, cell: &Cell) -> Result<(), Failure> {
        let server = self
            .servers
            .iter()
            .find(|server| (server.kind(), server.host()) == cell.place());
        let server = server.ok_or_else(|| format!("{} is not running", cell.server.name()))?;
        let directory = format!("cell-{index:04}");
        let there = server.home().join(&directory);
        let here = self.lab.directory().join("client").join(&directory);
        content::make_directory(&there)?;
        content::make_directory(&here)?;
        cell.operation.prepare(&there, &here, &self.big)?;
        if !cell.operation.is_big() {
            server.give_to_account(&there)?;
        } else {
            std::os::unix::fs::chown(&there, Some(65534), Some(65534))
                .map_err(|error| error.to_string())?;
        }
        let job = Job {
            host: Node::Gateway.address(cell.family),
            port: cell.listener().port(),
            mode: cell.mode,
            directory: &directory,
        };
        let run = cell.client.run(&job, cell.operation.action())?;
        let logged = server.log_length();
        let journalled = self.gateway.journal_length()?;
        let (command_line, status, printed) =
            self.execute(&here, &run, cell.operation.is_long())?;
        let findings = [
            status,
            cell.operation.verify(&there, &here, &self.big, &printed),
            check_client(cell, &printed),
            check_upstream(cell, server, logged),
            self.gateway
                .journal_since(journalled)
                .and_then(|records| carried::check(cell, &records)),
        ];
        let why: Vec<String> = findings.into_iter().filter_map(Result::err).collect();
        let _ = fs::remove_dir_all(&here);
        let _ = fs::remove_dir_all(&there);
        if why.is_empty() {
            return Ok(());
        }
        Err(self.explain(
            &why.join("; "),
            &command_line,
            &printed,
            &server.log_since(logged),
        ))
    }

    /// Runs a client in its directory, which is also its home, and returns its command line and output.
    fn execute(
        &self,
        here: &Path,
        run: &Run,
        long: bool,
    ) -> Result<(String, Result<(), Failure>, String), Failure> {
        let seconds = if long { LONG_PATIENCE } else { PATIENCE };
        let program = program::find(run.program)?;
        let output = here.with_extension("output");
        let file =
            File::create(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        let second = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = self.lab.command(Node::Client, "nice");
        command
            .args([
                "-n",
                "-15",
                "timeout",
                "--kill-after=5",
                &seconds.to_string(),
            ])
            .arg(program)
            .args(&run.arguments);
        command.envs(run.environment.iter().map(|(name, value)| (name, value)));
        command
            .env("HOME", here)
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb")
            .current_dir(here);
        command.stdin(Stdio::piped()).stdout(file).stderr(second);
        let command_line = format!("{command:?}, input {:?}", run.input);
        let mut child = command
            .spawn()
            .map_err(|error| format!("{command_line}: {error}"))?;
        if let Some(mut input) = child.stdin.take() {
            // A client that is gone already tells its own story.
            let _ = input.write_all(run.input.as_bytes());
        }
        let status = child
            .wait()
            .map_err(|error| format!("{command_line}: {error}"))?;
        let printed = fs::read(&output).map_or_else(
            |error| error.to_string(),
            |text| String::from_utf8_lossy(&text).into_owned(),
        );
        let _ = fs::remove_file(&output);
        let status = match status.code() {
            Some(0) => Ok(()),
            Some(124 | 137) => Err(format!("the client was stopped after {seconds} s")),
            Some(_) | None => Err(format!("the client ended with {status}")),
        };
        Ok((command_line, status, printed))
    }

    fn explain(&self, why: &str, command_line: &str, printed: &str, log: &str) -> Failure {
        let mut text = format!(
            "{why}\n--- command\n{command_line}\n--- client\n{}\n--- server\n{}\n",
            tail(printed),
            tail(log)
        );
        let _ = write!(
            text,
            "--- gateway\n{}\n--- journal\n{}\n",
            tail(&self.gateway.printed()),
            tail(&self.gateway.journal_text())
        );
        text
    }
}

/// Takes the next cell whose server is free; none is left when this returns `None`.
fn take(queue: &Mutex<Queue>, freed: &Condvar) -> Option<(usize, Cell)> {
    let mut queue = lock(queue);
    loop {
        if queue.waiting.is_empty() || queue.failures >= ENOUGH {
            return None;
        }
        let next = queue.waiting.iter().position(|(_, cell)| {
            !(queue.busy.contains(&cell.place()) || cell.operation.is_big() && queue.big_is_running)
        });
        if let Some(next) = next {
            let (index, cell) = queue.waiting.remove(next);
            queue.busy.insert(cell.place());
            queue.big_is_running |= cell.operation.is_big();
            return Some((index, cell));
        }
        queue = freed.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The client must have negotiated as told, and in no other way, for it might fall back.
fn check_client(cell: &Cell, printed: &str) -> Result<(), Failure> {
    let sent = cell.client.sent(printed);
    for mode in Mode::ALL {
        let verb = mode.verb();
        let was_sent = sent.iter().any(|sent| sent == verb);
        if mode == cell.mode && !was_sent && cell.operation.transfers() {
            return Err(format!("the client never sent {verb}, but {sent:?}"));
        }
        if mode != cell.mode && was_sent {
            return Err(format!("the client sent {verb}: {sent:?}"));
        }
    }
    let needed = cell.operation.needs_one_of();
    if needed.is_empty() || sent.iter().any(|sent| needed.contains(&sent.as_str())) {
        return Ok(());
    }
    Err(format!("the client sent none of {needed:?}, but {sent:?}"))
}

/// The server must have been spoken to in the mode of the upstream leg.
fn check_upstream(cell: &Cell, server: &Server, logged: u64) -> Result<(), Failure> {
    if !cell.operation.transfers() {
        return Ok(());
    }
    let deadline = Instant::now() + LAG;
    loop {
        let verbs = server.verbs_since(logged);
        let modes: Vec<Mode> = Mode::ALL
            .into_iter()
            .filter(|mode| verbs.iter().any(|verb| verb == mode.verb()))
            .collect();
        if let Some(wrong) = modes
            .iter()
            .find(|mode| mode.is_passive() != cell.upstream_is_passive())
        {
            return Err(format!("the server was sent {}: {verbs:?}", wrong.verb()));
        }
        if !modes.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("the server's log shows no negotiation: {verbs:?}"));
        }
        // The server writes its log when it likes; there is nothing to wait for but the file.
        thread::sleep(Duration::from_millis(10));
    }
}

/// The end of a text.
fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(TAIL);
    let start = (start..text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}
