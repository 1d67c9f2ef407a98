//! Rules in a gateway that runs: limits by the clock, reloads, anonymous accounts, what is counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::{Client, read_all};
use crate::gate::Setup;
use crate::server::{GREETING, Server};

/// Writes a rule file of these rules, and names it in a setup.
fn ruled(setup: Setup, directory: &Path, rules: &str) -> Setup {
    let path = write_rules(directory, rules);
    setup.more(&format!("rules: {{files: [{}]}}", path.display()))
}

fn write_rules(directory: &Path, rules: &str) -> PathBuf {
    let path = directory.join("house.yaml");
    std::fs::write(&path, format!("version: 1\nrules:\n{rules}")).expect("written");
    path
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Holds a measured time to the time that a rate gives, within 5 %: not faster in any case, and not slower but for the time in
/// which the machine did not run us.
fn assert_took(took: Duration, wanted: Duration, lost: Duration) {
    let (least, most) = (wanted * 19 / 20, wanted * 21 / 20 + lost);
    assert!(
        (least..=most).contains(&took),
        "{took:?} instead of {wanted:?}; the machine stood still for {lost:?}"
    );
}

/// Somebody who wakes up again and again, and sees by how late it is for how long nothing ran.
struct Witness {
    over: Arc<AtomicBool>,
    watching: JoinHandle<Duration>,
}

impl Witness {
    fn begin() -> Witness {
        const STEP: Duration = Duration::from_millis(20);
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let watching = std::thread::spawn(move || {
            let mut lost = Duration::ZERO;
            while !seen.load(Ordering::Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(STEP);
                lost += begun.elapsed().saturating_sub(2 * STEP);
            }
            lost
        });
        Witness { over, watching }
    }

    fn lost(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.watching.join().expect("the witness")
    }
}

#[test]
fn rates_are_held_within_five_per_cent_over_ten_seconds_both_ways() {
    const RATE: usize = 4 << 20;
    let content = vec![b'x'; 10 * RATE];
    let server = Server::start().with_file("big", &content);
    let place = directory();
    let rule = "  - {name: slow, then: {limit: {upload: 4MiB/s, download: 4MiB/s}}}\n";
    let gate = ruled(Setup::to(server.at), place.path(), rule).start();
    let at = gate.at;
    let wanted = Duration::from_secs(10);
    let witness = Witness::begin();
    let uploading = {
        let content = content.clone();
        std::thread::spawn(move || {
            let mut client = Client::login(at);
            let begun = Instant::now();
            client.upload("up", &content);
            begun.elapsed()
        })
    };
    let mut client = Client::login(at);
    let data = client.passive();
    let mut data = client.dial(data);
    let begun = Instant::now();
    client.asks("RETR big", "150");
    let mut got = 0;
    let mut buffer = vec![0; 1 << 16];
    while let read @ 1.. = data.read(&mut buffer).expect("data") {
        got += read;
    }
    assert_eq!(got, content.len());
    let downloaded = begun.elapsed();
    client.hears("226");
    let uploaded = uploading.join().expect("the upload");
    let lost = witness.lost();
    assert_took(downloaded, wanted, lost);
    assert_took(uploaded, wanted, lost);
    assert!(server.file("up").expect("a file") == content);
}

#[test]
fn many_small_files_share_the_rate_of_their_session() {
    let server = Server::start().with_file("small", &[b'x'; 10_000]);
    let place = directory();
    let rule = "  - {name: slow, then: {limit: {download: 200KiB/s}}}\n";
    let gate = ruled(Setup::to(server.at), place.path(), rule).start();
    let mut client = Client::login(gate.at);
    let begun = Instant::now();
    for _ in 0..40 {
        assert_eq!(client.download("small").len(), 10_000);
    }
    let least = Duration::from_secs_f64(39.0 * 10_000.0 / 204_800.0);
    let took = begun.elapsed();
    assert!(
        took >= least.mul_f64(0.95),
        "{took:?} is less than {least:?}"
    );
}

#[test]
fn a_transfer_is_cut_at_its_bytes_and_looks_complete_to_nobody() {
    let server = Server::start()
        .with_file("fits", &[b'x'; 100 * 1024])
        .with_file("big", &vec![b'x'; 3_000_000]);
    let place = directory();
    let rule = "  - {name: short, then: {limit: {transfer_bytes: 100KiB}}}\n";
    let gate = ruled(Setup::to(server.at), place.path(), rule).start();
    let mut client = Client::login(gate.at);
    assert_eq!(client.download("fits").len(), 100 * 1024);
    let at = client.passive();
    let mut data = client.dial(at);
    client.send("RETR big");
    let first = client.reply();
    let mut got = Vec::new();
    data.read_to_end(&mut got).expect_err("a reset");
    assert!(got.len() <= 100 * 1024);
    // The data may be cut before the server's 150 is there.
    let last = match first.starts_with("150") {
        true => client.reply(),
        false => first,
    };
    assert!(last.starts_with("426"), "{last}");
    let limit = gate.journal.shows("limit.reached");
    assert_eq!(limit["limit"], "transfer_bytes");
    let failed = gate.journal.shows("transfer.failed");
    assert_eq!(
        (&failed["bytes_down"], &failed["code"]),
        (&102_400.into(), &426.into())
    );
}

#[test]
fn a_session_that_has_used_its_bytes_up_begins_no_transfer() {
    let server = Server::start().with_file("file", &[b'x'; 4096]);
    let place = directory();
    let rule = "  - {name: quota, then: {limit: {session_bytes: 8KiB}}}\n";
    let gate = ruled(Setup::to(server.at), place.path(), rule).start();
    let mut client = Client::login(gate.at);
    client.download("file");
    client.download("file");
    client.passive();
    client.asks("RETR file", "550");
    let refused = gate.journal.shows("command.refused");
    assert_eq!(refused["why"], "session_bytes");
    // Another session has bytes of its own.
    Client::login(gate.at).download("file");
}

#[test]
fn a_client_that_a_rule_turns_away_never_reaches_the_upstream() {
    let server = Server::start();
    let place = directory();
    let rule = "  - {name: nobody, when: {moment: [connection], client: [127.0.0.0/8]}, then: {deny: \"421 Not today.\"}}\n";
    let gate = ruled(Setup::to(server.at), place.path(), rule).start();
    let mut client = Client::connect(gate.at);
    assert_eq!(client.reply(), "421 Not today.");
    assert_eq!(client.hears_the_end(), "");
    let denied = gate.journal.shows("connection.denied");
    assert_eq!(
        (&denied["rule"], &denied["line"]),
        (&"house/nobody".into(), &3.into())
    );
}

#[test]
fn a_rule_file_that_is_wrong_changes_nothing_and_one_that_is_right_is_told_by_its_digest() {
    let server = Server::start().with_file("file", b"some content");
    let place = directory();
    let rule =
        "  - {name: no-deletes, when: {operation: [delete]}, then: {deny: \"550 Files stay.\"}}\n";
    let gate = ruled(Setup::to(server.at), place.path(), rule).start();
    let started = gate.journal.shows("gateway.started");
    let mut client = Client::login(gate.at);
    client.asks("DELE file", "550 Files stay.");

    write_rules(
        place.path(),
        "  - {name: no-deletes, when: {operation: [deleet]}, then: {allow: true}}\n",
    );
    let why = gate.running.reload().expect_err("a wrong rule file");
    assert!(
        why.contains("deleet") && why.contains("house.yaml"),
        "{why}"
    );
    let refused = gate.journal.shows("reload.refused");
    assert!(refused["why"].as_str().expect("text").contains("deleet"));
    client.asks("DELE file", "550 Files stay.");

    write_rules(
        place.path(),
        "  - {name: no-reads, when: {operation: [read]}, then: {deny: \"550 Nothing.\"}}\n",
    );
    gate.running.reload().expect("reloaded");
    let reloaded = gate.journal.shows("gateway.reloaded");
    assert_eq!(reloaded["rules"].as_str().expect("text").len(), 16);
    assert_ne!(reloaded["rules"], started["rules"]);
    client.asks("DELE file", "500");
    client.passive();
    client.asks("RETR file", "550 Nothing.");
}

/// No word of the client's behind the answer to a reload is judged by the old rules, nor one behind its record where nobody
/// asked for an answer (SIGHUP).
#[test]
fn a_reload_is_told_of_when_the_sessions_that_run_have_the_new_rules() {
    let server = Server::start();
    let place = directory();
    let rule = |round: u32| {
        format!(
            "  - {{name: no-deletes, when: {{operation: [delete]}}, then: {{deny: \"550 Round {round}.\"}}}}\n"
        )
    };
    let setup = ruled(Setup::to(server.at), place.path(), &rule(0));
    let gate = setup.more("limits: {commands: 100000/s}").start();
    let mut clients: Vec<Client> = (0..8).map(|_| Client::login(gate.at)).collect();
    for round in 1..=100 {
        write_rules(place.path(), &rule(round));
        if round % 2 == 0 {
            gate.running.reload().expect("reloaded");
        } else {
            gate.running.remote().reload();
        }
        gate.journal.shows("gateway.reloaded");
        for client in clients.iter_mut().rev() {
            client.asks("DELE file", &format!("550 Round {round}."));
        }
    }
}

#[test]
fn anonymous_users_log_in_with_the_configs_account_and_its_password_is_in_no_journal() {
    let server = Server::start().with_file("file", b"some content");
    let place = directory();
    let password = place.path().join("guest.password");
    std::fs::write(&password, "s3cret\n").expect("written");
    std::fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).expect("set");
    let mut setup = Setup::to(server.at);
    setup.upstream_more = format!(
        "    anonymous: {{login_as: webguest, password_file: {}}}",
        password.display()
    );
    let gate = setup.start();
    let mut client = Client::connect(gate.at);
    assert_eq!(client.reply(), GREETING);
    client.asks("USER anonymous", "331 Anonymous login");
    client.asks("PASS me@example.org", "230 Anonymous login accepted.");
    server.hears_at_last("USER webguest");
    assert_eq!(server.hears(), "PASS s3cret");
    let told = gate.journal.shows("login.succeeded");
    assert_eq!(told["user"], "anonymous");
    assert!(!told.to_string().contains("s3cret"));
    assert_eq!(client.download("file"), b"some content");

    std::fs::set_permissions(&password, PermissionsExt::from_mode(0o644)).expect("set");
    let why = gate
        .running
        .reload()
        .expect_err("a password that everybody may read");
    assert!(why.contains("0644") && !why.contains("s3cret"), "{why}");
}

#[test]
fn what_only_observes_is_counted_for_ctl_status() {
    let server = Server::start();
    let place = directory();
    let rule = "  - {name: try, when: {verb: [NOOP]}, then: {deny: \"550 No.\", observe: true}}\n";
    let mut setup = ruled(Setup::to(server.at), place.path(), rule);
    setup.listener_more = "    observe: [argument]".to_owned();
    let socket = place.path().join("control.sock");
    setup.control = socket.display().to_string();
    let gate = setup.start();
    let mut client = Client::login(gate.at);
    client.asks("NOOP", "200");
    client.asks("NOOP", "200");
    client.asks("TYPE X", "200");
    let mut asking = UnixStream::connect(&socket).expect("the control socket");
    asking.write_all(b"{\"ask\":\"status\"}\n").expect("asked");
    let mut answer = String::new();
    BufReader::new(asking)
        .read_line(&mut answer)
        .expect("an answer");
    for told in [
        r#"{"what":"house/try","would":"deny","count":2}"#,
        r#"{"what":"argument","would":"refuse","count":1}"#,
    ] {
        assert!(answer.contains(told), "{answer}");
    }
}

#[test]
fn a_rule_that_closes_ends_the_session_and_no_other() {
    let server = Server::start().with_file("file", b"some content");
    let place = directory();
    let rule = "  - {name: no-site, when: {verb: [SITE]}, then: {close: \"421 Not here.\"}}\n";
    let gate = ruled(Setup::to(server.at), place.path(), rule).start();
    let mut other = Client::login(gate.at);
    let mut client = Client::login(gate.at);
    client.asks("SITE EXEC id", "421 Not here.");
    assert_eq!(client.hears_the_end(), "");
    assert_eq!(
        gate.journal.shows("session.closed")["reason"],
        "rule_closed"
    );
    let at = other.passive();
    let data = other.dial(at);
    other.asks("RETR file", "150");
    assert_eq!(read_all(data), b"some content");
    other.hears("226");
}
