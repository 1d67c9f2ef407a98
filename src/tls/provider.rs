//! Which cryptography is used, and which versions.
//!
//! Invariant: aws-lc's suites, all of them with forward secrecy and authenticated encryption; TLS 1.2 and 1.3 alone. Which of
//! them comes first is a matter of cost: none is weak. X25519 is the share that we send: servers that do not know the hybrid
//! of it and ML-KEM-768 would ask for another hello (RFC 8446 section 4.1.4). Clients that put the hybrid first get it.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

use crate::config::TlsVersion;

static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static NEW: &[&SupportedProtocolVersion] = &[&TLS13];
static OLD: &[&SupportedProtocolVersion] = &[&TLS12];

/// Returns the one provider of the program.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // Stable: within a version and a kind of key, all others stay as they were.
        provider
            .cipher_suites
            .sort_by_key(|suite| !is_first_choice(suite));
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// Tells the suites with AES-128 and SHA-256. The hash is what a resumed handshake spends much of its time on, and processors
/// have instructions for this one; see `docs/SPEED.md`.
fn is_first_choice(suite: &SupportedCipherSuite) -> bool {
    matches!(
        suite.suite(),
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

/// Returns this version and those above it.
pub(super) fn versions_from(lowest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match lowest {
        TlsVersion::V1_2 => BOTH,
        TlsVersion::V1_3 => NEW,
    }
}

/// Returns this version and those below it that are spoken.
pub(super) fn versions_to(
    highest: Option<TlsVersion>,
) -> &'static [&'static SupportedProtocolVersion] {
    match highest {
        None | Some(TlsVersion::V1_3) => BOTH,
        Some(TlsVersion::V1_2) => OLD,
    }
}
