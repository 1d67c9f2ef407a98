//! Exit points of a gateway that runs: real programs, a real server at a Unix socket, and the example that is shipped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::client::Client;
use crate::gate::{Gate, Setup};
use crate::server::Server;

/// A folder with what is asked.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
        path.display().to_string()
    }

    /// A program of the shell. It is run as `/bin/sh PATH` where it is run at all: a file that was open for writing when another
    /// test started a process can't be executed until that process has begun (ETXTBSY).
    fn program(&self, name: &str, body: &str) -> String {
        self.write(name, &format!("#!/bin/sh\n{body}\n"), 0o755)
    }

    fn rules(&self, rules: &str) -> String {
        self.write(
            "house.yaml",
            &format!("version: 1\nrules:\n{rules}\n"),
            0o644,
        )
    }

    fn setup(&self, server: &Server, rules: &str) -> Setup {
        let path = self.rules(rules);
        Setup::to(server.at)
            .more(&format!("rules: {{files: [{path}]}}"))
            .more("login_guard: {delay: none, ban: none}")
    }

    fn gate(&self, server: &Server, rules: &str) -> Gate {
        self.setup(server, rules).start()
    }
}

fn question(stream: &UnixStream) -> serde_json::Value {
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut line).expect("a question");
    serde_json::from_str(&line).expect("JSON")
}

#[test]
fn a_server_at_a_socket_is_asked_and_its_answer_holds() {
    let server = Server::start().with_file("file", b"some content");
    let place = Place::new();
    let socket = place.path("decider.sock");
    let decider = UnixListener::bind(&socket).expect("bound");
    let rule = format!(
        "  - {{name: decide, when: {{operation: [delete]}}, then: {{ask: {{unix: {}}}}}}}",
        socket.display()
    );
    let gate = place.gate(&server, &rule);
    let mut client = Client::login(gate.at);
    client.send("DELE ä/../file");
    let (mut asked, _) = decider.accept().expect("a question comes");
    let asks = question(&asked);
    for (key, value) in [
        ("version", 1.into()),
        ("moment", "command".into()),
        ("rule", "house/decide".into()),
        ("listener", "main".into()),
        ("upstream", "server".into()),
        ("logged_in", true.into()),
        ("verb", "DELE".into()),
        ("argument", "ä/../file".into()),
        ("operation", "delete".into()),
        ("tls", serde_json::Value::Null),
    ] {
        assert_eq!(asks[key], value, "{key}");
    }
    let client_address = asks["client"].as_str().expect("text");
    assert!(client_address.starts_with("127.0.0.1:"), "{client_address}");
    asked
        .write_all(b"{\"answer\":\"deny\",\"reply\":\"552 Not this one.\"}\n")
        .expect("answered");
    client.hears("552 Not this one.");
    let answered = gate.journal.shows("ask.answered");
    assert_eq!(
        (&answered["rule"], &answered["answer"]),
        (&"house/decide".into(), &"deny".into())
    );
    assert!(answered["seconds"].as_f64().expect("seconds") >= 0.0);
    let denied = gate.journal.shows("command.denied");
    assert_eq!(denied["code"], 552);

    client.send("DELE file");
    let (mut asked, _) = decider.accept().expect("a question comes");
    question(&asked);
    asked
        .write_all(b"{\"answer\":\"allow_session\"}\n")
        .expect("answered");
    client.hears("500");
    server.hears_at_last("DELE file");
    // Nobody is asked any more.
    decider.set_nonblocking(true).expect("set");
    client.asks("DELE file", "500");
    decider.accept().expect_err("nobody asks");
}

#[test]
fn a_program_is_asked_and_what_it_does_wrong_is_a_no() {
    let server = Server::start();
    let place = Place::new();
    let good = place.program(
        "good",
        "grep -q '\"verb\":\"MKD\"' && echo '{\"answer\":\"allow\"}'",
    );
    let rule = |program: &str, timeout: &str| {
        format!(
            "  - {{name: decide, when: {{operation: [mkdir]}}, then: {{ask: {{exec: [/bin/sh, {program}], timeout: {timeout}}}}}}}"
        )
    };
    let gate = place.gate(&server, &rule(&good, "20s"));
    let mut client = Client::login(gate.at);
    client.asks("MKD a", "500");
    server.hears_at_last("MKD a");

    let marker = place.path("marker");
    for (body, why) in [
        ("echo yes", "garbage"),
        ("echo '{\"answer\":\"allow\"}'; exit 1", "exit_status"),
        (
            "echo '{\"answer\":\"allow\"}'; echo '{\"answer\":\"allow\"}'",
            "garbage",
        ),
        ("head -c 100000 /dev/zero", "too_long"),
        ("sleep 600; echo '{\"answer\":\"allow\"}'", "timed_out"),
        (
            "echo '{\"answer\":\"allow\",\"reply\":\"200 hello\"}'",
            "garbage",
        ),
    ] {
        // Only what is meant to be too slow has little time; it may be ended before it has begun.
        let is_slow = why == "timed_out";
        place.rules(&rule(
            &place.program("bad", &format!("touch {}; {body}", marker.display())),
            if is_slow { "1s" } else { "20s" },
        ));
        gate.running.reload().expect("reloaded");
        client.asks("MKD b", "451");
        let ran = std::fs::remove_file(&marker).is_ok();
        assert!(ran || is_slow, "it did not run");
        let failed = gate.journal.shows("ask.failed");
        assert_eq!(failed["why"], why, "{body}");
        assert_eq!(failed["rule"], "house/decide");
    }
    place.rules(&rule(&good, "20s"));
    gate.running.reload().expect("reloaded");
    client.asks("MKD c", "500");
    server.hears_at_last("MKD c");
}

#[test]
fn a_program_that_everybody_may_change_is_not_taken_and_its_place_is_named() {
    let server = Server::start();
    let place = Place::new();
    let good = place.program("good", "echo '{\"answer\":\"allow\"}'");
    let rule = |program: &str| {
        format!(
            "  - {{name: decide, when: {{operation: [mkdir]}}, then: {{ask: {{exec: [{program}]}}}}}}"
        )
    };
    let gate = place.gate(&server, &rule(&good));
    let refused = |program: &str, words: &str| {
        place.rules(&rule(program));
        let why = gate.running.reload().expect_err(words);
        assert!(why.contains("house.yaml:3") && why.contains(words), "{why}");
    };
    let loose = place.write("loose", "#!/bin/sh\n", 0o777);
    refused(&loose, "can be changed by everybody");
    refused(
        &place.write("plain", "#!/bin/sh\n", 0o644),
        "can't be executed",
    );
    refused(
        &place.path("missing").display().to_string(),
        "can't be found",
    );
    refused(&place.0.path().display().to_string(), "can't be executed");
    let folder = place.path("folder");
    std::fs::create_dir(&folder).expect("made");
    let inside = place.program("folder/inside", "true");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).expect("set");
    refused(&inside, "can be replaced by everybody");
    // Nor by way of a link that stands elsewhere.
    let link = place.path("link");
    std::os::unix::fs::symlink(&inside, &link).expect("made");
    refused(&link.display().to_string(), "can be replaced by everybody");
    // The old rules hold.
    let mut client = Client::login(gate.at);
    client.asks("MKD a", "500");
    server.hears_at_last("MKD a");
}

#[test]
fn a_login_may_go_to_another_server_as_somebody_else_and_begin_elsewhere() {
    let (first, second) = (Server::start(), Server::start());
    let place = Place::new();
    let password = place.write("account.password", "s3cret\n", 0o600);
    let program = place.program(
        "decide",
        &format!(
            "echo '{{\"answer\":\"allow\",\"upstream\":\"other\",\"login_as\":{{\"user\":\"svc\",\"password_file\":\"{password}\"}},\"start_in\":\"/in\"}}'"
        ),
    );
    let rule = format!(
        "  - {{name: login, when: {{verb: [PASS]}}, then: {{ask: {{exec: [/bin/sh, {program}], password_files: [{password}]}}}}}}"
    );
    let mut setup = place.setup(&first, &rule);
    setup.listener_more = "    upstream: server".to_owned();
    setup.upstream_more = format!("  other:\n    addresses: [\"{}\"]", second.at);
    let gate = setup.start();
    let mut client = Client::connect(gate.at);
    client.hears("220");
    client.asks("USER bob", "331");
    client.asks("PASS own", "");
    second.hears_at_last("USER svc");
    assert_eq!(second.hears(), "PASS s3cret");
    assert_eq!(second.hears(), "CWD /in");
    let answered = gate.journal.shows("ask.answered");
    assert_eq!(
        (
            &answered["upstream"],
            &answered["login_as"],
            &answered["start_in"]
        ),
        (&"other".into(), &"svc".into(), &"/in".into())
    );
    assert!(!answered.to_string().contains("s3cret"));
    let connected = gate.journal.shows("upstream.connected");
    assert_eq!(connected["to"], second.at.to_string());
}

/// The example that is shipped, as a program and as a server.
#[test]
fn the_example_program_decides() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/exit-points/decide.py");
    let server = Server::start();
    let place = Place::new();
    let program = place.path("decide.py");
    std::fs::copy(&example, &program).expect("copied");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("set");
    let table = |frozen: bool| {
        let users = r#"{"bob": {"from": ["127.0.0.0/8"]}, "eve": {"from": ["192.0.2.0/24"]}}"#;
        let text = format!("{{\"frozen\": {frozen}, \"users\": {users}}}");
        place.write("table.json", &text, 0o644)
    };
    let path = table(false);
    let socket = place.path("decide.sock");
    let mut serving = std::process::Command::new("/usr/bin/env")
        .arg("python3")
        .arg(&program)
        .args([&path, "--listen"])
        .arg(&socket)
        .spawn()
        .expect("Python runs");
    let until = std::time::Instant::now() + crate::PATIENCE;
    while UnixStream::connect(&socket).is_err() {
        assert!(std::time::Instant::now() < until, "it does not listen");
        std::thread::yield_now();
    }
    let exec = format!(
        "{{exec: [/usr/bin/env, python3, {}, {path}], timeout: 20s}}",
        program.display()
    );
    let unix = format!("{{unix: {}, timeout: 20s}}", socket.display());
    let rules = |ask: &str| {
        format!(
            "  - {{name: logins, when: {{verb: [PASS]}}, then: {{ask: {ask}}}}}\n  - {{name: changes, when: {{operation: [mkdir]}}, then: {{ask: {ask}}}}}"
        )
    };
    let mut setup = place.setup(&server, &rules(&exec));
    setup.upstream_more = "    paths: unix".to_owned();
    let gate = setup.start();
    for ask in [&exec, &unix] {
        place.rules(&rules(ask));
        gate.running.reload().expect("reloaded");
        table(false);
        let mut client = Client::login(gate.at);
        client.asks("MKD a", "500");
        server.hears_at_last("MKD a");
        client.asks("MKD %2e%2e/a", "550 Name the file by its whole path.");
        table(true);
        client.asks("MKD /a", "450 The month is being closed");
        for (user, words) in [
            ("eve", "530 Not from this address."),
            ("mallory", "530 You are not on the list"),
        ] {
            let mut client = Client::connect(gate.at);
            client.hears("220");
            client.asks(&format!("USER {user}"), "331");
            client.asks("PASS x", words);
        }
        // Where it can't decide it is no.
        place.write("table.json", "nonsense", 0o644);
        let mut client = Client::connect(gate.at);
        client.hears("220");
        client.asks("USER bob", "331");
        client.asks("PASS x", "530 Whoever decides");
    }
    // The one that this test has started, by its id.
    serving.kill().expect("ended");
    serving.wait().expect("reaped");
}
