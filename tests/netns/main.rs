//! An attacker who scans the gateway's windows without pause: what it sees, and what it spoils.
//!
//! The attacker lives in a network namespace of its own, with a route to every address of the gateway, and can be told from
//! the client by its address alone. It must never complete a connection to a port of a window, nor get a byte, nor break a
//! transfer. Needs root and the programs that `scripts/test` installs.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use portcullis_netlab::gateway::{UPSTREAM_WINDOW, WINDOW};
use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{
    DataMode, Failure, Family, Firewall, Gateway, Lab, Listener, Node, Server, ServerKind, journal,
    program,
};

use crate::dialogue::Dialogue;
use crate::scan::{Sight, scan};

mod dialogue;
mod scan;

/// How many files are transferred while the attacker scans, and in how many sessions.
const TRANSFERS: usize = 50;
const SESSIONS: usize = 5;

/// The one among them that is big enough for a long look.
const BIG: usize = 23;
const BIG_LENGTH: usize = 128 << 20;

/// How often each port must have been tried, lest the attack be over before it mattered.
const SWEEPS: usize = 20;

#[test]
fn a_scan_of_the_window_breaks_no_passive_transfer_over_ipv4() {
    attack(Family::V4, true);
}

#[test]
fn a_scan_of_the_window_breaks_no_passive_transfer_over_ipv6() {
    attack(Family::V6, true);
}

#[test]
fn a_scan_of_the_upstream_window_breaks_no_active_transfer() {
    attack(Family::V4, false);
}

/// A pinhole is held open, and only then looked for: no luck with timing is needed to see it.
#[test]
fn an_open_pinhole_is_invisible_to_others_and_still_there_for_its_owner() {
    let site = Site::new().unwrap();
    site.expect_that_the_attacker_can_see(Family::V4);
    let contents = site.write("held.bin", 70_001).unwrap();
    let control = SocketAddr::new(
        Node::Gateway.address(Family::V4),
        listener(Family::V4).port(),
    );
    let lab = &site.lab;
    let got = lab.inside(Node::Client, || {
        let mut dialogue = Dialogue::login(control, USER, PASSWORD)?;
        let pinhole = dialogue.epsv()?;
        if !WINDOW.contains(&pinhole.port()) {
            return Err(format!("{pinhole} is outside the window"));
        }
        let sight = lab.inside(Node::Attacker, || {
            scan(
                &[pinhole.ip()],
                &(pinhole.port()..=pinhole.port()),
                |sight| sight.attempts >= 20,
            )
        })?;
        println!("the attacker's view of the open pinhole {pinhole}: {sight:?}");
        let others = lab.inside(Node::Attacker, || {
            scan(&[pinhole.ip()], &WINDOW, |sight| sight.attempts >= 160)
        })?;
        println!("the attacker's view of the whole window: {others:?}");
        let got = dialogue.retrieve("held.bin", pinhole)?;
        Ok((sight, others, got))
    });
    let (sight, others, got) = got.unwrap().unwrap();
    sight.expect_nothing();
    others.expect_nothing();
    assert!(
        got == contents,
        "{} bytes of the file came, {} were expected",
        got.len(),
        contents.len()
    );
    site.finish();
}

fn attack(family: Family, passive: bool) {
    let site = Site::new().unwrap();
    site.expect_that_the_attacker_can_see(family);
    let contents: Vec<Vec<u8>> = (0..TRANSFERS)
        .map(|number| {
            site.write(
                &name(number),
                if number == BIG {
                    BIG_LENGTH
                } else {
                    1000 + number * 997
                },
            )
            .unwrap()
        })
        .collect();
    // A passive client dials the address that it knows; an active upstream dials the gateway's other side.
    let (address, ports): (IpAddr, RangeInclusive<u16>) = if passive {
        (Node::Gateway.address(family), WINDOW)
    } else {
        (Node::Server.gateway(family), UPSTREAM_WINDOW)
    };
    let enough = SWEEPS * ports.clone().count();
    let over = AtomicBool::new(false);
    let (sight, transferred) = thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            site.lab.inside(Node::Attacker, || {
                scan(&[address], &ports, |_| over.load(Ordering::Relaxed))
            })
        });
        let transferred = site.transfer(family, passive);
        over.store(true, Ordering::Relaxed);
        (attacker.join().unwrap().unwrap(), transferred)
    });
    println!("{TRANSFERS} transfers, the attacker's view of {address} {ports:?}: {sight:?}");
    transferred.unwrap();
    for (number, expected) in contents.iter().enumerate() {
        let path = site.here().join(name(number));
        let got = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            got == *expected,
            "{}: {} bytes, {} were expected",
            path.display(),
            got.len(),
            expected.len()
        );
    }
    sight.expect_nothing();
    assert!(
        sight.attempts >= enough,
        "only {} attempts: no attack",
        sight.attempts
    );
    let opened = site.finish();
    assert!(
        opened >= TRANSFERS,
        "{opened} pinholes for {TRANSFERS} transfers"
    );
}

fn name(number: usize) -> String {
    format!("file-{number:02}")
}

fn listener(upstream: Family) -> Listener {
    Listener {
        server: ServerKind::Vsftpd,
        host: Node::Server,
        upstream,
        data_mode: DataMode::AsClient,
    }
}

/// A laboratory with an attacker in it.
struct Site {
    server: Server,
    gateway: Gateway,
    lab: Lab,
}

impl Site {
    fn new() -> Result<Self, Failure> {
        portcullis_netlab::server::programs()?;
        let lab = Lab::new(&[Node::Client, Node::Server, Node::Attacker])?;
        let server = Server::start(&lab, ServerKind::Vsftpd)?;
        let portcullis = Path::new(env!("CARGO_BIN_EXE_portcullis"));
        let gateway = Gateway::start(
            &lab,
            portcullis,
            &Family::BOTH.map(listener),
            Firewall::None,
        )?;
        let site = Self {
            server,
            gateway,
            lab,
        };
        fs::create_dir_all(site.here()).map_err(|error| error.to_string())?;
        Ok(site)
    }

    /// Where the client keeps what it got.
    fn here(&self) -> std::path::PathBuf {
        self.lab.directory().join("client")
    }

    /// Puts a file on the server and returns its contents, which differ from file to file.
    fn write(&self, name: &str, length: usize) -> Result<Vec<u8>, Failure> {
        let seed: usize = name.bytes().map(usize::from).sum();
        let contents: Vec<u8> = (0..length)
            .map(|index| ((index * 31 + index / 251 + seed) % 253) as u8)
            .collect();
        let path = self.server.home().join(name);
        fs::write(&path, &contents).map_err(|error| format!("{}: {error}", path.display()))?;
        self.server.give_to_account(&path)?;
        Ok(contents)
    }

    /// The scanner is no evidence unless it sees a port that is open: the control port, with its greeting.
    fn expect_that_the_attacker_can_see(&self, family: Family) {
        let (address, port) = (Node::Gateway.address(family), listener(family).port());
        let sight = self
            .lab
            .inside(Node::Attacker, || {
                scan(&[address], &(port..=port), |sight| sight.bytes > 0)
            })
            .unwrap();
        assert!(
            sight.opened > 0 && sight.bytes > 0,
            "the attacker can't reach {address} at all: {sight:?}"
        );
    }

    /// Downloads all files with lftp, in several sessions.
    fn transfer(&self, family: Family, passive: bool) -> Result<(), Failure> {
        let port = listener(family).port();
        let host = match Node::Gateway.address(family) {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let lftp = program::find("lftp")?;
        for session in 0..SESSIONS {
            let numbers = (0..TRANSFERS).filter(|number| number % SESSIONS == session);
            let gets: String = numbers
                .map(|number| format!("get {}; ", name(number)))
                .collect();
            let script = format!(
                "set net:max-retries 1; set net:timeout 30; set cmd:fail-exit yes; set ftp:ssl-allow no; \
                 set ftp:passive-mode {passive}; open -u {USER},{PASSWORD} -p {port} ftp://{host}; {gets}"
            );
            let mut command: Command = self.lab.command(Node::Client, "timeout");
            command
                .arg("120")
                .arg(&lftp)
                .args(["--norc", "-c", &script]);
            command.current_dir(self.here()).env("HOME", self.here());
            let output = command
                .output()
                .map_err(|error| format!("{command:?}: {error}"))?;
            if !output.status.success() {
                return Err(format!(
                    "session {session} ended with {}:\n{}{}\n--- server\n{}\n--- gateway\n{}\n--- journal\n{}",
                    output.status,
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr),
                    self.server.log_since(0),
                    self.gateway.printed(),
                    self.gateway.journal_text()
                ));
            }
        }
        Ok(())
    }

    /// Ends the gateway and returns how many pinholes its journal shows, all of them closed.
    fn finish(self) -> usize {
        let records = self.gateway.stop().unwrap();
        println!("journal: {:?}", journal::counts(&records));
        journal::balanced_pinholes(&records).unwrap().len()
    }
}

impl Sight {
    /// Fails unless the attacker saw refusals and silence alone.
    fn expect_nothing(&self) {
        let (opened, bytes, strange) = (self.opened, self.bytes, &self.strange);
        assert_eq!(
            (opened, bytes),
            (0, 0),
            "the attacker had {opened} connections and {bytes} bytes: {self:?}"
        );
        assert!(
            strange.is_empty(),
            "the attacker's own trouble: {strange:?}"
        );
    }
}

/// How long a dialogue waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
