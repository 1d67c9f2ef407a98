//! Pipes for splice(2), shared by all relays of a thread: bytes pass from socket to socket without a copy.
//!
//! Invariant: a pipe that goes back to the pool is empty and never saw an error. This module must not know
//! relays.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

/// The size that is asked for, in bytes.
const WANTED: usize = 1024 * 1024;
/// A smaller pipe than this is worse than copying, in bytes.
const WORTHWHILE: usize = 64 * 1024;
/// Most pipes of the process: the kernel grants a user 64 MiB of pipes (`pipe-user-pages-soft`).
pub const PIPES: usize = 64;
/// Pipes that a thread keeps when nobody needs them.
const KEPT: usize = 16;

static EXISTING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IDLE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// A pipe on loan.
#[derive(Debug)]
pub(super) struct Pipe {
    ends: Option<Ends>,
    filled: usize,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    size: usize,
}

impl Pipe {
    /// Borrows an empty pipe; none when the process has too many, or the kernel makes them too small.
    pub(super) fn take() -> Option<Pipe> {
        let ends = IDLE.with_borrow_mut(Vec::pop).or_else(Ends::new)?;
        Some(Pipe {
            ends: Some(ends),
            filled: 0,
        })
    }

    /// Tells how many bytes are inside.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Moves what a socket has into the pipe, which must be empty; 0 at the end of the stream.
    pub(super) fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(from, None, &ends.write, None, ends.size, flags) {
            Ok(moved) => {
                self.filled += moved;
                Ok(moved)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Moves what is inside to a socket, as much as it takes.
    pub(super) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(&ends.read, None, to, None, self.filled, flags) {
            Ok(moved) => {
                self.filled = self.filled.saturating_sub(moved);
                Ok(moved)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&mut self, error: rustix::io::Errno) -> io::Error {
        if error != rustix::io::Errno::AGAIN {
            self.ends = None;
        }
        error.into()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take().filter(|_| self.filled == 0) else {
            return;
        };
        // At the end of the thread there is no pool any more; then the pipe just closes.
        let _gone = IDLE.try_with(|idle| {
            if let Ok(mut idle) = idle.try_borrow_mut()
                && idle.len() < KEPT
            {
                idle.push(ends);
            }
        });
    }
}

impl Ends {
    fn new() -> Option<Ends> {
        if EXISTING.fetch_add(1, Ordering::Relaxed) >= PIPES {
            EXISTING.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let made = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
        let Ok((read, write)) = made else {
            EXISTING.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        // From here on dropping it counts it out.
        let mut ends = Ends {
            read,
            write,
            size: 0,
        };
        ends.size = [WANTED, WANTED / 4]
            .into_iter()
            .find_map(|size| fcntl_setpipe_size(&ends.write, size).ok())
            .or_else(|| fcntl_getpipe_size(&ends.write).ok())?;
        (ends.size >= WORTHWHILE).then_some(ends)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        EXISTING.fetch_sub(1, Ordering::Relaxed);
    }
}
