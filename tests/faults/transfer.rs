//! A transfer in its middle: more is still to come than fits into the kernel's buffers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::LazyLock;

use portcullis_netlab::Node;
use sha2::{Digest as _, Sha256};

use crate::client::Client;
use crate::site::Site;

/// Far more than sockets hold.
const LENGTH: usize = 32 << 20;

/// What has gone through when the transfer stops in its middle.
const BEGIN: usize = 1 << 20;

/// The bytes of each transfer: no two pages of it are alike.
pub fn content() -> &'static [u8] {
    static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let words = (0..LENGTH / 8).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.collect()
    });
    &CONTENT
}

fn sum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub struct Half {
    pub client: Client,
    data: TcpStream,
    way: Way,
}

enum Way {
    Down { taken: Vec<u8> },
    Up { name: String },
}

impl Half {
    pub fn download(site: &Site) -> Half {
        let (client, mut data) = Half::begin(site, "RETR big");
        let mut taken = vec![0; BEGIN];
        data.read_exact(&mut taken).expect("the beginning");
        Half {
            client,
            data,
            way: Way::Down { taken },
        }
    }

    pub fn upload(site: &Site, name: &str) -> Half {
        let (client, mut data) = Half::begin(site, &format!("STOR {name}"));
        data.write_all(&content()[..BEGIN]).expect("the beginning");
        Half {
            client,
            data,
            way: Way::Up {
                name: name.to_owned(),
            },
        }
    }

    fn begin(site: &Site, command: &str) -> (Client, TcpStream) {
        let mut client = site.client();
        let at = client.passive();
        let opened = site.journal_tells("pinhole.opened", &format!(":{}\"", at.port()));
        // The gateway has no part in it.
        assert!(opened.contains("\"carried\":\"forwarded\""), "{opened}");
        let dial = || client.dial(at);
        let data = site.lab.inside(Node::Client, dial).expect("inside");
        client.asks(command, "150");
        (client, data)
    }

    /// Goes on to the end; what came is what was sent.
    pub fn finishes(self, site: &Site) {
        let Half {
            client,
            mut data,
            way,
        } = self;
        match way {
            Way::Down { mut taken } => {
                data.read_to_end(&mut taken).expect("the rest");
                assert_eq!(taken.len(), LENGTH);
                assert_eq!(sum(&taken), sum(content()));
            }
            Way::Up { name } => {
                data.write_all(&content()[BEGIN..]).expect("the rest");
                data.shutdown(Shutdown::Write).expect("the end");
                // The server hangs up when it has all of it.
                let mut nothing = Vec::new();
                data.read_to_end(&mut nothing).expect("the server's end");
                let kept = fs::read(site.server.home().join(name)).expect("the file");
                assert_eq!(kept.len(), LENGTH);
                assert_eq!(sum(&kept), sum(content()));
            }
        }
        drop(client);
    }

    /// Goes on, and finds that the connection was reset: a file that was cut off must not look complete.
    #[track_caller]
    pub fn finds_a_reset(self) -> Client {
        let Half {
            client,
            mut data,
            way,
        } = self;
        let ended = match way {
            Way::Down { mut taken } => data.read_to_end(&mut taken).map(|_| taken.len()),
            Way::Up { .. } => data
                .write_all(&content()[BEGIN..])
                .and_then(|()| data.shutdown(Shutdown::Write))
                .and_then(|()| data.read_to_end(&mut Vec::new())),
        };
        let error = ended.expect_err("a reset");
        let kinds = [
            std::io::ErrorKind::ConnectionReset,
            std::io::ErrorKind::BrokenPipe,
        ];
        assert!(kinds.contains(&error.kind()), "{error}");
        client
    }
}
