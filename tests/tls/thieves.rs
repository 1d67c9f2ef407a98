//! Whoever dials a pinhole from the client's own address, and is not the client.

use std::io::Read as _;

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
