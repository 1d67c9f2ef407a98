//! A data connection resumes the control connection of its own session, and of no other.

use super::*;
use crate::engine::TlsVersion as Spoken;

async fn connect(client: Channel, server: Channel) -> (bool, bool) {
    let (one, other, mut client, mut server) = shake(client, server).await;
    let resumed = (one.expect("TLS").resumed, other.expect("TLS").resumed);
    // Tickets come behind the handshake, so they are there when the first byte is.
    server.write(b"220 ready\r\n").await.expect("sent");
    assert_eq!(client.read().await.expect("read"), b"220 ready\r\n");
    resumed
}

#[tokio::test]
async fn fifty_data_connections_resume_in_both_versions() {
    let halves = Halves::new();
    for version in VERSIONS {
        let (client, server) = halves.sessions("", &at_most(version));
        let control = connect(
            client.control().expect("one"),
            server.control().expect("one"),
        )
        .await;
        assert_eq!(control, (false, false), "{version}");
        for number in 0..50 {
            let data = connect(
                client.data(false).expect("one"),
                server.data().expect("one"),
            )
            .await;
            assert_eq!(data, (true, true), "{version}: {number}");
        }
    }
}

/// The negative half: each session has a memory of its own, so another session's ticket opens nothing.
#[tokio::test]
async fn what_belongs_to_another_session_does_not_resume() {
    let halves = Halves::new();
    for version in VERSIONS {
        let (acceptor, connector) = halves.load("", &at_most(version));
        let host = Host::Name("localhost".to_owned());
        let (thief, owner) = (
            connector.session(&host).expect("one"),
            connector.session(&host).expect("one"),
        );
        let (of_thief, of_owner) = (acceptor.session(), acceptor.session());
        for (client, server) in [(&thief, &of_thief), (&owner, &of_owner)] {
            connect(
                client.control().expect("one"),
                server.control().expect("one"),
            )
            .await;
        }
        let stolen = connect(
            thief.data(false).expect("one"),
            of_owner.data().expect("one"),
        )
        .await;
        assert_eq!(stolen, (false, false), "{version}");
        let own = connect(
            owner.data(false).expect("one"),
            of_owner.data().expect("one"),
        )
        .await;
        assert_eq!(own, (true, true), "{version}");
    }
}

#[tokio::test]
async fn ignored_resumption_gives_no_ticket() {
    let halves = Halves::new();
    for version in VERSIONS {
        let (client, server) = halves.sessions(", resumption: ignore", &at_most(version));
        connect(
            client.control().expect("one"),
            server.control().expect("one"),
        )
        .await;
        let data = connect(
            client.data(false).expect("one"),
            server.data().expect("one"),
        )
        .await;
        assert_eq!(data, (false, false), "{version}");
    }
}

/// The negative half: a full handshake on a data connection must not leave anything behind that resumes the next.
#[tokio::test]
async fn whoever_did_not_resume_cannot_resume_the_second_time() {
    let halves = Halves::new();
    for version in VERSIONS {
        let (acceptor, connector) = halves.load("", &at_most(version));
        let host = Host::Name("localhost".to_owned());
        let thief = connector.session(&host).expect("one");
        let of_owner = acceptor.session();
        for attempt in 0..3 {
            let data = connect(
                thief.data(false).expect("one"),
                of_owner.data().expect("one"),
            )
            .await;
            assert_eq!(data, (false, false), "{version}: {attempt}");
        }
    }
}

/// As ProFTPD does with uploads: tickets come for the control connection alone, and run out.
#[tokio::test]
async fn a_server_whose_tickets_run_out_is_spoken_to_in_tls_1_2_from_the_next_session_on() {
    for (setting, learns) in [
        ("ca: /t/ca.pem", true),
        ("ca: /t/ca.pem, max_version: \"1.3\"", false),
    ] {
        let halves = Halves::new();
        let (acceptor, connector) = halves.load("", setting);
        let host = Host::Name("localhost".to_owned());
        for first in [true, false] {
            let (client, server) = (connector.session(&host).expect("one"), acceptor.session());
            let control = (
                client.control().expect("one"),
                server.control().expect("one"),
            );
            connect(control.0, control.1).await;
            for number in 0..6 {
                let data = (
                    client.data(false).expect("one"),
                    server.data().expect("one"),
                );
                // Nothing is read behind the handshake, so no ticket of a data connection arrives.
                let (one, ..) = shake(data.0, data.1).await;
                let facts = one.expect("TLS");
                let new = first || !learns;
                let version = if new { Spoken::V1_3 } else { Spoken::V1_2 };
                assert_eq!(facts.version, version, "{setting}: {number}");
                assert_eq!(
                    facts.resumed,
                    !new || number < 2,
                    "{setting}: {first} {number}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_tls_1_2_is_not_asked_for_it_again() {
    let halves = Halves::new();
    let (acceptor, connector) = halves.load(", min_version: \"1.3\"", "");
    let host = Host::Name("localhost".to_owned());
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        let (client, server) = (connector.session(&host).expect("one"), acceptor.session());
        let control = (
            client.control().expect("one"),
            server.control().expect("one"),
        );
        let (one, _, mut client_end, mut server_end) = shake(control.0, control.1).await;
        outcomes.push(one.is_ok());
        if one.is_err() {
            continue;
        }
        server_end.write(b"220 ready\r\n").await.expect("sent");
        assert_eq!(client_end.read().await.expect("read"), b"220 ready\r\n");
        for _ in 0..4 {
            let data = (
                client.data(false).expect("one"),
                server.data().expect("one"),
            );
            assert!(shake(data.0, data.1).await.0.is_ok());
        }
    }
    assert_eq!(outcomes, [true, false, true]);
}

/// A ticket that is never read becomes a reset: uploads that need not resume bring none.
#[tokio::test]
async fn an_upload_gives_no_ticket() {
    let halves = Halves::new();
    for version in VERSIONS {
        let (client, server) = halves.sessions("", &at_most(version));
        let upload = server.upload().expect("one");
        let (one, other, client, mut server) =
            shake(client.data(false).expect("one"), upload).await;
        assert!(one.is_ok() && other.is_ok());
        // All that the client gets behind the handshake is our close_notify: one record of at most 26 bytes in TLS 1.2,
        // 24 in TLS 1.3. A ticket would stand before it.
        server.end().await;
        let mut bytes = [0; 512];
        client.socket.readable().await.expect("the end");
        let got = client.socket.try_read(&mut bytes).expect("read");
        assert!((1..60).contains(&got), "{version}: {got} bytes");
    }
}
