//! Little to carry: it waits for what can leave with it, and for nothing else.

use super::relaying::PATIENT;
use super::relaying_tls::{BOTH_WAYS, EACH, Ground};
use super::*;
use crate::engine::Outcome;
use crate::pinhole::Relay;

#[tokio::test]
async fn little_waits_for_nothing_that_is_not_there_yet() {
    let ground = Ground::new("refuse");
    for tls in EACH {
        for direction in BOTH_WAYS {
            let (mut sender, mut receiver, mut relay) = ground.relay(tls, direction, PATIENT).await;
            for said in [&b"a line\r\n"[..], b"another\r\n"] {
                sender.send(said).await.expect("sent");
                let mut got = Vec::new();
                while got.len() < said.len() {
                    let part = async { receiver.read_some().await.expect("no end") };
                    got.extend(within(beside(&mut relay, part)).await);
                }
                assert_eq!(got, said, "{tls:?} {direction:?}");
            }
            // What came together leaves together: nothing of it is lost, and the end neither.
            sender.send(b"more\r\n").await.expect("sent");
            sender.send(b"the last\r\n").await.expect("sent");
            sender.end().await;
            let rest = async {
                let got = receiver.read().await;
                receiver.end().await;
                got.expect("a proper end")
            };
            let (got, usage) = within(async { tokio::join!(rest, relay) }).await;
            assert_eq!(got, b"more\r\nthe last\r\n", "{tls:?} {direction:?}");
            assert_eq!(usage.outcome, Outcome::Complete, "{tls:?} {direction:?}");
        }
    }
}

/// Waits for something while a relay runs that must not end meanwhile.
async fn beside<T>(relay: &mut Relay, what: impl Future<Output = T>) -> T {
    tokio::select! {
        done = what => done,
        usage = relay => panic!("the relay ended: {usage:?}"),
    }
}
