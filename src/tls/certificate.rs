//! A certificate of our own, with its key: read, checked, and known by its names and its end.
//!
//! Invariant: whoever holds a [`Certificate`] has a key that belongs to it, a chain in its order, and a time at
//! which it was valid when it was read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::material::{MaterialError, Reading};
use crate::config::CertificateFiles;

/// How many days before its end a certificate is warned of.
pub const ENDS_SOON: u64 = 14;

/// Permission bits of those who are neither owner nor group.
const OTHERS: u32 = 0o007;
/// What begins every private key in PEM that has a password.
const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];

/// A certificate of the gateway's own.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// Where it came from and when it ends.
    pub expiry: Expiry,
    has_names: bool,
}

/// When a certificate of ours ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Its file.
    pub file: PathBuf,
    /// Its end.
    pub not_after: SystemTime,
}

impl Expiry {
    /// Returns how many whole days are left; 0 when it is over.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> u64 {
        let left = self.not_after.duration_since(now);
        left.unwrap_or_default().as_secs() / (24 * 3600)
    }

    /// Returns how many seconds are left; below 0 when it is over.
    #[must_use]
    pub fn seconds_left(&self, now: SystemTime) -> i64 {
        let whole = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        match self.not_after.duration_since(now) {
            Ok(left) => whole(left),
            Err(over) => -whole(over.duration()),
        }
    }

    /// Tells whether it is time to renew it.
    #[must_use]
    pub fn is_soon(&self, now: SystemTime) -> bool {
        self.days_left(now) < ENDS_SOON
    }
}

impl Certificate {
    /// Tells whether it is good for this name; one without any name is good for all.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let leaf = self.key.end_entity_cert();
        let parsed = leaf.and_then(ParsedCertificate::try_from);
        !self.has_names
            || parsed.is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, name).is_ok())
    }

    /// Tells whether a client can verify signatures of its key.
    pub(super) fn suits(&self, hello: &ClientHello<'_>) -> bool {
        let schemes = hello.signature_schemes();
        self.key.key.choose_scheme(schemes).is_some()
    }
}

/// Reads a certificate and its key, and checks them.
pub(super) fn read(
    reading: &Reading<'_>,
    files: &CertificateFiles,
) -> Result<Certificate, MaterialError> {
    let chain_file = files.chain.as_path();
    let chain = certificates(reading, chain_file)?;
    let refuse = |why: &str| Err(MaterialError::new(chain_file, why));
    let leaf = chain
        .first()
        .map(|leaf| parse(chain_file, leaf))
        .transpose()?;
    let Some(leaf) = leaf else {
        return refuse("no certificate is in it (PEM, `-----BEGIN CERTIFICATE-----`)");
    };
    let not_after = in_time(chain_file, &leaf, reading.now)?;
    in_order(chain_file, &chain)?;
    let has_names = leaf.subject_alternative_name().ok().flatten().is_some();
    let key = private_key(reading, &files.key)?;
    let unsupported = |error| {
        let why = format!(
            "its key is of a kind or size that is not supported (RSA from 2048 bits, ECDSA P-256, P-384 and P-521, Ed25519 are): {error}"
        );
        MaterialError::new(&files.key, &why)
    };
    let signer = any_supported_type(&key).map_err(unsupported)?;
    let key = CertifiedKey::new(chain, signer);
    match key.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            let why = format!(
                "its key does not belong to the certificate in {}",
                chain_file.display()
            );
            return Err(MaterialError::new(&files.key, &why));
        }
        Err(error) => return refuse(&format!("its first certificate cannot be used: {error}")),
    }
    Ok(Certificate {
        key: Arc::new(key),
        expiry: Expiry {
            file: files.chain.clone(),
            not_after,
        },
        has_names,
    })
}

/// Reads all certificates of a file.
pub(super) fn certificates(
    reading: &Reading<'_>,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let contents = reading.read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents.bytes).collect();
    let found =
        found.map_err(|error| MaterialError::new(file, &format!("it is no good PEM: {error}")))?;
    if found.is_empty() {
        let why = "no certificate is in it (PEM, `-----BEGIN CERTIFICATE-----`)";
        return Err(MaterialError::new(file, why));
    }
    Ok(found)
}

/// Reads a private key that nobody else may read.
fn private_key(
    reading: &Reading<'_>,
    file: &Path,
) -> Result<PrivateKeyDer<'static>, MaterialError> {
    let contents = reading.read(file)?;
    if contents.mode & OTHERS != 0 {
        let why = format!(
            "everybody on this machine may read or change this private key (mode {:04o}); `chmod o= {}`: its owner and its group suffice",
            contents.mode,
            file.display(),
        );
        return Err(MaterialError::new(file, &why));
    }
    PrivateKeyDer::from_pem_slice(&contents.bytes).map_err(|error| {
        let locked = |mark: &&[u8]| contents.bytes.windows(mark.len()).any(|part| part == *mark);
        if ENCRYPTED.iter().any(locked) {
            return MaterialError::new(file, "the private key has a password; write it without one (`openssl pkey -in KEY -out NEW`)");
        }
        let why = match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                "no private key is in it (PEM, `-----BEGIN PRIVATE KEY-----`)".to_owned()
            }
            error => format!("it is no good PEM: {error}"),
        };
        MaterialError::new(file, &why)
    })
}

pub(super) fn parse<'a>(
    file: &Path,
    der: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, MaterialError> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => {
            let why = format!("a certificate in it cannot be read: {error}");
            Err(MaterialError::new(file, &why))
        }
    }
}

/// Answers with the end of a certificate that is valid now.
fn in_time(
    file: &Path,
    leaf: &X509Certificate<'_>,
    now: SystemTime,
) -> Result<SystemTime, MaterialError> {
    let time =
        |at: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap_or(0));
    let (from, until) = (&leaf.validity().not_before, &leaf.validity().not_after);
    let (begin, end) = (time(from.timestamp()), time(until.timestamp()));
    if end <= now {
        return Err(MaterialError::new(
            file,
            &format!("the certificate expired on {until}"),
        ));
    }
    if begin > now {
        let why =
            format!("the certificate is not valid before {from}; is this machine's clock right?");
        return Err(MaterialError::new(file, &why));
    }
    Ok(end)
}

/// Checks that each certificate is followed by its issuer's.
fn in_order(file: &Path, chain: &[CertificateDer<'_>]) -> Result<(), MaterialError> {
    for (place, pair) in chain.windows(2).enumerate() {
        if let [one, next] = pair {
            let (one, next) = (parse(file, one)?, parse(file, next)?);
            if one.issuer() != next.subject() {
                let why = format!(
                    "certificate {} is not from the issuer of the one before it; the order is: the server's own, its issuer's, that one's issuer's",
                    place + 2,
                );
                return Err(MaterialError::new(file, &why));
            }
        }
    }
    Ok(())
}
