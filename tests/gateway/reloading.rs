//! Another config for a gateway that runs.

use crate::client::{Client, read_all};
use crate::gate::Setup;
use crate::server::Server;

#[test]
fn reload_with_a_rule_that_now_denies_lets_a_running_transfer_complete_and_judges_the_next_command()
{
    let server = Server::start().with_file("held", b"first half, second half");
    let hold = server.hold();
    let gate = Setup::to(server.at).start();
    let mut client = Client::login(gate.at);
    let at = client.passive();
    let data = client.dial(at);
    client.asks("RETR held", "150");
    *gate.text.lock().expect("the text") = gate.setup.clone().more("rules: {default: deny}").text();
    let report = gate.running.reload().expect("reloaded");
    assert!(report.needs_restart.is_empty(), "{report:?}");
    drop(hold);
    assert_eq!(read_all(data), b"first half, second half");
    client.hears("226");
    client.passive();
    client.asks("RETR held", "550");
}

#[test]
fn a_reload_of_a_broken_config_changes_nothing_and_says_why() {
    let server = Server::start().with_file("file", b"some content");
    let gate = Setup::to(server.at).start();
    let mut client = Client::login(gate.at);
    *gate.text.lock().expect("the text") = "version: 1\nlistenerz: {}\n".to_owned();
    let why = gate.running.reload().expect_err("a broken config");
    assert!(why.contains("listenerz"), "{why}");
    assert_eq!(client.download("file"), b"some content");
    Client::login(gate.at);
}

#[test]
fn a_reload_changes_limits_and_upstreams_for_new_sessions_and_says_what_needs_a_restart() {
    let first = Server::start();
    let second = Server::start();
    let gate = Setup::to(first.at).start();
    let mut old = Client::login(gate.at);
    let mut setup = gate.setup.clone().more("limits: {sessions: 2}");
    setup.upstreams = vec![second.at];
    setup.listen = "127.0.0.1:2".to_owned();
    *gate.text.lock().expect("the text") = setup.text();
    let report = gate.running.reload().expect("reloaded");
    assert_eq!(report.needs_restart, ["listeners.main.listen"]);
    let _new = Client::login(gate.at);
    second.hears_at_last("PASS secret");
    Client::connect(gate.at).hears("421");
    old.asks("NOOP", "200");
    first.hears_at_last("NOOP");
}
