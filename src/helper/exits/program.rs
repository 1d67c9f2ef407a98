//! Starts a program for one question: the question is its standard input, its standard output the answer.
//!
//! It finds nothing of ours but these two and standard error, which goes to the log where it fails. It has a process group of its
//! own, which is ended by its number when the time is over, and when the program is done and has left others behind.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{Fault, LONGEST_LINE, left, one_line, unreachable};

/// What programs find in their environment: this PATH and nothing else.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How much of what a program complains of is kept for the log, in bytes.
const LONGEST_COMPLAINT: usize = 1024;

pub(super) fn ask(words: &[String], question: &[u8], until: Instant) -> Result<Vec<u8>, Fault> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Fault::Unreachable);
    };
    let mut running =
        Running::start(program, arguments).map_err(|error| unreachable(program, &error))?;
    let heard = running.hear(question, until);
    let status = running.end();
    let complaint = &running.complaint;
    if !complaint.is_empty() {
        let complaint = String::from_utf8_lossy(complaint);
        let complaint = complaint.trim_end().escape_debug();
        tracing::warn!("{program} says: {complaint}");
    }
    heard?;
    match status {
        Ok(status) if status.success() => one_line(std::mem::take(&mut running.answer)),
        Ok(status) => {
            tracing::error!("{program}: {status}");
            Err(Fault::ExitStatus)
        }
        Err(error) => Err(unreachable(program, &error)),
    }
}

/// A program that runs; dropped, it and all of its group are ended.
struct Running {
    child: Child,
    group: Pid,
    process: OwnedFd,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    answer: Vec<u8>,
    complaint: Vec<u8>,
    reaped: bool,
}

impl Running {
    fn start(program: &str, arguments: &[String]) -> io::Result<Running> {
        keep_descriptors();
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let opened = pid.map(|pid| (pid, pidfd_open(pid, PidfdFlags::empty())));
        let Some((group, Ok(process))) = opened else {
            // Nobody could tell when it ends.
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::ErrorKind::Unsupported.into());
        };
        let running = Running {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            group,
            process,
            answer: Vec::new(),
            complaint: Vec::new(),
            reaped: false,
        };
        for pipe in running.pipes() {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(running)
    }

    fn pipes(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        let stdin = self.stdin.iter().map(AsFd::as_fd);
        let stdout = self.stdout.iter().map(AsFd::as_fd);
        let stderr = self.stderr.iter().map(AsFd::as_fd);
        stdin.chain(stdout).chain(stderr)
    }

    /// Hands over the question, and reads until the program has ended.
    fn hear(&mut self, question: &[u8], until: Instant) -> Result<(), Fault> {
        let mut unsent = question;
        loop {
            if unsent.is_empty() {
                self.stdin = None;
            }
            let ended = self.wait(until)?;
            if let Some(stdin) = &mut self.stdin {
                match stdin.write(unsent) {
                    Ok(sent) => unsent = unsent.get(sent..).unwrap_or_default(),
                    Err(error) if is_later(&error) => {}
                    // It does not want to know.
                    Err(_) => self.stdin = None,
                }
            }
            take(&mut self.stderr, &mut self.complaint);
            self.complaint.truncate(LONGEST_COMPLAINT);
            take(&mut self.stdout, &mut self.answer);
            if self.answer.len() > LONGEST_LINE + 1 {
                return Err(Fault::TooLong);
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Waits for whatever comes first; answers whether the program has ended.
    fn wait(&self, until: Instant) -> Result<bool, Fault> {
        let mut polled = vec![PollFd::new(&self.process, PollFlags::IN)];
        polled.extend(
            self.stdin
                .iter()
                .map(|pipe| PollFd::new(pipe, PollFlags::OUT)),
        );
        polled.extend(
            self.stdout
                .iter()
                .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
        );
        polled.extend(
            self.stderr
                .iter()
                .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
        );
        let left = Timespec::try_from(left(until)?).ok();
        match poll(&mut polled, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(Fault::Unreachable),
        }
        Ok(polled
            .first()
            .is_some_and(|process| !process.revents().is_empty()))
    }

    /// Ends what is left of the group, and takes the program's exit status.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if !self.reaped {
            // Until it is reaped nobody else can have its number. No such group: nobody is left.
            let _ = kill_process_group(self.group, Signal::KILL);
            self.reaped = true;
        }
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Has nothing pass to a program that whoever started us left open; what we open ourselves does not anyway.
fn keep_descriptors() {
    #[expect(
        unsafe_code,
        reason = "close_range(2) has no safe form; with this flag it closes nothing"
    )]
    // SAFETY: it takes numbers and sets a flag of descriptors; none is closed here.
    let set = unsafe {
        let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
        libc::close_range(3, libc::c_uint::MAX, flags)
    };
    if set != 0 {
        // Before Linux 5.11.
        tracing::debug!("descriptors of whoever started us stay open in programs");
    }
}

/// Reads what is there, up to a little more than can be used; forgets a pipe that has ended.
fn take(pipe: &mut Option<impl io::Read>, into: &mut Vec<u8>) {
    let mut buffer = [0; 1024];
    while let Some(open) = pipe {
        match open.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(read) => into.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if is_later(&error) => return,
            Err(_) => *pipe = None,
        }
        if into.len() > LONGEST_LINE + 1 {
            return;
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
