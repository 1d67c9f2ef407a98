//! A client over TLS that says what the test wants.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::PATIENCE;
use crate::field::Field;

pub type Protected = StreamOwned<ClientConnection, TcpStream>;

/// Makes what a client resumes by; a clone shares it.
pub fn config(ca: &CertificateDer<'static>, new: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).expect("a root");
    let versions: &[_] = if new {
        &[&rustls::version::TLS13]
    } else {
        &[&rustls::version::TLS12]
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let builder = builder.expect("versions").with_root_certificates(roots);
    Arc::new(builder.with_no_client_auth())
}

pub fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(to).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket.set_write_timeout(Some(PATIENCE)).expect("set");
    socket
}

pub fn protect(config: &Arc<ClientConfig>, socket: TcpStream) -> std::io::Result<Protected> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("a client");
    let mut protected = StreamOwned::new(connection, socket);
    while protected.conn.is_handshaking() {
        protected.conn.complete_io(&mut protected.sock)?;
    }
    Ok(protected)
}

pub struct Client {
    pub config: Arc<ClientConfig>,
    pub control: BufReader<Protected>,
    at: SocketAddr,
}

impl Client {
    /// Connects, begins TLS with AUTH, and logs in with private data connections.
    pub fn login(field: &Field, new: bool) -> Client {
        let mut client = Client::secured(field, new);
        client.asks("USER bob", "331");
        client.asks("PASS secret", "230");
        client.asks("PBSZ 0", "200");
        client.asks("PROT P", "200");
        client
    }

    pub fn secured(field: &Field, new: bool) -> Client {
        let mut socket = connect(field.at);
        assert!(line_of(&mut socket).starts_with("220 "));
        socket.write_all(b"AUTH TLS\r\n").expect("sent");
        assert!(line_of(&mut socket).starts_with("234 "));
        Client::over(field, new, socket)
    }

    pub fn over(field: &Field, new: bool, socket: TcpStream) -> Client {
        let config = config(&field.ca, new);
        let control = protect(&config, socket).expect("TLS");
        Client {
            config,
            control: BufReader::new(control),
            at: field.at,
        }
    }

    pub fn send(&mut self, line: &str) {
        let control = self.control.get_mut();
        control
            .write_all(format!("{line}\r\n").as_bytes())
            .expect("sent");
    }

    pub fn reply(&mut self) -> String {
        let mut line = String::new();
        self.control.read_line(&mut line).expect("a reply");
        line
    }

    pub fn asks(&mut self, line: &str, code: &str) -> String {
        self.send(line);
        let reply = self.reply();
        assert!(reply.starts_with(code), "{line}: {reply}");
        reply
    }

    /// Asks for a port, and answers with where it is.
    pub fn passive(&mut self) -> SocketAddr {
        let reply = self.asks("EPSV", "229");
        let port = reply.split('|').nth(3).and_then(|port| port.parse().ok());
        SocketAddr::new(self.at.ip(), port.expect("a port"))
    }

    /// Dials a data connection, and protects it when the command was sent.
    pub fn upload(&mut self, name: &str, content: &[u8]) -> bool {
        let at = self.passive();
        let socket = connect(at);
        self.send(&format!("STOR {name}"));
        let mut data = protect(&self.config, socket).expect("TLS");
        assert!(self.reply().starts_with("150"));
        data.write_all(content).expect("sent");
        let resumed = is_resumed(&data);
        end(data);
        let reply = self.reply();
        assert!(reply.starts_with("226"), "{reply}");
        resumed
    }

    /// Uploads, and closes as soon as all is written, without ever reading.
    pub fn throw(&mut self, name: &str, content: &[u8]) {
        let at = self.passive();
        let socket = connect(at);
        self.asks(&format!("STOR {name}"), "150");
        let mut data = protect(&self.config, socket).expect("TLS");
        data.write_all(content).expect("sent");
        data.conn.send_close_notify();
        while data.conn.wants_write() {
            data.conn.write_tls(&mut data.sock).expect("sent");
        }
        drop(data);
        let reply = self.reply();
        assert!(reply.starts_with("226"), "{reply}");
    }

    /// Uploads as curl 7.88 does: shakes hands before it sends STOR, and reads once, and only what is there, before it closes.
    /// Answers with whether it resumed, and whether a ticket was there.
    pub fn haste(&mut self, name: &str, content: &[u8]) -> (bool, bool) {
        let at = self.passive();
        let mut data = protect(&self.config, connect(at)).expect("TLS");
        let resumed = is_resumed(&data);
        self.asks(&format!("STOR {name}"), "150");
        data.write_all(content).expect("sent");
        data.sock.set_nonblocking(true).expect("set");
        if data.conn.read_tls(&mut data.sock).is_ok() {
            data.conn.process_new_packets().expect("good TLS");
        }
        data.sock.set_nonblocking(false).expect("set");
        let ticket = data.conn.tls13_tickets_received() > 0;
        data.conn.send_close_notify();
        data.flush().expect("sent");
        drop(data);
        let reply = self.reply();
        assert!(reply.starts_with("226"), "{reply}");
        (resumed, ticket)
    }

    pub fn download(&mut self, name: &str) -> (Vec<u8>, bool) {
        let at = self.passive();
        let socket = connect(at);
        self.send(&format!("RETR {name}"));
        let mut data = protect(&self.config, socket).expect("TLS");
        assert!(self.reply().starts_with("150"));
        let mut content = Vec::new();
        // An end without close_notify is an error here.
        data.read_to_end(&mut content)
            .expect("an end with close_notify");
        let resumed = is_resumed(&data);
        let reply = self.reply();
        assert!(reply.starts_with("226"), "{reply}");
        (content, resumed)
    }
}

pub fn is_resumed(data: &Protected) -> bool {
    data.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
}

/// Ends properly: close_notify, FIN, and the other side's end is read, with its tickets.
pub fn end(mut data: Protected) {
    data.conn.send_close_notify();
    data.flush().expect("sent");
    data.sock.shutdown(Shutdown::Write).expect("a FIN");
    let mut rest = Vec::new();
    data.read_to_end(&mut rest)
        .expect("the gateway says close_notify too");
}

/// Reads a line, byte by byte: nothing behind it.
pub fn line_of(socket: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        socket.read_exact(&mut byte).expect("a line");
        line.extend(byte);
    }
    String::from_utf8(line).expect("text")
}
