//! The invariants of the session engine over random dialogues, faults and clocks.
//!
//! [`Watch`](crate::watch::Watch) asserts at every output: nothing is announced without a hole, no hole outlives its
//! session, nobody but the peers is dialled, no denied command passes, no password is recorded, each sending is one line
//! or one reply. Here are the dialogues, and what needs more than one output to be seen.

use std::time::Duration;

use portcullis::engine::{Event, Side, Violation};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::moves::{dialogue, place};
use crate::theatre::{Move, Theatre};
use crate::watch::Count;

/// How many dialogues are counted.
const DIALOGUES: u32 = 1500;

/// A session that nobody talks to any more holds no more than this, printed.
const MOST_HELD: usize = 100_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariants 3, 4, 5, 7, 8, 9 and 11, by the watch; every session ends by its own deadlines; memory is bounded.
    #[test]
    fn whatever_happens_the_invariants_hold_and_the_session_ends(place in place(), moves in dialogue()) {
        let mut theatre = place.theatre();
        for one in &moves {
            theatre.act(one);
        }
        let held = format!("{:?}", theatre.session).len();
        prop_assert!(held < MOST_HELD, "{held} bytes, printed");
        theatre.play_out();
    }

    /// Invariant 10: the same facts give the same outputs and records.
    #[test]
    fn the_same_dialogue_gives_the_same_outputs(place in place(), moves in dialogue()) {
        let (mut first, mut second) = (place.theatre(), place.theatre());
        first.play(&moves);
        second.play(&moves);
        prop_assert_eq!(first.performed, second.performed);
        prop_assert_eq!(first.session.next_wake(), second.session.next_wake());
    }

    /// Invariant 1: how the bytes are cut makes no difference.
    #[test]
    fn any_splitting_of_the_same_bytes_gives_the_same_outputs(
        place in place(),
        moves in dialogue(),
        joined in any::<bool>(),
        cuts in proptest::collection::vec(1_usize..9, 1..20),
    ) {
        let moves = if joined { merged(moves) } else { moves };
        let (mut whole, mut parts) = (place.theatre(), place.theatre());
        (whole.polite, parts.polite) = (false, false);
        let mut cuts = cuts.iter().cycle();
        for one in &moves {
            whole.act(one);
            let (Move::Client(bytes) | Move::Upstream(bytes)) = one else {
                parts.act(one);
                continue;
            };
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((*cuts.next().expect("a cycle")).min(rest.len()));
                rest = behind;
                parts.act(&match one {
                    Move::Client(_) => Move::Client(piece.to_vec()),
                    _ => Move::Upstream(piece.to_vec()),
                });
            }
            // Up to a StartTls barrier: what stands behind AUTH in one chunk is found out, in the next it is taken for TLS.
            if crossed(&parts) || crossed(&whole) {
                return Ok(());
            }
            prop_assert_eq!(&parts.performed, &whole.performed, "after {:?}", one);
        }
        prop_assert_eq!(parts.session.next_wake(), whole.session.next_wake());
    }

    /// Invariant 4, as the journal tells it: each opening has one closing, in the same session and of the same hole.
    #[test]
    fn the_journal_balances(place in place(), moves in dialogue()) {
        let mut theatre = place.theatre();
        theatre.play(&moves);
        theatre.play_out();
        let (mut opened, mut closed, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for record in theatre.records() {
            match &record.event {
                Event::PinholeOpened { hole, .. } => opened.push((hole.pinhole, hole.at, hole.from)),
                Event::PinholeClosed { hole, .. } => closed.push((hole.pinhole, hole.at, hole.from)),
                Event::SessionClosed { pinholes, transfers, .. } => ends.push((*pinholes, *transfers)),
                _ => {}
            }
        }
        prop_assert_eq!(opened.len(), closed.len());
        closed.sort();
        prop_assert_eq!(&opened, &closed);
        let count = theatre.watch.count;
        prop_assert_eq!(ends, vec![(count.opened, count.completed)]);
    }

    /// Invariant 9, at any time whatever: waking late, early or often never leaves a deadline that is over.
    #[test]
    fn a_wake_at_any_time_makes_progress(
        place in place(),
        moves in dialogue(),
        waits in proptest::collection::vec(0_u64..1_000_000, 1..20),
    ) {
        let mut theatre = place.theatre();
        let mut waits = waits.iter().cycle();
        for one in &moves {
            theatre.act(one);
            let wait = *waits.next().expect("a cycle");
            let wait = if wait % 3 == 0 { wait } else { wait % 100 };
            theatre.act(&Move::Wait(Duration::from_millis(wait)));
        }
        theatre.play_out();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Memory stays bounded, whatever a peer sends without an end or without waiting.
    #[test]
    fn a_flood_is_held_in_little_memory(
        place in place(),
        from in proptest::sample::select(vec![Side::Client, Side::Upstream]),
        flood in proptest::sample::select(vec![&b"A"[..], b"NOOP\r\n", b"\r\n", b"211-\r\n", b"\xFF\xFA", b"RETR a\r\n"]),
        chunk in 1_usize..3000,
    ) {
        let mut theatre = place.theatre();
        theatre.act(&Move::Upstream(b"220 ready\r\n".to_vec()));
        // A line without an end is bounded even when the shell goes on reading.
        theatre.polite = flood != b"A";
        let bytes = flood.repeat(chunk.div_ceil(flood.len()));
        for _ in 0..(300_000 / bytes.len()).min(3000) {
            theatre.act(&match from {
                Side::Client => Move::Client(bytes.clone()),
                Side::Upstream => Move::Upstream(bytes.clone()),
            });
            theatre.performed.clear();
        }
        let held = format!("{:?}", theatre.session).len();
        prop_assert!(held < MOST_HELD, "{held} bytes, printed");
    }
}

/// Tells whether bytes in clear were found where TLS was due.
fn crossed(theatre: &Theatre) -> bool {
    theatre.records().any(|record| {
        let what = Violation::ClearBehindAuth;
        matches!(&record.event, Event::ProtocolViolation { what: found, .. } if *found == what)
    })
}

/// Joins what one side sends in a row.
fn merged(moves: Vec<Move>) -> Vec<Move> {
    let mut joined: Vec<Move> = Vec::new();
    for one in moves {
        match (joined.last_mut(), one) {
            (Some(Move::Client(before)), Move::Client(bytes))
            | (Some(Move::Upstream(before)), Move::Upstream(bytes)) => before.extend(bytes),
            (_, one) => joined.push(one),
        }
    }
    joined
}

/// The dialogues of these properties reach the states that matter: transfers, ABOR, REST said again, all four rows.
#[test]
fn the_generated_dialogues_reach_deep_states() {
    let mut runner = TestRunner::deterministic();
    let (mut total, mut finals) = (Count::default(), 0);
    let strategy = (place(), dialogue());
    for _ in 0..DIALOGUES {
        let (place, moves) = strategy.new_tree(&mut runner).expect("a value").current();
        let mut theatre = place.theatre();
        theatre.play(&moves);
        theatre.play_out();
        let count = theatre.watch.count;
        total.completed += count.completed;
        total.failed += count.failed;
        total.aborted += count.aborted;
        total.resumed += count.resumed;
        total.opened += count.opened;
        total.denied += count.denied;
        total.asked += count.asked;
        total.forwarded += count.forwarded;
        total.taken_back += count.taken_back;
        total.over += count.over;
        total.secured += count.secured;
        total.insecure += count.insecure;
        total.private += count.private;
        for (row, seen) in total.rows.iter_mut().zip(count.rows) {
            *row += seen;
        }
        finals += theatre.sent(Side::Client).count();
    }
    println!("{DIALOGUES} dialogues: {total:?}, {finals} replies");
    assert_eq!(total.over, DIALOGUES);
    assert!(total.completed >= 200 && total.failed >= 200, "{total:?}");
    assert!(total.aborted >= 100 && total.resumed >= 30, "{total:?}");
    assert!(total.rows.iter().all(|row| *row >= 30), "{total:?}");
    assert!(total.private >= 200, "{total:?}");
    assert!(total.secured >= 300 && total.insecure >= 20, "{total:?}");
    assert!(
        total.forwarded >= 100 && total.taken_back >= 10,
        "{total:?}"
    );
    assert!(total.asked >= 100, "{total:?}");
    assert!(total.opened >= 500 && total.denied >= 10, "{total:?}");
}
