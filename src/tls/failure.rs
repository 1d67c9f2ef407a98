//! Why a handshake failed, in the engine's words, with the name of the alert that ended it.

use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::engine::{TlsFailure, TlsFault};

/// Names an alert as RFC 8446 section 6 (and, for the last ones, RFC 7301 and RFC 8446) spell it.
pub(super) fn alert_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}

/// Finds the alert in the records that a failed handshake wants to send, where it is in clear.
pub(super) fn alert_in(records: &[u8]) -> Option<&'static str> {
    // TLSPlaintext: type, version (2), length (2), then level and description (RFC 8446 sections 5.1 and 6).
    match records {
        [.., 21, 3, _, 0, 2, _, code] => alert_name(*code),
        _ => None,
    }
}

/// Says in the engine's words why a handshake failed. `sent` is our alert, where it could be seen.
pub(super) fn failure(error: &Error, sent: Option<&'static str>) -> TlsFailure {
    let why = fault(error);
    let alert = match error {
        Error::AlertReceived(alert) => alert_name(u8::from(*alert)),
        Error::InvalidCertificate(why) if sent.is_none() => {
            let alert = rustls::AlertDescription::from(why.clone());
            alert_name(u8::from(alert))
        }
        Error::NoCertificatesPresented if sent.is_none() => Some("certificate_required"),
        Error::NoApplicationProtocol if sent.is_none() => Some("no_application_protocol"),
        _ => sent,
    };
    TlsFailure { why, alert }
}

fn fault(error: &Error) -> TlsFault {
    match error {
        Error::AlertReceived(rustls::AlertDescription::ProtocolVersion) => TlsFault::OldVersion,
        Error::AlertReceived(_) => TlsFault::Alert,
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => TlsFault::NotTls,
        Error::PeerIncompatible(why) => incompatible(why),
        Error::InvalidCertificate(why) => certificate(why),
        Error::NoCertificatesPresented => TlsFault::CertificateMissing,
        Error::NoApplicationProtocol => TlsFault::Alpn,
        _ => TlsFault::Other,
    }
}

fn incompatible(why: &PeerIncompatible) -> TlsFault {
    match why {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired
        // The extension came with TLS 1.2 (RFC 5246 section 7.4.1.4.1): older clients lack it, and it is looked for first.
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => TlsFault::OldVersion,
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => TlsFault::NoCommonSuite,
        _ => TlsFault::Other,
    }
}

fn certificate(why: &CertificateError) -> TlsFault {
    match why {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsFault::CertificateExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::CertificateName
        }
        CertificateError::Revoked => TlsFault::CertificateRevoked,
        _ => TlsFault::CertificateUntrusted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_in_clear_is_found_behind_other_records() {
        assert_eq!(
            alert_in(&[21, 3, 3, 0, 2, 2, 40]),
            Some("handshake_failure")
        );
        assert_eq!(
            alert_in(&[20, 3, 3, 0, 1, 1, 21, 3, 1, 0, 2, 2, 70]),
            Some("protocol_version")
        );
        assert_eq!(alert_in(&[]), None);
        assert_eq!(alert_in(&[23, 3, 3, 0, 2, 2, 40]), None);
    }
}
