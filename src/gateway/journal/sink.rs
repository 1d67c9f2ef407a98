//! Where lines go: a file, a pipe, a terminal or a socket, and how each is written without getting stuck.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::SendFlags;

use super::keeper::{FileId, Opened};

/// Most bytes of one write to something that might block: what a pipe takes whole (POSIX PIPE_BUF on Linux).
const PIPE_BUF: usize = 4096;

/// An open target.
#[derive(Debug)]
pub(super) struct Sink {
    fd: OwnedFd,
    how: How,
}

/// How a target is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// A regular file: `write` never waits for a reader.
    File,
    /// A pipe, terminal or device through a descriptor of our own that does not block.
    Unblocked,
    /// A pipe or terminal whose open file is shared with others: asked before each write.
    Asked,
    /// A socket.
    Socket,
}

impl Sink {
    /// Takes an open target, and finds out how it is to be written.
    pub(super) fn new(opened: Opened) -> io::Result<Self> {
        let how = match (kind(opened.fd.as_fd())?, opened.shared) {
            (FileType::RegularFile, _) => How::File,
            (FileType::Socket, _) => How::Socket,
            (_, false) => How::Unblocked,
            (_, true) => How::Asked,
        };
        Ok(Sink { fd: opened.fd, how })
    }

    /// Tells whether the target is a regular file, which can be full but never stuck.
    pub(super) fn is_file(&self) -> bool {
        self.how == How::File
    }

    /// Gives the length of a regular file in bytes, 0 of anything else.
    pub(super) fn length(&self) -> u64 {
        match (self.how, rustix::fs::fstat(&self.fd)) {
            (How::File, Ok(stat)) => u64::try_from(stat.st_size).unwrap_or(0),
            _ => 0,
        }
    }

    /// Tells which file it is.
    pub(super) fn id(&self) -> io::Result<FileId> {
        FileId::of_open(&self.fd)
    }

    /// Gives the share of the target's file system that is free for us, in percent; none if it has no file system.
    pub(super) fn free_percent(&self) -> Option<u64> {
        if self.how != How::File {
            return None;
        }
        let stat = rustix::fs::fstatvfs(&self.fd).ok()?;
        stat.f_bavail.saturating_mul(100).checked_div(stat.f_blocks)
    }

    /// Writes once, as much as goes without waiting for a reader.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when a reader is slow; otherwise what the kernel says.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.how {
            How::File | How::Unblocked => retry_on_intr(|| rustix::io::write(&self.fd, bytes)),
            How::Asked => {
                if !self.wait(Duration::ZERO) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let part = bytes.get(..PIPE_BUF).unwrap_or(bytes);
                retry_on_intr(|| rustix::io::write(&self.fd, part))
            }
            How::Socket => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                retry_on_intr(|| rustix::net::send(&self.fd, bytes, flags))
            }
        };
        match written {
            Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => Ok(count),
            Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until something can be written or the target broke; tells whether one of them came in time.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).ok();
        let mut polled = [PollFd::new(&self.fd, PollFlags::OUT)];
        matches!(poll(&mut polled, timeout.as_ref()), Ok(1..))
    }
}

fn kind(fd: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}
