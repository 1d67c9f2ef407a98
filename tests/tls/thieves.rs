//! Whoever dials a pinhole from the client's own address, and is not the client.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::PATIENCE;

use crate::client::{Client, config, connect, protect};
use crate::field::Field;

/// The negative half of `resumption: require`: without it the first of these takes the file.
#[test]
fn a_thief_at_the_clients_own_address_gets_no_byte_and_breaks_nothing() {
    let field = Field::new("mode: explicit, resumption: require");
    let secret: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    field.put("secret", &secret);
    for new in [false, true] {
        // A thief may have a session of its own, with tickets.
        let other = Client::login(&field, new);
        let mut client = Client::login(&field, new);
        for _ in 0..5 {
            let at = client.passive();
            let silent = connect(at);
            let stranger = [connect(at), connect(at)];
            let insider = [connect(at), connect(at)];
            let steal = |config: std::sync::Arc<rustls::ClientConfig>,
                         socket: [std::net::TcpStream; 2]| {
                std::thread::spawn(move || {
                    let mut got = Vec::new();
                    // The second time it offers what the first gave it.
                    for socket in socket {
                        if let Ok(mut stolen) = protect(&config, socket) {
                            let _ended = stolen.read_to_end(&mut got);
                        }
                    }
                    got
                })
            };
            let stranger = steal(config(&field.ca, new), stranger);
            let insider = steal(std::sync::Arc::clone(&other.config), insider);
            let socket = connect(at);
            client.send("RETR secret");
            let mut data = protect(&client.config, socket).expect("TLS");
            let mut got = Vec::new();
            data.read_to_end(&mut got)
                .expect("an end with close_notify");
            assert!(got == secret, "the owner got other bytes");
            assert!(client.reply().starts_with("150"));
            assert!(client.reply().starts_with("226"));
            assert_eq!(stranger.join().expect("ended"), b"");
            assert_eq!(insider.join().expect("ended"), b"");
            let mut nothing = Vec::new();
            let _reset = (&silent).read_to_end(&mut nothing);
            assert_eq!(nothing, b"");
        }
    }
    field.journal_shows(&["pinhole.intruder", "127.0.0.1"]);
}

/// How long somebody dials whose packets are dropped.
const IN_VAIN: Duration = Duration::from_millis(500);

/// Dials from another loopback address than the control connection's, for so long at most.
fn connect_from(host: u8, to: SocketAddr, patience: Duration) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into())?;
    socket.connect_timeout(&to.into(), patience)?;
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// `peer: any`: the owner comes from elsewhere, and so does everybody else, to whom it is no use.
#[test]
fn with_any_peer_the_owner_may_come_from_elsewhere_and_nobody_else_gets_a_byte() {
    let field = Field::listening("mode: explicit, resumption: require", "peer: any");
    let secret: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    field.put("secret", &secret);
    for new in [false, true] {
        let other = Client::login(&field, new);
        let mut client = Client::login(&field, new);
        for _ in 0..3 {
            let at = client.passive();
            let mut silent = connect_from(3, at, PATIENCE).expect("let in");
            // One with no session of this gateway's, and one with another client's.
            for config in [config(&field.ca, new), std::sync::Arc::clone(&other.config)] {
                let stranger = connect_from(3, at, PATIENCE).expect("let in");
                let mut got = Vec::new();
                if let Ok(mut stolen) = protect(&config, stranger) {
                    let _ended = stolen.read_to_end(&mut got);
                }
                assert_eq!(got, b"");
            }
            let socket = connect_from(2, at, PATIENCE).expect("let in");
            client.send("RETR secret");
            let mut data = protect(&client.config, socket).expect("TLS");
            let mut got = Vec::new();
            data.read_to_end(&mut got)
                .expect("an end with close_notify");
            assert!(got == secret, "the owner got other bytes");
            assert!(client.reply().starts_with("150"));
            assert!(client.reply().starts_with("226"));
            let mut nothing = Vec::new();
            let _reset = silent.read_to_end(&mut nothing);
            assert_eq!(nothing, b"");
        }
    }
    field.journal_shows(&["pinhole.intruder", "127.0.0.3"]);
    field.journal_shows(&["pinhole.used", "127.0.0.2"]);
}

/// What proves nothing is for the control connection's address alone, whatever the listener says.
#[test]
fn with_any_peer_data_in_clear_is_still_for_the_clients_own_address_alone() {
    let field = Field::listening(
        "mode: explicit, require: login, resumption: require",
        "peer: any",
    );
    field.put("file", b"in clear");
    let mut client = Client::login(&field, true);
    client.asks("PROT C", "200");
    let at = client.passive();
    if let Ok(mut stranger) = connect_from(3, at, IN_VAIN) {
        let mut got = Vec::new();
        let _reset = stranger.read_to_end(&mut got);
        assert_eq!(got, b"");
    }
    let mut data = connect(at);
    client.asks("RETR file", "150");
    let mut got = Vec::new();
    data.read_to_end(&mut got).expect("read");
    assert_eq!(got, b"in clear");
}

#[test]
fn without_it_the_owner_is_nobody_from_elsewhere() {
    let field = Field::new("mode: explicit, resumption: require");
    let mut client = Client::login(&field, true);
    let at = client.passive();
    let came = connect_from(2, at, IN_VAIN).and_then(|socket| protect(&client.config, socket));
    assert!(came.is_err(), "let in from elsewhere");
}
