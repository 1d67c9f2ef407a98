//! Where the files come from that a configuration names: rules, certificates, keys, passwords.
//!
//! Invariant: everything that is read is bounded. A process that may not read them itself is handed their contents
//! by one that may, behind the same trait.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Longest file that a configuration may name, in bytes.
pub const LONGEST: u64 = 8 << 20;

/// A file's contents, with what says who may read it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Contents {
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Its permission bits (`st_mode & 0o7777`).
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
}

/// What there is at a path, and who may change it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Status {
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Whether it is a socket.
    pub is_socket: bool,
    /// Its permission bits (`st_mode & 0o7777`).
    pub mode: u32,
    /// A directory on the way to it, by name or by links, in which everybody may put another file in its place.
    pub loose: Option<PathBuf>,
}

/// Reads the files that a configuration names.
pub trait Files: Send + Sync {
    /// Reads a whole file.
    ///
    /// # Errors
    /// What the kernel says; `FileTooLarge` beyond [`LONGEST`]; `NotFound` for one that was not handed over.
    fn read(&self, path: &Path) -> io::Result<Contents>;

    /// Lists the regular files in a directory, sorted by name.
    ///
    /// # Errors
    /// What the kernel says.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Looks at what there is at a path, without reading it.
    ///
    /// # Errors
    /// What the kernel says; `NotFound` for what was not handed over.
    fn examine(&self, path: &Path) -> io::Result<Status> {
        let _ = path;
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Reads them from the disk, with this process's rights.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Contents {
            bytes,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if std::fs::metadata(entry.path())?.is_file() {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    fn examine(&self, path: &Path) -> io::Result<Status> {
        let metadata = std::fs::metadata(path)?;
        let real = std::fs::canonicalize(path)?;
        let mut above = path.ancestors().skip(1).chain(real.ancestors().skip(1));
        let loose = above.find(|directory| {
            // Whoever may write into a directory with the sticky bit can replace nobody else's file there.
            let mode = std::fs::metadata(directory).map_or(0, |metadata| metadata.mode());
            mode & 0o1002 == 0o0002
        });
        Ok(Status {
            is_file: metadata.is_file(),
            is_socket: metadata.file_type().is_socket(),
            mode: metadata.mode() & 0o7777,
            loose: loose.map(Path::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_with_its_mode_and_a_directory_sorted() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("b");
        std::fs::write(&path, "text").expect("written");
        std::fs::write(directory.path().join("a"), "").expect("written");
        std::fs::create_dir(directory.path().join("c")).expect("made");
        let contents = Disk.read(&path).expect("read");
        assert_eq!(contents.bytes, b"text");
        assert_eq!(contents.mode & 0o400, 0o400);
        assert_eq!(
            Disk.list(directory.path()).expect("listed"),
            [directory.path().join("a"), path]
        );
        assert!(Disk.read(directory.path()).is_err());
    }
}
