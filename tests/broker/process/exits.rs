//! Exit points with broker, confined gateway and helper: the helper asks, and only whom the rules name.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use tempfile::TempDir;

use super::program::Program;
use super::told_of_a_reload;
use crate::client::Client;
use crate::server::Server;

/// A folder that the helper's user may look into.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let made = tempfile::Builder::new()
            .permissions(PermissionsExt::from_mode(0o755))
            .tempdir();
        Place(made.expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, body: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("set");
        path.display().to_string()
    }

    /// Has the program ask by this rule from now on.
    fn puts_in_force(&self, program: &Program, ask: &str) {
        let path = self.path("house.yaml");
        let rule = format!("{{name: decide, when: {{operation: [mkdir]}}, then: {{ask: {ask}}}}}");
        std::fs::write(&path, format!("version: 1\nrules:\n  - {rule}\n")).expect("written");
        program.configure(&format!("rules: {{files: [{}]}}\n", path.display()));
        assert!(program.ctl(&["reload"]).status.success());
        told_of_a_reload(program);
    }
}

#[test]
fn the_helper_starts_programs_without_privilege_and_the_list_follows_the_rules() {
    let server = Server::start();
    let program = Program::start(20, &server);
    let place = Place::new();
    let mut client = Client::login(program.at);
    // What it is allowed itself, it says in its refusal.
    let first = place.program(
        "first",
        "status=$(grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' ' ')
         touch /tmp/portcullis-exit-$$ 2>/dev/null && status=\"writes $status\"
         echo \"{\\\"answer\\\":\\\"deny\\\",\\\"reply\\\":\\\"550 first $status\\\"}\"",
    );
    place.puts_in_force(&program, &format!("{{exec: [{first}]}}"));
    let said = client.asks("MKD a", "550 first");
    if rustix::process::geteuid().is_root() {
        for fact in [
            "Uid: 65534 65534 65534 65534",
            "CapEff: 0000000000000000",
            "CapBnd: 0000000000000000",
            "NoNewPrivs: 1",
            "Seccomp: 2",
        ] {
            assert!(said.contains(fact), "no {fact:?} in {said}");
        }
        assert!(!said.contains("writes"), "{said}");
    }
    let second = place.program("second", "echo '{\"answer\":\"allow\"}'");
    place.puts_in_force(&program, &format!("{{exec: [{second}, with, words]}}"));
    client.asks("MKD b", "500");
    server.hears_at_last("MKD b");

    // A gateway and a helper that are started anew know the list as well.
    program.kill(program.gateway());
    let mut client = Client::login(program.at);
    client.asks("MKD c", "500");
    server.hears_at_last("MKD c");

    // A server at a socket, which the gateway itself could not reach.
    let socket = place.path("decider.sock");
    let decider = UnixListener::bind(&socket).expect("bound");
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o777)).expect("set");
    place.puts_in_force(&program, &format!("{{unix: {}}}", socket.display()));
    client.send("MKD d");
    let (mut asked, _) = decider.accept().expect("the helper comes");
    let mut line = String::new();
    BufReader::new(asked.try_clone().expect("a clone"))
        .read_line(&mut line)
        .expect("a question");
    assert!(line.contains("\"argument\":\"d\""), "{line}");
    asked
        .write_all(b"{\"answer\":\"deny\",\"reply\":\"553 By socket.\"}\n")
        .expect("answered");
    client.hears("553 By socket.");
}

#[test]
fn a_reload_that_is_refused_leaves_the_old_list_in_force() {
    let server = Server::start();
    let program = Program::start(21, &server);
    let place = Place::new();
    let good = place.program("good", "echo '{\"answer\":\"allow\"}'");
    place.puts_in_force(&program, &format!("{{exec: [{good}]}}"));
    let mut client = Client::login(program.at);
    client.asks("MKD a", "500");
    let text = "version: 1\nrules:\n  - {name: decide, then: {ask: {exec: [/no/such/program]}}}\n";
    std::fs::write(place.path("house.yaml"), text).expect("written");
    let output = program.ctl(&["reload"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/no/such/program can't be found"), "{said}");
    client.asks("MKD b", "500");
    server.hears_at_last("MKD b");
}
