//! A server that says and does what the test wants, line by line, in the test's own thread.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::client::Client;
use crate::gate::{Gate, Setup};
use crate::server::GREETING;
use crate::{PATIENCE, ours};

/// Where the gateway's upstream connections arrive.
pub struct Upstream {
    pub at: SocketAddr,
    listener: TcpListener,
}

impl Upstream {
    pub fn new() -> Upstream {
        Upstream::on(IpAddr::from([127, 0, 0, 1]))
    }

    pub fn on(ip: IpAddr) -> Upstream {
        let listener = listener(ip);
        let at = listener.local_addr().expect("an address");
        Upstream { at, listener }
    }

    /// The setup of a gateway in front of this server, at the address of one test.
    pub fn setup(&self, test: u8) -> Setup {
        setup(self.at, test)
    }

    /// Starts a gateway in front of this server.
    pub fn start(&self, setup: Setup) -> Gate {
        self.started(setup.start())
    }

    /// Lets a gateway that has just started see that this server is there.
    pub fn started(&self, gate: Gate) -> Gate {
        let looked = accept(&self.listener).read(&mut [0; 1]);
        assert!(!matches!(looked, Ok(1..)), "it only looks");
        gate
    }

    /// Waits for the gateway's dial, and greets it.
    pub fn accept(&self) -> Peer {
        let control = accept(&self.listener);
        control.set_nodelay(true).expect("set");
        let lines = BufReader::new(control.try_clone().expect("a clone"));
        let mut peer = Peer { control, lines };
        peer.says(GREETING);
        peer
    }

    /// A session that is logged in: the client's end and the server's.
    pub fn session(&self, gate: &Gate) -> (Client, Peer) {
        self.login(Client::connect(gate.at))
    }

    pub fn login(&self, mut client: Client) -> (Client, Peer) {
        let mut peer = self.accept();
        client.hears("220");
        peer.answers(&mut client, "USER bob", "331 Password?");
        peer.answers(&mut client, "PASS secret", "230 Welcome.");
        (client, peer)
    }
}

/// A gateway's setup at the address of one test.
pub fn setup(upstream: SocketAddr, test: u8) -> Setup {
    let mut setup = Setup::to(upstream);
    setup.listen = SocketAddr::new(ours(test), 0).to_string();
    setup
}

/// The server's end of a session.
pub struct Peer {
    pub control: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Peer {
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a command");
        assert!(line.ends_with("\r\n"), "not a whole line: {line:?}");
        line.trim_end().to_owned()
    }

    pub fn hears(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    pub fn says(&mut self, line: &str) {
        self.control
            .write_all(format!("{line}\r\n").as_bytes())
            .expect("said");
    }

    /// The client sends a command, this server answers it, the client hears that.
    pub fn answers(&mut self, client: &mut Client, command: &str, reply: &str) {
        client.send(command);
        self.hears(command);
        self.says(reply);
        assert_eq!(client.reply(), reply);
    }

    /// The client sends PASV: answers with the pinhole that it is told, and the port where this server awaits.
    pub fn passive(&mut self, client: &mut Client) -> (SocketAddr, TcpListener) {
        client.send("PASV");
        self.hears("PASV");
        let listener = listener(self.control.local_addr().expect("ours").ip());
        let port = listener.local_addr().expect("an address").port();
        self.says(&format!("227 Here (10,9,8,7,{},{})", port >> 8, port & 255));
        (told(&client.hears("227")), listener)
    }
}

/// Reads the address in a 227.
pub fn told(reply: &str) -> SocketAddr {
    let (_, fields) = reply.split_once('(').expect("an address");
    let fields: Vec<u16> = fields
        .trim_end_matches(").")
        .split(',')
        .map(|field| field.parse().expect("a number"))
        .collect();
    let ip: Vec<u8> = fields[..4]
        .iter()
        .map(|octet| u8::try_from(*octet).expect("an octet"))
        .collect();
    SocketAddr::from(([ip[0], ip[1], ip[2], ip[3]], fields[4] << 8 | fields[5]))
}

/// A listener whose `accept` does not wait for ever.
pub fn listener(ip: IpAddr) -> TcpListener {
    let listener = TcpListener::bind((ip, 0)).expect("a listener");
    SockRef::from(&listener)
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout");
    listener
}

/// Waits for a connection.
pub fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Says that nobody has dialled this listener so far.
pub fn expect_nobody(listener: &TcpListener) {
    listener.set_nonblocking(true).expect("set");
    let nobody = listener.accept().expect_err("nobody");
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
    listener.set_nonblocking(false).expect("set");
}

/// Dials from an address that is given.
pub fn try_dial(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = bound(from);
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let data = TcpStream::from(socket);
    data.set_read_timeout(Some(PATIENCE))?;
    Ok(data)
}

/// Begins to dial from an address that is given, and does not wait for an answer.
pub fn begin_dial(from: IpAddr, to: SocketAddr) -> Socket {
    let socket = bound(from);
    socket.set_nonblocking(true).expect("set");
    // It is under way, or was turned away already.
    let _ = socket.connect(&to.into());
    socket
}

fn bound(from: IpAddr) -> Socket {
    let from = SocketAddr::new(from, 0);
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, None).expect("a socket");
    socket.bind(&from.into()).expect("bound");
    socket
}

/// Says that nothing listens there any more.
pub fn expect_shut(from: IpAddr, at: SocketAddr) {
    let refused = try_dial(from, at).expect_err("nothing listens there");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{at}");
}

/// Closes a connection with a reset.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .expect("set");
    drop(stream);
}
