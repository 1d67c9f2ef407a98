//! The demo server's end of a control connection: lines in, replies out.
//!
//! Telnet's commands are taken out of the stream (RFC 959, section 3.5; clients send some before ABOR), a line has a
//! greatest length, and waiting for a line may be broken off at any point without losing a byte.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LONGEST_LINE: usize = 4096;
const MOST_DRAINED: usize = 64 * 1024;
const LONGEST_DRAINING: Duration = Duration::from_secs(1);
const IAC: u8 = 0xFF;

/// What came from the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// One line without its end.
    Line(Vec<u8>),
    /// More bytes than a line may have.
    TooLong,
    /// The end of the stream.
    Closed,
}

/// A control connection.
#[derive(Debug)]
pub(super) struct Control {
    stream: TcpStream,
    unread: Vec<u8>,
    send_limit: Duration,
    local: IpAddr,
    peer: IpAddr,
}

impl Control {
    /// Takes over an accepted connection; `send_limit` is how long the client may leave a reply unread.
    pub(super) fn new(stream: TcpStream, send_limit: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // The Synch before ABOR is urgent data; inline, it is a byte in its place.
        SockRef::from(&stream).set_out_of_band_inline(true)?;
        let canonical = |address: SocketAddr| address.ip().to_canonical();
        Ok(Self {
            local: canonical(stream.local_addr()?),
            peer: canonical(stream.peer_addr()?),
            stream,
            unread: Vec::new(),
            send_limit,
        })
    }

    /// The server's address that the client dialled.
    pub(super) fn local(&self) -> IpAddr {
        self.local
    }

    /// The client's address.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Waits for the next line; may be dropped while it waits.
    pub(super) async fn hear(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                if end > LONGEST_LINE {
                    return Ok(Heard::TooLong);
                }
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Heard::Line(without_telnet(&line)));
            }
            if self.unread.len() > LONGEST_LINE {
                return Ok(Heard::TooLong);
            }
            // Urgent data splits what the kernel hands over. tokio's `read` takes a short read for the last one and would
            // leave the rest lying; `try_read` asks until nothing is left.
            self.stream.readable().await?;
            match self.stream.try_read_buf(&mut self.unread) {
                Ok(0) => return Ok(Heard::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends one reply line.
    pub(super) async fn reply(&mut self, code: u16, text: impl AsRef<[u8]>) -> io::Result<()> {
        let mut line = format!("{code} ").into_bytes();
        line.extend_from_slice(text.as_ref());
        line.extend_from_slice(b"\r\n");
        self.send(&line).await
    }

    /// Sends a reply of several lines; the inner ones begin with a space, so that none can pass for the last.
    pub(super) async fn reply_lines<L: AsRef<[u8]>>(
        &mut self,
        code: u16,
        first: &str,
        inner: impl IntoIterator<Item = L>,
        last: &str,
    ) -> io::Result<()> {
        let mut text = format!("{code}-{first}\r\n").into_bytes();
        for line in inner {
            text.push(b' ');
            text.extend_from_slice(line.as_ref());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("{code} {last}\r\n").as_bytes());
        self.send(&text).await
    }

    /// Ends the connection so that the last reply arrives: bytes that came and were not read would make the kernel send a
    /// reset, which takes the reply from the client.
    pub(super) async fn hang_up(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut rest = [0; 4096];
        let draining = async {
            let mut drained = 0;
            while drained < MOST_DRAINED {
                match self.stream.read(&mut rest).await? {
                    0 => break,
                    more => drained += more,
                }
            }
            Ok(())
        };
        timeout(LONGEST_DRAINING, draining).await.unwrap_or(Ok(()))
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(self.send_limit, self.stream.write_all(bytes)).await?
    }
}

/// Takes Telnet's commands out of a line and turns a doubled 0xFF into one (RFC 854).
fn without_telnet(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != IAC {
            out.push(byte);
            continue;
        }
        match rest.next() {
            None | Some(0xF0..=0xFA) => {}
            // WILL, WON'T, DO and DON'T name an option.
            Some(0xFB..=0xFE) => {
                rest.next();
            }
            Some(IAC) => out.push(IAC),
            Some(other) => out.extend([IAC, other]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telnet_commands_are_taken_out() {
        assert_eq!(without_telnet(b"\xff\xf4\xff\xf2ABOR"), b"ABOR");
        assert_eq!(without_telnet(b"A\xff\xfb\x01B"), b"AB");
        assert_eq!(without_telnet(b"x\xff\xffy"), b"x\xffy");
        assert_eq!(without_telnet(b"x\xff"), b"x");
        assert_eq!(without_telnet(b"\xff\xfd"), b"");
    }
}
