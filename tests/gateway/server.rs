//! A small FTP server for the upstream's side: enough of RFC 959, and files whose names make it behave oddly.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::PATIENCE;

pub const GREETING: &str = "220 The upstream's own words.";

type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// The server; its threads end with the connections of the test.
pub struct Server {
    pub at: SocketAddr,
    pub files: Files,
    heard: Receiver<String>,
    passive: Arc<AtomicU16>,
    release: Arc<Mutex<Option<Receiver<()>>>>,
}

/// Lets `RETR held` go on when it is dropped.
pub struct Held(#[expect(dead_code, reason = "its end is the signal")] Sender<()>);

impl Server {
    pub fn start() -> Server {
        Server::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn at(at: SocketAddr) -> Server {
        let listener = TcpListener::bind(at).expect("a listener");
        let at = listener.local_addr().expect("an address");
        let files = Files::default();
        let (tell, heard) = channel();
        let (passive, release) = (Arc::default(), Arc::default());
        let (shared, held) = (Arc::clone(&files), Arc::clone(&release));
        let port = Arc::clone(&passive);
        std::thread::spawn(move || {
            for control in listener.incoming().map_while(Result::ok) {
                let conversation = Conversation {
                    files: Arc::clone(&shared),
                    tell: tell.clone(),
                    passive: Arc::clone(&port),
                    release: Arc::clone(&held),
                    control,
                    data: Data::None,
                };
                // The peer may hang up at any time; that ends the thread.
                std::thread::spawn(move || drop(conversation.run()));
            }
        });
        Server {
            at,
            files,
            heard,
            passive,
            release,
        }
    }

    pub fn with_file(self, name: &str, content: &[u8]) -> Server {
        self.files
            .lock()
            .expect("files")
            .insert(name.to_owned(), content.to_vec());
        self
    }

    /// Awaits data connections at this port from now on; at 0, at any that is free.
    pub fn awaits_at(&self, port: u16) {
        self.passive.store(port, Ordering::Relaxed);
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.files.lock().expect("files").get(name).cloned()
    }

    /// Waits for the next command line that any client sends.
    pub fn hears(&self) -> String {
        self.heard.recv_timeout(PATIENCE).expect("a command")
    }

    /// Skips commands until this one.
    pub fn hears_at_last(&self, line: &str) {
        while self.hears() != line {}
    }

    /// Makes the next `RETR held` wait in the middle until the result is dropped.
    pub fn hold(&self) -> Held {
        let (held, release) = channel();
        *self.release.lock().expect("the hold") = Some(release);
        Held(held)
    }
}

enum Data {
    None,
    Awaits(TcpListener),
    Dials(SocketAddr),
}

struct Conversation {
    files: Files,
    tell: Sender<String>,
    passive: Arc<AtomicU16>,
    release: Arc<Mutex<Option<Receiver<()>>>>,
    control: TcpStream,
    data: Data,
}

impl Conversation {
    fn run(mut self) -> std::io::Result<()> {
        self.control.set_nodelay(true)?;
        self.say(GREETING)?;
        let mut lines = BufReader::new(self.control.try_clone()?);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            let command = line.trim_end().to_owned();
            line.clear();
            // The test may not listen any more.
            let _ = self.tell.send(command.clone());
            let (verb, argument) = command.split_once(' ').unwrap_or((&command, ""));
            match verb {
                "USER" => self.say("331 Password?")?,
                "PASS" if argument == "wrong" => self.say("530 Wrong password.")?,
                "PASS" => self.say("230 Welcome.")?,
                "PWD" => self.say("257 \"/\" is where you are.")?,
                "TYPE" | "NOOP" => self.say("200 Fine.")?,
                "STAT" => self.say(&long_reply())?,
                "ABOR" => self.say("226 Nothing to abort.")?,
                "PASV" => self.passive(false)?,
                "EPSV" => self.passive(true)?,
                "PORT" | "EPRT" => self.active(argument)?,
                "RETR" => self.send_file(argument, &mut lines)?,
                "STOR" => self.take_file(argument)?,
                "QUIT" => return self.say("221 Bye."),
                _ => self.say("500 What?")?,
            }
        }
        Ok(())
    }

    fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.control.write_all(format!("{line}\r\n").as_bytes())
    }

    fn passive(&mut self, extended: bool) -> std::io::Result<()> {
        // Whoever waits at this port for an earlier PASV goes first.
        self.data = Data::None;
        let port = self.passive.load(Ordering::Relaxed);
        let listener = TcpListener::bind((self.control.local_addr()?.ip(), port))?;
        let port = listener.local_addr()?.port();
        self.data = Data::Awaits(listener);
        if extended {
            self.say(&format!("229 Here (|||{port}|)"))
        } else {
            // Behind a NAT: the address is wrong, the port is right.
            self.say(&format!("227 Here (10,9,8,7,{},{})", port >> 8, port & 255))
        }
    }

    fn active(&mut self, argument: &str) -> std::io::Result<()> {
        self.data = address_of(argument).map_or(Data::None, Data::Dials);
        self.say("200 I shall dial.")
    }

    fn connect(&mut self) -> std::io::Result<TcpStream> {
        match std::mem::replace(&mut self.data, Data::None) {
            Data::Awaits(listener) => Ok(listener.accept()?.0),
            Data::Dials(at) => TcpStream::connect(at),
            Data::None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    fn send_file(&mut self, name: &str, lines: &mut BufReader<TcpStream>) -> std::io::Result<()> {
        let content = self.files.lock().expect("files").get(name).cloned();
        match (name, content) {
            // As vsftpd does it: accepts first, and then says 150.
            ("shy", Some(content)) => {
                let mut data = self.connect()?;
                self.say("150 Here you are.")?;
                data.write_all(&content)?;
                drop(data);
                self.say("226 All of it.")
            }
            ("endless", _) => self.send_endlessly(lines),
            ("held", Some(content)) => {
                self.say("150 Wait for it.")?;
                let mut data = self.connect()?;
                let (first, rest) = content.split_at(content.len() / 2);
                data.write_all(first)?;
                let release = self.release.lock().expect("the hold").take();
                if let Some(release) = release {
                    // It never sends: its end is the signal.
                    let _ = release.recv();
                }
                data.write_all(rest)?;
                drop(data);
                self.say("226 All of it.")
            }
            (_, Some(content)) => {
                self.say("150 Coming.")?;
                let mut data = self.connect()?;
                data.write_all(&content)?;
                drop(data);
                self.say("226 All of it.")
            }
            (_, None) => self.say("550 No such file."),
        }
    }

    /// Sends until the client says ABOR or breaks off the data: 426 for the transfer, 226 for ABOR.
    fn send_endlessly(&mut self, lines: &mut BufReader<TcpStream>) -> std::io::Result<()> {
        self.say("150 For ever.")?;
        let mut data = self.connect()?;
        let other = data.try_clone()?;
        let mut control = self.control.try_clone()?;
        let sending = std::thread::spawn(move || {
            while data.write_all(&[b'x'; 4096]).is_ok() {}
            // Whoever broke it off may be gone altogether.
            let _ = control.write_all(b"426 Broken off.\r\n");
        });
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let _ = self.tell.send(line.trim_end().to_owned());
        let _ = other.shutdown(Shutdown::Both);
        sending.join().expect("the sender");
        self.say("226 As you wish.")
    }

    fn take_file(&mut self, name: &str) -> std::io::Result<()> {
        self.say("150 Go on.")?;
        let mut data = self.connect()?;
        let mut content = Vec::new();
        data.read_to_end(&mut content)?;
        self.files
            .lock()
            .expect("files")
            .insert(name.to_owned(), content);
        self.say("226 Got it.")
    }
}

/// A reply of about 60 KiB, below the limit for replies.
fn long_reply() -> String {
    let line = format!(" {}\r\n", "status ".repeat(140));
    format!("211-Status\r\n{}211 End", line.repeat(60))
}

fn address_of(argument: &str) -> Option<SocketAddr> {
    if let Some(fields) = argument.strip_prefix('|') {
        let mut fields = fields.split('|').skip(1);
        let ip: IpAddr = fields.next()?.parse().ok()?;
        return Some(SocketAddr::new(ip, fields.next()?.parse().ok()?));
    }
    let numbers: Vec<u8> = argument
        .split(',')
        .map_while(|number| number.parse().ok())
        .collect();
    let [a, b, c, d, high, low] = numbers[..] else {
        return None;
    };
    let port = u16::from(high) << 8 | u16::from(low);
    Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port))
}
