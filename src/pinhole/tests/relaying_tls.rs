//! A relay whose legs are in TLS: one of them, the other, or both.

use std::io::ErrorKind;
use std::sync::Arc;

use socket2::SockRef;
use tokio::io::AsyncWriteExt;

use super::relaying::{PATIENT, content, pair};
use super::*;
use crate::engine::{Direction, Manner, Outcome};
use crate::pinhole::{Relay, RelayLimits, Stream};
use crate::tls::testing::{Authority, Shelf, config, listener};
use crate::tls::{Acceptor, Channel, Connector, Host, load};

const BRIEF: Duration = Duration::from_millis(50);

/// Which legs are in TLS.
pub(super) const EACH: [Legs<bool>; 3] = [
    Legs {
        client: true,
        upstream: false,
    },
    Legs {
        client: false,
        upstream: true,
    },
    Legs {
        client: true,
        upstream: true,
    },
];

pub(super) const BOTH_WAYS: [Direction; 2] = [Direction::Download, Direction::Upload];

/// What both peers and the gateway have their TLS from.
pub(super) struct Ground {
    acceptor: Arc<Acceptor>,
    connector: Arc<Connector>,
    ends_silently: bool,
}

impl Ground {
    pub(super) fn new(missing_close_notify: &str) -> Ground {
        let authority = Authority::new("Test CA");
        let mut shelf = Shelf::default();
        shelf.put("/t/ca.pem", &authority.pem(), 0o644);
        shelf.put_pair("one", &authority.issue(&["localhost"]));
        let more = format!(", missing_close_notify: {missing_close_notify}");
        let config = config(&listener(&["one"], &more), "mode: explicit, ca: /t/ca.pem");
        let material = load(&config, &shelf).expect("good files");
        Ground {
            acceptor: Arc::clone(&material.acceptors["main"]),
            connector: Arc::clone(&material.connectors["old"]),
            ends_silently: missing_close_notify == "accept",
        }
    }

    fn connecting(&self, ends_silently: bool) -> Box<Channel> {
        let host = Host::Name("localhost".to_owned());
        let session = self.connector.session(&host).expect("a name");
        Box::new(session.data(ends_silently).expect("a channel"))
    }

    fn accepting(&self) -> Box<Channel> {
        Box::new(self.acceptor.session().data().expect("a channel"))
    }

    /// A peer and our leg to it, in TLS or not.
    async fn leg(&self, side: Side, tls: bool) -> (Peer, Stream) {
        let (socket, ours) = pair().await;
        if !tls {
            return (Peer { socket, tls: None }, ours.into());
        }
        // The peer itself is strict, whatever we are.
        let (theirs, own) = match side {
            Side::Client => (self.connecting(false), self.accepting()),
            Side::Upstream => (self.accepting(), self.connecting(self.ends_silently)),
        };
        let (mut theirs, mut own, mut socket, mut ours) = (theirs, own, socket, ours);
        let (one, other) = within(async {
            tokio::join!(
                poll_fn(|cx| theirs.poll_handshake(cx, &mut socket)),
                poll_fn(|cx| own.poll_handshake(cx, &mut ours)),
            )
        })
        .await;
        one.expect("TLS");
        other.expect("TLS");
        let tls = Some(theirs);
        (Peer { socket, tls }, Stream::protected(ours, own))
    }

    /// A relay with who sends and who receives.
    pub(super) async fn relay(
        &self,
        tls: Legs<bool>,
        direction: Direction,
        limits: RelayLimits,
    ) -> (Peer, Peer, Relay) {
        let (client, client_leg) = self.leg(Side::Client, tls.client).await;
        let (upstream, upstream_leg) = self.leg(Side::Upstream, tls.upstream).await;
        let legs = Legs {
            client: client_leg,
            upstream: upstream_leg,
        };
        let relay = Relay::start(legs, direction, limits);
        match direction {
            Direction::Download => (upstream, client, relay),
            Direction::Upload => (client, upstream, relay),
        }
    }
}

/// The other end of a leg.
pub(super) struct Peer {
    socket: TcpStream,
    tls: Option<Box<Channel>>,
}

impl Peer {
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Peer { socket, tls } = self;
        match tls {
            None => socket.write_all(bytes).await,
            Some(tls) => {
                let mut taken = 0;
                poll_fn(|cx| tls.poll_write(cx, socket, bytes, &mut taken)).await?;
                poll_fn(|cx| tls.poll_flush(cx, socket)).await
            }
        }
    }

    /// Says that nothing more will come: close_notify, where there is TLS, and FIN.
    pub(super) async fn end(&mut self) {
        let Peer { socket, tls } = self;
        if let Some(tls) = tls {
            let ended = poll_fn(|cx| tls.poll_end(cx, socket)).await;
            ended.expect("said");
        }
        self.cut().await;
    }

    /// Sends a FIN and nothing before it.
    async fn cut(&mut self) {
        self.socket.shutdown().await.expect("a FIN");
    }

    /// Reads to the end; in TLS only a close_notify is one.
    pub(super) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let Peer { socket, tls } = self;
        let mut got = Vec::new();
        let Some(tls) = tls else {
            within(socket.read_to_end(&mut got)).await?;
            return Ok(got);
        };
        let mut part = vec![0; 64 * 1024];
        loop {
            let read = within(poll_fn(|cx| tls.poll_read(cx, socket, &mut part))).await?;
            if read == 0 {
                return Ok(got);
            }
            got.extend_from_slice(&part[..read]);
        }
    }

    /// Reads what comes next.
    pub(super) async fn read_some(&mut self) -> io::Result<Vec<u8>> {
        let Peer { socket, tls } = self;
        let mut part = vec![0; 64 * 1024];
        let read = match tls {
            None => socket.read(&mut part).await?,
            Some(tls) => poll_fn(|cx| tls.poll_read(cx, socket, &mut part)).await?,
        };
        part.truncate(read);
        Ok(part)
    }

    /// Tells whether the connection was reset before its end.
    async fn was_reset(&mut self) -> bool {
        match self.read().await {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                true
            }
        }
    }
}

#[tokio::test]
async fn every_size_arrives_whole_and_both_are_told_the_end() {
    let ground = Ground::new("refuse");
    for tls in EACH {
        for direction in BOTH_WAYS {
            for length in [0, 1, 1024, 16_383, 16_385, 65_535, 65_537, 1_000_000] {
                let (mut sender, mut receiver, relay) = ground.relay(tls, direction, PATIENT).await;
                let sent = content(length);
                let send = async {
                    sender.send(&sent).await.expect("sent");
                    sender.end().await;
                    sender.read().await
                };
                let receive = async {
                    let got = receiver.read().await;
                    receiver.end().await;
                    got
                };
                let (told, got, usage) = within(async { tokio::join!(send, receive, relay) }).await;
                let case = format!("{tls:?} {direction:?} {length}");
                assert!(got.expect("a proper end") == sent, "{case}: other bytes");
                assert_eq!(told.expect("a proper end"), b"", "{case}");
                assert_eq!(usage.outcome, Outcome::Complete, "{case}");
                assert_eq!(usage.bytes_up + usage.bytes_down, length as u64, "{case}");
                assert_eq!(usage.wrong_direction, 0, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn an_end_without_close_notify_is_truncated_and_reset_or_complete_where_that_is_accepted() {
    for (setting, complete) in [("refuse", false), ("accept", true)] {
        let ground = Ground::new(setting);
        for tls in EACH {
            for direction in BOTH_WAYS {
                let side = direction.source();
                if !tls[side] {
                    continue;
                }
                let (mut sender, mut receiver, mut relay) =
                    ground.relay(tls, direction, PATIENT).await;
                let send = async {
                    sender.send(b"half of it").await.expect("sent");
                    sender.cut().await;
                };
                let case = format!("{setting} {tls:?} {direction:?}");
                if complete {
                    let receive = async {
                        let got = receiver.read().await;
                        receiver.end().await;
                        got
                    };
                    let ((), got, usage) =
                        within(async { tokio::join!(send, receive, relay) }).await;
                    assert_eq!(usage.outcome, Outcome::Complete, "{case}");
                    assert_eq!(got.expect("a proper end"), b"half of it", "{case}");
                } else {
                    let ((), usage) = within(async { tokio::join!(send, &mut relay) }).await;
                    assert_eq!(usage.outcome, Outcome::Truncated { side }, "{case}");
                    assert!(receiver.was_reset().await, "{case}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_receiver_that_ended_its_own_half_still_gets_all() {
    let ground = Ground::new("refuse");
    for tls in EACH {
        for direction in BOTH_WAYS {
            let (mut sender, mut receiver, relay) = ground.relay(tls, direction, PATIENT).await;
            receiver.end().await;
            let sent = content(300_000);
            let send = async {
                sender.send(&sent).await.expect("sent");
                sender.end().await;
            };
            let ((), got, usage) =
                within(async { tokio::join!(send, receiver.read(), relay) }).await;
            let case = format!("{tls:?} {direction:?}");
            assert_eq!(usage.outcome, Outcome::Complete, "{case}");
            assert!(got.expect("a proper end") == sent, "{case}: other bytes");
        }
    }
}

#[tokio::test]
async fn direction_lock_holds_in_tls_too() {
    let ground = Ground::new("refuse");
    for tls in EACH {
        for direction in BOTH_WAYS {
            let (mut sender, mut receiver, relay) = ground.relay(tls, direction, PATIENT).await;
            receiver.send(b"against it").await.expect("sent");
            receiver.end().await;
            let send = async {
                sender.send(b"along it").await.expect("sent");
                sender.end().await;
                sender.read().await
            };
            let (back, got, usage) =
                within(async { tokio::join!(send, receiver.read(), relay) }).await;
            let case = format!("{tls:?} {direction:?}");
            assert_eq!(back.expect("a proper end"), b"", "{case}");
            assert_eq!(got.expect("a proper end"), b"along it", "{case}");
            assert_eq!(usage.outcome, Outcome::Complete, "{case}");
            assert_eq!(usage.wrong_direction, 10, "{case}");
        }
    }
}

#[tokio::test]
async fn what_stands_still_is_stalled_and_reset() {
    let ground = Ground::new("refuse");
    let limits = RelayLimits {
        stall: BRIEF,
        linger: BOUND,
    };
    for tls in EACH {
        for direction in BOTH_WAYS {
            let case = format!("{tls:?} {direction:?}");
            // A source that says no more.
            let (mut sender, mut receiver, relay) = ground.relay(tls, direction, limits).await;
            sender.send(b"half a li").await.expect("sent");
            let usage = within(relay).await;
            assert_eq!(usage.outcome, Outcome::Stalled, "{case}");
            assert!(receiver.was_reset().await, "{case}");
            // A receiver that takes nothing.
            let (mut sender, mut receiver, relay) = ground.relay(tls, direction, limits).await;
            let send = async {
                let piece = content(100_000);
                while sender.send(&piece).await.is_ok() {}
            };
            let ((), usage) = within(async { tokio::join!(send, relay) }).await;
            assert_eq!(usage.outcome, Outcome::Stalled, "{case}");
            assert!(receiver.was_reset().await, "{case}");
        }
    }
}

#[tokio::test]
async fn forged_records_break_the_transfer_and_nothing_of_them_is_passed_on() {
    let ground = Ground::new("refuse");
    for tls in EACH {
        for direction in BOTH_WAYS {
            let side = direction.source();
            if !tls[side] {
                continue;
            }
            let (mut sender, mut receiver, mut relay) = ground.relay(tls, direction, PATIENT).await;
            let forged = b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
            sender.socket.write_all(forged).await.expect("sent");
            let usage = within(&mut relay).await;
            let case = format!("{tls:?} {direction:?}");
            assert_eq!(usage.outcome, Outcome::Broken { side }, "{case}");
            assert_eq!(usage.bytes_up + usage.bytes_down, 0, "{case}");
            assert!(receiver.was_reset().await, "{case}");
        }
    }
}

#[tokio::test]
async fn a_reset_or_an_abort_never_looks_like_an_end() {
    let ground = Ground::new("refuse");
    for tls in EACH {
        for direction in BOTH_WAYS {
            let case = format!("{tls:?} {direction:?}");
            let side = direction.source();
            let (sender, mut receiver, relay) = ground.relay(tls, direction, PATIENT).await;
            SockRef::from(&sender.socket)
                .set_linger(Some(Duration::ZERO))
                .expect("set");
            drop(sender);
            let usage = within(relay).await;
            assert_eq!(usage.outcome, Outcome::Broken { side }, "{case}");
            assert!(receiver.was_reset().await, "{case}");

            let (mut sender, mut receiver, mut relay) = ground.relay(tls, direction, PATIENT).await;
            relay.end(Manner::Abort);
            assert!(receiver.was_reset().await, "{case}");
            assert!(sender.was_reset().await, "{case}");
            assert_eq!(within(relay).await.outcome, Outcome::Aborted, "{case}");
        }
    }
}

/// A server may send tickets until it ends its own half; one that never ends it is not waited for.
#[tokio::test]
async fn a_server_that_got_everything_and_says_nothing_is_waited_for_briefly() {
    let ground = Ground::new("refuse");
    let limits = RelayLimits {
        stall: BOUND,
        linger: BRIEF,
    };
    let upstream = Legs {
        client: false,
        upstream: true,
    };
    let (mut sender, mut receiver, relay) = ground.relay(upstream, Direction::Upload, limits).await;
    let send = async {
        sender.send(b"all of it").await.expect("sent");
        sender.end().await;
    };
    let ((), usage) = within(async { tokio::join!(send, relay) }).await;
    assert_eq!(usage.outcome, Outcome::Complete);
    assert_eq!(receiver.read().await.expect("a proper end"), b"all of it");
}
