//! Makes dialogues: whole episodes that reach deep states, single moves at any place, and plain noise between them.

use std::time::Duration;

use portcullis::engine::{
    ClientTls, DataMode, ForeignAddress, Logins, Outcome, SessionFacts, Settings, Side, UpstreamTls,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::ruled::{House, house};
use crate::stage::{self, GATEWAY, UPSTREAM};
use crate::theatre::{Answer, Move, Theatre};
use crate::tls_moves::{fate, fates, injected, security, tls};

/// Where a dialogue takes place.
#[derive(Clone, Debug)]
pub struct Place {
    pub client_ipv6: bool,
    pub upstream_ipv6: bool,
    pub data_mode: DataMode,
    pub foreign: ForeignAddress,
    pub bare_lf: bool,
    pub pipeline: usize,
    pub client_tls: ClientTls,
    pub upstream_tls: UpstreamTls,
    /// The kernel can carry data connections.
    pub forwardable: bool,
    /// Rules instead of those that are the default.
    pub rules: Option<House>,
}

impl Place {
    pub fn plain() -> Place {
        Place {
            client_ipv6: false,
            upstream_ipv6: false,
            data_mode: DataMode::AsClient,
            foreign: ForeignAddress::Ignore,
            bare_lf: false,
            pipeline: 64,
            client_tls: ClientTls::default(),
            upstream_tls: UpstreamTls::default(),
            forwardable: false,
            rules: None,
        }
    }

    pub fn settings(&self) -> Settings {
        let mut settings = stage::settings();
        settings.data_mode = self.data_mode;
        settings.upstream_foreign_address = self.foreign.clone();
        settings.accept_bare_lf = self.bare_lf;
        settings.pipeline = self.pipeline;
        settings.client_tls = self.client_tls;
        settings.upstream_tls = self.upstream_tls;
        settings.line = 300;
        settings.reply = 2000;
        if let Some(house) = self.rules {
            settings.rules = house.rules();
            settings.logins = match house {
                House::Paths => Logins::default(),
                House::Limits | House::Names | House::Asks => Logins {
                    tries: std::num::NonZeroU8::new(3),
                    delay: std::time::Duration::from_millis(700),
                    counts_users: true,
                },
            };
        }
        settings
    }

    pub fn facts(&self) -> SessionFacts {
        let (client, target) = match self.client_ipv6 {
            true => ("[2001:db8::7]:40000", "[2001:db8::10]:21"),
            false => (stage::CLIENT, stage::TARGET),
        };
        stage::facts(
            client.parse().expect("constant"),
            target.parse().expect("constant"),
        )
    }

    /// A session that was not greeted yet.
    pub fn theatre(&self) -> Theatre {
        let (gateway, upstream) = match self.upstream_ipv6 {
            true => ("[fd00::2]:33000", "[fd00::5]:21"),
            false => (GATEWAY, UPSTREAM),
        };
        let (gateway, upstream) = (
            gateway.parse().expect("constant"),
            upstream.parse().expect("constant"),
        );
        let mut theatre = Theatre::new(
            self.facts(),
            self.settings(),
            gateway,
            upstream,
            self.forwardable,
        );
        theatre.watch.hides = true;
        theatre
    }
}

pub fn place() -> impl Strategy<Value = Place> {
    let modes = vec![DataMode::AsClient, DataMode::Passive, DataMode::Active];
    let foreign = [ForeignAddress::Ignore, ForeignAddress::Refuse];
    (
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.2),
        select(modes),
        select(foreign.to_vec()),
        proptest::bool::weighted(0.2),
        select(vec![2_usize, 64]),
        tls(),
        any::<bool>(),
        house(),
    )
        .prop_map(
            |(
                client_ipv6,
                upstream_ipv6,
                data_mode,
                foreign,
                bare_lf,
                pipeline,
                (client_tls, upstream_tls),
                forwardable,
                rules,
            )| Place {
                client_ipv6,
                upstream_ipv6,
                data_mode,
                foreign,
                bare_lf,
                pipeline,
                client_tls,
                upstream_tls,
                forwardable,
                rules,
            },
        )
}

pub fn say(line: &str) -> Move {
    Move::Client(format!("{line}\r\n").into())
}

pub const DONE: Move = Move::Answer(Answer::Done);
const BEGUN: Move = Move::Answer(Answer::Begun);

/// Lines that clients send, should not send, or must not.
pub const CLIENT_LINES: &[&[u8]] = &[
    b"NOOP\r\n",
    b"noop\r\n",
    b"STAT\r\n",
    b"ABOR\r\n",
    b"\xFF\xF4\xFF\xF2ABOR\r\n",
    b"PWD\r\n",
    b"FEAT\r\n",
    b"SYST\r\n",
    b"TYPE I\r\n",
    b"TYPE I  \r\n",
    b"CWD a b\r\n",
    b"USER bob\r\n",
    b"PASS s3cret\r\n",
    b"USER root\r\n",
    b"USER anonymous\r\nPASS me@example.org\r\n",
    b"REIN\r\n",
    b"HOST x\r\n",
    b"PASV\r\n",
    b"EPSV\r\n",
    b"EPSV ALL\r\n",
    b"EPSV 2\r\n",
    b"PORT 198,51,100,7,31,144\r\n",
    b"EPRT |2|2001:db8::7|4000|\r\n",
    b"PORT 192,0,2,9,31,144\r\n",
    b"PORT 198,51,100,7,0,22\r\n",
    b"PORT 1,2\r\n",
    b"RETR a\r\n",
    b"STOR b\r\n",
    b"LIST\r\n",
    b"APPE c\r\n",
    b"STOU\r\n",
    b"REST 100\r\n",
    b"REST x\r\n",
    b"RNFR a\r\n",
    b"RNTO b\r\n",
    b"DELE \xFF\xFFx\r\n",
    b"SITE EXEC id\r\n",
    b"SITE CHMOD 777 x\r\n",
    b"SITE PSWD s3cret s3cret\r\n",
    b"P@SW\r\n",
    b"AUTH TLS\r\n",
    b"AUTH TLS\r\nUSER root\r\n",
    b"AUTH SSL\r\n",
    b"AUTH TLS\r\nPBSZ 0\r\n",
    b"CCC\r\n",
    b"PBSZ 0\r\n",
    b"PBSZ 0\r\nPROT P\r\n",
    b"PROT C\r\n",
    b"PROT P\r\n",
    b"XYZZY\r\n",
    b"MODE Z\r\n",
    b"MODE B\r\n",
    b"\r\n",
    b" PASS s3cret\r\n",
    b"NOOP\n",
    b"RETR a\rPORT 1,2,3,4,5,6\r\n",
    b"NOOP\rPASS s3cret\r\n",
    b"RETR a\0\r\n",
    b"NOOP\r\nPWD\r\nSITE CHMOD 777 x\r\nNOOP\r\n",
    b"PASV\r\nNOOP\r\nTYPE I\r\n",
    b"REST 9\r\nRETR a\r\n",
];

/// Lines after which a session may be over.
const FATAL_LINES: &[&[u8]] = &[
    b"QUIT\r\n",
    b"GET / HTTP/1.1\r\n",
    b"EHLO x\r\n",
    b"200 ok\r\n",
    b"\x16\x03\x01\n",
    b"\0\r\n",
];

pub const UPSTREAM_LINES: &[&[u8]] = &[
    b"120 wait\r\n",
    b"150 go\r\n",
    b"200 ok\r\n",
    b"200\r\n",
    b"211-a\r\n227 (1,2,3,4,5,6)\r\n211 b\r\n",
    b"226 done\r\n",
    b"225 aborted\r\n",
    b"426 broken\r\n",
    b"227 ok (10,0,0,5,195,80)\r\n",
    b"229 ok (|||50000|)\r\n",
    b"227 ok (1,2,3)\r\n",
    b"234 go\r\n",
    b"234 go\r\n230 in\r\n",
    b"504 no\r\n",
    b"230 in\r\n",
    b"331 more\r\n",
    b"350 go on\r\n",
    b"421 closing\r\n",
    b"425 no\r\n",
    b"502 no\r\n",
    b"530 log in\r\n",
    b"550 no\r\n",
    b"220-a\r\n220 b\r\n",
    b"200-",
    b"nonsense\r\n",
    b"228 long\r\n",
];

/// The commands that set up a data connection, with what the upstream and we do about them.
fn negotiation() -> impl Strategy<Value = Vec<Move>> {
    let ask = select(vec![
        "PASV",
        "EPSV",
        "PORT 198,51,100,7,31,144",
        "EPRT |2|2001:db8::7|4000|",
        "EPRT |1|198.51.100.7|4000|",
    ]);
    (ask, 1..3_usize).prop_map(|(ask, answers)| {
        let mut moves = vec![say(ask)];
        moves.extend(vec![DONE; answers]);
        moves
    })
}

/// A whole transfer from its negotiation on, with a chance for each of its parts to go another way.
fn transfer() -> impl Strategy<Value = Vec<Move>> {
    let verb = select(vec!["RETR a", "STOR b", "LIST", "APPE c", "STOU", "MLSD"]);
    let end = prop_oneof![
        4 => Just(vec![Move::Finished(Outcome::Complete), DONE]),
        2 => Just(vec![DONE, Move::Finished(Outcome::Complete)]),
        1 => Just(vec![Move::Answer(Answer::Refused(3)), Move::Finished(Outcome::Complete)]),
        1 => Just(vec![Move::Finished(Outcome::Broken { side: Side::Client }), Move::Wake]),
        1 => Just(vec![Move::Finished(Outcome::Truncated { side: Side::Client }), DONE]),
        2 => (side(), fate()).prop_map(|(side, fate)| vec![Move::DataTls(side, fate), DONE]),
        2 => Just(vec![say("ABOR"), Move::Upstream(b"426 cut\r\n".to_vec()), DONE, DONE]),
        2 => Just(vec![say("ABOR"), DONE, Move::Wake, DONE, DONE]),
        1 => Just(vec![say("NOOP"), say("ABOR"), DONE, DONE, DONE, DONE]),
    ];
    let rest = proptest::option::weighted(0.4, any::<bool>());
    (negotiation(), verb, rest, any::<[bool; 5]>(), end, noise()).prop_map(
        |(negotiation, verb, rest, choices, end, noise)| {
            let mut moves = Vec::new();
            let said = [say("REST 100"), DONE];
            if rest == Some(true) {
                moves.extend(said.clone());
            }
            moves.extend(negotiation);
            if rest == Some(false) {
                moves.extend(said);
            }
            if choices[0] {
                moves.extend([Move::Used(Side::Client), say(verb)]);
            } else {
                moves.push(say(verb));
                if choices[4] {
                    moves.push(Move::Wait(Duration::from_millis(1100)));
                }
                moves.push(Move::Used(Side::Client));
            }
            if rest == Some(true) {
                moves.push(DONE);
            }
            moves.extend([Move::Used(Side::Upstream), Move::Dialled(true)]);
            if choices[1] {
                moves.push(BEGUN);
            }
            moves.push(Move::Dialled(choices[2] || choices[3]));
            moves.extend(noise);
            moves.extend(end);
            moves
        },
    )
}

/// Lines sent at once, and their replies in one chunk, perhaps sooner than all of them were asked for.
fn burst() -> impl Strategy<Value = Vec<Move>> {
    let line = select(vec![
        "NOOP",
        "TYPE I",
        "PWD",
        "CWD a",
        "STRU F",
        "SITE EXEC id",
    ]);
    (vec(line, 1..6), 0..6_usize).prop_map(|(lines, replies)| {
        vec![
            say(&lines.join("\r\n")),
            Move::Upstream(b"250 done\r\n".repeat(replies)),
        ]
    })
}

/// Nothing, mostly; else one move from anywhere.
fn noise() -> impl Strategy<Value = Vec<Move>> {
    prop_oneof![4 => Just(Vec::new()), 1 => single().prop_map(|one| vec![one])]
}

pub fn single() -> impl Strategy<Value = Move> {
    let outcome = select(vec![
        Outcome::Complete,
        Outcome::Stalled,
        Outcome::LingerOver,
        Outcome::Broken {
            side: Side::Upstream,
        },
    ]);
    prop_oneof![
        12 => select(CLIENT_LINES).prop_map(|line| Move::Client(line.to_vec())),
        12 => Just(DONE),
        4 => any::<u8>().prop_map(Move::Consent),
        2 => Just(BEGUN),
        2 => any::<u8>().prop_map(|which| Move::Answer(Answer::Refused(which))),
        2 => Just(Move::Answer(Answer::Astray)),
        2 => any::<bool>().prop_map(Move::Dialled),
        2 => side().prop_map(Move::Used),
        1 => outcome.prop_map(Move::Finished),
        1 => fate().prop_map(Move::Handshakes),
        1 => Just(Move::Answered),
        1 => (side(), fate()).prop_map(|(side, fate)| Move::DataTls(side, fate)),
        2 => (0_u64..40_000).prop_map(|millis| Move::Wait(Duration::from_millis(millis))),
        2 => Just(Move::Wake),
        1 => any::<bool>().prop_map(Move::Journal),
        1 => any::<[bool; 2]>().prop_map(|[reserves, opens]| Move::Window(reserves, opens)),
        1 => fatal(),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    select(vec![Side::Client, Side::Upstream])
}

fn fatal() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => select(UPSTREAM_LINES).prop_map(|line| Move::Upstream(line.to_vec())),
        2 => select(FATAL_LINES).prop_map(|line| Move::Client(line.to_vec())),
        1 => vec(any::<u8>(), 0..400).prop_map(|mut bytes| {
            // A whole line, so that no command of the dialogue becomes the end of it.
            bytes.extend(b"\r\n");
            Move::Client(bytes)
        }),
        1 => vec(any::<u8>(), 0..30).prop_map(Move::Upstream),
        1 => side().prop_map(Move::Closed),
        1 => side().prop_map(Move::Stalled),
        1 => Just(Move::Shutdown),
        1 => Just(Move::Kill),
        1 => (0_u64..2_000).prop_map(|seconds| Move::Wait(Duration::from_secs(seconds))),
    ]
}

/// A dialogue from its greeting on.
pub fn dialogue() -> impl Strategy<Value = Vec<Move>> {
    // What the upstream is asked for before the client is: AUTH, PBSZ, PROT.
    let secured = || vec![Move::Upstream(b"220 ready\r\n".to_vec()), DONE, DONE, DONE];
    let login = vec![say("USER bob"), DONE, say("PASS s3cret"), DONE];
    let greeting = prop_oneof![
        8 => (fates(), security())
            .prop_map(move |(fates, auth)| [fates, secured(), auth, login.clone()].concat()),
        1 => Just(vec![Move::Upstream(b"220 ready\r\n".to_vec())]),
        1 => injected(),
        1 => Just(vec![]),
    ];
    let episode = prop_oneof![
        5 => transfer(),
        3 => single().prop_map(|one| vec![one]),
        1 => negotiation(),
        1 => burst(),
    ];
    // Where somebody is asked, they answer now and then, mostly well.
    let consents = vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 13);
    (greeting, vec(episode, 0..12), consents).prop_map(|(greeting, episodes, consents)| {
        let episodes = [vec![greeting], episodes].concat();
        let mut moves = Vec::new();
        for (episode, consent) in episodes.into_iter().zip(consents) {
            for one in episode {
                let asks = matches!(one, Move::Client(_));
                moves.push(one);
                if asks {
                    moves.push(Move::Consent(consent));
                    moves.push(Move::Consent(consent));
                }
            }
        }
        moves
    })
}
