//! Who is believed and who is refused, and in which words.

use super::*;
use crate::config::Pin;
use crate::engine::{TlsFault, TlsVersion as Spoken};
use crate::tls::verify::pin_of;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

fn fault<T: std::fmt::Debug>(result: Result<T, TlsFailure>) -> TlsFault {
    result.expect_err("a failed handshake").why
}

#[tokio::test]
async fn both_versions_are_spoken_and_told() {
    let halves = Halves::new();
    for (version, expected) in [
        (TlsVersion::V1_2, Spoken::V1_2),
        (TlsVersion::V1_3, Spoken::V1_3),
    ] {
        let (client, server, ..) = halves.shake("", &at_most(version)).await;
        let (client, server) = (client.expect("TLS"), server.expect("TLS"));
        assert_eq!((client.version, server.version), (expected, expected));
        assert_eq!(server.sni.as_deref(), Some("localhost"));
        assert!(!server.resumed && !client.resumed);
        assert!(server.cipher.starts_with("TLS"), "{}", server.cipher);
        assert_eq!(server.certificate, None);
    }
}

#[tokio::test]
async fn a_client_below_the_lowest_version_is_named_as_such() {
    let halves = Halves::new();
    let (client, server, ..) = halves
        .shake(", min_version: \"1.3\"", &at_most(TlsVersion::V1_2))
        .await;
    let server = server.expect_err("too old");
    assert_eq!(
        (server.why, server.alert),
        (TlsFault::OldVersion, Some("protocol_version"))
    );
    assert_eq!(fault(client), TlsFault::OldVersion);
}

#[tokio::test]
async fn an_upstream_is_not_believed_without_reason() {
    let halves = Halves::new();
    let mut stranger = halves.shelf.clone();
    stranger.put("/t/ca.pem", &Authority::new("Other CA").pem(), 0o644);
    let unknown = Halves {
        shelf: stranger,
        authority: Authority::new("Test CA"),
    };
    let (client, server, ..) = unknown.shake("", "").await;
    let client = client.expect_err("a stranger");
    assert_eq!(
        (client.why, client.alert),
        (TlsFault::CertificateUntrusted, Some("unknown_ca"))
    );
    let server = server.expect_err("told");
    assert_eq!(
        (server.why, server.alert),
        (TlsFault::Alert, Some("unknown_ca"))
    );

    let (client, ..) = halves
        .shake("", "ca: /t/ca.pem, server_name: other.example")
        .await;
    // The name is asked for, and refused by the server that has another one.
    assert_eq!(
        client.expect_err("another name").alert,
        Some("access_denied")
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_or_time_is_refused() {
    let halves = Halves::new();
    let (acceptor, connector) = halves.load("", "");
    // An address is not asked for, so only the certificate can say that it is wrong.
    let client = connector
        .session(&Host::Address([192, 0, 2, 1].into()))
        .expect("a name");
    let (client, server, ..) = shake(
        client.control().expect("one"),
        acceptor.session().control().expect("one"),
    )
    .await;
    assert_eq!(fault(client), TlsFault::CertificateName);
    assert_eq!(server.expect_err("told").alert, Some("bad_certificate"));
}

/// We never load such a certificate ourselves, so this server is made by hand.
#[tokio::test]
async fn an_upstream_whose_certificate_is_over_is_refused() {
    let halves = Halves::new();
    let (chain, key) = halves.authority.issue_with(&["localhost"], |params| {
        params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    });
    let chain = CertificateDer::from_pem_slice(chain.as_bytes()).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(super::super::provider::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain.clone()], key)
        .expect("a pair");
    let config = Arc::new(config);
    let pin = pin_of(&chain).expect("a pin");
    for (upstream, good) in [
        ("ca: /t/ca.pem".to_owned(), false),
        // Beside an issuer a pin excuses nothing; alone it is all that counts.
        (format!("ca: /t/ca.pem, pins: [\"{pin}\"]"), false),
        (format!("ca: none, pins: [\"{pin}\"]"), true),
    ] {
        let (client, _) = halves.sessions("", &upstream);
        let server = rustls::ServerConnection::new(Arc::clone(&config)).expect("a server");
        let part = crate::tls::channel::Part::Client {
            name: None,
            habit: None,
        };
        let server = Channel::new(server.into(), part, true);
        let (client, ..) = shake(client.control().expect("one"), server).await;
        assert_eq!(client.is_ok(), good, "{upstream}");
        if let Err(failed) = client {
            assert_eq!(
                (failed.why, failed.alert),
                (TlsFault::CertificateExpired, Some("certificate_expired"))
            );
        }
    }
}

#[tokio::test]
async fn a_pin_stands_for_the_issuer_or_beside_it() {
    let halves = Halves::new();
    let chain = halves.shelf.clone();
    let pem = crate::config::files::Files::read(&chain, std::path::Path::new("/t/one.pem"))
        .expect("there")
        .bytes;
    let der = CertificateDer::from_pem_slice(&pem).expect("a certificate");
    let pin = pin_of(&der).expect("a pin").to_string();
    let wrong = Pin::of_digest([7; 32]).to_string();
    for (upstream, good) in [
        (format!("ca: none, pins: [\"{pin}\"]"), true),
        (format!("ca: none, pins: [\"{wrong}\", \"{pin}\"]"), true),
        (format!("ca: none, pins: [\"{wrong}\"]"), false),
        (format!("ca: /t/ca.pem, pins: [\"{pin}\"]"), true),
        (format!("ca: /t/ca.pem, pins: [\"{wrong}\"]"), false),
    ] {
        let (client, ..) = halves.shake("", &upstream).await;
        assert_eq!(client.is_ok(), good, "{upstream}");
    }
}

#[tokio::test]
async fn certificates_are_chosen_by_name_and_other_names_refused() {
    let mut halves = Halves::new();
    let two = halves.authority.issue(&["two.example", "*.three.example"]);
    halves.shelf.put_pair("two", &two);
    let config = config(
        &listener(&["one", "two"], ""),
        "mode: explicit, ca: /t/ca.pem",
    );
    let material = load(&config, &halves.shelf).expect("good files");
    for (name, good) in [
        ("localhost", true),
        ("two.example", true),
        ("x.three.example", true),
        ("four.example", false),
    ] {
        let client = material.connectors["old"]
            .session(&Host::Name(name.to_owned()))
            .expect("a name");
        let server = material.acceptors["main"].session();
        let (client, server, ..) = shake(
            client.control().expect("one"),
            server.control().expect("one"),
        )
        .await;
        assert_eq!(client.is_ok(), good, "{name}");
        if !good {
            assert_eq!(fault(server), TlsFault::ServerName);
        }
    }
}

#[tokio::test]
async fn alpn_is_ftp_or_absent() {
    let halves = Halves::new();
    let (acceptor, _) = halves.load("", "");
    let mut roots = rustls::RootCertStore::empty();
    let ca = halves.authority.pem();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("one"))
        .expect("added");
    for (offered, good) in [
        (vec![], true),
        (vec!["ftp"], true),
        (vec!["x-filezilla-ftp", "ftp"], true),
        (vec!["http/1.1"], false),
        (vec!["h2", "smtp"], false),
    ] {
        let mut config =
            rustls::ClientConfig::builder_with_provider(super::super::provider::provider())
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let name = "localhost".try_into().expect("a name");
        let client = rustls::ClientConnection::new(Arc::new(config), name).expect("one");
        let client = Channel::new(
            client.into(),
            crate::tls::channel::Part::Client {
                name: None,
                habit: None,
            },
            true,
        );
        let (client, server, ..) = shake(client, acceptor.session().control().expect("one")).await;
        assert_eq!(client.is_ok(), good, "{offered:?}");
        if !good {
            let server = server.expect_err("refused");
            assert_eq!(
                (server.why, server.alert),
                (TlsFault::Alpn, Some("no_application_protocol"))
            );
        }
    }
}

#[tokio::test]
async fn client_certificates_are_verified_and_name_a_user() {
    let mut halves = Halves::new();
    let users = Authority::new("Users CA");
    halves.shelf.put("/t/users.pem", &users.pem(), 0o644);
    halves.shelf.put("/t/crl.pem", &users.revoke(13), 0o644);
    halves
        .shelf
        .put_pair("bob", &users.issue_user("bob", "bob@example.com", 7));
    halves
        .shelf
        .put_pair("eve", &users.issue_user("eve", "eve@example.com", 13));
    halves.shelf.put_pair(
        "fake",
        &Authority::new("Users CA").issue_user("bob", "bob@example.com", 7),
    );
    let asked = |verify: &str, from: &str| {
        format!(
            ", client_certificates: {{verify: {verify}, ca: /t/users.pem, crl: /t/crl.pem, user_from: {from}}}"
        )
    };
    let shown = |name: &str| {
        format!("ca: /t/ca.pem, client_certificate: {{chain: /t/{name}.pem, key: /t/{name}.key}}")
    };
    for version in VERSIONS {
        let shown = |name: &str| format!("{}, max_version: \"{version}\"", shown(name));
        for (from, user) in [
            ("subject_cn", Some("bob")),
            ("san_email", Some("bob@example.com")),
            ("san_dns", None),
        ] {
            let (_, server, ..) = halves.shake(&asked("require", from), &shown("bob")).await;
            let certificate = server.expect("TLS").certificate.expect("a certificate");
            assert_eq!(&*certificate.subject, "CN=bob");
            assert_eq!(certificate.user.as_deref(), user, "{from}");
        }
        let (_, server, ..) = halves
            .shake(&asked("require", "subject_cn"), &shown("eve"))
            .await;
        assert_eq!(fault(server), TlsFault::CertificateRevoked);
        let (_, server, ..) = halves
            .shake(&asked("request", "subject_cn"), &shown("fake"))
            .await;
        let server = server.expect_err("somebody else's");
        assert!(server.alert.is_some(), "{server:?}");
        assert_eq!(server.why, TlsFault::CertificateUntrusted);
        let (_, server, ..) = halves
            .shake(&asked("request", "subject_cn"), &at_most(version))
            .await;
        assert_eq!(server.expect("TLS").certificate, None);
        let (_, server, ..) = halves
            .shake(&asked("require", "subject_cn"), &at_most(version))
            .await;
        assert_eq!(fault(server), TlsFault::CertificateMissing);
    }
}

#[tokio::test]
async fn what_is_no_tls_is_named_as_such_and_a_hang_up_too() {
    use tokio::io::AsyncWriteExt as _;
    let halves = Halves::new();
    for (bytes, expected) in [
        (&b"USER root\r\nPASS toor\r\n"[..], TlsFault::NotTls),
        (b"GET / HTTP/1.1\r\n\r\n", TlsFault::NotTls),
        (b"\x16\x03\x01", TlsFault::HungUp),
        (b"", TlsFault::HungUp),
    ] {
        let (acceptor, _) = halves.load("", "");
        let (mut dialled, accepted) = sockets().await;
        let mut server = End {
            socket: accepted,
            channel: acceptor.session().control().expect("one"),
        };
        dialled.write_all(bytes).await.expect("sent");
        dialled.shutdown().await.expect("ended");
        assert_eq!(fault(server.shake().await), expected, "{bytes:?}");
    }
}
