//! Which cryptography is used, and which versions.
//!
//! Invariant: ring's suites, all of them with forward secrecy and authenticated encryption; TLS 1.2 and 1.3 alone.

use std::sync::{Arc, LazyLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};

use crate::config::TlsVersion;

static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static NEW: &[&SupportedProtocolVersion] = &[&TLS13];
static OLD: &[&SupportedProtocolVersion] = &[&TLS12];

/// Returns the one provider of the program.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
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
