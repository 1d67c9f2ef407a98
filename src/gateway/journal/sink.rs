//! Where lines go: a file, a pipe, a terminal or a socket, and how each is written without getting stuck.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::SendFlags;

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
    /// Opens a file for appending, or a named pipe that somebody reads; makes the file with `mode` if it is missing.
    ///
    /// A symbolic link is refused, so that nobody who may write to the directory can aim the journal elsewhere.
    pub(super) fn open(path: &Path, mode: u32) -> io::Result<Self> {
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CLOEXEC
            | OFlags::NOFOLLOW
            | OFlags::NOCTTY
            | OFlags::NONBLOCK;
        let mode = Mode::from_raw_mode(mode);
        let fd = match rustix::fs::open(path, flags | OFlags::CREATE | OFlags::EXCL, mode) {
            Ok(fd) => {
                // The umask is for files whose mode nobody chose.
                rustix::fs::fchmod(&fd, mode)?;
                fd
            }
            Err(Errno::EXIST) => rustix::fs::open(path, flags, Mode::empty())?,
            Err(errno) => return Err(errno.into()),
        };
        let how = match kind(fd.as_fd())? {
            FileType::RegularFile => How::File,
            _ => How::Unblocked,
        };
        Ok(Sink { fd, how })
    }

    /// Takes standard output, whatever it is.
    ///
    /// A pipe or terminal is opened anew where the kernel lets us, because the flag that keeps a write from
    /// blocking belongs to the open file, which others share. A regular file is not: its offset is shared too.
    pub(super) fn stdout() -> io::Result<Self> {
        let fd = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
        let how = match kind(fd.as_fd())? {
            FileType::RegularFile => How::File,
            FileType::Socket => How::Socket,
            _ => {
                let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
                return Ok(
                    match rustix::fs::open("/proc/self/fd/1", flags, Mode::empty()) {
                        Ok(fd) => Sink {
                            fd,
                            how: How::Unblocked,
                        },
                        Err(_) => Sink {
                            fd,
                            how: How::Asked,
                        },
                    },
                );
            }
        };
        Ok(Sink { fd, how })
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

    /// Tells whether `path` still names this file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        match (rustix::fs::fstat(&self.fd), rustix::fs::lstat(path)) {
            (Ok(ours), Ok(there)) => ours.st_dev == there.st_dev && ours.st_ino == there.st_ino,
            _ => false,
        }
    }

    /// Tells whether the file ends in the middle of a line, as a crash can leave it.
    pub(super) fn ends_torn(&self, path: &Path) -> bool {
        let length = self.length();
        if length == 0 || !self.is_at(path) {
            return false;
        }
        let mut last = [b'\n'];
        match File::open(path) {
            Ok(file) => matches!(file.read_at(&mut last, length - 1), Ok(1)) && last != *b"\n",
            // Not readable for us: an empty line more does no harm, a torn one would.
            Err(_) => true,
        }
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
