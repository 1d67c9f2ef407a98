//! Files that were put aside: `name.YYYYmmddTHHMMSSZ`, named by when their last line was written.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::engine::Wall;

/// Length of `YYYYmmddTHHMMSSZ`.
const STAMP: usize = 16;

/// Renames the file; never over another one.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when a file was put aside in this second already; else what the kernel says.
pub(super) fn put_aside(path: &Path, at: Wall) -> io::Result<()> {
    let stamp: String = at
        .to_string()
        .chars()
        .filter(|character| !matches!(character, '-' | ':'))
        .take(STAMP - 1)
        .collect();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{stamp}Z"));
    match rustix::fs::renameat_with(CWD, path, CWD, &name, RenameFlags::NOREPLACE) {
        // File systems that do not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) if !Path::new(&name).exists() => {
            std::fs::rename(path, &name)
        }
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        done => Ok(done?),
    }
}

/// Tells when a file of this name was put aside by a journal named `journal`; none if it is not its own.
pub fn rotated_at(journal: &Path, name: &Path) -> Option<Wall> {
    let (journal, name) = (journal.file_name()?, name.file_name()?);
    let stamp = name
        .as_bytes()
        .strip_prefix(journal.as_bytes())?
        .strip_prefix(b".")?;
    let shape = stamp.len() == STAMP
        && stamp.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !shape {
        return None;
    }
    let time: jiff::Timestamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok().map(Wall)
}

/// Finds the files that a journal put aside, the oldest first.
///
/// # Errors
/// When the directory cannot be read.
pub fn siblings(journal: &Path) -> io::Result<Vec<(Wall, PathBuf)>> {
    let directory = match journal.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(at) = rotated_at(journal, Path::new(&entry.file_name()))
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            found.push((at, directory.join(entry.file_name())));
        }
    }
    found.sort();
    Ok(found)
}

/// Deletes what was put aside longer ago than `keep`; gives the names of what it deleted.
///
/// # Errors
/// When the directory cannot be read or a file cannot be deleted; the others are still tried.
pub(super) fn expire(journal: &Path, keep: Duration, now: Wall) -> io::Result<Vec<PathBuf>> {
    let keep = u64::try_from(keep.as_micros()).unwrap_or(u64::MAX);
    let mut deleted = Vec::new();
    let mut failed = Ok(());
    for (at, path) in siblings(journal)? {
        if now.0.saturating_sub(at.0) <= keep {
            continue;
        }
        match std::fs::remove_file(&path) {
            Ok(()) => deleted.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failed = Err(error),
        }
    }
    failed.map(|()| deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> Wall {
        let time: jiff::Timestamp = text.parse().expect("a time");
        Wall(u64::try_from(time.as_microsecond()).expect("after 1970"))
    }

    #[test]
    fn only_its_own_stamped_files_are_its_own() {
        let journal = Path::new("/var/log/portcullis/journal.jsonl");
        assert_eq!(
            rotated_at(journal, Path::new("journal.jsonl.20261121T040509Z")),
            Some(wall("2026-11-21T04:05:09Z"))
        );
        for other in [
            "journal.jsonl",
            "journal.jsonl.",
            "journal.jsonl.1",
            "journal.jsonl.20261121T040509Z.gz",
            "journal.jsonl.20261121T040509",
            "journal.jsonl.20261321T040509Z",
            "journal.jsonl.+0261121T040509Z",
            "other.jsonl.20261121T040509Z",
            "journal.jsonlx20261121T040509Z",
        ] {
            assert_eq!(rotated_at(journal, Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn what_is_put_aside_is_found_in_order_and_expires() {
        let directory = tempfile::tempdir().expect("a directory");
        let journal = directory.path().join("journal");
        let times = [
            "2026-11-21T04:00:00Z",
            "2026-11-19T04:00:00Z",
            "2026-11-20T04:00:00.5Z",
        ];
        for time in times {
            std::fs::write(&journal, time).expect("written");
            put_aside(&journal, wall(time)).expect("renamed");
        }
        std::fs::write(directory.path().join("journal.old"), "not ours").expect("written");
        std::fs::write(&journal, "again").expect("written");
        let taken = put_aside(&journal, wall("2026-11-21T04:00:00.9Z"));
        assert_eq!(
            taken.expect_err("taken").kind(),
            io::ErrorKind::AlreadyExists
        );

        let texts: Vec<String> = siblings(&journal)
            .expect("read")
            .iter()
            .map(|(_, path)| std::fs::read_to_string(path).expect("read"))
            .collect();
        assert_eq!(
            texts,
            [
                "2026-11-19T04:00:00Z",
                "2026-11-20T04:00:00.5Z",
                "2026-11-21T04:00:00Z"
            ]
        );

        let day = Duration::from_secs(24 * 3600);
        let deleted = expire(&journal, day, wall("2026-11-21T04:00:00Z")).expect("deleted");
        assert_eq!(deleted.len(), 1, "{deleted:?}");
        assert_eq!(siblings(&journal).expect("read").len(), 2);
        assert!(directory.path().join("journal.old").exists());
        assert_eq!(std::fs::read_to_string(&journal).expect("read"), "again");
    }
}
