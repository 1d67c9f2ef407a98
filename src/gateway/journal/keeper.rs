//! Who opens, puts aside and deletes the journal's files: this process, or one that may on its behalf.
//!
//! Invariant: what is asked names no path, no mode and no time, so whoever asks gets at the configured file and what was
//! put aside of it, and at nothing else; an old file goes when its time is over and not before. A gateway that is broken into
//! can then add lines to its journal, but not take any away.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::writer::now;
use super::{JournalSettings, Target, rotation};

/// An open file of the journal.
#[derive(Debug)]
pub struct Opened {
    /// Its descriptor: for writing at the end alone.
    pub fd: OwnedFd,
    /// Whether it ends in the middle of a line, as a crash can leave it.
    pub torn: bool,
    /// Whether others share the open file, and with it the flag that keeps writes from blocking.
    pub shared: bool,
}

/// Tells files apart, whatever their names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// `st_dev`
    pub device: u64,
    /// `st_ino`
    pub inode: u64,
}

impl FileId {
    fn of(stat: &rustix::fs::Stat) -> FileId {
        FileId {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }

    /// Tells which file an open descriptor is.
    pub(super) fn of_open(fd: &OwnedFd) -> io::Result<FileId> {
        Ok(FileId::of(&rustix::fs::fstat(fd)?))
    }
}

/// Opens, puts aside and deletes the journal's files.
pub trait Keeper: Send + Sync + fmt::Debug {
    /// Opens the target, and makes the file if it is missing.
    ///
    /// # Errors
    /// What the kernel says.
    fn open(&self, settings: &JournalSettings) -> io::Result<Opened>;

    /// Puts the file aside if its name still means `ours`, and opens the target anew in any case.
    ///
    /// # Errors
    /// `AlreadyExists` when one was put aside in this second already; what the kernel says.
    fn put_aside(&self, settings: &JournalSettings, ours: FileId) -> io::Result<Opened>;

    /// Deletes what was put aside longer ago than the settings say, and tells the log.
    ///
    /// # Errors
    /// What the kernel says.
    fn expire(&self, settings: &JournalSettings) -> io::Result<()>;
}

/// What a keeper is asked across processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeeperRequest {
    /// As [`Keeper::open`].
    Open,
    /// As [`Keeper::put_aside`].
    PutAside {
        /// The file that whoever asks writes to.
        ours: FileId,
    },
    /// As [`Keeper::expire`].
    Expire,
}

/// What a keeper answers across processes.
#[derive(Debug)]
pub enum KeeperAnswer {
    /// To `Open` and `PutAside`.
    Opened(Opened),
    /// To `Expire`.
    Expired,
}

/// Does what a keeper is asked, with this process's rights, to the files of its own settings.
///
/// # Errors
/// As the [`Keeper`]'s; `PermissionDenied` when a file is to be put aside long before its time.
pub fn perform(request: KeeperRequest, settings: &JournalSettings) -> io::Result<KeeperAnswer> {
    match request {
        KeeperRequest::Open => open(settings).map(KeeperAnswer::Opened),
        KeeperRequest::PutAside { ours } => put_aside(settings, ours).map(KeeperAnswer::Opened),
        KeeperRequest::Expire => expire(settings).map(|()| KeeperAnswer::Expired),
    }
}

/// Keeps the files with this process's own rights.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnKeeper;

impl Keeper for OwnKeeper {
    fn open(&self, settings: &JournalSettings) -> io::Result<Opened> {
        open(settings)
    }

    fn put_aside(&self, settings: &JournalSettings, ours: FileId) -> io::Result<Opened> {
        put_aside(settings, ours)
    }

    fn expire(&self, settings: &JournalSettings) -> io::Result<()> {
        expire(settings)
    }
}

/// Carries a request to the process that may, and its answer back.
pub type Ask = Box<dyn Fn(KeeperRequest) -> io::Result<KeeperAnswer> + Send + Sync>;

/// Has the files handed over by another process, which goes by its own settings.
pub struct HandedKeeper {
    ask: Ask,
}

impl HandedKeeper {
    /// Creates it from the way to the other process.
    pub fn new(ask: Ask) -> HandedKeeper {
        HandedKeeper { ask }
    }

    fn opened(&self, request: KeeperRequest) -> io::Result<Opened> {
        match (self.ask)(request)? {
            KeeperAnswer::Opened(opened) => Ok(opened),
            KeeperAnswer::Expired => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl fmt::Debug for HandedKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandedKeeper")
    }
}

impl Keeper for HandedKeeper {
    fn open(&self, _: &JournalSettings) -> io::Result<Opened> {
        self.opened(KeeperRequest::Open)
    }

    fn put_aside(&self, _: &JournalSettings, ours: FileId) -> io::Result<Opened> {
        self.opened(KeeperRequest::PutAside { ours })
    }

    fn expire(&self, _: &JournalSettings) -> io::Result<()> {
        match (self.ask)(KeeperRequest::Expire)? {
            KeeperAnswer::Expired => Ok(()),
            KeeperAnswer::Opened(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Tells whether a file of this length may be put aside: below half of its size it is too early, so that whoever asks again
/// and again can't fill a directory with small files.
pub(super) fn is_due(settings: &JournalSettings, length: u64) -> bool {
    settings
        .rotate_size
        .is_some_and(|limit| length > 0 && length >= limit / 2)
}

fn open(settings: &JournalSettings) -> io::Result<Opened> {
    match &settings.target {
        Target::Stdout => open_stdout(),
        Target::File(path) => open_file(path, settings.mode),
    }
}

fn put_aside(settings: &JournalSettings, ours: FileId) -> io::Result<Opened> {
    if let Target::File(path) = &settings.target
        // Something else may have moved it already.
        && let Ok(there) = rustix::fs::lstat(path)
        && FileId::of(&there) == ours
    {
        if !is_due(settings, u64::try_from(there.st_size).unwrap_or(0)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        rotation::put_aside(path, now())?;
    }
    open(settings)
}

fn expire(settings: &JournalSettings) -> io::Result<()> {
    let (Target::File(path), Some(keep)) = (&settings.target, settings.keep) else {
        return Ok(());
    };
    for path in rotation::expire(path, keep, now())? {
        tracing::info!("deleted the old journal file {}", path.display());
    }
    Ok(())
}

/// Opens a file for appending, or a named pipe that somebody reads; makes the file with `mode` if it is missing.
///
/// A symbolic link is refused, so that nobody who may write to the directory can aim the journal elsewhere.
fn open_file(path: &Path, mode: u32) -> io::Result<Opened> {
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
    let torn = ends_torn(&fd, path)?;
    Ok(Opened {
        fd,
        torn,
        shared: false,
    })
}

/// Tells whether a file ends in the middle of a line.
fn ends_torn(fd: &OwnedFd, path: &Path) -> io::Result<bool> {
    let stat = rustix::fs::fstat(fd)?;
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || length == 0 {
        return Ok(false);
    }
    let at_its_name =
        rustix::fs::lstat(path).is_ok_and(|there| FileId::of(&there) == FileId::of(&stat));
    if !at_its_name {
        return Ok(false);
    }
    let mut last = [b'\n'];
    Ok(match File::open(path) {
        Ok(file) => matches!(file.read_at(&mut last, length - 1), Ok(1)) && last != *b"\n",
        // Not readable for us: an empty line more does no harm, a torn one would.
        Err(_) => true,
    })
}

/// Takes standard output, whatever it is.
///
/// A pipe or terminal is opened anew where the kernel lets us, because the flag that keeps a write from blocking belongs
/// to the open file, which others share. A regular file is not: its offset is shared too.
fn open_stdout() -> io::Result<Opened> {
    let fd = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    let opened = |fd, shared| Opened {
        fd,
        torn: false,
        shared,
    };
    if matches!(kind, FileType::RegularFile | FileType::Socket) {
        return Ok(opened(fd, true));
    }
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    Ok(
        match rustix::fs::open("/proc/self/fd/1", flags, Mode::empty()) {
            Ok(own) => opened(own, false),
            Err(_) => opened(fd, true),
        },
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::gateway::journal::{Addresses, siblings};

    fn settings(path: &Path) -> JournalSettings {
        JournalSettings {
            target: Target::File(path.to_owned()),
            mode: 0o640,
            rotate_size: Some(64),
            keep: Some(Duration::from_secs(3600)),
            warn_free: None,
            anonymous_email: false,
            addresses: Addresses::Full,
        }
    }

    fn opened(answer: KeeperAnswer) -> Opened {
        match answer {
            KeeperAnswer::Opened(opened) => opened,
            KeeperAnswer::Expired => panic!("a file was asked for"),
        }
    }

    #[test]
    fn only_its_own_file_is_put_aside_and_not_before_its_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("journal");
        let settings = settings(&path);
        let first = opened(perform(KeeperRequest::Open, &settings).expect("opened"));
        let ours = FileId::of_open(&first.fd).expect("an id");
        rustix::io::write(&first.fd, b"too short\n").expect("written");
        let early = perform(KeeperRequest::PutAside { ours }, &settings);
        assert_eq!(
            early.expect_err("too early").kind(),
            io::ErrorKind::PermissionDenied
        );
        assert!(siblings(&path).expect("read").is_empty());

        rustix::io::write(&first.fd, &[b'x'; 64]).expect("written");
        let second =
            opened(perform(KeeperRequest::PutAside { ours }, &settings).expect("put aside"));
        assert_eq!(siblings(&path).expect("read").len(), 1);
        // It is put aside already: its name means another file, which stays.
        rustix::io::write(&second.fd, &[b'y'; 64]).expect("written");
        let third = opened(perform(KeeperRequest::PutAside { ours }, &settings).expect("opened"));
        assert_eq!(
            FileId::of_open(&third.fd).expect("an id"),
            FileId::of_open(&second.fd).expect("an id")
        );
        assert!(third.torn, "it ends without a line feed");
        assert_eq!(siblings(&path).expect("read").len(), 1);
    }

    #[test]
    fn only_what_is_old_is_deleted_however_often_it_is_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("journal");
        let old = directory.path().join("journal.20200101T000000Z");
        let foreign = directory.path().join("other.20200101T000000Z");
        for path in [&path, &old, &foreign] {
            std::fs::write(path, "line\n").expect("written");
        }
        let settings = settings(&path);
        rotation::put_aside(&path, now()).expect("put aside");
        for _ in 0..2 {
            perform(KeeperRequest::Expire, &settings).expect("expired");
        }
        assert!(!old.exists() && foreign.exists());
        assert_eq!(siblings(&path).expect("read").len(), 1, "the young one");
    }

    #[test]
    fn a_keeper_elsewhere_is_asked_what_its_own_settings_answer() {
        let directory = tempfile::tempdir().expect("a directory");
        let (here, there) = (
            directory.path().join("here"),
            directory.path().join("there"),
        );
        let asked = Arc::new(Mutex::new(Vec::new()));
        let keeper = HandedKeeper::new(Box::new({
            let (asked, settings) = (Arc::clone(&asked), settings(&there));
            move |request| {
                asked.lock().expect("the list").push(request);
                perform(request, &settings)
            }
        }));
        keeper.open(&settings(&here)).expect("opened");
        keeper.expire(&settings(&here)).expect("expired");
        assert!(there.exists() && !here.exists());
        assert_eq!(
            *asked.lock().expect("the list"),
            [KeeperRequest::Open, KeeperRequest::Expire]
        );
    }
}
