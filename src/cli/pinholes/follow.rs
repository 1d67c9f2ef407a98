//! Reading on where a journal is written, through rotations.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

use super::read::Lines;

/// Longest wait without a look, where the kernel tells nothing (network file systems).
const LOOK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// Between two looks where there is no inotify at all.
const POLL: Duration = Duration::from_millis(250);

/// Hands lines over as they come; ends only with an error.
///
/// When another file stands under the name, the old one is read to its end and the new one from its beginning;
/// a file that was cut short is read from its beginning.
pub(super) fn follow(
    path: &Path,
    file: File,
    each: &mut dyn FnMut(&mut Lines<File>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let bell = Bell::hang(path);
    let mut lines = Lines::new(file);
    loop {
        each(&mut lines)?;
        match successor(path, lines.reader())? {
            Successor::None => bell.wait(),
            Successor::Same => {
                lines.reader().seek(SeekFrom::Start(0))?;
                let again = lines.reader().try_clone()?;
                lines = Lines::new(again);
            }
            Successor::Other(file) => {
                // What was written between the end that we saw and the change of files.
                each(&mut lines)?;
                lines = Lines::new(file);
            }
        }
    }
}

/// What is to be read next.
enum Successor {
    None,
    /// The same file, which was cut short.
    Same,
    /// The file that has the name now.
    Other(File),
}

fn successor(path: &Path, ours: &mut File) -> io::Result<Successor> {
    let us = ours.metadata()?;
    if us.is_file() && us.len() < ours.stream_position()? {
        return Ok(Successor::Same);
    }
    let file = match File::open(path) {
        Ok(file) => file,
        // Between a rename and the new file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Successor::None),
        Err(error) => return Err(error),
    };
    let there = file.metadata()?;
    if (there.dev(), there.ino()) == (us.dev(), us.ino()) {
        return Ok(Successor::None);
    }
    Ok(Successor::Other(file))
}

/// Rings when something happens in the journal's directory.
struct Bell(Option<OwnedFd>);

impl Bell {
    fn hang(path: &Path) -> Self {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        let bell = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .and_then(|bell| add_watch(&bell, directory, flags).map(|_| bell));
        Bell(bell.ok())
    }

    fn wait(&self) {
        let Some(bell) = &self.0 else {
            return std::thread::sleep(POLL);
        };
        // An error or an interruption is only an early look.
        let _ = poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&LOOK));
        let mut events = [0; 4096];
        while let Ok(1..) = rustix::io::read(bell, &mut events) {}
    }
}
