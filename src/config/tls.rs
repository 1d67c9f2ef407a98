//! How connections are protected: TLS towards clients and towards upstreams.

mod pin;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

use super::choice::{Choice, choice};

pub use pin::Pin;

/// How clients of a listener are served over TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct ListenerTls {
    /// How TLS begins: not at all, with AUTH TLS, or at once (port 990).
    #[schemars(default = "no_tls")]
    pub mode: TlsMode,
    /// What clients must protect; only where `mode` is not `none`.
    #[schemars(default = "require_all")]
    pub require: TlsRequire,
    /// The certificates, chosen by the name that the client asks for (SNI); the first one is for all others.
    #[schemars(default)]
    pub certificates: Vec<CertificateFiles>,
    /// The lowest version of TLS that is spoken with clients.
    #[schemars(default = "lowest_version")]
    pub min_version: TlsVersion,
    /// Whether a data connection must resume the TLS session of its own control connection.
    #[schemars(default = "prefer_resumption")]
    pub resumption: Resumption,
    /// What an upload is worth whose TLS ends without close_notify.
    #[schemars(default = "refuse_missing")]
    pub missing_close_notify: MissingCloseNotify,
    /// Whether clients show certificates of their own.
    #[schemars(default)]
    pub client_certificates: ClientCertificates,
}

impl Default for ListenerTls {
    fn default() -> Self {
        Self {
            mode: no_tls(),
            require: require_all(),
            certificates: Vec::new(),
            min_version: lowest_version(),
            resumption: prefer_resumption(),
            missing_close_notify: refuse_missing(),
            client_certificates: ClientCertificates::default(),
        }
    }
}

/// A certificate of the gateway's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct CertificateFiles {
    /// The certificate and those that lead to its issuer, in this order, in PEM.
    #[schemars(schema_with = "super::schema::path")]
    pub chain: PathBuf,
    /// Its private key, in PEM; readable by nobody but its owner and its group.
    #[schemars(schema_with = "super::schema::path")]
    pub key: PathBuf,
}

/// What is asked of clients' own certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct ClientCertificates {
    /// Whether clients are asked for a certificate, and whether they need one.
    #[schemars(default)]
    pub verify: VerifyClients,
    /// The file with the certificates of those who may issue clients' certificates, in PEM.
    #[schemars(default, schema_with = "super::schema::path_or_null")]
    pub ca: Option<PathBuf>,
    /// The file with lists of revoked certificates, in PEM.
    #[schemars(default, schema_with = "super::schema::path_or_null")]
    pub crl: Option<PathBuf>,
    /// Which part of a client's certificate names its user; USER must say the same.
    #[schemars(default, schema_with = "super::schema::choice_or_null::<UserFrom>")]
    pub user_from: Option<UserFrom>,
}

/// How an upstream is spoken to over TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct UpstreamTls {
    /// How TLS begins: not at all, with AUTH TLS, or at once (port 990).
    #[schemars(default)]
    pub mode: UpstreamTlsMode,
    /// What happens when the upstream refuses AUTH TLS.
    #[schemars(default)]
    pub policy: TlsPolicy,
    /// Who may have issued the upstream's certificate: `system` (this machine's store), a file in PEM, or `none`: then only `pins` count.
    #[schemars(default)]
    pub ca: TrustAnchors,
    /// Keys of which the upstream's certificate must have one: SHA-256 of the SubjectPublicKeyInfo in base64. None: any key.
    #[schemars(default)]
    pub pins: Vec<Pin>,
    /// The name that the upstream's certificate must have, and that is asked for (SNI); without it, the host in `addresses`.
    #[schemars(default, schema_with = "super::schema::text_or_null")]
    pub server_name: Option<String>,
    /// The highest version of TLS that is spoken with the upstream; without it, the highest there is.
    #[schemars(default, schema_with = "super::schema::choice_or_null::<TlsVersion>")]
    pub max_version: Option<TlsVersion>,
    /// The certificate that the gateway shows when the upstream asks for one.
    #[schemars(default)]
    pub client_certificate: OwnCertificate,
}

/// The gateway's own certificate towards an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct OwnCertificate {
    /// The certificate and those that lead to its issuer, in this order, in PEM.
    #[schemars(default, schema_with = "super::schema::path_or_null")]
    pub chain: Option<PathBuf>,
    /// Its private key, in PEM; readable by nobody but its owner and its group.
    #[schemars(default, schema_with = "super::schema::path_or_null")]
    pub key: Option<PathBuf>,
}

impl OwnCertificate {
    /// Returns its files, if there is one.
    #[must_use]
    pub fn files(&self) -> Option<CertificateFiles> {
        let (chain, key) = (self.chain.clone()?, self.key.clone()?);
        Some(CertificateFiles { chain, key })
    }
}

choice! {
    /// How TLS with clients begins.
    pub enum TlsMode {
        /// There is none.
        None = "none",
        /// With AUTH TLS (RFC 4217).
        Explicit = "explicit",
        /// With the first byte, as on port 990.
        Implicit = "implicit",
    }
}

choice! {
    /// What clients must protect with TLS.
    pub enum TlsRequire {
        /// Nothing; they may.
        Nothing = "nothing",
        /// The login.
        Login = "login",
        /// The login and every data connection.
        All = "all",
    }
}

choice! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2 (RFC 5246).
        V1_2 = "1.2",
        /// TLS 1.3 (RFC 8446).
        V1_3 = "1.3",
    }
}

choice! {
    /// Whether data connections of clients resume their control connection's TLS session.
    pub enum Resumption {
        /// They can't: each makes a handshake of its own.
        Ignore = "ignore",
        /// They may.
        Prefer = "prefer",
        /// They must: nobody else can use the data connection, not even from the client's own address.
        Require = "require",
    }
}

choice! {
    /// What TLS data that ends without close_notify is worth.
    pub enum MissingCloseNotify {
        /// It was cut off: the transfer failed.
        Refuse = "refuse",
        /// It is complete; some clients never send close_notify.
        Accept = "accept",
    }
}

choice! {
    /// Whether clients show certificates.
    #[derive(Default)]
    pub enum VerifyClients {
        /// They are not asked.
        #[default]
        None = "none",
        /// They are asked; those without one are served too, those with a wrong one are not.
        Request = "request",
        /// They need one.
        Require = "require",
    }
}

choice! {
    /// The part of a client's certificate that names its user.
    pub enum UserFrom {
        /// The common name of its subject.
        SubjectCn = "subject_cn",
        /// The first e-mail address among its alternative names.
        SanEmail = "san_email",
        /// The first DNS name among its alternative names.
        SanDns = "san_dns",
    }
}

choice! {
    /// How TLS with an upstream begins.
    #[derive(Default)]
    pub enum UpstreamTlsMode {
        /// There is none.
        #[default]
        None = "none",
        /// With AUTH TLS (RFC 4217).
        Explicit = "explicit",
        /// With the first byte, as on port 990.
        Implicit = "implicit",
    }
}

choice! {
    /// What happens when an upstream refuses AUTH TLS.
    #[derive(Default)]
    pub enum TlsPolicy {
        /// The client gets 421: nothing but AUTH ever leaves in clear.
        #[default]
        Require = "require",
        /// The session goes on in clear. Never after a handshake that failed.
        Prefer = "prefer",
    }
}

/// Who may have issued an upstream's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TrustAnchors {
    /// Whom this machine trusts.
    #[default]
    System,
    /// Anybody, since only the pins count.
    None,
    /// Whoever is in this file.
    File(PathBuf),
}

impl Serialize for TrustAnchors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::System => serializer.serialize_str("system"),
            Self::None => serializer.serialize_str("none"),
            Self::File(path) => serializer.collect_str(&path.display()),
        }
    }
}

impl ListenerTls {
    /// Returns every file that is named.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self
            .certificates
            .iter()
            .flat_map(|one| [&one.chain, &one.key]);
        let clients = [&self.client_certificates.ca, &self.client_certificates.crl];
        own.chain(clients.into_iter().flatten())
            .map(PathBuf::as_path)
    }
}

impl UpstreamTls {
    /// Returns every file that is named.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let ca = match &self.ca {
            TrustAnchors::File(path) => Some(path),
            TrustAnchors::System | TrustAnchors::None => None,
        };
        let own = [&self.client_certificate.chain, &self.client_certificate.key];
        ca.into_iter()
            .chain(own.into_iter().flatten())
            .map(PathBuf::as_path)
    }
}

/// Names of the words of a choice, for the schema.
pub(super) fn words<C: Choice>() -> Vec<&'static str> {
    C::WORDS.iter().map(|(word, _)| *word).collect()
}

fn no_tls() -> TlsMode {
    TlsMode::None
}

fn require_all() -> TlsRequire {
    TlsRequire::All
}

fn lowest_version() -> TlsVersion {
    TlsVersion::V1_2
}

fn prefer_resumption() -> Resumption {
    Resumption::Prefer
}

fn refuse_missing() -> MissingCloseNotify {
    MissingCloseNotify::Refuse
}
