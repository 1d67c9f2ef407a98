//! A configuration with everything that it names, for a process that may read no file itself.
//!
//! Invariant: what a bundle holds is what was read when it was made; a file that nobody read then is not found.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::files::{Contents, Files, Status};
use super::{Config, ConfigErrors};

/// The configuration's text and the contents of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The whole configuration, as [`Config::to_yaml`] writes it.
    pub yaml: String,
    files: BTreeMap<PathBuf, Contents>,
    directories: BTreeMap<PathBuf, Vec<PathBuf>>,
    statuses: BTreeMap<PathBuf, Status>,
}

impl Bundle {
    /// Returns the configuration.
    ///
    /// # Errors
    /// When the text is none, which is a fault of whoever wrote it.
    pub fn config(&self) -> Result<Config, ConfigErrors> {
        Config::parse(&self.yaml, "handed over").map(|loaded| loaded.config)
    }
}

impl Files for Bundle {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        let found = self.files.get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let found = self.directories.get(directory).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn examine(&self, path: &Path) -> io::Result<Status> {
        let found = self.statuses.get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The bundle that was handed over last, as the files that it holds.
#[derive(Debug)]
pub struct Latest(ArcSwap<Bundle>);

impl Latest {
    /// Begins with a bundle.
    pub fn new(bundle: Bundle) -> Latest {
        Latest(ArcSwap::from_pointee(bundle))
    }

    /// Takes another one in its place.
    pub fn replace(&self, bundle: Bundle) {
        self.0.store(Arc::new(bundle));
    }
}

impl Files for Latest {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        self.0.load().read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.load().list(directory)
    }

    fn examine(&self, path: &Path) -> io::Result<Status> {
        self.0.load().examine(path)
    }
}

/// Reads files for somebody, and remembers them for a bundle.
#[derive(Debug)]
pub struct Recorder<F> {
    files: F,
    read: Mutex<Bundle>,
}

impl<F: Files> Recorder<F> {
    /// Begins with nothing remembered.
    pub fn new(files: F) -> Recorder<F> {
        Recorder {
            files,
            read: Mutex::default(),
        }
    }

    /// Ends with everything that was read, beside the configuration that named it.
    pub fn into_bundle(self, config: &Config) -> Bundle {
        let read = self.read.into_inner();
        Bundle {
            yaml: config.to_yaml(),
            ..read.unwrap_or_else(PoisonError::into_inner)
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Bundle> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Files> Files for Recorder<F> {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        let contents = self.files.read(path)?;
        let mut remembered = self.remembered();
        remembered.files.insert(path.to_owned(), contents.clone());
        Ok(contents)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let found = self.files.list(directory)?;
        let mut remembered = self.remembered();
        remembered
            .directories
            .insert(directory.to_owned(), found.clone());
        Ok(found)
    }

    fn examine(&self, path: &Path) -> io::Result<Status> {
        let found = self.files.examine(path)?;
        let mut remembered = self.remembered();
        remembered.statuses.insert(path.to_owned(), found.clone());
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::files::Disk;

    #[test]
    fn a_bundle_holds_what_was_read_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let (named, other) = (
            directory.path().join("named"),
            directory.path().join("other"),
        );
        std::fs::write(&named, b"\xffpem").expect("written");
        std::fs::write(&other, "secret").expect("written");
        let text = "version: 1\nlisteners: {main: {listen: [\"*:21\"]}}\nupstreams: {old: {addresses: [\"10.0.0.5\"]}}\n";
        let config = Config::parse(text, "test").expect("a config").config;

        let recorder = Recorder::new(Disk);
        let contents = recorder.read(&named).expect("read");
        assert!(recorder.read(&directory.path().join("missing")).is_err());
        recorder.list(directory.path()).expect("listed");
        let bundle = recorder.into_bundle(&config);
        let bundle: Bundle =
            serde_json::from_slice(&serde_json::to_vec(&bundle).expect("bytes")).expect("a bundle");

        std::fs::remove_file(&named).expect("removed");
        assert_eq!(bundle.read(&named).expect("held"), contents);
        assert_eq!(
            bundle.read(&other).expect_err("never read").kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(
            bundle.list(directory.path()).expect("held"),
            [named.clone(), other]
        );
        assert_eq!(bundle.config().expect("a config"), config);
        let latest = Latest::new(bundle);
        assert_eq!(latest.read(&named).expect("held"), contents);
        latest.replace(Bundle::default());
        assert!(latest.read(&named).is_err());
    }
}
