//! The certificate that every gateway with TLS shows in a run: one RSA key of 2,048 bits, so that all pay the same for it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Certificate and key as files.
#[derive(Debug)]
pub struct Identity {
    /// The certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM), for root alone.
    pub key: PathBuf,
}

impl Identity {
    /// Makes them in a directory; needs openssl(1).
    pub fn make(directory: &Path) -> anyhow::Result<Self> {
        let identity = Self {
            certificate: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
        };
        let output = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
            ])
            .args(["-subj", "/CN=bench", "-addext", "subjectAltName=DNS:bench"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&identity.key)
            .arg("-out")
            .arg(&identity.certificate)
            .stdin(Stdio::null())
            .output()
            .context("cannot run openssl (package openssl)")?;
        if !output.status.success() {
            bail!(
                "openssl: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        std::fs::set_permissions(&identity.key, std::fs::Permissions::from_mode(0o600))?;
        Ok(identity)
    }
}
