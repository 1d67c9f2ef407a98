//! Which cipher suite is agreed on.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::{self, cipher_suite};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::tls::channel::Part;

/// A client that offers these, in this order.
fn offering(halves: &Halves, suites: Vec<SupportedCipherSuite>) -> Channel {
    let ca = halves.authority.pem();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("one"))
        .expect("added");
    let mut provider = ring::default_provider();
    provider.cipher_suites = suites;
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let client = rustls::ClientConnection::new(Arc::new(config), name).expect("one");
    let (name, habit) = (None, None);
    Channel::new(client.into(), Part::Client { name, habit }, true)
}

#[tokio::test]
async fn the_cheap_suite_is_taken_wherever_the_client_has_it_and_else_the_clients_own() {
    let halves = Halves::new();
    let (acceptor, _) = halves.load("", "");
    let new = [
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_AES_128_GCM_SHA256,
    ];
    let old = [
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ];
    for (offered, agreed) in [
        (new.to_vec(), "TLS13_AES_128_GCM_SHA256"),
        (new[..2].to_vec(), "TLS13_AES_256_GCM_SHA384"),
        (new[..1].to_vec(), "TLS13_CHACHA20_POLY1305_SHA256"),
        (old.to_vec(), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        (old[..2].to_vec(), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (
            old[..1].to_vec(),
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
    ] {
        let client = offering(&halves, offered);
        let server = acceptor.session().control().expect("a channel");
        let (client, server, ..) = shake(client, server).await;
        assert_eq!(client.expect("TLS").cipher, agreed);
        assert_eq!(server.expect("TLS").cipher, agreed);
    }
}

/// A server chooses as it likes; where it likes what we do, we name the same one first.
#[test]
fn all_suites_are_offered_and_the_cheap_one_of_each_version_first() {
    let ours = &crate::tls::provider::provider().cipher_suites;
    let all = ring::ALL_CIPHER_SUITES;
    assert_eq!(ours.len(), all.len());
    assert!(all.iter().all(|one| ours.contains(one)));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let first = ours.iter().find(|one| one.version() == version);
        let first = first.expect("one").suite();
        let first = first.as_str().expect("a name");
        assert!(first.ends_with("AES_128_GCM_SHA256"), "{first}");
    }
}
