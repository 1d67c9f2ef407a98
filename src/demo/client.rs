//! The small FTP client that makes the demo's transfers when nobody sits at a terminal.
//!
//! It negotiates each data connection in the way it is told, believes no address but the server's own, and bounds every
//! wait and every size.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::address;

const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_REPLY: usize = 64 * 1024;
const LARGEST_FILE: usize = 64 * 1024 * 1024;

/// How a client has its data connection made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataMode {
    /// The client dials; IPv4 only (RFC 959).
    Pasv,
    /// The client dials (RFC 2428).
    Epsv,
    /// The client is dialled; IPv4 only (RFC 959).
    Port,
    /// The client is dialled (RFC 2428).
    Eprt,
}

impl DataMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Pasv, Self::Epsv, Self::Port, Self::Eprt];

    /// Says whether the mode can name an address of this family.
    pub fn serves(self, address: IpAddr) -> bool {
        match self {
            Self::Pasv | Self::Port => address.is_ipv4(),
            Self::Epsv | Self::Eprt => true,
        }
    }

    /// Says whether the client is dialled, rather than dials.
    pub fn is_active(self) -> bool {
        match self {
            Self::Pasv | Self::Epsv => false,
            Self::Port | Self::Eprt => true,
        }
    }
}

impl fmt::Display for DataMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pasv => "PASV",
            Self::Epsv => "EPSV",
            Self::Port => "PORT",
            Self::Eprt => "EPRT",
        })
    }
}

/// Why the demo's client gave up.
#[derive(Debug, Error)]
pub enum ClientError {
    /// A connection failed.
    #[error("{doing}: {error}")]
    Connection {
        /// What the client was at.
        doing: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// Nothing came within 30 s.
    #[error("{0}: no answer within 30 seconds")]
    Silence(String),
    /// The server answered with another code than the expected ones.
    #[error("{command} was answered {reply:?}")]
    Refused {
        /// The command, passwords left out.
        command: String,
        /// The whole reply.
        reply: String,
    },
    /// The server's reply can't be read.
    #[error("{command} was answered with what is no reply: {reply:?}")]
    Malformed {
        /// The command, passwords left out.
        command: String,
        /// What came.
        reply: String,
    },
    /// Somebody else dialled the port that was told to the server.
    #[error("{0} dialled in place of the server")]
    Stranger(SocketAddr),
    /// A file is larger than 64 MiB.
    #[error("{0} is larger than 64 MiB")]
    TooLarge(String),
}

/// What a server answered: the code, and all lines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reply {
    code: u16,
    text: String,
}

/// A control connection to an FTP server.
#[derive(Debug)]
pub struct DemoClient {
    stream: TcpStream,
    unread: Vec<u8>,
    local: SocketAddr,
    peer: SocketAddr,
}

/// A data connection that is agreed on.
#[derive(Debug)]
enum Data {
    Dialled(TcpStream),
    Awaited(TcpListener),
}

impl DemoClient {
    /// Dials a server, logs in and chooses binary transfers.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn log_in(
        server: SocketAddr,
        user: &str,
        password: &str,
    ) -> Result<Self, ClientError> {
        let doing = format!("Dialling {server}");
        let stream = in_time(&doing, TcpStream::connect(server)).await?;
        let name = |error| ClientError::Connection {
            doing: doing.clone(),
            error,
        };
        stream.set_nodelay(true).map_err(name)?;
        let mut client = Self {
            local: stream.local_addr().map_err(name)?,
            peer: stream.peer_addr().map_err(name)?,
            stream,
            unread: Vec::new(),
        };
        client.expect("The connection", &[220]).await?;
        if client.ask(&format!("USER {user}"), &[230, 331]).await?.code == 331 {
            client.send("PASS", &format!("PASS {password}")).await?;
            client.expect("PASS", &[230]).await?;
        }
        client.ask("TYPE I", &[200]).await?;
        Ok(client)
    }

    /// Fetches a file.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn download(&mut self, mode: DataMode, name: &str) -> Result<Vec<u8>, ClientError> {
        self.fetch(mode, &format!("RETR {name}")).await
    }

    /// Fetches the listing of a directory, as the server writes it.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn list(&mut self, mode: DataMode, name: &str) -> Result<Vec<u8>, ClientError> {
        self.fetch(mode, format!("LIST {name}").trim_end()).await
    }

    /// Stores a file.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn upload(
        &mut self,
        mode: DataMode,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), ClientError> {
        let command = format!("STOR {name}");
        let data = self.negotiate(mode).await?;
        self.ask(&command, &[125, 150]).await?;
        let mut stream = self.connected(data).await?;
        let sending = async {
            stream.write_all(bytes).await?;
            stream.shutdown().await
        };
        in_time(&command, sending).await?;
        drop(stream);
        self.expect(&command, &[226, 250]).await?;
        Ok(())
    }

    /// Deletes a file.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn delete(&mut self, name: &str) -> Result<(), ClientError> {
        self.ask(&format!("DELE {name}"), &[250]).await?;
        Ok(())
    }

    /// Says goodbye and waits for the answer.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn quit(mut self) -> Result<(), ClientError> {
        self.ask("QUIT", &[221]).await?;
        Ok(())
    }

    async fn fetch(&mut self, mode: DataMode, command: &str) -> Result<Vec<u8>, ClientError> {
        let data = self.negotiate(mode).await?;
        self.ask(command, &[125, 150]).await?;
        let stream = self.connected(data).await?;
        let mut bytes = Vec::new();
        let mut bounded = stream.take(LARGEST_FILE as u64 + 1);
        in_time(command, bounded.read_to_end(&mut bytes)).await?;
        if bytes.len() > LARGEST_FILE {
            return Err(ClientError::TooLarge(command.to_owned()));
        }
        self.expect(command, &[226, 250]).await?;
        Ok(bytes)
    }

    /// Agrees with the server on the next data connection.
    async fn negotiate(&mut self, mode: DataMode) -> Result<Data, ClientError> {
        match mode {
            DataMode::Pasv => {
                let reply = self.ask("PASV", &[227]).await?;
                let numbers = reply.text.split(['(', ')']).nth(1).unwrap_or_default();
                let port = address::read_six_numbers(numbers).map(|at| at.port());
                self.dial("PASV", port, &reply).await
            }
            DataMode::Epsv => {
                let reply = self.ask("EPSV", &[229]).await?;
                let port = address::read_epsv_reply(&reply.text);
                self.dial("EPSV", port, &reply).await
            }
            DataMode::Port | DataMode::Eprt => {
                let doing = "Opening a port for the server";
                let listener = in_time(doing, TcpListener::bind((self.local.ip(), 0))).await?;
                let at = listener
                    .local_addr()
                    .map_err(|error| ClientError::Connection {
                        doing: doing.to_owned(),
                        error,
                    })?;
                let command = match (mode, at) {
                    (DataMode::Port, SocketAddr::V4(at)) => {
                        format!("PORT {}", address::six_numbers(at))
                    }
                    (_, at) => format!("EPRT {}", address::extended(at)),
                };
                self.ask(&command, &[200]).await?;
                Ok(Data::Awaited(listener))
            }
        }
    }

    async fn dial(
        &mut self,
        command: &str,
        port: Option<u16>,
        reply: &Reply,
    ) -> Result<Data, ClientError> {
        let port = port.ok_or_else(|| ClientError::Malformed {
            command: command.to_owned(),
            reply: reply.text.clone(),
        })?;
        // Only the port is taken from a reply: a server may be behind NAT, or lie.
        let to = SocketAddr::new(self.peer.ip(), port);
        let doing = format!("Dialling {to} after {command}");
        let stream = in_time(&doing, TcpStream::connect(to)).await?;
        Ok(Data::Dialled(stream))
    }

    async fn connected(&self, data: Data) -> Result<TcpStream, ClientError> {
        match data {
            Data::Dialled(stream) => Ok(stream),
            Data::Awaited(listener) => {
                let (stream, from) =
                    in_time("Awaiting the server's dial", listener.accept()).await?;
                if from.ip() == self.peer.ip() {
                    Ok(stream)
                } else {
                    Err(ClientError::Stranger(from))
                }
            }
        }
    }

    async fn ask(&mut self, command: &str, codes: &[u16]) -> Result<Reply, ClientError> {
        self.send(command, command).await?;
        self.expect(command, codes).await
    }

    async fn send(&mut self, doing: &str, line: &str) -> Result<(), ClientError> {
        let line = format!("{line}\r\n");
        in_time(doing, self.stream.write_all(line.as_bytes())).await
    }

    async fn expect(&mut self, command: &str, codes: &[u16]) -> Result<Reply, ClientError> {
        let reply = self.hear(command).await?;
        if codes.contains(&reply.code) {
            return Ok(reply);
        }
        Err(ClientError::Refused {
            command: command.to_owned(),
            reply: reply.text,
        })
    }

    /// Reads one reply; one of several lines ends with its code and a space (RFC 959, section 4.2).
    async fn hear(&mut self, doing: &str) -> Result<Reply, ClientError> {
        let mut text = String::new();
        let mut code: Option<u16> = None;
        loop {
            let line = self.hear_line(doing).await?;
            text.push_str(&line);
            let malformed = || ClientError::Malformed {
                command: doing.to_owned(),
                reply: line.clone(),
            };
            let number = line.get(..3).and_then(|digits| digits.parse().ok());
            let last = matches!(line.as_bytes().get(3), None | Some(b' '));
            let code = *code.get_or_insert(number.ok_or_else(malformed)?);
            if number == Some(code) && last {
                return Ok(Reply { code, text });
            }
            if text.len() > LONGEST_REPLY {
                return Err(malformed());
            }
            text.push('\n');
        }
    }

    async fn hear_line(&mut self, doing: &str) -> Result<String, ClientError> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
            let got = in_time(doing, self.stream.read_buf(&mut self.unread)).await?;
            if got == 0 {
                return Err(ClientError::Connection {
                    doing: doing.to_owned(),
                    error: io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"),
                });
            }
            if self.unread.len() > LONGEST_REPLY {
                return Err(ClientError::Malformed {
                    command: doing.to_owned(),
                    reply: String::from_utf8_lossy(&self.unread).into_owned(),
                });
            }
        }
    }
}

async fn in_time<T>(
    doing: &str,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, ClientError> {
    match timeout(PATIENCE, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(ClientError::Connection {
            doing: doing.to_owned(),
            error,
        }),
        Err(_) => Err(ClientError::Silence(doing.to_owned())),
    }
}
