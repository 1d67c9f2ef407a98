//! What passes and in which order: byte-identical lines, one final reply for each command, refusals in their place.

use portcullis::engine::Side;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::moves::Place;
use crate::theatre::{Answer, Move, Theatre};

/// Verbs that negotiate nothing, and pass with any argument.
const PLAIN: &[&str] = &[
    "NOOP",
    "PWD",
    "CWD",
    "DELE",
    "MKD",
    "XRMD",
    "RNTO",
    "RNFR",
    "SIZE",
    "mdtm",
    "STAT",
    "HELP",
    "Syst",
    "SITE UTIME",
    "OPTS",
    "MLST",
    "USER",
    "pass",
    "ACCT",
    "CLNT",
    "STRU F",
    "TYPE A",
    "type i",
];

/// Lines that are answered by us, with the code of the answer.
const REFUSED: &[(&[u8], u16)] = &[
    (b"AUTH TLS", 534),
    (b"AUTH GSSAPI", 504),
    (b"PROT P", 503),
    (b"P@SW", 502),
    (b"LPSV", 502),
    (b"SITE EXEC id", 550),
    (b"XYZZY a", 502),
    (b"TYPE X", 501),
    (b"MODE B", 504),
    (b"RETR a", 425),
    (b"PORT 192,0,2,9,99,99", 504),
    (b"EPRT |3|a|1|", 522),
    (b"NO\0OP", 501),
    (b"STOR a\rDELE b", 501),
    (b"", 500),
    (b" NOOP", 500),
];

#[derive(Clone, Debug)]
enum Line {
    Passes(Vec<u8>),
    Refused(Vec<u8>, u16),
}

fn line() -> impl Strategy<Value = Line> {
    let argument = vec(
        any::<u8>().prop_filter("no byte of its own meaning", |byte| {
            !matches!(byte, b'\r' | b'\n' | 0 | 0xFF)
        }),
        0..30,
    );
    let passes = (select(PLAIN), argument).prop_map(|(verb, argument)| {
        let argument = match verb {
            "STRU F" | "TYPE A" | "type i" => Vec::new(),
            _ => [b" ".as_slice(), &argument].concat(),
        };
        Line::Passes([verb.as_bytes(), &argument].concat())
    });
    prop_oneof![
        3 => passes,
        1 => select(REFUSED).prop_map(|(line, code)| Line::Refused(line.to_vec(), code)),
    ]
}

fn greeted(pipeline: usize) -> Theatre {
    let mut place = Place::plain();
    place.pipeline = pipeline;
    let mut theatre = place.theatre();
    theatre.polite = false;
    theatre.act(&Move::Upstream(b"220 ready\r\n".to_vec()));
    theatre
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariants 2, 5, 6 and 8: what passes is byte-identical, what is refused is unseen, nothing behind it is lost or
    /// misread, and each command has its one reply in its place, however many are sent at once.
    #[test]
    fn each_command_has_one_reply_in_its_place_and_what_passes_is_byte_identical(
        lines in vec(line(), 1..40),
        cuts in vec(1_usize..200, 1..20),
        pipeline in select(vec![1_usize, 3, 64]),
        answers in vec(0_usize..4, 1..10),
    ) {
        let mut theatre = greeted(pipeline);
        let (mut sent, mut passing, mut replies) = (Vec::new(), Vec::new(), vec!["220 ready".to_owned()]);
        for line in &lines {
            let (Line::Passes(bytes) | Line::Refused(bytes, _)) = line;
            sent.extend([bytes.as_slice(), b"\r\n"].concat());
            match line {
                Line::Passes(bytes) => {
                    passing.push([bytes.as_slice(), b"\r\n"].concat());
                    replies.push(format!("250 number {}", passing.len()));
                }
                Line::Refused(_, code) => replies.push(code.to_string()),
            }
        }
        let (mut rest, mut answered) = (sent.as_slice(), 0);
        let (mut cuts, mut answers) = (cuts.iter().cycle(), answers.iter().cycle());
        for turn in 0..20_000 {
            let (chunk, behind) = rest.split_at((*cuts.next().expect("a cycle")).min(rest.len()));
            rest = behind;
            theatre.act(&Move::Client(chunk.to_vec()));
            for _ in 0..*answers.next().expect("a cycle") + usize::from(turn % 5 == 4) {
                if theatre.unanswered.pop_front().is_some() {
                    answered += 1;
                    let reply = format!("250 number {answered}\r\n");
                    theatre.act(&Move::Upstream(reply.into_bytes()));
                }
            }
            if rest.is_empty() && answered == passing.len() && theatre.unanswered.is_empty() {
                break;
            }
        }
        let seen: Vec<Vec<u8>> = theatre.sent(Side::Upstream).map(<[u8]>::to_vec).collect();
        prop_assert_eq!(seen, passing);
        let got: Vec<String> = theatre
            .sent(Side::Client)
            .map(|reply| String::from_utf8_lossy(reply).trim_end().to_owned())
            .collect();
        prop_assert_eq!(got.len(), replies.len(), "{:?} for {:?}", got, replies);
        for (got, wanted) in got.iter().zip(&replies) {
            prop_assert!(got.starts_with(wanted), "{got} where {wanted} was due");
        }
    }

    /// Invariant 6: when the session ends with commands unanswered, one 421 answers them all, and nothing follows it.
    #[test]
    fn a_session_that_ends_early_answers_with_one_421(
        lines in vec(line(), 1..20),
        answered in 0_usize..10,
        end in select(vec![
            Move::Closed(Side::Upstream),
            Move::Kill,
            Move::Shutdown,
            Move::Upstream(b"421 later\r\n".to_vec()),
            Move::Upstream(b"nonsense\r\n".to_vec()),
        ]),
    ) {
        let mut theatre = greeted(64);
        for line in &lines {
            let (Line::Passes(bytes) | Line::Refused(bytes, _)) = line;
            theatre.act(&Move::Client([bytes.as_slice(), b"\r\n"].concat()));
        }
        for _ in 0..answered {
            theatre.act(&Move::Answer(Answer::Refused(0)));
        }
        theatre.act(&end);
        prop_assert!(theatre.session.is_over());
        let replies: Vec<&[u8]> = theatre.sent(Side::Client).collect();
        let (last, before) = replies.split_last().expect("a greeting at least");
        prop_assert!(last.starts_with(b"421 "), "{}", last.escape_ascii());
        prop_assert!(before.iter().all(|reply| !reply.starts_with(b"421")));
        prop_assert!(before.len() <= 1 + lines.len(), "more replies than commands");
    }
}
