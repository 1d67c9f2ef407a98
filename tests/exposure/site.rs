//! Client, gateway, server and attacker, the files, and how they are taken.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use portcullis_netlab::gateway::WINDOW;
use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{Family, Lab, Node, Server, ServerKind, program, server};

use crate::control;
use crate::dialogue::Dialogue;
use crate::figures::Thefts;
use crate::peer::{Peer, Running};
use crate::scan::{Sight, scan};

/// The port of the control connections.
pub const CONTROL: u16 = 21;

/// How many files are taken under attack.
pub const TRANSFERS: usize = 50;

/// How many files a thief tries to take who dials before the client does.
pub const THEFTS: usize = 10;

/// How long a client waits for its file under attack.
const UNDER_ATTACK: Duration = Duration::from_secs(5);

/// After how many failures on end no further file is tried.
const HOPELESS: usize = 8;

/// How long a thief tries, while the client waits.
const HEAD_START: Duration = Duration::from_millis(200);

/// One file in this many is long enough for a long look.
const LONG: usize = 25;

pub struct Site {
    pub lab: Lab,
    server: Server,
    family: Family,
    peer: Peer,
}

impl Site {
    pub fn new(family: Family) -> Self {
        allow_many_sockets();
        server::programs().unwrap();
        program::find("curl").unwrap();
        let lab = Lab::new(&[Node::Client, Node::Server, Node::Attacker]).unwrap();
        let server = Server::start(&lab, ServerKind::Vsftpd).unwrap();
        let site = Self {
            lab,
            server,
            family,
            peer: Peer::Portcullis,
        };
        for number in 0..TRANSFERS {
            let path = site.server.home().join(name(number));
            fs::write(&path, contents(number)).unwrap();
            site.server.give_to_account(&path).unwrap();
        }
        site
    }

    pub fn start(&mut self, peer: Peer) -> Running {
        self.peer = peer;
        peer.start(&self.lab, self.family).unwrap()
    }

    /// Downloads a file with curl and tells whether it came whole.
    pub fn transfer(&self, number: usize, patience: Duration) -> bool {
        let number = number % TRANSFERS;
        let mut command = self.lab.command(Node::Client, "curl");
        let output = command
            .args(["-q", "-sS", "--user", &format!("{USER}:{PASSWORD}")])
            .args(["--max-time", &patience.as_secs().to_string()])
            .arg(format!("ftp://{}/{}", control(self.family), name(number)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let whole = output.status.success() && output.stdout == contents(number);
        if !whole {
            let said = String::from_utf8_lossy(&output.stderr);
            let peer = self.peer.name();
            println!(
                "{peer}: {}: {} {}",
                name(number),
                output.status,
                said.trim()
            );
        }
        whole
    }

    /// All files, while the attacker tries the window's ports without pause; how many came whole.
    pub fn transfers_under_attack(&self) -> (Sight, usize) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                let gateway = [control(self.family).ip()];
                let attack = || scan(&gateway, &WINDOW, |_| over.load(Ordering::Relaxed));
                self.lab.inside(Node::Attacker, attack).unwrap()
            });
            let (mut done, mut failed_on_end) = (0, 0);
            for number in 0..TRANSFERS {
                let whole = self.transfer(number, UNDER_ATTACK);
                done += usize::from(whole);
                failed_on_end = if whole { 0 } else { failed_on_end + 1 };
                if failed_on_end == HOPELESS {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
            (attacker.join().unwrap(), done)
        })
    }

    /// The client asks for a port and takes its time; somebody else dials it first.
    pub fn thefts(&self) -> Thefts {
        let mut thefts = Thefts::default();
        for number in 0..THEFTS {
            let taken = self
                .lab
                .inside(Node::Client, || self.theft(number))
                .unwrap();
            let (stolen, arrived) = taken;
            thefts.files += usize::from(stolen > 0);
            thefts.bytes += stolen;
            thefts.arrived += usize::from(arrived);
        }
        thefts
    }

    /// How many bytes the thief got, and whether the client got the file.
    fn theft(&self, number: usize) -> (usize, bool) {
        let mut dialogue = Dialogue::login(control(self.family), USER, PASSWORD).unwrap();
        let pinhole = dialogue.epsv().unwrap();
        let thief = || TcpStream::connect_timeout(&pinhole, HEAD_START);
        let thief = self.lab.inside(Node::Attacker, thief).unwrap();
        thread::scope(|scope| {
            let stealing = scope.spawn(|| {
                let Ok(mut data) = thief else { return 0 };
                data.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut stolen = Vec::new();
                // What was read before an error is stolen as well.
                let _ = data.read_to_end(&mut stolen);
                stolen.len()
            });
            let arrived = dialogue.retrieve(&name(number), pinhole);
            drop(dialogue);
            let arrived = arrived.is_ok_and(|got| got == contents(number));
            (stealing.join().unwrap(), arrived)
        })
    }
}

pub fn name(number: usize) -> String {
    format!("file-{number:02}")
}

pub fn contents(number: usize) -> Vec<u8> {
    let length = if number % LONG == LONG / 2 {
        8 << 20
    } else {
        1000 + number * 997
    };
    (0..length)
        .map(|index| ((index * 31 + index / 251 + number) % 253) as u8)
        .collect()
}

/// Several scanners at once have more sockets than the usual 1,024.
fn allow_many_sockets() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    // Lest what this test prints be lost should a peer's program hang.
    std::io::stdout().flush().unwrap();
}
