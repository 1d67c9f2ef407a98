//! The part of the dialogues that is about TLS: where it is spoken, what is said for it, what is put where it begins.

use portcullis::engine::{ClientTls, TlsMode, TlsPolicy, TlsRequire, UpstreamTls};
use proptest::prelude::*;
use proptest::sample::select;

use crate::moves::{DONE, say};
use crate::theatre::{Fate, Move};

/// In clear, mostly; else TLS on either side or on both, of any kind.
pub fn tls() -> impl Strategy<Value = (ClientTls, UpstreamTls)> {
    let mode = || {
        prop_oneof![
            5 => Just(TlsMode::None),
            3 => Just(TlsMode::Explicit),
            1 => Just(TlsMode::Implicit),
        ]
    };
    let require = vec![
        TlsRequire::Nothing,
        TlsRequire::Nothing,
        TlsRequire::Login,
        TlsRequire::All,
    ];
    let policy = vec![TlsPolicy::Require, TlsPolicy::Prefer];
    let client =
        (mode(), select(require), any::<bool>()).prop_map(|(mode, require, resumed_only)| {
            ClientTls {
                mode,
                require,
                resumed_only,
                names_users: false,
            }
        });
    let upstream = (mode(), select(policy)).prop_map(|(mode, policy)| UpstreamTls { mode, policy });
    (client, upstream)
}

/// What a client says to be in TLS.
pub fn security() -> impl Strategy<Value = Vec<Move>> {
    select(vec![
        vec![],
        vec![say("AUTH TLS")],
        vec![say("AUTH TLS"), say("PBSZ 0"), say("PROT P")],
        vec![say("AUTH SSL")],
    ])
}

/// Handshakes that work, mostly; else those of the control connections may go another way.
pub fn fates() -> impl Strategy<Value = Vec<Move>> {
    prop_oneof![
        7 => Just(Vec::new()),
        1 => fate().prop_map(|fate| vec![Move::Handshakes(fate)]),
    ]
}

/// Bytes in clear where TLS begins: behind AUTH, behind its 234, or in the middle of the handshake.
pub fn injected() -> impl Strategy<Value = Vec<Move>> {
    let client = vec![
        b"AUTH TLS\r\nUSER root\r\n".to_vec(),
        b"AUTH TLS\r\n".to_vec(),
    ];
    let upstream = vec![
        b"234 go\r\n230 in\r\n".to_vec(),
        b"234 go\r\n2".to_vec(),
        b"234 go\r\n".to_vec(),
    ];
    let stalls = select(vec![Fate::Works, Fate::Stalls]);
    (select(client), select(upstream), stalls).prop_map(|(client, upstream, fate)| {
        vec![
            Move::Heedless,
            Move::Handshakes(fate),
            Move::Upstream(b"220 ready\r\n".to_vec()),
            Move::Upstream(upstream),
            Move::Upstream(b"200 early\r\n".to_vec()),
            Move::Answered,
            Move::Handshakes(Fate::Works),
            DONE,
            DONE,
            Move::Handshakes(fate),
            Move::Client(client),
            say("PWD"),
            Move::Answered,
        ]
    })
}

pub fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Works),
        1 => Just(Fate::Fresh),
        1 => Just(Fate::Fails),
        1 => Just(Fate::Stalls),
    ]
}
