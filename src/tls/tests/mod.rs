//! TLS between our two halves over loopback sockets, and what the loader says about files.

mod files;
mod handshakes;
mod resumption;
mod streams;
mod suites;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::testing::{Authority, Shelf, config, listener};
use super::{Acceptor, Channel, ClientSession, Connector, ServerSession, load};
use crate::config::{Host, TlsVersion};
use crate::engine::{TlsFacts, TlsFailure};

/// Every wait of a test ends within this, or fails it.
const BOUND: Duration = Duration::from_secs(20);

/// Two ends of a connection over loopback.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let at = listener.local_addr().expect("bound");
    let (dialled, accepted) = tokio::join!(TcpStream::connect(at), listener.accept());
    (dialled.expect("connected"), accepted.expect("accepted").0)
}

/// A channel with its socket.
struct End {
    socket: TcpStream,
    channel: Channel,
}

impl End {
    async fn shake(&mut self) -> Result<Box<TlsFacts>, TlsFailure> {
        let End { socket, channel } = self;
        within(poll_fn(|cx| channel.poll_handshake(cx, socket))).await
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let End { socket, channel } = self;
        let mut taken = 0;
        within(poll_fn(|cx| {
            channel.poll_write(cx, socket, bytes, &mut taken)
        }))
        .await
    }

    async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let End { socket, channel } = self;
        let mut into = vec![0; 64 * 1024];
        let read = within(poll_fn(|cx| channel.poll_read(cx, socket, &mut into))).await?;
        into.truncate(read);
        Ok(into)
    }

    async fn end(&mut self) {
        let End { socket, channel } = self;
        let ended = within(poll_fn(|cx| channel.poll_end(cx, socket))).await;
        ended.expect("said");
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, what)
        .await
        .expect("nothing happened in time")
}

type Shaken = (
    Result<Box<TlsFacts>, TlsFailure>,
    Result<Box<TlsFacts>, TlsFailure>,
    End,
    End,
);

/// Lets a client and a server shake hands; their answers in this order.
async fn shake(client: Channel, server: Channel) -> Shaken {
    let (dialled, accepted) = sockets().await;
    let mut client = End {
        socket: dialled,
        channel: client,
    };
    let mut server = End {
        socket: accepted,
        channel: server,
    };
    let (one, other) = tokio::join!(client.shake(), server.shake());
    (one, other, client, server)
}

/// A gateway's two halves, with a certificate for `localhost` and the issuer in `/t/ca.pem`.
struct Halves {
    shelf: Shelf,
    authority: Authority,
}

impl Halves {
    fn new() -> Halves {
        let authority = Authority::new("Test CA");
        let mut shelf = Shelf::default();
        shelf.put("/t/ca.pem", &authority.pem(), 0o644);
        shelf.put_pair("one", &authority.issue(&["localhost"]));
        Halves { shelf, authority }
    }

    fn load(&self, of_listener: &str, of_upstream: &str) -> (Arc<Acceptor>, Arc<Connector>) {
        let more = if of_upstream.is_empty() {
            "mode: explicit, ca: /t/ca.pem".to_owned()
        } else {
            format!("mode: explicit, {of_upstream}")
        };
        let config = config(&listener(&["one"], of_listener), &more);
        let material = load(&config, &self.shelf).expect("good files");
        (
            Arc::clone(&material.acceptors["main"]),
            Arc::clone(&material.connectors["old"]),
        )
    }

    fn sessions(&self, of_listener: &str, of_upstream: &str) -> (ClientSession, ServerSession) {
        let (acceptor, connector) = self.load(of_listener, of_upstream);
        let client = connector.session(&Host::Name("localhost".to_owned()));
        (client.expect("a name"), acceptor.session())
    }

    /// Shakes hands with these settings of the listener and of the upstream.
    async fn shake(&self, of_listener: &str, of_upstream: &str) -> Shaken {
        let (client, server) = self.sessions(of_listener, of_upstream);
        shake(
            client.control().expect("a channel"),
            server.control().expect("a channel"),
        )
        .await
    }
}

const VERSIONS: [TlsVersion; 2] = [TlsVersion::V1_2, TlsVersion::V1_3];

/// Makes the upstream's setting for a version.
fn at_most(version: TlsVersion) -> String {
    format!("ca: /t/ca.pem, max_version: \"{version}\"")
}
