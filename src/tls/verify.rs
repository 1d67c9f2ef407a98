//! Judges an upstream's certificate: by who issued it, by its name and time, and by pinned keys.
//!
//! Invariant: what is configured is demanded in full. With `ca` and `pins` both have to be right; with `ca: none` the
//! pin alone counts, whatever name or time the certificate has. The peer always proves that it has the key.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::Pin;

/// Judges certificates of upstreams.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) provider: Arc<CryptoProvider>,
    /// None with `ca: none`.
    pub(super) issuers: Option<Arc<WebPkiServerVerifier>>,
    pub(super) pins: Vec<Pin>,
}

/// Computes the pin of a certificate's key.
pub(super) fn pin_of(der: &CertificateDer<'_>) -> Option<Pin> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.public_key().raw);
    digest.as_ref().try_into().ok().map(Pin::of_digest)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = || pin_of(leaf).is_some_and(|pin| self.pins.contains(&pin));
        let pin_is_wrong = || CertificateError::ApplicationVerificationFailure.into();
        match &self.issuers {
            Some(issuers) => {
                let verified = issuers.verify_server_cert(leaf, others, name, stapled, now)?;
                if self.pins.is_empty() || pinned() {
                    Ok(verified)
                } else {
                    Err(pin_is_wrong())
                }
            }
            None if pinned() => Ok(ServerCertVerified::assertion()),
            None => Err(pin_is_wrong()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
