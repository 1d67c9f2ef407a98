//! A data connection resumes the control connection of its own session, and of no other.

use super::*;

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
