//! Two users before a list, one on it and one not: whatever both do, and however long their server takes, a client that does
//! not know a password gets the same bytes at the same times.

use std::collections::VecDeque;
use std::num::NonZeroU8;
use std::time::Duration;

use portcullis::engine::{Logins, Output, Side};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::ruled;
use crate::stage::{self, CLIENT, Stage, TARGET};

/// Longer than the server of these tests ever takes for a USER and a PASS.
const DELAY: Duration = Duration::from_millis(2000);

/// What a client says, and how long it waits before it.
type Said = (&'static str, u64);

/// Plays a dialogue of somebody; answers with what the client got, and when.
fn heard(user: &str, said: &[Said], latency: u64, tries: u8) -> Vec<(Duration, String)> {
    let mut settings = stage::settings();
    settings.rules = ruled::rules(&[
        r#"{name: list, when: {not: {user: [bob]}}, then: {deny: "530 Not on the list."}}"#
            .to_owned(),
    ])
    .expect("good rules");
    settings.logins = Logins {
        tries: NonZeroU8::new(tries),
        delay: DELAY,
        counts_users: true,
    };
    let facts = stage::facts(
        CLIENT.parse().expect("constant"),
        TARGET.parse().expect("constant"),
    );
    let mut scene = Scene {
        stage: Stage::new(facts, settings),
        latency: Duration::from_millis(latency),
        owed: VecDeque::new(),
        heard: Vec::new(),
    };
    scene.stage.greet();
    for (line, wait) in said {
        scene.passes(Duration::from_millis(*wait));
        let line = line.replace("NAME", user);
        scene.stage.received(Side::Client, line.as_bytes());
        scene.looks();
    }
    scene.passes(DELAY * 40);
    scene.heard
}

struct Scene {
    stage: Stage,
    latency: Duration,
    /// What the server will say, and when.
    owed: VecDeque<(Duration, &'static str)>,
    heard: Vec<(Duration, String)>,
}

impl Scene {
    /// Looks at what was sent: the server answers each command a while later.
    fn looks(&mut self) {
        let now = self.stage.now;
        for effect in self.stage.effects.drain(..) {
            let Output::Send { to, bytes } = effect else {
                continue;
            };
            let text = String::from_utf8(bytes).expect("text");
            if to == Side::Client {
                self.heard.push((now, text));
                continue;
            }
            for line in text.lines() {
                let answer = match line.split(' ').next() {
                    Some("USER") => "331 Password for bob?\r\n",
                    Some("PASS") => "530 bob: wrong.\r\n",
                    Some("ACCT") => "503 No.\r\n",
                    Some("DELE") => "530 Log in first.\r\n",
                    Some(_) | None => "200 Fine.\r\n",
                };
                self.owed.push_back((now + self.latency, answer));
            }
        }
    }

    /// Lets time pass; what is due in it happens when it is due.
    fn passes(&mut self, time: Duration) {
        let until = self.stage.now + time;
        loop {
            let owed = self.owed.front().map(|(at, _)| *at);
            let wake = self.stage.session.next_wake().map(|wake| wake.at);
            let next = owed.into_iter().chain(wake).min();
            let Some(next) = next.filter(|at| *at <= until) else {
                break;
            };
            let left = next.saturating_sub(self.stage.now);
            // A deadline that is due at the same time as an answer goes first, for both users.
            self.stage.advance(left);
            self.looks();
            if owed == Some(next)
                && let Some((_, answer)) = self.owed.pop_front()
            {
                self.stage.received(Side::Upstream, answer.as_bytes());
                self.looks();
            }
        }
        let left = until.saturating_sub(self.stage.now);
        self.stage.advance(left);
        self.looks();
    }
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let lines = vec![
        "USER NAME\r\n",
        "PASS guess\r\n",
        "USER NAME\r\nPASS guess\r\n",
        "USER NAME\r\nPASS guess\r\nUSER NAME\r\nPASS again\r\n",
        "ACCT x\r\n",
        "SYST\r\n",
        "DELE x\r\n",
        "REIN\r\n",
        "PASS guess\r\nNOOP\r\n",
    ];
    vec((select(lines), 0..3000_u64), 1..8)
}

proptest! {
    #[test]
    fn whoever_is_on_a_list_looks_like_whoever_is_not(said in said(), latency in 0..900_u64, tries in 1..6_u8) {
        let known = heard("bob", &said, latency, tries);
        prop_assert_eq!(&known, &heard("mallory", &said, latency, tries));
        // A longer delay than the server needs makes its own time invisible too.
        let only_logins = said.iter().all(|(line, _)| !line.contains("SYST") && !line.contains("NOOP") && !line.contains("REIN"));
        if only_logins {
            prop_assert_eq!(&known, &heard("bob", &said, latency / 2, tries));
        }
    }
}

#[test]
fn guesses_are_refused_in_these_dialogues() {
    let heard = heard("mallory", &[("USER NAME\r\nPASS guess\r\n", 0)], 10, 5);
    let refused = heard
        .iter()
        .filter(|(_, text)| text == "530 Login incorrect.\r\n");
    assert_eq!(refused.count(), 1, "{heard:?}");
}
