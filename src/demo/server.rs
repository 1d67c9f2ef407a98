//! The small FTP server inside `portcullis demo`.
//!
//! It serves a tree of files in memory, is bounded in everything, and shares no code with the gateway's reading of FTP,
//! so that the two sides of the demo can't share a mistake. It is meant for loopback: whoever reaches it may write.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::control::Control;
use super::path::TreePath;
use super::session::Session;
use super::store::Store;

const MIB: usize = 1024 * 1024;

/// The name of the sample file of 1 MiB, whose bytes are [`pattern`]`(0, 1 MiB)`.
pub const PATTERN_NAME: &str = "pattern-1MiB.bin";

const README: &str = "\
This is the small FTP server inside `portcullis demo`.

You reached it through the gateway: for your transfer one port was opened, for
your address alone, and it is shut again by now. The journal says so.

All files here are in memory. Upload what you like, up to 64 MiB in all; it is
gone when the demo ends.
";

/// The bounds of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Sessions at once; more are told 421.
    pub(super) sessions: usize,
    /// Bytes of all files together.
    pub(super) bytes: usize,
    /// Files and directories together.
    pub(super) entries: usize,
    /// How long a session may say nothing.
    pub(super) idle: Duration,
    /// How long a data connection may take to come to be.
    pub(super) connect: Duration,
    /// How long nothing may move on a connection that should move.
    pub(super) stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 64,
            bytes: 64 * MIB,
            entries: 4096,
            idle: Duration::from_secs(300),
            connect: Duration::from_secs(30),
            stall: Duration::from_secs(60),
        }
    }
}

/// A running FTP server over files in memory; dropping it ends it with all its sessions.
#[derive(Debug)]
pub struct DemoServer {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl DemoServer {
    /// Starts a server with a few sample files; port 0 lets the kernel choose.
    ///
    /// It needs a tokio runtime around it. Anybody may log in as `anonymous` or as `demo` (password `demo`) and may write.
    ///
    /// # Errors
    ///
    /// Those of binding the address.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        Self::start_bounded(address, Limits::default()).await
    }

    pub(super) async fn start_bounded(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let store = Arc::new(Store::new(limits.bytes, limits.entries));
        fill(&store);
        let serving = tokio::spawn(serve(listener, store, limits));
        Ok(Self { address, serving })
    }

    /// The address at which clients arrive.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        // The sessions are in a set that the task owns, and end with it.
        self.serving.abort();
    }
}

/// Makes bytes that differ by seed and have no short period, so that a lost, doubled or moved piece is seen.
pub fn pattern(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        // xorshift32 (Marsaglia): never 0 once it is not 0.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        out.push(state.to_be_bytes()[0]);
    }
    out
}

async fn serve(listener: TcpListener, store: Arc<Store>, limits: Limits) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let full = sessions.len() >= limits.sessions;
                    if !full {
                        sessions.spawn(talk(stream, Arc::clone(&store), limits));
                    } else {
                        refuse(stream);
                    }
                }
                // Descriptors are short, or the client was gone at once: neither ends the server, and no loop spins.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn talk(stream: TcpStream, store: Arc<Store>, limits: Limits) {
    if let Ok(control) = Control::new(stream, limits.stall) {
        // A client that vanishes is no news here.
        let _ = Session::new(control, store, limits).run().await;
    }
}

fn refuse(stream: TcpStream) {
    // One line fits into the socket's buffer, so this neither waits nor needs a task. (tokio's own try_write fails on a
    // socket whose readiness it has not learnt yet.)
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write_all(b"421 Too many sessions; try again later.\r\n");
    }
}

/// Puts the sample files into a tree; one too small for them stays without.
fn fill(store: &Store) {
    let files: [(&str, Vec<u8>); 4] = [
        ("README.txt", README.into()),
        (PATTERN_NAME, pattern(0, MIB)),
        ("Grüße/日本語.txt", "Names may be UTF-8.\n".into()),
        ("empty.bin", Vec::new()),
    ];
    let directory = TreePath::root().resolve("Grüße".as_bytes());
    if let Some(directory) = directory {
        let _ = store.make_directory(directory);
    }
    for (name, bytes) in files {
        let mut content = store.draft();
        if content.push(&bytes).is_ok()
            && let Some(path) = TreePath::root().resolve(name.as_bytes())
        {
            let _ = store.put(path, content);
        }
    }
}
