//! A data connection resumes the control connection of its own session, and of no other.

use std::task::Poll;

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
async fn a_server_that_is_known_to_be_short_of_tickets_is_spoken_to_in_tls_1_2_at_once() {
    for (of_listener, setting, expected) in [
        (
            "",
            "ca: /t/ca.pem",
            [Some(Spoken::V1_2), Some(Spoken::V1_2)],
        ),
        (
            "",
            "ca: /t/ca.pem, max_version: \"1.3\"",
            [Some(Spoken::V1_3), Some(Spoken::V1_3)],
        ),
        // What refuses it is not asked a second time.
        (
            ", min_version: \"1.3\"",
            "ca: /t/ca.pem",
            [None, Some(Spoken::V1_3)],
        ),
    ] {
        let halves = Halves::new();
        let (acceptor, connector) = halves.load(of_listener, setting);
        let host = Host::Name("localhost".to_owned());
        for expected in expected {
            let client = connector.lasting_session(&host).expect("one");
            let server = acceptor.session();
            let control = (
                client.control().expect("one"),
                server.control().expect("one"),
            );
            let (one, ..) = shake(control.0, control.1).await;
            assert_eq!(one.ok().map(|facts| facts.version), expected, "{setting}");
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

/// A ticket that is never read becomes a reset, which destroys what the client has not sent yet.
#[tokio::test]
async fn the_ticket_of_a_data_connection_waits_for_the_first_data_or_the_end_unless_it_is_let_go() {
    let halves = Halves::new();
    for let_go in [false, true] {
        let (client, server) = halves.sessions("", &at_most(TlsVersion::V1_3));
        let data = server.data().expect("one");
        let (one, other, mut client, mut server) =
            shake(client.data(false).expect("one"), data).await;
        assert!(one.is_ok() && other.is_ok());
        if let_go {
            let End { socket, channel } = &mut server;
            poll_fn(|cx| {
                channel.give_tickets(cx, socket);
                Poll::Ready(())
            })
            .await;
        }
        client.write(b"an upload").await.expect("sent");
        assert_eq!(server.read().await.expect("read"), b"an upload");
        // Over loopback what was sent is there.
        let mut bytes = [0; 1024];
        let got = client.socket.try_read(&mut bytes);
        match got {
            // A ticket is longer than a close_notify of 24 bytes.
            Ok(got) => assert!(let_go && got > 60, "{got} bytes behind the handshake"),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
                assert!(!let_go, "no ticket");
            }
        }
        server.end().await;
        client.socket.readable().await.expect("the end");
        let got = client.socket.try_read(&mut bytes).expect("read");
        assert_eq!(got > 60, !let_go, "{got} bytes at the end");
    }
}
