//! Bans that an operator orders: whom they hold, for how long, and whom they can't.

use std::process::Output;

use serde_json::Value;

use crate::client::Client;
use crate::guessing::{Post, ctl, from, greeted, is_banned, post, shown};
use crate::server::Server;

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(shown(output), "");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Seconds of the day in the journal's form of a time.
fn second_of_day(time: &Value) -> u32 {
    let time = time.as_str().expect("a time");
    let clock = time.get(11..19).expect("a time of the day");
    let parts = clock
        .split(':')
        .map(|part| part.parse::<u32>().expect("a number"));
    parts.fold(0, |seconds, part| seconds * 60 + part)
}

#[test]
fn an_operators_ban_turns_an_address_away_until_its_time_or_until_it_is_lifted() {
    let server = Server::start();
    let Post {
        gate,
        socket,
        _place,
    } = post(&server, "ban: 15m", "");
    let mut inside = Client::connect_from(from(7), gate.at).logged_in();
    let mut waiting = greeted(&gate, from(7));
    let done = ctl(&socket, &["ban", "127.0.0.7", "--for", "2h"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said = shown(&done);
    assert!(said.starts_with("127.0.0.7 is banned until "), "{said}");
    let banned = gate.journal.shows("address.banned");
    assert_eq!(
        (&banned["from"], &banned["reason"], &banned["in_kernel"]),
        (&"127.0.0.7/32".into(), &"operator".into(), &false.into())
    );
    assert_eq!(banned["failures"], Value::Null);
    let [begun, until] = ["time", "until"].map(|field| second_of_day(&banned[field]));
    let hours = (until + 86_400 - begun) % 86_400;
    // The record is a little later than the order.
    assert!((7_140..=7_201).contains(&hours), "{banned}");
    waiting.hears("421 Your address is banned for a time");
    assert_eq!(waiting.hears_the_end(), "");
    is_banned(&gate, from(7));
    inside.asks("NOOP", "200");
    Client::connect_from(from(8), gate.at).logged_in();
    let table = shown(&ctl(&socket, &["bans"]));
    let row = table.lines().nth(1).expect("a ban");
    assert!(
        row.starts_with("127.0.0.7 ") && row.contains(" operator "),
        "{table}"
    );
    // Said again, the time begins anew, and nothing that was counted is lost.
    let again = ctl(&socket, &["ban", "127.0.0.7", "--for", "1s"]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    let over = gate.journal.shows("address.unbanned");
    assert_eq!(
        (&over["reason"], &over["turned_away"]),
        (&"expired".into(), &1.into())
    );
    Client::connect_from(from(7), gate.at).logged_in();
}

#[test]
fn a_24_is_banned_as_a_whole_and_lifted_as_a_whole() {
    let server = Server::start();
    let Post {
        gate,
        socket,
        _place,
    } = post(&server, "tries: 1, delay: none, ban: 15m", "");
    let mut other = Client::connect_from([127, 0, 1, 1].into(), gate.at).logged_in();
    let done = ctl(&socket, &["ban", "127.0.0.0/24"]);
    assert!(
        shown(&done).starts_with("127.0.0.0/24 is banned until "),
        "{done:?}"
    );
    for last in [7, 8] {
        is_banned(&gate, from(last));
    }
    other.asks("NOOP", "200");
    Client::connect_from([127, 0, 1, 2].into(), gate.at).logged_in();
    let part = refusal(&ctl(&socket, &["unban", "127.0.0.7"]));
    assert!(
        part.contains("127.0.0.7 is banned with all of 127.0.0.0/24; unban that"),
        "{part}"
    );
    let lifted = ctl(&socket, &["unban", "127.0.0.0/24"]);
    assert_eq!(shown(&lifted), "banned no more: 127.0.0.0/24\n");
    let unbanned = gate.journal.shows("address.unbanned");
    assert_eq!(
        (
            &unbanned["from"],
            &unbanned["reason"],
            &unbanned["turned_away"]
        ),
        (&"127.0.0.0/24".into(), &"operator".into(), &2.into())
    );
    Client::connect_from(from(7), gate.at).logged_in();
    // Whoever is banned in it goes free with it.
    ctl(&socket, &["ban", "127.0.0.9"]);
    let lifted = ctl(&socket, &["unban", "127.0.0.0/24"]);
    assert_eq!(shown(&lifted), "banned no more: 127.0.0.9\n");
}

#[test]
fn nobody_who_is_never_banned_can_be_banned_by_order() {
    let server = Server::start();
    let guard = "never_ban: [127.0.0.7/32], probes_from: [127.0.0.9/32]";
    let Post {
        gate,
        socket,
        _place,
    } = post(&server, guard, "");
    for (whom, by) in [
        ("127.0.0.7", "127.0.0.7/32"),
        ("127.0.0.9", "127.0.0.9/32"),
        ("127.0.0.0/24", "127.0.0.7/32"),
    ] {
        let why = refusal(&ctl(&socket, &["ban", whom]));
        let told = format!("{whom} is not banned: {by} never is, by login_guard.never_ban");
        assert!(why.contains(&told), "{why}");
    }
    assert_eq!(shown(&ctl(&socket, &["bans"])), "no bans\n");
    Client::connect_from(from(7), gate.at).logged_in();
    Client::connect_from(from(8), gate.at).logged_in();
}

#[test]
fn what_is_no_network_or_no_time_bans_nobody() {
    let server = Server::start();
    let Post {
        gate,
        socket,
        _place,
    } = post(&server, "ban: none", "");
    for (words, told) in [
        (&["everybody"][..], "is no address"),
        (&["all"], "is no address"),
        (&["127.0.0.0/8"], "can't be banned"),
        (&["127.0.0.7/24"], "can't be banned"),
        (&["127.0.0.7", "--for", "2"], "a duration needs a unit"),
        (&["127.0.0.7", "--for", "999ms"], "from `1s` to `1d`"),
        (&["127.0.0.7", "--for", "25h"], "from `1s` to `1d`"),
        // There is no time in the config to take.
        (&["127.0.0.7"], "say for how long"),
    ] {
        let why = refusal(&ctl(&socket, &[&["ban"], words].concat()));
        assert!(why.contains(told), "{words:?}: {why}");
    }
    assert_eq!(shown(&ctl(&socket, &["bans"])), "no bans\n");
    Client::connect_from(from(7), gate.at).logged_in();
    let done = ctl(&socket, &["ban", "127.0.0.7", "--for", "1d"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    is_banned(&gate, from(7));
}
