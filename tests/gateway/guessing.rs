//! Whoever guesses passwords is slowed down and banned, and others are unharmed; health checks are left in peace.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::gate::{Gate, Setup, until};
use crate::server::{GREETING, Server};

pub fn from(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// A gateway with a control socket, and with these guards.
pub struct Post {
    pub gate: Gate,
    pub socket: PathBuf,
    pub _place: TempDir,
}

pub fn post(server: &Server, guard: &str, more: &str) -> Post {
    let place = tempfile::tempdir().expect("a directory");
    let socket = place.path().join("control.sock");
    let mut setup = Setup::to(server.at)
        .more(&format!("login_guard: {{{guard}}}"))
        .more(more);
    setup.control = socket.display().to_string();
    Post {
        gate: setup.start(),
        socket,
        _place: place,
    }
}

pub fn greeted(gate: &Gate, from: IpAddr) -> Client {
    let mut client = Client::connect_from(from, gate.at);
    assert_eq!(client.reply(), GREETING);
    client
}

/// One who logs in with a wrong password and is answered this.
fn guess(gate: &Gate, from: IpAddr, reply: &str) -> Client {
    let mut client = greeted(gate, from);
    client.asks("USER bob", "331");
    client.asks("PASS wrong", reply);
    client
}

/// Whoever comes from there is turned away and hung up on.
pub fn is_banned(gate: &Gate, from: IpAddr) {
    let mut client = Client::connect_from(from, gate.at);
    client.hears("421 Your address is banned for a time");
    assert_eq!(client.hears_the_end(), "");
}

/// Asks the control socket.
fn ask(socket: &Path, request: &str) -> Value {
    let mut asking = UnixStream::connect(socket).expect("the control socket");
    asking.write_all(request.as_bytes()).expect("asked");
    asking.write_all(b"\n").expect("asked");
    let mut answer = String::new();
    BufReader::new(asking)
        .read_line(&mut answer)
        .expect("an answer");
    serde_json::from_str(&answer).expect("JSON")
}

pub fn ctl(socket: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["ctl", "--socket"])
        .arg(socket)
        .args(words)
        .output()
        .expect("the program")
}

pub fn shown(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn refused_logins_over_several_sessions_ban_the_address_and_nobody_else() {
    let server = Server::start();
    let Post {
        gate,
        socket,
        _place,
    } = post(&server, "tries: 3, delay: 1ms", "");
    // One who is logged in, and one who is about to, at the address from which somebody guesses.
    let mut inside = Client::connect_from(from(7), gate.at).logged_in();
    let mut waiting = greeted(&gate, from(7));
    let mut stranger = greeted(&gate, from(8));
    for guess in 1..=3 {
        let mut client = greeted(&gate, from(7));
        client.asks(&format!("USER user-{guess}"), "331");
        client.send("PASS wrong");
        if guess < 3 {
            client.hears("530");
        }
    }
    let banned = gate.journal.shows("address.banned");
    assert_eq!(
        (&banned["from"], &banned["failures"], &banned["in_kernel"]),
        (&"127.0.0.7/32".into(), &3.into(), &false.into())
    );
    waiting.hears("421 Your address is banned for a time");
    assert_eq!(waiting.hears_the_end(), "");
    for _ in 0..3 {
        is_banned(&gate, from(7));
    }
    inside.asks("NOOP", "200");
    // Who is inside can't go on to guess from there.
    inside.asks("USER root", "331");
    inside.send("PASS wrong");
    let last = inside.hears_the_end();
    assert!(
        last.ends_with("421 Your address is banned for a time (too many refused logins, or an operator's order); try again later.\r\n"),
        "{last}"
    );
    stranger.asks("USER bob", "331");
    stranger.asks("PASS secret", "230");
    Client::connect_from(from(9), gate.at).logged_in();
    let bans = ask(&socket, r#"{"ask":"bans"}"#);
    let [ban] = &bans["bans"].as_array().expect("a list")[..] else {
        panic!("not one ban: {bans}");
    };
    assert_eq!(
        (&ban["address"], &ban["failures"], &ban["turned_away"]),
        (&"127.0.0.7".into(), &3.into(), &3.into())
    );
    let lifted = ask(&socket, r#"{"ask":"unban","address":"127.0.0.7"}"#);
    assert_eq!(lifted["unbanned"][0], "127.0.0.7");
    let unbanned = gate.journal.shows("address.unbanned");
    assert_eq!(
        (&unbanned["reason"], &unbanned["turned_away"]),
        (&"operator".into(), &3.into())
    );
    Client::connect_from(from(7), gate.at).logged_in();
    gate.running.shutdown();
    let more = gate.journal.to_the_end();
    let ends = |reason: &str| more.iter().filter(|one| one["reason"] == reason).count();
    assert_eq!(ends("banned"), 0, "nobody who was let in again is ended");
}

#[test]
fn connections_of_a_banned_address_fill_no_journal() {
    let server = Server::start();
    let Post { gate, _place, .. } = post(
        &server,
        "tries: 1, delay: none",
        "limits: {connects_per_address: 10000/s}",
    );
    guess(&gate, from(7), "421");
    gate.journal.shows("address.banned");
    for _ in 0..100 {
        Client::connect_from(from(7), gate.at).hears("421");
    }
    gate.running.shutdown();
    let records = gate.journal.to_the_end();
    let told = records
        .iter()
        .filter(|record| record["event"] == "limit.reached")
        .collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["limit"], "login_guard.ban");
}

#[test]
fn a_refused_login_is_slow_and_one_that_goes_well_is_not() {
    let server = Server::start();
    let Post { gate, _place, .. } = post(&server, "delay: 1s", "");
    let mut client = greeted(&gate, from(7));
    client.asks("USER bob", "331");
    let begun = Instant::now();
    client.asks("PASS wrong", "530 Wrong password.");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // Far longer than anybody here waits for a reply.
    let Post { gate, _place, .. } = post(&server, "delay: 60s", "");
    let mut client = greeted(&gate, from(7));
    client.asks("USER bob", "331");
    client.asks("PASS secret", "230");
}

#[test]
fn a_ban_is_over_by_itself() {
    let server = Server::start();
    let Post {
        gate,
        socket,
        _place,
    } = post(&server, "tries: 1, delay: none, ban: 1s", "");
    guess(&gate, from(7), "421");
    gate.journal.shows("address.banned");
    let unbanned = gate.journal.shows("address.unbanned");
    assert_eq!(unbanned["reason"], "expired");
    assert_eq!(
        ask(&socket, r#"{"ask":"bans"}"#)["bans"],
        Value::Array(vec![])
    );
    Client::connect_from(from(7), gate.at).logged_in();
}

#[test]
fn who_is_never_banned_is_slowed_down_and_hung_up_on_all_the_same() {
    let server = Server::start();
    let guard = "tries: 2, delay: 1ms, never_ban: [127.0.0.7/32]";
    let Post {
        gate,
        socket,
        _place,
    } = post(&server, guard, "");
    for _ in 0..3 {
        let mut client = guess(&gate, from(7), "530");
        client.asks("USER bob", "331");
        client.asks("PASS wrong", "421 Too many refused logins; closing.");
        assert_eq!(client.hears_the_end(), "");
        gate.journal.shows("session.closed");
    }
    assert_eq!(
        ask(&socket, r#"{"ask":"bans"}"#)["bans"],
        Value::Array(vec![])
    );
}

#[test]
fn a_reload_that_never_bans_an_address_lets_it_in_again() {
    let server = Server::start();
    let Post { gate, _place, .. } = post(&server, "tries: 1, delay: none", "");
    guess(&gate, from(7), "421");
    gate.journal.shows("address.banned");
    let text = gate.setup.text();
    let text = text.replace("tries: 1,", "tries: 1, never_ban: [127.0.0.0/24],");
    *gate.text.lock().expect("the text") = text;
    gate.running.reload().expect("reloaded");
    assert_eq!(gate.journal.shows("address.unbanned")["reason"], "config");
    Client::connect_from(from(7), gate.at).logged_in();
}

#[test]
fn nobody_learns_who_is_on_a_list_of_users_and_the_server_hears_no_password_of_others() {
    let server = Server::start();
    let place = tempfile::tempdir().expect("a directory");
    let rules = place.path().join("list.yaml");
    let list = "version: 1\nrules:\n  - {name: list, when: {not: {user: [bob]}}, then: {deny: \"530 Not on the list.\"}}\n";
    std::fs::write(&rules, list).expect("written");
    let rules = format!("rules: {{files: [{}]}}", rules.display());
    let Post { gate, _place, .. } = post(&server, "delay: 300ms", &rules);
    let mut dialogues = Vec::new();
    for (user, password) in [
        ("bob", "wrong"),
        ("mallory", "wrong"),
        ("mallory", "secret"),
    ] {
        let mut client = greeted(&gate, from(7));
        let begun = Instant::now();
        client.send_raw(format!("USER {user}\r\nPASS {password}\r\nNOOP\r\n").as_bytes());
        let heard: Vec<String> = (0..3).map(|_| client.reply()).collect();
        assert!(begun.elapsed() >= Duration::from_millis(300));
        dialogues.push(heard);
    }
    assert_eq!(dialogues[0][1], "530 Login incorrect.");
    assert_eq!(dialogues[0], dialogues[1]);
    assert_eq!(dialogues[0], dialogues[2]);
    let mut client = greeted(&gate, from(8));
    client.asks("USER bob", "331");
    client.asks("PASS secret", "230 Welcome.");
    for command in [
        "USER bob",
        "PASS wrong",
        "NOOP",
        "NOOP",
        "NOOP",
        "USER bob",
        "PASS secret",
    ] {
        assert_eq!(server.hears(), command);
    }
}

#[test]
fn a_user_has_as_many_sessions_as_the_config_says() {
    let server = Server::start();
    let Post { gate, _place, .. } = post(
        &server,
        "",
        "limits: {sessions_per_user: 1, connects_per_address: 100000/s}",
    );
    let first = Client::login(gate.at);
    let mut second = greeted(&gate, from(7));
    second.asks("USER BOB", "331");
    second.asks("PASS secret", "421 Too many sessions of this user");
    assert_eq!(second.hears_the_end(), "");
    let record = gate.journal.shows("limit.reached");
    assert_eq!(record["limit"], "limits.sessions_per_user");
    let mut other = greeted(&gate, from(7));
    other.asks("USER alice", "331");
    other.asks("PASS secret", "230");
    drop(first);
    let closed = gate.journal.shows("session.closed");
    assert_eq!(closed["reason"], "too_many_of_user");
    assert_eq!(
        gate.journal.shows("session.closed")["reason"],
        "client_closed"
    );
    // The record is written just before the place is free.
    until("the place is never free again", || {
        let mut third = greeted(&gate, from(8));
        third.asks("USER bob", "331");
        third.send("PASS secret");
        third.reply().starts_with("230")
    });
}

#[test]
fn health_checks_are_in_no_journal_and_no_limit_of_their_address() {
    let server = Server::start();
    let Post {
        gate,
        socket,
        _place,
    } = post(
        &server,
        "probes_from: [127.0.0.7/32]",
        "limits: {sessions_per_address: 1, connects_per_address: 2/h}",
    );
    let mut checks: Vec<Client> = (0..5).map(|_| greeted(&gate, from(7))).collect();
    for check in &mut checks {
        check.asks("NOOP", "200");
        check.asks("QUIT", "221");
        assert_eq!(check.hears_the_end(), "");
    }
    // One that only connects.
    drop(Client::connect_from(from(7), gate.at));
    let status = ask(&socket, r#"{"ask":"status"}"#);
    assert_eq!(status["status"]["journal"]["records"], 1, "the start alone");
    // Whoever logs in is a client like any other, from the beginning.
    let mut client = Client::connect_from(from(7), gate.at).logged_in();
    let opened = gate.journal.shows("session.opened");
    assert!(
        opened["from"]
            .as_str()
            .expect("text")
            .starts_with("127.0.0.7:")
    );
    let mut second = greeted(&gate, from(7));
    second.asks("USER bob", "421 Too many sessions from your address");
    assert_eq!(gate.journal.shows("session.closed")["reason"], "no_probe");
    client.asks("NOOP", "200");
    // Others are counted as ever.
    let _one = greeted(&gate, from(8));
    Client::connect_from(from(8), gate.at).hears("421 Too many sessions from your address");
}

#[test]
fn guesses_from_where_health_checks_come_are_recorded_and_slow() {
    let server = Server::start();
    let guard = "tries: 1, delay: 500ms, probes_from: [127.0.0.7/32]";
    let Post { gate, _place, .. } = post(&server, guard, "");
    let mut client = greeted(&gate, from(7));
    let begun = Instant::now();
    client.send_raw(b"USER bob\r\nPASS wrong\r\n");
    client.hears("331");
    client.hears("421 Too many refused logins; closing.");
    assert!(begun.elapsed() >= Duration::from_millis(500));
    gate.journal.shows("session.opened");
    assert_eq!(gate.journal.shows("login.failed")["client"], "127.0.0.7");
    gate.journal.shows("session.closed");
    greeted(&gate, from(7));
}

#[test]
fn ctl_shows_bans_and_lifts_them() {
    let server = Server::start();
    let Post {
        gate,
        socket,
        _place,
    } = post(&server, "tries: 1, delay: none", "");
    let none = ctl(&socket, &["bans"]);
    assert_eq!(
        (none.status.code(), shown(&none)),
        (Some(0), "no bans\n".to_owned())
    );
    for last in [7, 8, 9] {
        guess(&gate, from(last), "421");
        gate.journal.shows("address.banned");
    }
    let table = shown(&ctl(&socket, &["bans"]));
    let mut lines = table.lines();
    assert!(lines.next().expect("a heading").starts_with("ADDRESS "));
    assert!(
        lines.next().expect("a ban").starts_with("127.0.0.7 "),
        "{table}"
    );
    let json = shown(&ctl(&socket, &["bans", "--format", "json"]));
    let bans: Vec<Value> = serde_json::from_str(&json).expect("a list");
    assert_eq!(bans.len(), 3);
    assert_eq!(
        (&bans[2]["address"], &bans[2]["in_kernel"]),
        (&"127.0.0.9".into(), &false.into())
    );
    assert!(shown(&ctl(&socket, &["status"])).contains("\nbans       3\n"));
    let lifted = ctl(&socket, &["unban", "127.0.0.8"]);
    assert_eq!(
        (lifted.status.code(), shown(&lifted)),
        (Some(0), "banned no more: 127.0.0.8\n".to_owned())
    );
    let again = ctl(&socket, &["unban", "127.0.0.8"]);
    assert_eq!(again.status.code(), Some(1));
    let nobody = ctl(&socket, &["unban", "everybody"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("is no address"));
    let all = shown(&ctl(&socket, &["unban", "all"]));
    assert!(
        all.contains("127.0.0.7") && all.contains("127.0.0.9"),
        "{all}"
    );
    Client::connect_from(from(9), gate.at).logged_in();
}
