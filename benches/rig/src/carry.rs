//! Sending and receiving one file over a data connection, alike in the backend and in the load.
//!
//! Large files leave by `sendfile` from memory and arrive in one buffer per thread, so that neither end is what limits a
//! gateway between them.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;

use crate::pattern::{CHUNK, Pattern};

/// Files up to this length, in bytes, are written at once instead of sent by `sendfile`.
const SMALL: u64 = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Why a file did not arrive as it should.
#[derive(Debug, thiserror::Error)]
pub enum CarryFault {
    /// A byte differs from what the name says, or there is one too many.
    #[error("wrong byte at offset {0}")]
    WrongByte(u64),
    /// The connection ended early.
    #[error("ended after {got} of {expected} bytes")]
    Short {
        /// Bytes that arrived.
        got: u64,
        /// Bytes that the name says.
        expected: u64,
    },
    /// The connection broke.
    #[error("data connection: {0}")]
    Broken(#[from] io::Error),
}

/// Sends a file's whole content and closes the connection.
pub async fn send(
    mut stream: TcpStream,
    pattern: Pattern,
    reel: &OwnedFd,
) -> Result<(), CarryFault> {
    if pattern.size <= SMALL {
        stream.write_all(pattern.slice(0)).await?;
        return Ok(());
    }
    let mut offset = 0;
    while offset < pattern.size {
        let (start, length) = pattern.on_reel(offset);
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                Ok(rustix::fs::sendfile(
                    &stream,
                    reel,
                    Some(&mut start.clone()),
                    length,
                )?)
            })
            .await?;
        if sent == 0 {
            return Err(CarryFault::Short {
                got: offset,
                expected: pattern.size,
            });
        }
        offset += sent as u64;
    }
    Ok(())
}

/// Receives a file up to the end of the connection and compares every byte.
pub async fn receive(stream: TcpStream, pattern: Pattern) -> Result<(), CarryFault> {
    let mut offset = 0;
    loop {
        stream.readable().await?;
        let got = BUFFER.with_borrow_mut(|buffer| match stream.try_read(buffer) {
            Ok(n) => pattern
                .verify(offset, &buffer[..n])
                .map(|()| Some(n))
                .map_err(CarryFault::WrongByte),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e.into()),
        })?;
        match got {
            Some(0) if offset == pattern.size => return Ok(()),
            Some(0) => {
                return Err(CarryFault::Short {
                    got: offset,
                    expected: pattern.size,
                });
            }
            Some(n) => offset += n as u64,
            None => {}
        }
    }
}

/// Sends a file's whole content over a connection that may be inside TLS, and closes it as its kind wants.
pub async fn send_over(
    mut wire: impl AsyncWrite + Unpin,
    pattern: Pattern,
) -> Result<(), CarryFault> {
    let mut offset = 0;
    while offset < pattern.size {
        let sent = wire.write(pattern.slice(offset)).await?;
        offset += sent as u64;
    }
    Ok(wire.shutdown().await?)
}

/// Receives a file over a connection that may be inside TLS and compares every byte.
///
/// A peer that ends TLS without saying so (close_notify) is told apart from a short file by the length.
pub async fn receive_over(
    mut wire: impl AsyncRead + Unpin,
    pattern: Pattern,
) -> Result<(), CarryFault> {
    let mut offset = 0;
    let mut buffer = BUFFER.take();
    buffer.resize(CHUNK, 0);
    let received = loop {
        let got = match wire.read(&mut buffer).await {
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(e) => break Err(e.into()),
        };
        if got == 0 {
            break match offset == pattern.size {
                true => Ok(()),
                false => Err(CarryFault::Short {
                    got: offset,
                    expected: pattern.size,
                }),
            };
        }
        if let Err(at) = pattern.verify(offset, &buffer[..got]) {
            break Err(CarryFault::WrongByte(at));
        }
        offset += got as u64;
    };
    BUFFER.set(buffer);
    received
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (dialled.expect("connected"), accepted.expect("accepted").0)
    }

    #[tokio::test]
    async fn files_of_all_lengths_arrive() {
        let reel = pattern::reel().expect("a file in memory");
        for size in [0, 1, SMALL, SMALL + 1, 20_000_000] {
            let pattern = Pattern { size, seed: size };
            let (near, far) = pair().await;
            let (sent, received) = tokio::join!(send(near, pattern, &reel), receive(far, pattern));
            sent.expect("sent");
            received.expect("received");
        }
    }

    #[tokio::test]
    async fn a_short_file_and_a_wrong_one_are_told_apart() {
        let reel = pattern::reel().expect("a file in memory");
        let sent = Pattern { size: 100, seed: 1 };
        let (near, far) = pair().await;
        let (_, received) = tokio::join!(
            send(near, sent, &reel),
            receive(far, Pattern { size: 101, seed: 1 })
        );
        assert!(matches!(
            received,
            Err(CarryFault::Short {
                got: 100,
                expected: 101
            })
        ));
        let (near, far) = pair().await;
        let (_, received) = tokio::join!(
            send(near, sent, &reel),
            receive(far, Pattern { size: 100, seed: 2 })
        );
        assert!(matches!(received, Err(CarryFault::WrongByte(_))));
    }
}
