//! The TLS client towards upstreams: whom to believe, what to show, and resumption within one session.
//!
//! Invariant: an upstream's certificate is verified unless the config pins its key; the control connection and the data
//! connections of a session share verifier, name and memory, so that data connections resume.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{ClientConnection, Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::certificate::{self, Expiry};
use super::channel::{Channel, Part};
use super::client_store::ServerMemory;
use super::habit::Habit;
use super::material::{MaterialError, Reading};
use super::provider::{provider, versions_to};
use super::verify::Verifier;
use crate::config::{Host, TlsVersion, TrustAnchors, UpstreamTls};

/// Where systems keep the certificates that they trust: Debian and Alpine, Fedora and RHEL, SUSE, others.
const SYSTEM_STORES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Returns where the system's certificates may be.
pub(super) fn system_stores() -> impl Iterator<Item = PathBuf> {
    SYSTEM_STORES.into_iter().map(PathBuf::from)
}

/// What an upstream is spoken to with.
#[derive(Debug)]
pub struct Connector {
    config: ClientConfig,
    /// For a server whose tickets run out; none where the config names a version.
    old: Option<ClientConfig>,
    habit: Arc<Habit>,
    name: Option<ServerName<'static>>,
    expiry: Option<Expiry>,
}

/// TLS of one session with its upstream.
#[derive(Debug)]
pub struct ClientSession {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// Where only TLS 1.2 is offered because of it.
    habit: Option<Arc<Habit>>,
}

impl Connector {
    pub(super) fn load(
        tls: &UpstreamTls,
        reading: &Reading<'_>,
    ) -> Result<Connector, MaterialError> {
        let unusable = |error: &dyn std::fmt::Display| {
            MaterialError::new(Path::new(SYSTEM_STORES[0]), &error.to_string())
        };
        let issuers = match roots(&tls.ca, reading)? {
            None => None,
            Some(roots) => {
                let builder =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
                Some(builder.build().map_err(|error| unusable(&error))?)
            }
        };
        let verifier = Arc::new(Verifier {
            provider: provider(),
            issuers,
            pins: tls.pins.clone(),
        });
        let own = tls.client_certificate.files();
        let own = own
            .map(|files| certificate::read(reading, &files))
            .transpose()?;
        let config_to = |highest| -> Result<ClientConfig, MaterialError> {
            let builder = ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(versions_to(highest))
                .map_err(|error| unusable(&error))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
            Ok(match &own {
                None => builder.with_no_client_auth(),
                Some(own) => {
                    let shown = rustls::sign::SingleCertAndKey::from(Arc::clone(&own.key));
                    builder.with_client_cert_resolver(Arc::new(shown))
                }
            })
        };
        let config = config_to(tls.max_version)?;
        let old = match tls.max_version {
            None => Some(config_to(Some(TlsVersion::V1_2))?),
            Some(TlsVersion::V1_2 | TlsVersion::V1_3) => None,
        };
        let name = tls.server_name.as_deref();
        Ok(Connector {
            config,
            old,
            habit: Arc::default(),
            // The config takes only what can be a name.
            name: name.and_then(|name| ServerName::try_from(name.to_owned()).ok()),
            expiry: own.map(|own| own.expiry),
        })
    }

    /// Returns when the certificate ends that we show, if there is one.
    pub fn expiry(&self) -> Option<Expiry> {
        self.expiry.clone()
    }

    /// Begins TLS of a session with an upstream that was dialled as `host`.
    #[must_use]
    pub fn session(&self, host: &Host) -> Option<ClientSession> {
        self.session_of(host, self.habit.wants_old())
    }

    /// The same with a server that is known to give too few tickets of TLS 1.3: unless the config names a version, in TLS 1.2, whose
    /// sessions resume as often as one likes.
    #[must_use]
    pub fn lasting_session(&self, host: &Host) -> Option<ClientSession> {
        self.session_of(host, !self.habit.refuses_old())
    }

    fn session_of(&self, host: &Host, wants_old: bool) -> Option<ClientSession> {
        let dialled = || match host {
            Host::Address(address) => Some(ServerName::from(*address)),
            Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
        };
        let name = self.name.clone().or_else(dialled)?;
        let old = self.old.as_ref().filter(|_| wants_old);
        let mut config = old.unwrap_or(&self.config).clone();
        let memory = ServerMemory::new(Arc::clone(&self.habit));
        config.resumption = Resumption::store(Arc::new(memory));
        Some(ClientSession {
            config: Arc::new(config),
            name,
            habit: old.map(|_| Arc::clone(&self.habit)),
        })
    }
}

impl ClientSession {
    /// Makes the channel of the control connection.
    ///
    /// # Errors
    /// When the cryptography fails; no peer can bring that about.
    pub fn control(&self) -> Result<Channel, rustls::Error> {
        self.data(true)
    }

    /// Makes the channel of a data connection; `ends_silently` tells whether data is complete that ends without
    /// close_notify.
    ///
    /// # Errors
    /// As [`ClientSession::control`].
    pub fn data(&self, ends_silently: bool) -> Result<Channel, rustls::Error> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        let part = Part::Client {
            name: match &self.name {
                ServerName::DnsName(name) => Some(Box::from(name.as_ref())),
                _ => None,
            },
            habit: self.habit.clone(),
        };
        Ok(Channel::new(connection.into(), part, ends_silently))
    }
}

/// The issuers that are believed; none where only pins count.
fn roots(
    anchors: &TrustAnchors,
    reading: &Reading<'_>,
) -> Result<Option<RootCertStore>, MaterialError> {
    let mut roots = RootCertStore::empty();
    match anchors {
        TrustAnchors::None => return Ok(None),
        TrustAnchors::File(file) => {
            for root in certificate::certificates(reading, file)? {
                roots.add(root).map_err(|error| {
                    let why = format!("a certificate in it cannot be used: {error}");
                    MaterialError::new(file, &why)
                })?;
            }
        }
        TrustAnchors::System => {
            let found = system_stores().find(|file| {
                let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
                !matches!(&reading.files.read(file), Err(error) if missing(error))
            });
            let Some(file) = found else {
                return Err(MaterialError::new(
                    Path::new(SYSTEM_STORES[0]),
                    "this machine has no store of trusted certificates; install it (the package ca-certificates), or set tls.ca to a file",
                ));
            };
            // A system's store may hold a few that are too odd for us: whoever they issued is not believed then.
            let (added, _) =
                roots.add_parsable_certificates(certificate::certificates(reading, &file)?);
            if added == 0 {
                return Err(MaterialError::new(
                    &file,
                    "none of its certificates can be used",
                ));
            }
        }
    }
    Ok(Some(roots))
}
