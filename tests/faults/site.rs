//! Client, gateway and vsftpd in namespaces of their own, with an operator's firewall on the gateway.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{Family, Lab, Node, Server, ServerKind};

use crate::PATIENCE;
use crate::client::Client;
use crate::program::Program;
use crate::transfer::{Half, content};

/// Limits that no test reaches, and processes that run as nobody in particular.
pub const ROOMY: &str = "process: {user: 65534}\n\
    limits: {connects_per_address: 10000/s, commands: 100000/s, sessions_per_address: 1000}\n";

/// The config's ttl (4 s), what the gateway asks for beyond it, and some air.
pub const EXPIRY: Duration = Duration::from_secs(4 + 2 + 3);

/// An operator's firewall: everything is dropped but FTP's port, what is established, and our mark.
pub const FILTER: &str = "table inet operators {
  set admins { type ipv4_addr; elements = { 203.0.113.99 }; }
  chain input {
    type filter hook input priority filter; policy drop;
    iif lo accept
    ct state established,related accept
    ct mark and 0x1000 == 0x1000 accept
    tcp dport 21 accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct mark and 0x1000 == 0x1000 accept
  }
}
";

/// An operator's address translation.
pub const NAT: &str = "table ip operators_nat {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.9.0.0/16 masquerade
  }
}
";

pub struct Site {
    pub lab: Lab,
    pub server: Server,
    pub program: Program,
}

impl Site {
    /// With a file `big` on the server, and an operator's filter.
    pub fn new(config: &'static str) -> Site {
        let lab = gateway_alone();
        nft(&lab, FILTER);
        let server = Server::start(&lab, ServerKind::Vsftpd).expect("vsftpd");
        let big = server.home().join("big");
        fs::write(&big, content()).expect("written");
        fs::write(server.home().join("file"), "some content").expect("written");
        server.give_to_account(server.home()).expect("given");
        let program = start(&lab, config);
        Site {
            lab,
            server,
            program,
        }
    }

    pub fn client(&self) -> Client {
        let at = self.program.at;
        let connect = || Client::connect(at);
        let mut client = self.lab.inside(Node::Client, connect).expect("inside");
        client.hears("220");
        client.asks(&format!("USER {USER}"), "331");
        client.asks(&format!("PASS {PASSWORD}"), "230");
        client.asks("TYPE I", "200");
        client
    }

    /// The client takes a file, and another one: all is as it should be.
    pub fn works(&self) {
        let mut client = self.client();
        for _ in 0..2 {
            let taken = self.lab.inside(Node::Client, || client.download("file"));
            assert_eq!(taken.expect("inside"), b"some content");
        }
    }

    /// A client in the middle of a download that the kernel carries.
    pub fn downloading(&self) -> Half {
        Half::download(self)
    }

    /// A client in the middle of an upload that the kernel carries.
    pub fn uploading(&self, name: &str) -> Half {
        Half::upload(self, name)
    }

    /// Runs a program in a node; answers with what it printed.
    pub fn run(&self, node: Node, words: &[&str]) -> String {
        run(&self.lab, node, words, "")
    }

    /// All tables but ours, as text.
    pub fn others(&self) -> String {
        let tables = self.run(Node::Gateway, &["nft", "list", "tables"]);
        let others = tables
            .lines()
            .filter(|line| *line != "table inet portcullis");
        let shown = others.map(|line| {
            let words: Vec<&str> = ["nft", "list"].into_iter().chain(line.split(' ')).collect();
            self.run(Node::Gateway, &words)
        });
        shown.collect()
    }

    /// How many entries of pinholes our table has.
    pub fn entries(&self) -> usize {
        let listed = self.run(
            Node::Gateway,
            &["nft", "-j", "list", "table", "inet", "portcullis"],
        );
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON of nft");
        let things = listed["nftables"].as_array().expect("a list");
        let of_holes = |set: &&serde_json::Value| {
            let name = set["name"].as_str().unwrap_or_default();
            ["guard", "open", "dnat", "snat"]
                .iter()
                .any(|kind| name.starts_with(kind))
        };
        let sets = things
            .iter()
            .flat_map(|thing| [&thing["set"], &thing["map"]])
            .filter(of_holes)
            .collect::<Vec<_>>();
        assert!(sets.len() >= 8, "the table is not whole: {listed}");
        sets.iter()
            .filter_map(|set| set["elem"].as_array())
            .map(Vec::len)
            .sum()
    }

    /// Waits until no entry of a pinhole is left.
    #[track_caller]
    pub fn empties(&self, within: Duration) {
        let until = Instant::now() + within;
        while self.entries() > 0 {
            assert!(Instant::now() < until, "{} entries stay", self.entries());
            // Nobody tells of it, so it is looked at again, up to the bound above.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the server has no connection any more but these many.
    #[track_caller]
    pub fn server_keeps(&self, count: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let shown = self.run(
                Node::Server,
                &["ss", "-Htn", "state", "established", "dst", "192.0.2.1"],
            );
            if shown.lines().count() <= count {
                return;
            }
            assert!(Instant::now() < until, "the server still has\n{shown}");
            // Nobody tells of it, so it is looked at again, up to the bound above.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a record of an event with this text in it.
    #[track_caller]
    pub fn journal_tells(&self, event: &str, part: &str) -> String {
        let event = format!("\"event\":\"{event}\"");
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(self.program.journal_path()).unwrap_or_default();
            let mut lines = text.lines();
            if let Some(line) = lines.find(|line| line.contains(&event) && line.contains(part)) {
                return line.to_owned();
            }
            assert!(
                Instant::now() < until,
                "no {event} with {part:?} in\n{text}"
            );
            // Nobody tells of it, so it is looked at again, up to the bound above.
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Clients that open pinholes without pause and never use one.
    pub fn openers(&self) -> Openers {
        let stop = Arc::new(AtomicBool::new(false));
        let opened = Arc::new(AtomicUsize::new(0));
        let threads = (0..3).map(|_| {
            let (at, stop, opened) = (self.program.at, Arc::clone(&stop), Arc::clone(&opened));
            let open = move || {
                while !stop.load(Ordering::Relaxed) {
                    if opens_one(at) {
                        opened.fetch_add(1, Ordering::Relaxed);
                    }
                }
            };
            // A thread has the namespace of the one that made it.
            self.lab
                .inside(Node::Client, || thread::spawn(open))
                .expect("inside")
        });
        let openers = Openers {
            threads: threads.collect(),
            stop,
            opened,
        };
        openers.opened_more(10);
        openers
    }
}

pub struct Openers {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
}

impl Openers {
    /// Waits until so many more were opened.
    pub fn opened_more(&self, count: usize) {
        let goal = self.opened.load(Ordering::Relaxed) + count;
        let until = Instant::now() + PATIENCE;
        while self.opened.load(Ordering::Relaxed) < goal {
            assert!(Instant::now() < until, "no pinholes open");
            // Nobody tells of it, so it is looked at again, up to the bound above.
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("joined");
        }
    }
}

/// Opens one pinhole in a session of its own; whatever goes wrong is what the test does.
fn opens_one(at: SocketAddr) -> bool {
    let opened = || -> std::io::Result<bool> {
        let mut control = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
        control.set_read_timeout(Some(Duration::from_secs(2)))?;
        let words = format!("USER {USER}\r\nPASS {PASSWORD}\r\nPASV\r\n");
        control.write_all(words.as_bytes())?;
        let (mut heard, mut some) = (Vec::new(), [0; 512]);
        loop {
            let length = control.read(&mut some)?;
            heard.extend_from_slice(&some[..length]);
            if heard.windows(4).any(|bytes| bytes == b"227 ") {
                return Ok(true);
            }
            if length == 0 {
                return Ok(false);
            }
        }
    };
    let opened = opened().unwrap_or(false);
    if !opened {
        // While nobody listens (that is the test) the attempts shall not take the whole processor.
        thread::sleep(Duration::from_millis(5));
    }
    opened
}

/// Namespaces in which the gateway forwards.
pub fn gateway_alone() -> Lab {
    let lab = Lab::new(&[Node::Client, Node::Server]).expect("a laboratory");
    let forwards = "echo 1 >/proc/sys/net/ipv4/ip_forward";
    run(&lab, Node::Gateway, &["sh", "-c", forwards], "");
    lab
}

/// Loads rules in the gateway's namespace.
pub fn nft(lab: &Lab, rules: &str) {
    run(lab, Node::Gateway, &["nft", "-f", "-"], rules);
}

fn run(lab: &Lab, node: Node, words: &[&str], input: &str) -> String {
    let mut child = lab
        .command(node, words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(words[0]);
    let mut stdin = child.stdin.take().expect("piped");
    // Whoever does not read it says why below.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect(words[0]);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Starts the program in the gateway's namespace.
fn start(lab: &Lab, config: &'static str) -> Program {
    let at = SocketAddr::new(Node::Gateway.address(Family::V4), 21);
    let upstream = SocketAddr::new(Node::Server.address(Family::V4), ServerKind::Vsftpd.port());
    // `ip netns exec NAMESPACE`, to be said again for a successor.
    let prefix = lab.command(Node::Gateway, env!("CARGO_BIN_EXE_portcullis"));
    let words: Vec<_> = prefix.get_args().map(ToOwned::to_owned).collect();
    let program = prefix.get_program().to_owned();
    let command = move |config: &Path| {
        let mut command = Command::new(&program);
        command.args(&words).args(["run", "--config"]).arg(config);
        command
    };
    Program::at(at, upstream.to_string(), config, command)
}
