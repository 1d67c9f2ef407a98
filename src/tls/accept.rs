//! The TLS server towards clients: certificates by name, client certificates, resumption within one session.
//!
//! Invariant: a data connection that resumes, resumes the control connection of its own session, since each session
//! has a [`Memory`] of its own, to which only the control connection and what resumed it add. A name that is none of our certificates' is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConnection,
    StoresServerSessions, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::certificate::{self, Certificate, Expiry};
use super::channel::{Channel, Part};
use super::material::{MaterialError, Reading};
use super::memory::{Memory, Probation};
use super::provider::{provider, versions_from};
use crate::config::{
    ClientCertificates, ListenerTls, MissingCloseNotify, Resumption, UserFrom, VerifyClients,
};

/// The protocol of the control connection (RFC 7301, registered by RFC 4217's name).
const CONTROL: &[u8] = b"ftp";
/// What some clients call the data connection.
const DATA: &[u8] = b"ftp-data";
/// Tickets of TLS 1.3 for the control connection; clients that use each once have one to spare.
const TICKETS: usize = 2;
/// The same for a data connection. One for one: many clients use each once (OpenSSL's sessions become unusable with their first use).
const DATA_TICKETS: usize = 1;

/// What clients of a listener are served with.
#[derive(Debug)]
pub struct Acceptor {
    config: ServerConfig,
    certificates: Arc<[Certificate]>,
    resumption: Resumption,
    user_from: Option<UserFrom>,
    ends_silently: bool,
}

/// TLS of one session with its client.
#[derive(Debug)]
pub struct ServerSession {
    control: Arc<ServerConfig>,
    /// None where nothing is to be resumed.
    memory: Option<Arc<Memory>>,
    names: Arc<Names>,
    user_from: Option<UserFrom>,
    ends_silently: bool,
}

impl Acceptor {
    pub(super) fn load(
        tls: &ListenerTls,
        reading: &Reading<'_>,
    ) -> Result<Acceptor, MaterialError> {
        let certificates: Result<Vec<_>, _> = tls
            .certificates
            .iter()
            .map(|files| certificate::read(reading, files))
            .collect();
        let certificates: Arc<[Certificate]> = certificates?.into();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions_from(tls.min_version));
        let first = tls.certificates.first().map(|files| files.chain.clone());
        let unusable = |error: &dyn std::fmt::Display| {
            MaterialError::new(&first.clone().unwrap_or_default(), &error.to_string())
        };
        let builder = builder.map_err(|error| unusable(&error))?;
        let asked = &tls.client_certificates;
        let builder = match verifier(asked, reading)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let names = Names::new(&certificates);
        let mut config = builder.with_cert_resolver(Arc::new(names));
        // The cheapest suite that both know: clients put AES-256 first as a rule, whatever it costs the other side.
        config.ignore_client_order = true;
        config.alpn_protocols = vec![CONTROL.to_vec()];
        config.send_tls13_tickets = match tls.resumption {
            Resumption::Ignore => 0,
            Resumption::Prefer | Resumption::Require => TICKETS,
        };
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Acceptor {
            config,
            certificates,
            resumption: tls.resumption,
            user_from: asked.user_from,
            ends_silently: match tls.missing_close_notify {
                MissingCloseNotify::Refuse => false,
                MissingCloseNotify::Accept => true,
            },
        })
    }

    /// Returns when its certificates end.
    pub fn expiries(&self) -> impl Iterator<Item = Expiry> {
        self.certificates.iter().map(|one| one.expiry.clone())
    }

    /// Tells whether data that ends without close_notify counts as complete.
    #[must_use]
    pub fn ends_silently(&self) -> bool {
        self.ends_silently
    }

    /// Begins TLS of a session, with a memory of its own.
    #[must_use]
    pub fn session(&self) -> ServerSession {
        let names = Arc::new(Names::new(&self.certificates));
        let mut config = self.config.clone();
        config.cert_resolver = Arc::clone(&names) as Arc<dyn ResolvesServerCert>;
        let memory = match self.resumption {
            Resumption::Ignore => None,
            Resumption::Prefer | Resumption::Require => Some(Arc::<Memory>::default()),
        };
        if let Some(memory) = &memory {
            config.session_storage = Arc::clone(memory) as Arc<dyn StoresServerSessions>;
        }
        ServerSession {
            control: Arc::new(config),
            memory,
            names,
            user_from: self.user_from,
            ends_silently: self.ends_silently,
        }
    }
}

impl ServerSession {
    /// Makes the channel of the control connection.
    ///
    /// # Errors
    /// When the cryptography fails; no peer can bring that about.
    pub fn control(&self) -> Result<Channel, rustls::Error> {
        // How a control connection ends says nothing about a file.
        self.channel(Arc::clone(&self.control), None, true)
    }

    /// Makes the channel of a data connection.
    ///
    /// # Errors
    /// As [`ServerSession::control`].
    pub fn data(&self) -> Result<Channel, rustls::Error> {
        let mut config = (*self.control).clone();
        config.alpn_protocols = vec![CONTROL.to_vec(), DATA.to_vec()];
        config.send_tls13_tickets = config.send_tls13_tickets.min(DATA_TICKETS);
        let probation = self.memory.as_ref().map(Probation::new).map(Arc::new);
        if let Some(probation) = &probation {
            config.session_storage = Arc::clone(probation) as Arc<dyn StoresServerSessions>;
        }
        self.channel(Arc::new(config), probation, self.ends_silently)
    }

    fn channel(
        &self,
        config: Arc<ServerConfig>,
        probation: Option<Arc<Probation>>,
        ends_silently: bool,
    ) -> Result<Channel, rustls::Error> {
        let part = Part::Server {
            names: Arc::clone(&self.names),
            user_from: self.user_from,
            probation,
        };
        let connection = ServerConnection::new(config)?;
        Ok(Channel::new(connection.into(), part, ends_silently))
    }
}

fn verifier(
    asked: &ClientCertificates,
    reading: &Reading<'_>,
) -> Result<Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>, MaterialError> {
    let (VerifyClients::Request | VerifyClients::Require, Some(ca)) = (asked.verify, &asked.ca)
    else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for root in certificate::certificates(reading, ca)? {
        roots.add(root).map_err(|error| {
            MaterialError::new(ca, &format!("a certificate in it cannot be used: {error}"))
        })?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    if let Some(crl) = &asked.crl {
        let contents = reading.read(crl)?;
        let lists: Result<Vec<_>, _> =
            CertificateRevocationListDer::pem_slice_iter(&contents.bytes).collect();
        let lists = lists
            .map_err(|error| MaterialError::new(crl, &format!("it is no good PEM: {error}")))?;
        if lists.is_empty() {
            let why = "no list of revoked certificates is in it (PEM, `-----BEGIN X509 CRL-----`)";
            return Err(MaterialError::new(crl, why));
        }
        // Whoever issues certificates and no list for them can't revoke any; an old list still says whom not to trust.
        builder = builder.with_crls(lists).allow_unknown_revocation_status();
    }
    if asked.verify == VerifyClients::Request {
        builder = builder.allow_unauthenticated();
    }
    let culprit = asked.crl.as_ref().unwrap_or(ca);
    let verifier = builder
        .build()
        .map_err(|error| MaterialError::new(culprit, &error.to_string()))?;
    Ok(Some(verifier))
}

/// Chooses the certificate for the name that a client asks for.
#[derive(Debug)]
pub(super) struct Names {
    certificates: Arc<[Certificate]>,
    contradicted: AtomicBool,
}

impl Names {
    fn new(certificates: &Arc<[Certificate]>) -> Names {
        Names {
            certificates: Arc::clone(certificates),
            contradicted: AtomicBool::new(false),
        }
    }

    /// Tells whether somebody asked for a name that is none of the certificates'.
    pub(super) fn contradicted(&self) -> bool {
        self.contradicted.load(Ordering::Relaxed)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(ServerName::try_from);
        let fits = |one: &&Certificate| match &asked {
            None => true,
            Some(Ok(name)) => one.is_for(name),
            Some(Err(_)) => false,
        };
        let mut fitting = self.certificates.iter().filter(fits).peekable();
        let Some(first) = fitting.peek().copied() else {
            self.contradicted.store(true, Ordering::Relaxed);
            return None;
        };
        let chosen = fitting.find(|one| one.suits(&hello)).unwrap_or(first);
        Some(Arc::clone(&chosen.key))
    }
}
