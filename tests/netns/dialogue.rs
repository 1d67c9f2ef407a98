//! The least of an FTP client: one that stops between two steps, which no real client does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use portcullis_netlab::Failure;

use crate::PATIENCE;

/// A control connection after its login.
pub struct Dialogue {
    control: BufReader<TcpStream>,
}

impl Dialogue {
    pub fn login(to: SocketAddr, user: &str, password: &str) -> Result<Self, Failure> {
        let mut dialogue = Self {
            control: BufReader::new(dial(to)?),
        };
        dialogue.expect("220")?;
        dialogue.ask(&format!("USER {user}"), "331")?;
        dialogue.ask(&format!("PASS {password}"), "230")?;
        dialogue.ask("TYPE I", "200")?;
        Ok(dialogue)
    }

    /// Asks for a passive port.
    pub fn epsv(&mut self) -> Result<SocketAddr, Failure> {
        let reply = self.ask("EPSV", "229")?;
        let number = reply
            .split('|')
            .nth(3)
            .and_then(|number| number.parse().ok());
        let port: u16 = number.ok_or_else(|| format!("no port in {reply:?}"))?;
        let peer = self
            .control
            .get_ref()
            .peer_addr()
            .map_err(|error| error.to_string())?;
        Ok(SocketAddr::new(peer.ip(), port))
    }

    /// Downloads a file over a passive port that was asked for before.
    pub fn retrieve(&mut self, name: &str, from: SocketAddr) -> Result<Vec<u8>, Failure> {
        let data = dial(from)?;
        self.retrieve_over(name, data)
    }

    /// Downloads a file over a data connection that is there.
    pub fn retrieve_over(&mut self, name: &str, mut data: TcpStream) -> Result<Vec<u8>, Failure> {
        self.ask(&format!("RETR {name}"), "150")?;
        let mut contents = Vec::new();
        data.read_to_end(&mut contents)
            .map_err(|error| format!("{name}: {error}"))?;
        drop(data);
        self.expect("226")?;
        Ok(contents)
    }

    fn ask(&mut self, command: &str, code: &str) -> Result<String, Failure> {
        let sent = self
            .control
            .get_mut()
            .write_all(format!("{command}\r\n").as_bytes());
        sent.map_err(|error| format!("{command}: {error}"))?;
        self.expect(code)
            .map_err(|failure| format!("{command}: {failure}"))
    }

    /// Reads a reply, whose last line must begin with a code.
    fn expect(&mut self, code: &str) -> Result<String, Failure> {
        loop {
            let mut line = String::new();
            let got = self
                .control
                .read_line(&mut line)
                .map_err(|error| error.to_string())?;
            if got == 0 {
                return Err("the control connection was closed".to_owned());
            }
            let is_last = line
                .get(..3)
                .is_some_and(|start| start.bytes().all(|byte| byte.is_ascii_digit()))
                && line.get(3..4) != Some("-");
            if is_last {
                let expected = line.starts_with(code);
                return if expected {
                    Ok(line)
                } else {
                    Err(format!("{code} was expected, {line:?} came"))
                };
            }
        }
    }
}

fn dial(to: SocketAddr) -> Result<TcpStream, Failure> {
    let stream =
        TcpStream::connect_timeout(&to, PATIENCE).map_err(|error| format!("{to}: {error}"))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(|error| format!("{to}: {error}"))?;
    Ok(stream)
}
