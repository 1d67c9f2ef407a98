//! An FTP client that believes nothing: every reply must be the expected one, every byte the right one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::job::Mode;
use super::wire::{Security, Wire};
use crate::address;
use crate::carry::{self, CarryFault};
use crate::network;
use crate::pattern::Pattern;

/// Longest reply line, in bytes.
const LINE: u64 = 4096;

/// Ports for the data connections of active clients, used in turn, so that none comes back while it rests (TIME_WAIT).
const ACTIVE_PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A client's control connection, logged in.
pub struct Client {
    control: BufReader<Wire>,
    security: Option<Security>,
    local: IpAddr,
    patience: Duration,
    next_port: u32,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The control connection broke or ended.
    #[error("{during}: {source}")]
    Control {
        /// The command.
        during: String,
        /// What happened.
        source: io::Error,
    },
    /// A reply that was not the expected one.
    #[error("{during}: got {reply:?}")]
    Reply {
        /// The command.
        during: String,
        /// The reply's last line.
        reply: String,
    },
    /// The file did not arrive.
    #[error("{during}: {source}")]
    Data {
        /// The command.
        during: String,
        /// What happened.
        source: CarryFault,
    },
    /// No answer for longer than the patience lasts.
    #[error("{during}: no answer for {}s", patience.as_secs())]
    Silence {
        /// The command.
        during: String,
        /// How long was waited.
        patience: Duration,
    },
}

impl Failure {
    /// Says whether nobody listened.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Control { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Says whether a byte was wrong, seen here or by the server.
    pub fn is_wrong_byte(&self) -> bool {
        match self {
            Self::Data {
                source: CarryFault::WrongByte(_),
                ..
            } => true,
            Self::Reply { reply, .. } => reply.starts_with("451 wrong byte"),
            Self::Control { .. } | Self::Data { .. } | Self::Silence { .. } => false,
        }
    }
}

/// Makes ports begin at another place for each client.
static CLIENTS: AtomicU32 = AtomicU32::new(0);

impl Client {
    /// Connects from the address of that number (`None`: the kernel chooses) and logs in.
    pub async fn log_in(
        target: SocketAddr,
        from: Option<u32>,
        patience: Duration,
        security: Option<Security>,
    ) -> Result<Self, Failure> {
        let during = || format!("connect to {target}");
        let stream = timeout(patience, dial(target, from.map(network::client_address)))
            .await
            .map_err(|_| Failure::Silence {
                during: during(),
                patience,
            })?
            .map_err(|source| Failure::Control {
                during: during(),
                source,
            })?;
        let local = stream
            .local_addr()
            .map_err(|source| Failure::Control {
                during: during(),
                source,
            })?
            .ip();
        let turn = CLIENTS
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(std::process::id());
        let mut client = Self {
            control: BufReader::with_capacity(256, Wire::Clear(stream)),
            security: None,
            local,
            patience,
            next_port: turn.wrapping_mul(1_361) % ACTIVE_PORTS.len() as u32,
        };
        client.expect("greeting", "220").await?;
        if let Some(security) = security {
            client = client.secured(security).await?;
        }
        client.command("USER bench", "331").await?;
        client.command("PASS bench", "230").await?;
        if client.security.is_some() {
            client.command("PBSZ 0", "200").await?;
            client.command("PROT P", "200").await?;
        }
        Ok(client)
    }

    /// Puts the control connection inside TLS (RFC 4217).
    async fn secured(mut self, security: Security) -> Result<Self, Failure> {
        let during = "AUTH TLS";
        self.command(during, "234").await?;
        let Wire::Clear(stream) = self.control.into_inner() else {
            return Err(control(during, io::ErrorKind::InvalidInput.into()));
        };
        let wire = timeout(self.patience, security.secure(stream))
            .await
            .map_err(|_| Failure::Silence {
                during: during.to_owned(),
                patience: self.patience,
            })?
            .map_err(|source| control(during, source))?;
        self.control = BufReader::with_capacity(256, wire);
        self.security = Some(security);
        Ok(self)
    }

    /// Sends NOOP and awaits its reply.
    pub async fn noop(&mut self) -> Result<(), Failure> {
        self.command("NOOP", "200").await.map(drop)
    }

    /// Sets the type to binary.
    pub async fn binary(&mut self) -> Result<(), Failure> {
        self.command("TYPE I", "200").await.map(drop)
    }

    /// Takes leave, and sees the server do so.
    pub async fn quit(mut self) -> Result<(), Failure> {
        self.command("QUIT", "221").await.map(drop)
    }

    /// Fetches a file and compares every byte.
    pub async fn retrieve(&mut self, pattern: Pattern, mode: Mode) -> Result<(), Failure> {
        let during = format!("RETR {pattern}");
        let stream = self.begin(&during, mode).await?;
        let security = self.security.clone();
        let carried = timeout(self.patience, async move {
            match security {
                None => carry::receive(stream, pattern).await,
                Some(security) => {
                    carry::receive_over(security.secure(stream).await?, pattern).await
                }
            }
        })
        .await;
        self.finish(&during, carried).await
    }

    /// Stores a file; the server compares every byte.
    pub async fn store(
        &mut self,
        pattern: Pattern,
        mode: Mode,
        reel: &OwnedFd,
    ) -> Result<(), Failure> {
        let during = format!("STOR {pattern}");
        let stream = self.begin(&during, mode).await?;
        let security = self.security.clone();
        let carried = timeout(self.patience, async move {
            match security {
                None => carry::send(stream, pattern, reel).await,
                Some(security) => carry::send_over(security.secure(stream).await?, pattern).await,
            }
        })
        .await;
        self.finish(&during, carried).await
    }

    /// Negotiates a data connection, starts the transfer and returns the connection.
    async fn begin(&mut self, during: &str, mode: Mode) -> Result<TcpStream, Failure> {
        let broken = |e: io::Error| Failure::Data {
            during: during.to_owned(),
            source: e.into(),
        };
        let patience = self.patience;
        let silence = |_| Failure::Silence {
            during: during.to_owned(),
            patience,
        };
        if mode == Mode::Active {
            let listener = self.listen().map_err(broken)?;
            let SocketAddr::V4(at) = listener.local_addr().map_err(broken)? else {
                return Err(broken(io::ErrorKind::Unsupported.into()));
            };
            self.command(&format!("PORT {}", address::port_text(at)), "200")
                .await?;
            self.command(during, "150").await?;
            return Ok(timeout(patience, listener.accept())
                .await
                .map_err(silence)?
                .map_err(broken)?
                .0);
        }
        let announced = self.announced(mode).await?;
        let stream = timeout(patience, dial(announced, Some(self.local)))
            .await
            .map_err(silence)?
            .map_err(broken)?;
        self.command(during, "150").await?;
        Ok(stream)
    }

    /// Asks for a passive data connection; an address other than the control connection's is refused.
    async fn announced(&mut self, mode: Mode) -> Result<SocketAddr, Failure> {
        let (command, code) = match mode {
            Mode::ExtendedPassive => ("EPSV", "229"),
            Mode::Passive | Mode::Active => ("PASV", "227"),
        };
        let reply = self.command(command, code).await?;
        let peer = self
            .control
            .get_ref()
            .socket()
            .peer_addr()
            .map_err(|source| control(command, source))?
            .ip();
        let announced = match mode {
            Mode::ExtendedPassive => {
                address::parse_229(&reply).map(|port| SocketAddr::new(peer, port))
            }
            Mode::Passive | Mode::Active => address::parse_227(&reply).filter(|at| at.ip() == peer),
        };
        announced.ok_or_else(|| Failure::Reply {
            during: command.to_owned(),
            reply,
        })
    }

    async fn finish(
        &mut self,
        during: &str,
        carried: Result<Result<(), CarryFault>, tokio::time::error::Elapsed>,
    ) -> Result<(), Failure> {
        let carried = carried.map_err(|_| Failure::Silence {
            during: during.to_owned(),
            patience: self.patience,
        })?;
        // A server that saw a wrong byte breaks the upload and says so in its reply.
        match (carried, self.expect(during, "226").await) {
            (_, Err(reply)) if reply.is_wrong_byte() => Err(reply),
            (Err(source), _) => Err(Failure::Data {
                during: during.to_owned(),
                source,
            }),
            (Ok(()), reply) => reply.map(drop),
        }
    }

    fn listen(&mut self) -> io::Result<TcpListener> {
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in ACTIVE_PORTS {
            self.next_port = (self.next_port + 1) % ACTIVE_PORTS.len() as u32;
            let port = (ACTIVE_PORTS.start + self.next_port) as u16;
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            match socket
                .bind(SocketAddr::new(self.local, port))
                .and_then(|()| socket.listen(1))
            {
                Ok(listener) => return Ok(listener),
                Err(e) => refused = e,
            }
        }
        Err(refused)
    }

    async fn command(&mut self, line: &str, code: &str) -> Result<String, Failure> {
        let written = self
            .control
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .await;
        // Bytes that wait inside TLS were written as far as the kernel took them.
        let written = match written {
            Ok(()) => self.control.get_mut().flush().await,
            Err(e) => Err(e),
        };
        written.map_err(|source| control(line, source))?;
        self.expect(line, code).await
    }

    /// Awaits a reply of that code and returns its last line.
    async fn expect(&mut self, during: &str, code: &str) -> Result<String, Failure> {
        let reply = timeout(self.patience, self.read_reply())
            .await
            .map_err(|_| Failure::Silence {
                during: during.to_owned(),
                patience: self.patience,
            })?
            .map_err(|source| control(during, source))?;
        match reply.strip_prefix(code) {
            Some(rest) if rest.starts_with(' ') => Ok(reply),
            _ => Err(Failure::Reply {
                during: during.to_owned(),
                reply,
            }),
        }
    }

    async fn read_reply(&mut self) -> io::Result<String> {
        loop {
            let mut line = Vec::with_capacity(64);
            (&mut self.control)
                .take(LINE)
                .read_until(b'\n', &mut line)
                .await?;
            if !line.ends_with(b"\n") {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The last line of a reply is `NNN text`; the lines before it are anything else (RFC 959, 4.2).
            if line.len() > 3
                && line[..3].iter().all(u8::is_ascii_digit)
                && matches!(line[3], b' ' | b'\r' | b'\n')
            {
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        }
    }
}

fn control(during: &str, source: io::Error) -> Failure {
    Failure::Control {
        during: during.to_owned(),
        source,
    }
}

/// Dials, from a given address where there is one.
async fn dial(target: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let unbound = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if let Some(from) = from.filter(|from| *from != unbound && network::is_bench_client(*from)) {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
