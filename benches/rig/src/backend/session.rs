//! One control connection: a command, its replies, the next command.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::Shared;
use super::data::Offer;
use crate::address;
use crate::carry::{self, CarryFault};
use crate::pattern::Pattern;

/// Longest command line, in bytes.
const LINE: u64 = 4096;

/// Speaks FTP with one client until it leaves.
pub async fn run(stream: std::net::TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let stream = TcpStream::from_std(stream)?;
    let local = stream.local_addr()?.ip();
    let mut session = Session {
        control: BufReader::with_capacity(256, stream),
        local,
        offer: Offer::Nothing,
        shared,
    };
    session.reply("220 Light backend ready.").await?;
    while let Some(line) = session.read_line().await? {
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        if verb.eq_ignore_ascii_case("QUIT") {
            return session.reply("221 Goodbye.").await;
        }
        session.obey(&verb.to_ascii_uppercase(), argument).await?;
    }
    Ok(())
}

struct Session<'a> {
    control: BufReader<TcpStream>,
    local: IpAddr,
    offer: Offer,
    shared: &'a Shared,
}

impl Session<'_> {
    async fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let n = (&mut self.control)
            .take(LINE)
            .read_until(b'\n', &mut line)
            .await?;
        if n == 0 || !line.ends_with(b"\n") {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    async fn reply(&mut self, text: &str) -> io::Result<()> {
        self.control
            .get_mut()
            .write_all(format!("{text}\r\n").as_bytes())
            .await
    }

    async fn obey(&mut self, verb: &str, argument: &str) -> io::Result<()> {
        match verb {
            "USER" => self.reply("331 Any password will do.").await,
            "PASS" => self.reply("230 Logged in.").await,
            "SYST" => self.reply("215 UNIX Type: L8").await,
            "FEAT" => {
                self.reply("211-Features:\r\n EPRT\r\n EPSV\r\n SIZE\r\n UTF8\r\n211 End.")
                    .await
            }
            "PWD" => self.reply("257 \"/\"").await,
            "TYPE" | "MODE" | "STRU" | "NOOP" | "CWD" | "OPTS" => self.reply("200 OK.").await,
            "SIZE" => match argument.parse::<Pattern>() {
                Ok(pattern) => self.reply(&format!("213 {}", pattern.size)).await,
                Err(e) => self.reply(&format!("550 {e}.")).await,
            },
            "PASV" | "EPSV" => self.await_dial(verb == "EPSV").await,
            "PORT" => self.prepare_dial(address::parse_port(argument)).await,
            "EPRT" => self.prepare_dial(address::parse_eprt(argument)).await,
            "RETR" | "STOR" => match argument.parse::<Pattern>() {
                Ok(pattern) => self.transfer(pattern, verb == "STOR").await,
                Err(e) => self.reply(&format!("550 {e}.")).await,
            },
            _ => self.reply("502 Not implemented.").await,
        }
    }

    async fn await_dial(&mut self, extended: bool) -> io::Result<()> {
        let listener = match self.shared.ports.listen(self.local) {
            Ok(listener) => listener,
            Err(e) => return self.reply(&format!("425 No port: {e}.")).await,
        };
        let announced = SocketAddr::new(
            self.shared.announce.unwrap_or(self.local),
            listener.local_addr()?.port(),
        );
        self.offer = Offer::Awaiting(listener);
        match announced {
            SocketAddr::V4(v4) if !extended => {
                self.reply(&format!(
                    "227 Entering Passive Mode ({}).",
                    address::port_text(v4)
                ))
                .await
            }
            _ => {
                self.reply(&format!(
                    "229 Entering Extended Passive Mode (|||{}|).",
                    announced.port()
                ))
                .await
            }
        }
    }

    async fn prepare_dial(&mut self, address: Option<SocketAddr>) -> io::Result<()> {
        match address {
            Some(address) => {
                self.offer = Offer::Dialling(address);
                self.reply("200 OK.").await
            }
            None => self.reply("501 No address there.").await,
        }
    }

    async fn transfer(&mut self, pattern: Pattern, upload: bool) -> io::Result<()> {
        self.reply("150 Here it comes.").await?;
        let stream = match self.offer.connect().await {
            Ok(stream) => stream,
            Err(e) => return self.reply(&format!("425 No data connection: {e}.")).await,
        };
        let carried = match upload {
            true => carry::receive(stream, pattern).await,
            false => carry::send(stream, pattern, &self.shared.reel).await,
        };
        match carried {
            Ok(()) => {
                self.reply(&format!(
                    "226 {pattern} carried, every byte as its name says."
                ))
                .await
            }
            Err(e @ CarryFault::WrongByte(_)) => self.reply(&format!("451 {e}.")).await,
            Err(e @ (CarryFault::Short { .. } | CarryFault::Broken(_))) => {
                self.reply(&format!("426 {e}.")).await
            }
        }
    }
}
