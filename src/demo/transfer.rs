//! The demo server's data connections: how one comes to be, and what travels over it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::store::{Content, StoreFault};

const CHUNK: usize = 64 * 1024;

/// How the next data connection will come to be.
#[derive(Debug)]
pub(super) enum Plan {
    /// The client dials us (PASV, EPSV).
    Await { listener: TcpListener, peer: IpAddr },
    /// We dial the client (PORT, EPRT), from the address that it knows.
    Dial { to: SocketAddr, from: IpAddr },
}

/// What goes to the client.
#[derive(Debug)]
pub(super) enum Payload {
    /// Text that has its line ends already.
    Listing(Vec<u8>),
    /// A file from this offset on, with CRLF made of LF when the type is ASCII.
    File {
        content: Arc<Content>,
        from: usize,
        ascii: bool,
    },
}

/// Why a transfer failed.
#[derive(Debug, Error)]
pub(super) enum DataFault {
    #[error("{0}")]
    Store(#[from] StoreFault),
    #[error("The data connection broke: {0}.")]
    Broken(#[from] io::Error),
    #[error("Nothing moved on the data connection for too long.")]
    Stalled,
}

impl DataFault {
    /// The reply code for a transfer that had begun (RFC 959, section 5.4).
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Store(_) => 452,
            Self::Broken(_) | Self::Stalled => 426,
        }
    }
}

/// Makes the data connection, within this time; a dial from anybody but the client is hung up on.
pub(super) async fn connect(plan: Plan, limit: Duration) -> Result<TcpStream, DataFault> {
    let connected = timeout(limit, async {
        match plan {
            Plan::Await { listener, peer } => loop {
                let (stream, from) = listener.accept().await?;
                if from.ip().to_canonical() == peer {
                    return Ok(stream);
                }
            },
            Plan::Dial { to, from } => {
                let socket = if to.is_ipv4() {
                    TcpSocket::new_v4()?
                } else {
                    TcpSocket::new_v6()?
                };
                socket.bind(SocketAddr::new(from, 0))?;
                socket.connect(to).await
            }
        }
    });
    Ok(connected.await.map_err(|_| DataFault::Stalled)??)
}

/// Sends all of it, closes the connection, and returns how many bytes of data went.
pub(super) async fn send(
    mut stream: TcpStream,
    payload: Payload,
    stall: Duration,
) -> Result<u64, DataFault> {
    let (bytes, ascii) = match &payload {
        Payload::Listing(text) => (text.as_slice(), false),
        Payload::File {
            content,
            from,
            ascii,
        } => (content.bytes().get(*from..).unwrap_or_default(), *ascii),
    };
    let mut sent = 0;
    for chunk in bytes.chunks(CHUNK) {
        let text;
        let chunk = if ascii {
            text = to_network(chunk);
            text.as_slice()
        } else {
            chunk
        };
        in_time(stall, stream.write_all(chunk)).await?;
        sent += chunk.len() as u64;
    }
    in_time(stall, stream.shutdown()).await?;
    Ok(sent)
}

/// Reads until the client closes the connection; what came before a fault stays in the content.
pub(super) async fn receive(
    mut stream: TcpStream,
    content: &mut Content,
    ascii: bool,
    stall: Duration,
) -> Result<u64, DataFault> {
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    let mut carriage_return = false;
    loop {
        let length = in_time(stall, stream.read(&mut buffer)).await?;
        let chunk = buffer.get(..length).unwrap_or_default();
        if chunk.is_empty() {
            if carriage_return {
                content.push(b"\r")?;
            }
            return Ok(received);
        }
        received += chunk.len() as u64;
        if ascii {
            content.push(&from_network(chunk, &mut carriage_return))?;
        } else {
            content.push(chunk)?;
        }
    }
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, DataFault> {
    Ok(timeout(limit, work)
        .await
        .map_err(|_| DataFault::Stalled)??)
}

fn to_network(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 16);
    for byte in text {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

/// Makes LF of CRLF; a CR at the end of one chunk waits for the next.
fn from_network(text: &[u8], carriage_return: &mut bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1);
    for byte in text {
        if *carriage_return && *byte != b'\n' {
            out.push(b'\r');
        }
        *carriage_return = *byte == b'\r';
        if !*carriage_return {
            out.push(*byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_survive_any_chunking() {
        assert_eq!(to_network(b"a\nb\n\n"), b"a\r\nb\r\n\r\n");
        let text = b"a\r\nb\rc\r\r\nd";
        for cut in 0..=text.len() {
            let (head, tail) = text.split_at(cut);
            let mut waiting = false;
            let mut out = from_network(head, &mut waiting);
            out.extend(from_network(tail, &mut waiting));
            assert!(!waiting);
            assert_eq!(out, b"a\nb\rc\r\nd", "cut at {cut}");
        }
    }
}
