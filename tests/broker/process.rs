//! Broker and gateway as processes, with a firewall of values: kills, restarts, reloads, draining.
//!
//! The broker is this very program, run again with only [`as_broker`] in it; the gateway is `portcullis`, confined where
//! the tests run as root.

mod exits;
mod program;

use std::io::Read as _;
use std::net::{Shutdown, TcpStream};

use rustix::process::Signal;
use serde_json::Value;

use crate::client::{Client, read_all};
use crate::server::Server;

use program::Program;

/// Becomes the broker when this program is run for it; as a test it has nothing to do.
#[test]
fn as_broker() {
    if let Some(config) = std::env::var_os(program::CONFIG) {
        program::serve(config.as_ref());
    }
}

fn file() -> Server {
    Server::start()
        .with_file("file", b"some content")
        .with_file("held", b"first half, second half")
}

fn works(program: &Program) {
    let mut client = Client::login(program.at);
    assert_eq!(client.download("file"), b"some content");
}

/// The service manager hears of each reload, whatever comes of it.
fn told_of_a_reload(program: &Program) {
    program.notified("RELOADING=1");
    program.notified("READY=1");
}

#[test]
fn sessions_are_carried_and_status_says_who_is_who() {
    let server = file();
    let program = Program::start(1, &server);
    works(&program);
    program.logs("hands: open 1");
    program.logs("hands: close 1");
    let status = program.status();
    assert_eq!(status["firewall"], "nftables");
    assert_eq!(status["process"]["broker"], program.broker());
    let gateway = program.gateway();
    assert_ne!(gateway, program.broker());
    program.journal_shows("transfer.completed");
    if rustix::process::geteuid().is_root() {
        let status = std::fs::read_to_string(format!("/proc/{gateway}/status")).expect("status");
        for line in [
            "Uid:\t65534\t65534\t65534\t65534",
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(status.contains(line), "no {line:?} in\n{status}");
        }
    }
}

#[test]
fn a_killed_gateway_at_rest_is_followed_at_once() {
    let server = file();
    let program = Program::start(2, &server);
    let first = program.gateway();
    program.kill(first);
    // The listener was never shut: whoever comes now is served by the next gateway.
    works(&program);
    let second = program.gateway();
    assert_ne!(first, second);
    assert_eq!(program.status()["process"]["broker"], program.broker());
    program.notified("STATUS=The gateway ended and is started anew");
    program.notified("READY=1");
}

#[test]
fn a_killed_gateway_with_a_session_resets_it_and_leaves_no_hole() {
    let server = file();
    let _hold = server.hold();
    let program = Program::start(3, &server);
    let mut busy = Client::login(program.at);
    let at = busy.passive();
    let mut data = busy.dial(at);
    busy.asks("RETR held", "150");
    let mut waiting = Client::login(program.at);
    let hole = waiting.passive();
    program.logs("hands: open 2");
    program.kill(program.gateway());
    let mut rest = Vec::new();
    // Reset or ended: it does not go on.
    let _ = data.read_to_end(&mut rest);
    let _ = waiting.control.read_to_end(&mut rest);
    program.logs("hands: close 2");
    assert!(
        TcpStream::connect(hole).is_err(),
        "the pinhole is still open"
    );
    works(&program);
}

#[test]
fn a_killed_broker_leaves_a_gateway_that_drains_and_ends() {
    let server = file();
    let hold = server.hold();
    let mut program = Program::start(4, &server);
    let mut busy = Client::login(program.at);
    let at = busy.passive();
    let data = busy.dial(at);
    busy.asks("RETR held", "150");
    let gateway = program.gateway();
    program.kill_broker();
    program.logs("the broker is gone");
    // A successor has everything at once, beside the one that drains.
    let next = program.start_again();
    works(&next);
    assert!(Program::lives(gateway), "it ended before its transfer");
    drop(hold);
    assert_eq!(read_all(data), b"first half, second half");
    busy.hears("226");
    drop(busy);
    Program::gone(gateway);
    works(&next);
}

#[test]
fn a_killed_broker_at_rest_takes_its_gateway_along() {
    let server = file();
    let mut program = Program::start(5, &server);
    let gateway = program.gateway();
    program.kill_broker();
    Program::gone(gateway);
    let next = program.start_again();
    works(&next);
}

#[test]
fn both_killed_a_restart_works_at_once() {
    let server = file();
    let _hold = server.hold();
    let mut program = Program::start(6, &server);
    let mut busy = Client::login(program.at);
    let at = busy.passive();
    let _data = busy.dial(at);
    busy.asks("RETR held", "150");
    let gateway = program.gateway();
    program.kill_broker();
    program.kill(gateway);
    let next = program.start_again();
    works(&next);
}

#[test]
fn a_good_config_is_put_in_force_and_a_wrong_one_changes_nothing() {
    let server = file();
    let program = Program::start(7, &server);
    let mut client = Client::login(program.at);
    program.configure("limits: {sessions: nonsense}\n");
    let answer = program.ctl(&["reload"]);
    assert!(!answer.status.success());
    let said = String::from_utf8_lossy(&answer.stderr).into_owned();
    assert!(said.contains("`nonsense` is not a number"), "{said}");
    told_of_a_reload(&program);
    assert_eq!(client.download("file"), b"some content");

    program.configure("rules: {default: deny}\n");
    let answer = program.ctl(&["reload"]);
    assert!(answer.status.success(), "{answer:?}");
    program.journal_shows("gateway.reloaded");
    program.logs("the config was reloaded");
    told_of_a_reload(&program);
    client.asks("RETR file", "550");

    program.configure("");
    program.signal(Signal::HUP);
    program.logs("the config was reloaded");
    told_of_a_reload(&program);
    let mut client = Client::login(program.at);
    assert_eq!(client.download("file"), b"some content");
    // What was in force is what a successor begins with.
    program.configure("limits: {sessions: nonsense}\n");
    program.kill(program.gateway());
    works(&program);
}

#[test]
fn a_reload_that_drops_a_listener_does_not_hinder_a_successor() {
    let server = file();
    let program = Program::start(8, &server);
    program.configure_listener("other", "");
    let answer = program.ctl(&["reload"]);
    assert!(answer.status.success(), "{answer:?}");
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(
        said.contains("wait for a restart: listeners.main, listeners.other"),
        "{said}"
    );
    program.kill(program.gateway());
    works(&program);
}

#[test]
fn sigterm_lets_transfers_finish_and_passes_the_exit_code_on() {
    let server = file();
    let hold = server.hold();
    let mut program = Program::start(9, &server);
    let mut client = Client::login(program.at);
    let at = client.passive();
    let data = client.dial(at);
    client.asks("RETR held", "150");
    program.signal(Signal::TERM);
    program.notified("STOPPING=1");
    drop(hold);
    assert_eq!(read_all(data), b"first half, second half");
    client.hears("226");
    assert_eq!(program.ends(), Some(0));
    assert!(TcpStream::connect(program.at).is_err(), "somebody listens");
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let server = file();
    let _hold = server.hold();
    let mut program = Program::start(10, &server);
    let mut client = Client::login(program.at);
    let at = client.passive();
    let _data = client.dial(at);
    client.asks("RETR held", "150");
    program.signal(Signal::TERM);
    program.notified("STOPPING=1");
    program.signal(Signal::TERM);
    assert_eq!(program.ends(), Some(0));
}

#[test]
fn ctl_drain_ends_both() {
    let server = file();
    let mut program = Program::start(11, &server);
    let gateway = program.gateway();
    let answer = program.ctl(&["drain"]);
    assert!(answer.status.success(), "{answer:?}");
    assert_eq!(program.ends(), Some(0));
    Program::gone(gateway);
}

/// RFC 959: data for a PORT comes from the port beside the listener's; the confined gateway cannot bind it itself.
#[test]
fn active_data_comes_from_a_port_that_the_broker_lends() {
    let server = file();
    let program = Program::start(12, &server);
    let mut client = Client::login(program.at);
    let listener = client.active();
    client.send("RETR file");
    let (data, from) = listener.accept().expect("dialled");
    assert_eq!(from.ip(), program.at.ip());
    assert_eq!(from.port(), program.at.port() - 1);
    client.hears("150");
    assert_eq!(read_all(data), b"some content");
    client.hears("226");
}

#[test]
fn upstreams_names_are_resolved_by_the_helper_and_then_permitted() {
    let server = file();
    let program = Program::start_named(13, &server);
    works(&program);
    if rustix::process::geteuid().is_root() {
        program.logs("helper: uid 65534");
    }
}

#[test]
fn the_journal_is_reopened_and_lasts_over_gateways() {
    let server = file();
    let program = Program::start(14, &server);
    works(&program);
    // What gates no effect may be lost with the process: it has to be written first.
    program.journal_shows("transfer.completed");
    program.kill(program.gateway());
    works(&program);
    program.journal_shows_times(2, "transfer.completed");
    let aside = program.journal_path().with_extension("aside");
    std::fs::rename(program.journal_path(), &aside).expect("moved");
    program.signal(Signal::HUP);
    program.logs("the journal was reopened");
    works(&program);
    program.journal_shows("transfer.completed");
    let text = std::fs::read_to_string(aside).expect("a journal");
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("whole lines"))
        .collect();
    let count = |event: &str| {
        records
            .iter()
            .filter(|record| record["event"] == event)
            .count()
    };
    assert_eq!(
        (count("gateway.started"), count("transfer.completed")),
        (2, 2)
    );
}

#[test]
fn a_gateway_that_no_broker_starts_says_so() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("gateway")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("run");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("started by `portcullis run`"), "{said}");
}

/// A client that hangs up takes its session with it, also in the gateway of a broker.
#[test]
fn sessions_are_counted_where_they_are() {
    let server = file();
    let program = Program::start(15, &server);
    let client = Client::login(program.at);
    assert_eq!(program.status()["sessions"], 1);
    client.control.shutdown(Shutdown::Both).expect("shut");
    program.journal_shows("session.closed");
}
