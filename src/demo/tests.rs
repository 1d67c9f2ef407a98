//! The demo's server spoken to over loopback, and the demo itself with a gateway that is none.

mod dialogue;
mod show;
mod transfers;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address;
use super::server::{DemoServer, Limits};

const PATIENCE: Duration = Duration::from_secs(20);

async fn server(limits: Limits) -> DemoServer {
    let address = "127.0.0.1:0".parse().expect("an address");
    let server = DemoServer::start_bounded(address, limits).await;
    server.expect("a port of loopback")
}

/// A control connection without any cleverness.
struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn new(server: &DemoServer) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let mut talk = Self(BufReader::new(stream));
        talk.hear(220).await;
        talk
    }

    async fn logged_in(server: &DemoServer) -> Self {
        let mut talk = Self::new(server).await;
        talk.ask("USER anonymous", 331).await;
        talk.ask("PASS me@example.org", 230).await;
        talk.ask("TYPE I", 200).await;
        talk
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let reading = self.0.read_line(&mut line);
        timeout(PATIENCE, reading)
            .await
            .expect("a reply in time")
            .unwrap();
        line
    }

    /// Reads one reply, which must have this code.
    #[track_caller]
    fn hear(&mut self, code: u16) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let mut text = String::new();
            loop {
                let line = self.line().await;
                text.push_str(&line);
                if line.starts_with(&format!("{code} ")) {
                    return text;
                }
                let inner = line.starts_with(&format!("{code}-")) || line.starts_with(' ');
                assert!(inner, "{caller}: {code} was expected, {text:?} came");
            }
        }
    }

    #[track_caller]
    fn ask(&mut self, command: &str, code: u16) -> impl Future<Output = String> {
        let line = format!("{command}\r\n");
        let hearing = std::panic::Location::caller();
        async move {
            self.say(line.as_bytes()).await;
            let reply = self.hear(code);
            let reply = reply.await;
            assert!(reply.ends_with("\r\n"), "{hearing}: {reply:?}");
            reply
        }
    }

    /// Negotiates a data connection and dials it.
    async fn passive(&mut self) -> TcpStream {
        TcpStream::connect(self.awaited().await).await.unwrap()
    }

    async fn awaited(&mut self) -> SocketAddr {
        let reply = self.ask("PASV", 227).await;
        let numbers = reply.split(['(', ')']).nth(1).unwrap();
        address::read_six_numbers(numbers).unwrap()
    }

    async fn fetch(&mut self, command: &str) -> Vec<u8> {
        let mut data = self.passive().await;
        self.ask(command, 150).await;
        let bytes = all(&mut data).await;
        self.hear(226).await;
        bytes
    }

    async fn give(&mut self, command: &str, bytes: &[u8]) -> String {
        let mut data = self.passive().await;
        let opening = self.ask(command, 150).await;
        data.write_all(bytes).await.unwrap();
        drop(data);
        self.hear(226).await;
        opening
    }

    /// Sees that the server has hung up.
    async fn hung_up(&mut self) {
        assert_eq!(self.line().await, "");
    }
}

/// Reads all until the other side closes.
async fn all(data: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = data.read_to_end(&mut bytes);
    timeout(PATIENCE, reading)
        .await
        .expect("data in time")
        .unwrap();
    bytes
}
