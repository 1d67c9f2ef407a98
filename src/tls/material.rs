//! Everything that TLS of a config needs from files, read and checked as a whole.
//!
//! Invariant: either all of it is good, or what is wrong is told with file and reason and nothing comes into force.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};

use super::accept::Acceptor;
use super::certificate::Expiry;
use super::connect::{self, Connector};
use crate::config::files::{Contents, Files};
use crate::config::{Config, TlsMode, TrustAnchors, UpstreamTlsMode};

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, and what to do.
    pub why: String,
}

impl MaterialError {
    pub(super) fn new(file: &Path, why: &str) -> MaterialError {
        MaterialError {
            file: file.to_owned(),
            why: why.to_owned(),
        }
    }
}

impl fmt::Display for MaterialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for MaterialError {}

/// Where files come from, and what time it is.
pub(super) struct Reading<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) now: SystemTime,
    /// Of all that was read so far, in its order.
    digest: RefCell<Context>,
}

impl Reading<'_> {
    pub(super) fn read(&self, file: &Path) -> Result<Contents, MaterialError> {
        let read = self.files.read(file).inspect(|contents| {
            let mut digest = self.digest.borrow_mut();
            digest.update(&(contents.bytes.len() as u64).to_le_bytes());
            digest.update(&contents.bytes);
        });
        read.map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "permission denied; let the group of the user that portcullis runs as read it, and enter its directories".to_owned()
                }
                _ => error.to_string(),
            };
            MaterialError::new(file, &why)
        })
    }
}

/// What the listeners and upstreams of a config need for TLS, by their names.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// For listeners that offer TLS.
    pub acceptors: BTreeMap<String, Arc<Acceptor>>,
    /// For upstreams that are spoken to over TLS.
    pub connectors: BTreeMap<String, Arc<Connector>>,
    /// When each certificate of ours ends.
    pub expiries: Vec<Expiry>,
    /// The digest of all files that were read: equal where none of them changed.
    pub fingerprint: Vec<u8>,
}

/// Reads and checks everything that a config names.
///
/// # Errors
/// All that is wrong, each with its file.
pub fn load(config: &Config, files: &dyn Files) -> Result<Material, Vec<MaterialError>> {
    load_at(config, files, SystemTime::now())
}

pub(super) fn load_at(
    config: &Config,
    files: &dyn Files,
    now: SystemTime,
) -> Result<Material, Vec<MaterialError>> {
    let reading = Reading {
        files,
        now,
        digest: RefCell::new(Context::new(&SHA256)),
    };
    let (mut material, mut errors) = (Material::default(), Vec::new());
    for (name, listener) in &config.listeners {
        match listener.tls.mode {
            TlsMode::None => {}
            TlsMode::Explicit | TlsMode::Implicit => {
                match Acceptor::load(&listener.tls, &reading) {
                    Ok(acceptor) => {
                        material.expiries.extend(acceptor.expiries());
                        material
                            .acceptors
                            .insert(name.to_string(), Arc::new(acceptor));
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
    }
    for (name, upstream) in &config.upstreams {
        match upstream.tls.mode {
            UpstreamTlsMode::None => {}
            UpstreamTlsMode::Explicit | UpstreamTlsMode::Implicit => {
                match Connector::load(&upstream.tls, &reading) {
                    Ok(connector) => {
                        material.expiries.extend(connector.expiry());
                        material
                            .connectors
                            .insert(name.to_string(), Arc::new(connector));
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
    }
    material.fingerprint = reading.digest.into_inner().finish().as_ref().to_vec();
    material.expiries.dedup();
    errors.dedup();
    if errors.is_empty() {
        Ok(material)
    } else {
        Err(errors)
    }
}

/// Returns every file that TLS of a config reads, for a process that hands them to another one.
///
/// Of the places where a system may have its certificates, those that are not there are in it too.
#[must_use]
pub fn files_of(config: &Config) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for listener in config.listeners.values() {
        if listener.tls.mode != TlsMode::None {
            files.extend(listener.tls.files().map(Path::to_owned));
        }
    }
    for upstream in config.upstreams.values() {
        if upstream.tls.mode != UpstreamTlsMode::None {
            files.extend(upstream.tls.files().map(Path::to_owned));
            if upstream.tls.ca == TrustAnchors::System {
                files.extend(connect::system_stores());
            }
        }
    }
    files.sort();
    files.dedup();
    files
}
