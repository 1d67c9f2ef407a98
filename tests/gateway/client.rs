//! A client that says what the test wants, and checks what it hears.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, SockRef, Socket, Type};

use crate::PATIENCE;
use crate::server::GREETING;

pub struct Client {
    pub control: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(to: SocketAddr) -> Client {
        Client::over(TcpStream::connect(to).expect("a connection"))
    }

    pub fn connect_from(from: IpAddr, to: SocketAddr) -> Client {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::new(from, 0).into())
            .expect("bound");
        socket.connect(&to.into()).expect("connected");
        Client::over(socket.into())
    }

    pub fn over(control: TcpStream) -> Client {
        control.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        control
            .set_write_timeout(Some(PATIENCE))
            .expect("a timeout");
        let lines = BufReader::new(control.try_clone().expect("a clone"));
        Client { control, lines }
    }

    /// Connects and logs in.
    pub fn login(to: SocketAddr) -> Client {
        Client::connect(to).logged_in()
    }

    pub fn logged_in(mut self) -> Client {
        assert_eq!(self.reply(), GREETING);
        self.asks("USER bob", "331");
        self.asks("PASS secret", "230");
        self
    }

    pub fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\r\n").as_bytes());
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.control.write_all(bytes).expect("sent");
    }

    /// Sends bytes of which the last is urgent.
    pub fn send_urgent(&mut self, bytes: &[u8]) {
        let sent = SockRef::from(&self.control)
            .send_out_of_band(bytes)
            .expect("sent");
        assert_eq!(sent, bytes.len());
    }

    /// Reads one line of a reply.
    pub fn reply(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a reply");
        assert!(line.ends_with("\r\n"), "not a whole line: {line:?}");
        line.trim_end().to_owned()
    }

    pub fn hears(&mut self, code: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(code), "wanted {code}, heard {reply}");
        reply
    }

    pub fn asks(&mut self, command: &str, code: &str) -> String {
        self.send(command);
        self.hears(code)
    }

    /// Reads until the gateway hangs up; answers with what came before.
    pub fn hears_the_end(&mut self) -> String {
        let mut rest = String::new();
        self.lines
            .read_to_string(&mut rest)
            .expect("an end without an error");
        rest
    }

    /// Sends PASV; answers with the address to dial.
    pub fn passive(&mut self) -> SocketAddr {
        let reply = self.asks("PASV", "227");
        let (_, fields) = reply.split_once('(').expect("an address");
        let fields: Vec<u8> = fields
            .trim_end_matches(").")
            .split(',')
            .map(|field| field.parse().expect("a number"))
            .collect();
        let [a, b, c, d, high, low] = fields[..] else {
            panic!("not six numbers: {reply}");
        };
        SocketAddr::from(([a, b, c, d], u16::from(high) << 8 | u16::from(low)))
    }

    /// Sends EPSV; answers with the address to dial.
    pub fn extended_passive(&mut self) -> SocketAddr {
        let reply = self.asks("EPSV", "229");
        let port = reply
            .split('|')
            .nth(3)
            .expect("a port")
            .parse()
            .expect("a number");
        SocketAddr::new(self.control.peer_addr().expect("a peer").ip(), port)
    }

    /// Sends PORT; answers with where the gateway will dial.
    pub fn active(&mut self) -> TcpListener {
        let listener = TcpListener::bind((self.control.local_addr().expect("ours").ip(), 0))
            .expect("a listener");
        let at = listener.local_addr().expect("an address");
        let IpAddr::V4(ip) = at.ip() else {
            panic!("PORT is for IPv4");
        };
        let [a, b, c, d] = ip.octets();
        self.asks(
            &format!(
                "PORT {a},{b},{c},{d},{},{}",
                at.port() >> 8,
                at.port() & 255
            ),
            "200",
        );
        listener
    }

    /// Dials a data port from this client's own address.
    pub fn dial(&self, to: SocketAddr) -> TcpStream {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        let from = self.control.local_addr().expect("ours").ip();
        socket
            .bind(&SocketAddr::new(from, 0).into())
            .expect("bound");
        socket
            .connect(&to.into())
            .expect("connected to the pinhole");
        let data: TcpStream = socket.into();
        data.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        data.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        data
    }

    /// Downloads a file in passive mode.
    pub fn download(&mut self, name: &str) -> Vec<u8> {
        let at = self.passive();
        let data = self.dial(at);
        self.asks(&format!("RETR {name}"), "150");
        let content = read_all(data);
        self.hears("226");
        content
    }

    /// Uploads a file in passive mode.
    pub fn upload(&mut self, name: &str, content: &[u8]) {
        let at = self.passive();
        let mut data = self.dial(at);
        self.asks(&format!("STOR {name}"), "150");
        data.write_all(content).expect("sent");
        drop(data);
        self.hears("226");
    }
}

pub fn read_all(mut data: TcpStream) -> Vec<u8> {
    let mut content = Vec::new();
    data.read_to_end(&mut content).expect("all of it");
    content
}
