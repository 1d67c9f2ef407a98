//! TLS as values: what is configured, what a handshake gave, why one failed.
//!
//! The engine names who is protected and when; keys, certificates and records are the shell's.

use std::fmt;

use serde::{Serialize, Serializer};

/// `tls.mode` of a listener or an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Clear text.
    #[default]
    None,
    /// It begins in clear; AUTH makes it TLS (RFC 4217 section 4).
    Explicit,
    /// It is TLS from the first byte on (port 990).
    Implicit,
}

/// `listeners.<name>.tls.require`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsRequire {
    /// A client may do without.
    #[default]
    Nothing,
    /// User names and passwords only inside TLS.
    Login,
    /// Data connections too.
    All,
}

/// `upstreams.<name>.tls.policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Without TLS there is no session.
    #[default]
    Require,
    /// An upstream that refuses it by a reply is spoken to in clear; after a failed handshake there is no session.
    Prefer,
}

/// What a listener's clients are offered and asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// How TLS begins.
    pub mode: TlsMode,
    /// What has to be inside it.
    pub require: TlsRequire,
    /// Whether a data connection must resume the session of its control connection.
    pub resumed_only: bool,
    /// Whether a client certificate says which user may log in.
    pub names_users: bool,
}

impl ClientTls {
    /// Tells what has to be inside TLS; nothing where none is offered.
    pub fn required(&self) -> TlsRequire {
        match self.mode {
            TlsMode::None => TlsRequire::Nothing,
            TlsMode::Explicit | TlsMode::Implicit => self.require,
        }
    }
}

/// What is asked of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// How TLS begins.
    pub mode: TlsMode,
    /// What happens when it is refused.
    pub policy: TlsPolicy,
}

/// Which end of TLS we are, whoever dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRole {
    /// Towards the client.
    Server,
    /// Towards the upstream.
    Client {
        /// It is one that gives too few tickets of TLS 1.3, so that data connections could not go on resuming.
        short_of_tickets: bool,
    },
}

/// How a data leg is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataTls {
    /// Not at all.
    #[default]
    Clear,
    /// By TLS.
    Tls,
    /// By TLS, and only where it resumes the session of this session's control connection: nobody else can.
    Resumed,
}

/// A version of TLS; older ones are not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// What a handshake gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version.
    pub version: TlsVersion,
    /// The cipher suite's name.
    pub cipher: &'static str,
    /// Whether it resumed an earlier session; of the client's data connections: that of its own control connection.
    pub resumed: bool,
    /// The name that the client asked for.
    pub sni: Option<Box<str>>,
    /// Who the client proved to be, if it was asked.
    pub certificate: Option<ClientCertificate>,
}

/// A client certificate that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject.
    pub subject: Box<str>,
    /// The user name that it stands for; none where the config takes none from it, or it has none.
    pub user: Option<Box<str>>,
}

/// Why there is no TLS, and the alert that said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFailure {
    /// Why.
    pub why: TlsFault,
    /// The alert that ended the handshake, by its name in RFC 8446 section 6, whoever sent it.
    pub alert: Option<&'static str>,
}

impl From<TlsFault> for TlsFailure {
    fn from(why: TlsFault) -> TlsFailure {
        TlsFailure { why, alert: None }
    }
}

/// Why there is no TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// What came was no TLS.
    NotTls,
    /// The peer speaks nothing newer than TLS 1.1.
    OldVersion,
    /// No cipher suite, group or signature is known to both.
    NoCommonSuite,
    /// The certificate has expired, or is not valid yet.
    CertificateExpired,
    /// The certificate is for another name.
    CertificateName,
    /// Nobody who is trusted vouches for the certificate.
    CertificateUntrusted,
    /// The certificate was revoked.
    CertificateRevoked,
    /// A client certificate is required, and none came.
    CertificateMissing,
    /// ALPN was offered without `ftp`.
    Alpn,
    /// The name that was asked for (SNI) is none of the certificates'.
    ServerName,
    /// The data connection does not resume the session of its control connection.
    NotResumed,
    /// The peer refused; the alert says why.
    Alert,
    /// The peer hung up in the middle of the handshake.
    HungUp,
    /// The handshake did not end in time.
    TimedOut,
    /// The upstream refused AUTH.
    AuthRefused,
    /// The upstream refused to protect data connections.
    ProtRefused,
    /// HOST had named another host than TLS did.
    HostContradicted,
    /// Anything else; the shell's log has the reason.
    Other,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFault::NotTls => "what came was not TLS",
            TlsFault::OldVersion => "TLS 1.2 or newer is needed",
            TlsFault::NoCommonSuite => "no cipher suite is known to both sides",
            TlsFault::CertificateExpired => "the certificate is not valid at this time",
            TlsFault::CertificateName => "the certificate is for another name",
            TlsFault::CertificateUntrusted => "the certificate is not trusted",
            TlsFault::CertificateRevoked => "the certificate was revoked",
            TlsFault::CertificateMissing => "a client certificate is required",
            TlsFault::Alpn => "ALPN was offered without ftp",
            TlsFault::ServerName => "no certificate is for the name that was asked for",
            TlsFault::NotResumed => "it does not resume the control connection's TLS session",
            TlsFault::Alert => "the peer refused it by an alert",
            TlsFault::HungUp => "the peer hung up in the handshake",
            TlsFault::TimedOut => "the handshake took too long",
            TlsFault::AuthRefused => "the server refused AUTH",
            TlsFault::ProtRefused => "the server refused to protect data connections",
            TlsFault::HostContradicted => "HOST had named another host",
            TlsFault::Other => "the handshake failed",
        })
    }
}

impl Serialize for TlsFault {
    /// Writes the journal's word.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}
