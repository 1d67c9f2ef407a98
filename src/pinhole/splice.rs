//! Pipes for splice(2), shared by all relays: bytes pass from socket to socket without a copy.
//!
//! A relay has a pipe only while bytes are inside, so a few serve many. Measured on a busy virtual machine with 2
//! cores (Linux 6.18, veth between namespaces, one stream, download), CPU seconds of the relaying thread per GiB:
//! copying with 64 KiB 0.46-0.63; pipes of 64 KiB 0.38-0.70, of 256 KiB 0.48-0.50, of 1 MiB 0.31-0.34. Files of 1 MiB,
//! 100 at a time: 0.27-0.33 when spliced from the first, the 64th or the 256th KiB on, 0.32-0.53 when copied; below
//! 256 KiB connecting outweighs carrying. What did not help: `SPLICE_F_MORE` (the kernel itself does so between
//! pages; 0.28-0.31, and it would hold back the last bytes), `SO_RCVLOWAT` of 256 KiB or 1 MB (0.25-0.34, but up to a third
//! less throughput, and a slow sender's bytes would wait).
//!
//! Invariant: a pipe that goes back to the pool is empty and never saw an error. This module must not know
//! relays.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

/// The size that is asked for, in bytes.
const WANTED: usize = 1024 * 1024;
/// A smaller pipe than this is worse than copying, in bytes.
const WORTHWHILE: usize = 64 * 1024;
/// Most pipes of the process: the kernel grants a user 64 MiB of pipes (`pipe-user-pages-soft`).
pub const PIPES: usize = 64;
/// How often copying goes on after the kernel refused a pipe, before it is asked again.
const PATIENCE: usize = 1000;

static EXISTING: AtomicUsize = AtomicUsize::new(0);
static DO_NOT_ASK: AtomicUsize = AtomicUsize::new(0);
static IDLE: Mutex<Vec<Ends>> = Mutex::new(Vec::new());

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
        let kept = idle().pop();
        let ends = kept.or_else(Ends::new)?;
        Some(Pipe {
            ends: Some(ends),
            filled: 0,
        })
    }

    /// Tells how many bytes are inside.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Moves what a socket has into the pipe, which must be empty, up to `most` bytes; 0 at the end of the stream.
    pub(super) fn fill(&mut self, from: impl AsFd, most: usize) -> io::Result<usize> {
        let ends = self.ends.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(from, None, &ends.write, None, ends.size.min(most), flags) {
            Ok(moved) => {
                self.filled += moved;
                Ok(moved)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Moves what is inside to a socket, as much as it takes.
    pub(super) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let ends = self.ends.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(&ends.read, None, to, None, self.filled, flags) {
            Ok(moved) => {
                self.filled = self.filled.saturating_sub(moved);
                Ok(moved)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&mut self, error: Errno) -> io::Error {
        if !matches!(error, Errno::AGAIN | Errno::INTR) {
            self.ends = None;
        }
        error.into()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take()
            && self.filled == 0
        {
            idle().push(ends);
        }
    }
}

fn idle() -> MutexGuard<'static, Vec<Ends>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ends {
    fn new() -> Option<Ends> {
        let waits = |left: usize| left.checked_sub(1);
        if DO_NOT_ASK.fetch_update(Relaxed, Relaxed, waits).is_ok() {
            return None;
        }
        if EXISTING.fetch_add(1, Relaxed) >= PIPES {
            EXISTING.fetch_sub(1, Relaxed);
            return None;
        }
        let made = Ends::ask();
        if made.is_none() {
            DO_NOT_ASK.store(PATIENCE, Relaxed);
        }
        made
    }

    /// Asks the kernel for a pipe that is worth it; who has one, or failed here, is counted out when it is dropped.
    fn ask() -> Option<Ends> {
        let made = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
        let Ok((read, write)) = made else {
            EXISTING.fetch_sub(1, Relaxed);
            return None;
        };
        let mut ends = Ends {
            read,
            write,
            size: 0,
        };
        // A user over `pipe-user-pages-soft` gets small pipes and may not enlarge them.
        ends.size = [WANTED, WANTED / 4]
            .into_iter()
            .find_map(|size| fcntl_setpipe_size(&ends.write, size).ok())
            .or_else(|| fcntl_getpipe_size(&ends.write).ok())?;
        (ends.size >= WORTHWHILE).then_some(ends)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        EXISTING.fetch_sub(1, Relaxed);
    }
}
