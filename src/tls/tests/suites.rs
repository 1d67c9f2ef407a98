//! Which cipher suite is agreed on.

use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{NamedGroup, SupportedCipherSuite};

use super::*;
use crate::tls::channel::Part;

/// A client that offers these, in this order.
fn offering(halves: &Halves, cipher_suites: Vec<SupportedCipherSuite>) -> Channel {
    client(
        halves,
        CryptoProvider {
            cipher_suites,
            ..aws_lc_rs::default_provider()
        },
    )
}

fn client(halves: &Halves, provider: CryptoProvider) -> Channel {
    let ca = halves.authority.pem();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("one"))
        .expect("added");
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
    let all = aws_lc_rs::ALL_CIPHER_SUITES;
    assert_eq!(ours.len(), all.len());
    assert!(all.iter().all(|one| ours.contains(one)));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let first = ours.iter().find(|one| one.version() == version);
        let first = first.expect("one").suite();
        let first = first.as_str().expect("a name");
        assert!(first.ends_with("AES_128_GCM_SHA256"), "{first}");
    }
}

/// Servers with OpenSSL 3.0 know no hybrid and would ask for another hello, which is one more round trip for each file.
#[test]
fn the_share_that_we_send_is_one_that_everybody_knows() {
    let groups = &crate::tls::provider::provider().kx_groups;
    let names: Vec<_> = groups.iter().map(|group| group.name()).collect();
    assert_eq!(names.first(), Some(&NamedGroup::X25519));
    assert!(names.contains(&NamedGroup::X25519MLKEM768), "{names:?}");
}

#[tokio::test]
async fn clients_that_insist_on_a_hybrid_with_ml_kem_are_served() {
    let halves = Halves::new();
    let (acceptor, _) = halves.load("", "");
    let hybrid: &dyn SupportedKxGroup = kx_group::X25519MLKEM768;
    let client = client(
        &halves,
        CryptoProvider {
            kx_groups: vec![hybrid],
            ..aws_lc_rs::default_provider()
        },
    );
    let server = acceptor.session().control().expect("a channel");
    let (client, server, ..) = shake(client, server).await;
    // No other group is left that both know.
    client.expect("TLS");
    server.expect("TLS");
}
