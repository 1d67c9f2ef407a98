//! No path gets past a rule that refuses by path: a server with a tree of its own, whatever order clients, answers and
//! reloads come in.
//!
//! The server here is the judge: it works out what each command means by where it really is. It has a link that leads out
//! of the jail, refuses to change directory or to say where it is when it likes, and takes renamed directories along.

use std::collections::VecDeque;
use std::sync::Arc;

use portcullis::engine::{Output, Settings, Side};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::ruled;
use crate::stage::{self, Stage};

const JAIL: &str =
    r#"{name: jail, when: {not: {path: ["/home/bob/**"]}}, then: {deny: "550 Outside."}}"#;

#[derive(Clone, Debug)]
enum Step {
    /// Lines in one chunk.
    Client(Vec<String>),
    /// The server answers the oldest command; if it would refuse one of its own accord, whether it does now.
    Server { refuses: bool },
    /// Rules are put in force: the jail, or none.
    Reload { jail: bool },
}

fn names() -> impl Strategy<Value = &'static str> {
    select(vec![
        "x",
        "sub",
        "sub/x",
        "..",
        ".",
        "../x",
        "../../x",
        "sub/../../x",
        "../alice/x",
        "link",
        "link/x",
        "../../etc/x",
        "/home/bob",
        "/home/bob/x",
        "/home/bob/../alice/x",
        "//home//bob/sub",
        "/home/bob/sub/",
        "/home/bobby/x",
        "/etc/x",
        "~/x",
        "%2e%2e/x",
        "a b",
        "/",
        "sub/./x",
        "/home/bob/link/x",
    ])
}

fn line() -> impl Strategy<Value = String> {
    let verbs = vec![
        "CWD", "CWD", "CWD", "DELE", "DELE", "MKD", "SIZE", "RNFR", "RNTO", "MLST", "XCWD", "XMKD",
    ];
    let bare = vec!["CDUP", "NOOP", "XCUP", "MLST", "REST 5", "PWD"];
    prop_oneof![
        6 => (select(verbs), names()).prop_map(|(verb, name)| format!("{verb} {name}")),
        2 => select(bare).prop_map(str::to_owned),
        1 => Just("USER bob".to_owned()),
    ]
}

/// Renames the directory in which the session is, and climbs from there.
fn climb() -> Vec<String> {
    [
        "CWD /home/bob/sub/deep",
        "RNFR /home/bob/sub/deep",
        "RNTO /home/bob/deep",
        "DELE ../../alice/x",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Client(climb())),
        4 => vec(line(), 1..4).prop_map(Step::Client),
        8 => proptest::bool::weighted(0.1).prop_map(|refuses| Step::Server { refuses }),
        1 => proptest::bool::weighted(0.8).prop_map(|jail| Step::Reload { jail }),
    ]
}

/// A server with a tree of which it knows the way, not the files.
struct Tree {
    here: Vec<String>,
    renamed: Option<Vec<String>>,
}

impl Tree {
    fn resolve(&self, name: &str) -> Vec<String> {
        let mut path = match name.starts_with('/') {
            true => Vec::new(),
            false => self.here.clone(),
        };
        for part in name.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(path.pop()),
                part => path.push(part.to_owned()),
            }
        }
        path
    }

    /// Answers a command; `jailed` says whether the jail was in force when it was sent.
    fn answer(&mut self, line: &str, refuses: bool, jailed: bool) -> (String, bool) {
        let (verb, name) = line.split_once(' ').unwrap_or((line, ""));
        let meant = self.resolve(name);
        let inside = meant.starts_with(&["home".to_owned(), "bob".to_owned()]);
        let mut touched = false;
        let reply = match verb {
            "SYST" => "215 UNIX Type: L8".to_owned(),
            "PWD" if refuses => "550 I don't know".to_owned(),
            "PWD" => format!("257 \"/{}\" is here", self.here.join("/")),
            "USER" => {
                self.here = ["home", "bob"].map(str::to_owned).to_vec();
                "230 in".to_owned()
            }
            "CWD" | "XCWD" | "CDUP" | "XCUP" if refuses => "550 no".to_owned(),
            "CWD" | "XCWD" => {
                // A link is followed where it is the last name, and leads out.
                self.here = match meant.last().map(String::as_str) {
                    Some("link") => vec!["etc".to_owned()],
                    _ => meant,
                };
                "250 there".to_owned()
            }
            "CDUP" | "XCUP" => {
                self.here.pop();
                "200 up".to_owned()
            }
            "RNFR" => {
                touched = true;
                self.renamed = Some(meant);
                "350 to".to_owned()
            }
            "RNTO" => {
                touched = true;
                if let Some(from) = self.renamed.take()
                    && let Some(below) = self.here.strip_prefix(from.as_slice())
                    && !from.is_empty()
                {
                    self.here = [meant, below.to_vec()].concat();
                }
                "250 renamed".to_owned()
            }
            "DELE" | "MKD" | "XMKD" | "SIZE" | "MLST" => {
                touched = true;
                "250 ok".to_owned()
            }
            _ => "200 ok".to_owned(),
        };
        assert!(
            !(touched && jailed) || inside,
            "`{line}` came to the server, from /{}",
            self.here.join("/")
        );
        (reply, touched)
    }
}

/// Plays a dialogue; answers how many commands on paths the server saw in the jail, and how many were denied.
fn play(steps: &[Step], begins_in_jail: bool) -> (usize, usize) {
    let facts = stage::facts(
        stage::CLIENT.parse().expect("constant"),
        stage::TARGET.parse().expect("constant"),
    );
    let jail = ruled::rules(&[JAIL.to_owned()]).expect("a rule");
    let none = Arc::clone(&stage::settings().rules);
    let settings = |jailed: bool| Settings {
        rules: Arc::clone(if jailed { &jail } else { &none }),
        commands_per_second: 100_000,
        ..stage::settings()
    };
    let mut stage = Stage::new(facts, settings(begins_in_jail));
    stage.greet();
    let mut tree = Tree {
        here: Vec::new(),
        renamed: None,
    };
    let mut jailed = begins_in_jail;
    let mut sent: VecDeque<(String, bool)> = VecDeque::new();
    let mut touched = 0;
    let collect = |stage: &mut Stage, sent: &mut VecDeque<(String, bool)>, jailed: bool| {
        for effect in stage.effects.drain(..) {
            if let Output::Send {
                to: Side::Upstream,
                bytes,
            } = effect
            {
                let line = String::from_utf8(bytes).expect("text");
                sent.push_back((line.trim_end().to_owned(), jailed));
            }
        }
    };
    stage.received(Side::Client, b"USER bob\r\n");
    let rest = vec![Step::Server { refuses: false }; 200];
    for step in steps.iter().chain(&rest) {
        collect(&mut stage, &mut sent, jailed);
        match step {
            Step::Client(lines) => {
                let chunk: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
                stage.received(Side::Client, chunk.as_bytes());
            }
            Step::Reload { jail } => {
                jailed = *jail;
                stage.session.replace_settings(Arc::new(settings(jailed)));
            }
            Step::Server { refuses } => {
                if let Some((line, jailed)) = sent.pop_front() {
                    let (reply, touches) = tree.answer(&line, *refuses, jailed);
                    touched += usize::from(touches && jailed);
                    stage.received(Side::Upstream, format!("{reply}\r\n").as_bytes());
                }
            }
        }
    }
    collect(&mut stage, &mut sent, jailed);
    assert!(sent.is_empty(), "it never came to an end: {sent:?}");
    let denied = stage
        .records
        .iter()
        .filter(|record| record.event.id() == "command.denied");
    (touched, denied.count())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn nothing_outside_a_jail_is_ever_seen_by_the_server(steps in vec(step(), 1..40), jail in proptest::bool::weighted(0.8)) {
        play(&steps, jail);
    }
}

#[test]
fn the_dialogues_of_the_jail_pass_some_commands_and_deny_some() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut touched, mut denied) = (0, 0);
    for _ in 0..200 {
        let steps = vec(step(), 1..40)
            .new_tree(&mut runner)
            .expect("a tree")
            .current();
        let (passed, refused) = play(&steps, true);
        touched += passed;
        denied += refused;
    }
    assert!(
        touched > 200 && denied > 200,
        "{touched} passed, {denied} denied"
    );
}
