//! Draining and ending inside one process, a journal that cannot be written, a bug.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;

use portcullis::config::Config;
use portcullis::gateway::{Gateway, Overrides};
use portcullis::pinhole::{OwnSockets, Sockets, SourcePortFallback};

use crate::client::{Client, read_all};
use crate::gate::{Setup, until};
use crate::server::Server;

#[test]
fn draining_lets_running_transfers_finish_and_closes_and_records_every_pinhole() {
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let gate = Setup::to(server.at).start();
    let mut busy = Client::login(gate.at);
    let at = busy.passive();
    let data = busy.dial(at);
    busy.asks("RETR held", "150");
    let mut waiting = Client::login(gate.at);
    waiting.passive();
    gate.running.drain();
    waiting.hears("421");
    assert_eq!(gate.journal.shows("gateway.stopping")["sessions"], 2);
    gate.journal.shows("session.closed");
    // Each worker shuts its own door.
    until("new sessions are still taken", || {
        TcpStream::connect(gate.at).is_err()
    });
    drop(hold);
    assert_eq!(read_all(data), b"first half, second half");
    busy.hears("226");
    busy.hears("421");
    gate.running.wait();
    let rest = gate.journal.to_the_end();
    let closed = rest
        .iter()
        .find(|record| record["event"] == "pinhole.closed")
        .expect("a pinhole");
    assert_eq!(closed["reason"], "completed");
}

#[test]
fn draining_ends_transfers_at_timeouts_drain() {
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let gate = Setup::to(server.at)
        .more("timeouts: {drain: 200ms}")
        .start();
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let data = client.dial(at);
    client.asks("RETR held", "150");
    gate.running.shutdown();
    let records = gate.journal.to_the_end();
    let of = |event: &str| {
        records
            .iter()
            .filter(|record| record["event"] == event)
            .count()
    };
    assert_eq!((of("pinhole.opened"), of("pinhole.closed")), (1, 1));
    assert_eq!((of("session.opened"), of("session.closed")), (1, 1));
    drop((hold, data));
}

#[test]
fn a_second_order_ends_at_once() {
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let gate = Setup::to(server.at).start();
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let _data = client.dial(at);
    client.asks("RETR held", "150");
    gate.running.drain();
    gate.running.end();
    gate.running.wait();
    let records = gate.journal.to_the_end();
    let closed = records
        .iter()
        .find(|record| record["event"] == "session.closed")
        .expect("a session");
    assert_eq!(closed["reason"], "shutdown");
    drop(hold);
}

#[test]
fn a_journal_that_cannot_be_written_means_no_pinholes_451_and_recovery() {
    let server = Server::start().with_file("file", b"some content");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut setup = Setup::to(server.at);
    setup.journal = path.display().to_string();
    let gate = setup.start_with(directory);
    let mut client = Client::login(gate.at);
    assert_eq!(client.download("file"), b"some content");

    let journal_goes_to = |to: &str| {
        let mut setup = gate.setup.clone();
        setup.journal = to.to_owned();
        *gate.text.lock().expect("the text") = setup.text();
        gate.running.reload().expect("reloaded");
    };
    journal_goes_to("/dev/full");
    client.asks("PASV", "451");
    client.asks("NOOP", "200");
    let mut other = Client::connect(gate.at);
    other.hears("421");

    journal_goes_to(&path.display().to_string());
    assert_eq!(client.download("file"), b"some content");
    assert_eq!(Client::login(gate.at).download("file"), b"some content");
    let journal = std::fs::read_to_string(&path).expect("a journal");
    let opened = journal
        .lines()
        .filter(|line| line.contains("\"pinhole.opened\""))
        .count();
    assert_eq!(opened, 3, "the refused one is not among them");
}

/// Makes sockets as they should be, but for those of pinholes.
struct Faulty(OwnSockets);

impl Sockets for Faulty {
    fn control_listener(&self, at: SocketAddr) -> io::Result<TcpListener> {
        self.0.control_listener(at)
    }

    fn pinhole(&self, at: SocketAddr) -> io::Result<socket2::Socket> {
        // Port 0 is asked for at the start, to see what the kernel allows.
        assert_eq!(at.port(), 0, "a bug, on purpose");
        self.0.pinhole(at)
    }

    fn dialler(&self, from: Option<SocketAddr>, to: SocketAddr) -> io::Result<socket2::Socket> {
        self.0.dialler(from, to)
    }

    fn source_port_fallback(&self) -> &SourcePortFallback {
        self.0.source_port_fallback()
    }
}

#[test]
fn a_bug_in_one_session_ends_that_session_alone() {
    let server = Server::start();
    let text = Setup::to(server.at).more("limits: {sessions: 3}").text();
    let config = Config::parse(&text, "test.yaml")
        .expect("a good config")
        .config;
    let overrides = Overrides {
        // One may not have cleared a place yet while the other takes the next client: more are no matter of this test.
        workers: NonZeroUsize::new(2),
        sockets: Some(Arc::new(Faulty(OwnSockets::new()))),
        ..Overrides::default()
    };
    let running = Gateway::start(config, overrides).expect("a gateway");
    let at = running.addresses()[0].1;
    let mut good = Client::login(at);
    // More than there is room for, if their places were not free again just after they end.
    for _ in 0..6 {
        let mut bad = Client::login(at);
        bad.send("PASV");
        assert_eq!(bad.hears_the_end(), "");
    }
    good.asks("NOOP", "200");
    running.shutdown();
}
