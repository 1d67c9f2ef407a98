//! What a client asks and is answered, through the sockets and the broker's loop.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use portcullis::nft::broker::News;
use portcullis::nft::message::{Keep, Notice, Report};
use portcullis::nft::{
    Client, Firewall as _, FirewallHole, FlowState, Happening, HoleKey, Settled, Settling,
};

use crate::PATIENCE;
use crate::bounds::{envelope, passive};
use crate::fake::{PEER, Rig, usage};

fn hole(key: u64) -> FirewallHole {
    FirewallHole {
        key: HoleKey(key),
        opening: passive(),
        ttl: Duration::from_secs(32),
    }
}

/// Rings when it is woken.
struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Nobody may wait any more.
        let _ = self.0.send(());
    }
}

fn used(client: &Client, key: u64) -> Poll<SocketAddr> {
    client.used(HoleKey(key), &mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_hole_is_opened_renewed_and_closed_under_a_name_of_the_brokers_own() {
    let rig = Rig::start();
    let client = rig.client();
    client.open(&hole(7)).expect("opened");
    let open = rig.world.firewall().open.clone();
    assert_eq!(open.len(), 1);
    assert_eq!(open[&HoleKey(7)].opening, passive());
    client
        .renew(HoleKey(7), Duration::from_secs(3))
        .expect("renewed");
    assert_eq!(
        rig.world.firewall().open[&HoleKey(7)].ttl,
        Duration::from_secs(3)
    );
    assert_eq!(client.usage(HoleKey(7)).expect("asked"), None);
    let closed = client.close(HoleKey(7)).expect("closed");
    assert_eq!(
        closed,
        Settled {
            by: None,
            usage: None
        }
    );
    for gone in [
        client.close(HoleKey(7)).map(drop),
        client.kill(HoleKey(7)),
        client.renew(HoleKey(7), Duration::from_secs(3)),
        client.usage(HoleKey(7)).map(drop),
        client.settle(HoleKey(7)).map(drop),
    ] {
        assert_eq!(gone.expect_err("gone").kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn what_is_beyond_the_envelope_never_reaches_the_kernel() {
    let rig = Rig::start();
    let client = rig.client();
    let mut long = hole(1);
    long.ttl = Duration::from_secs(3600);
    let refused = client.open(&long).expect_err("too long");
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(refused.to_string(), "the config lets no hole last so long");
    client.open(&hole(1)).expect("opened");
    let refused = client.renew(HoleKey(1), Duration::from_secs(3600));
    assert_eq!(
        refused.expect_err("too long").kind(),
        io::ErrorKind::PermissionDenied
    );
    let twice = client.open(&hole(1)).expect_err("taken");
    assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists);
    // The top of a name says which gateway it is, and that the broker says.
    let forged = client.open(&hole(1 << 48 | 1)).expect_err("forged");
    assert_eq!(forged.kind(), io::ErrorKind::AlreadyExists);
    for key in 2..=10 {
        client.open(&hole(key)).expect("opened");
    }
    let full = client.open(&hole(11)).expect_err("ten stand");
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    assert_eq!(rig.world.firewall().open.len(), 10);
    client.close(HoleKey(10)).expect("closed");
    client.open(&hole(11)).expect("there is room again");
    assert!(
        client
            .dialler("198.51.100.1:22".parse().expect("an address"))
            .is_err()
    );
    assert!(
        client
            .ban(
                "0.0.0.0/0".parse().expect("a network"),
                Duration::from_secs(1)
            )
            .is_err()
    );
    assert!(rig.world.firewall().banned.is_empty());
}

#[test]
fn the_kernels_reason_comes_through_and_nothing_is_left_behind() {
    let rig = Rig::start();
    let client = rig.client();
    rig.world.firewall().refusal = Some(28);
    let refused = client.open(&hole(1)).expect_err("refused");
    assert_eq!(refused.raw_os_error(), Some(28));
    assert_eq!(used(&client, 1), Poll::Pending);
    client.open(&hole(1)).expect("the name is free");
}

#[test]
fn a_use_wakes_whoever_waits_for_it() {
    let rig = Rig::start();
    let client = Arc::new(rig.client());
    let hearing = Arc::clone(&client);
    let (pass, passed) = channel();
    std::thread::spawn(move || hearing.listen(|notice| pass.send(notice).expect("heard")));
    client.open(&hole(7)).expect("opened");
    let (ring, rung) = channel();
    let waker = Waker::from(Arc::new(Bell(ring)));
    let mut waiting = Context::from_waker(&waker);
    assert_eq!(client.used(HoleKey(7), &mut waiting), Poll::Pending);
    let peer: SocketAddr = "203.0.113.9:4000".parse().expect("an address");
    // Neither a hole that nobody opened nor one of another gateway is told.
    for other in [8, 1 << 48 | 7] {
        let key = HoleKey(other);
        rig.world.happens(Happening::Used { key, peer });
    }
    let key = HoleKey(7);
    rig.world.happens(Happening::Used { key, peer });
    rung.recv_timeout(PATIENCE).expect("woken");
    assert_eq!(used(&client, 7), Poll::Ready(peer));
    assert_eq!(used(&client, 8), Poll::Pending);
    // What concerns no hole is passed on.
    let at = "198.51.100.1:21000".parse().expect("an address");
    let knock = Happening::Knocked {
        from: peer,
        at,
        more: 2,
    };
    rig.world.happens(knock);
    let notice = passed.recv_timeout(PATIENCE).expect("passed on");
    assert_eq!(notice, Notice::Happened(knock));
    client.close(HoleKey(7)).expect("closed");
    assert_eq!(used(&client, 7), Poll::Pending);
}

#[test]
fn a_hole_settles_when_its_connection_does_not_run() {
    let rig = Rig::start();
    let client = rig.client();
    for key in 1..=3 {
        client.open(&hole(key)).expect("opened");
    }
    rig.world
        .firewall()
        .used
        .insert(HoleKey(1), FlowState::Open);
    rig.world
        .firewall()
        .used
        .insert(HoleKey(2), FlowState::Ending);
    assert_eq!(
        client.settle(HoleKey(1)).expect("asked"),
        Settling::Runs(usage(FlowState::Open))
    );
    let shut = |by, usage| Settling::Shut(Settled { by, usage });
    assert_eq!(
        client.settle(HoleKey(2)).expect("asked"),
        shut(Some(PEER), Some(usage(FlowState::Ending)))
    );
    assert_eq!(client.settle(HoleKey(3)).expect("asked"), shut(None, None));
    assert_eq!(rig.world.firewall().closed, [HoleKey(2), HoleKey(3)]);
    client.kill(HoleKey(1)).expect("killed");
    assert_eq!(rig.world.firewall().killed, [HoleKey(1)]);
}

#[test]
fn descriptors_come_with_their_answers() {
    let rig = Rig::start();
    let client = rig.client();
    let lent = client.dialler("198.51.100.1:20".parse().expect("an address"));
    let mut text = String::new();
    std::fs::File::from(lent.expect("a socket"))
        .read_to_string(&mut text)
        .expect("read");
    let kept = client.keep(Keep::Open).expect("kept").expect("a file");
    assert!(kept.torn && !kept.shared);
    assert!(client.keep(Keep::Expire).expect("kept").is_none());
    let aside = Keep::PutAside {
        device: 1,
        inode: 2,
    };
    let taken = client.keep(aside).expect_err("taken");
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_good_config_moves_the_bounds_and_a_wrong_one_changes_nothing() {
    let rig = Rig::start();
    let client = rig.client();
    assert_eq!(client.reread(), Err("no config".to_owned()));
    client
        .report(Report::Reloaded { in_force: false })
        .expect("told");
    assert_eq!(rig.hears(), News::Reloading);
    assert_eq!(rig.hears(), News::Ready);
    client.open(&hole(1)).expect("as before");

    let mut narrow = envelope();
    narrow.upstreams.clear();
    *rig.outside.next.lock().expect("nobody panicked") = Ok(narrow);
    assert_eq!(client.reread(), Ok(b"a bundle".to_vec()));
    assert!(
        client.open(&hole(2)).is_err(),
        "the upstream is no longer in the config"
    );
    // The gateway could not use it: everything is as it was.
    client
        .report(Report::Reloaded { in_force: false })
        .expect("told");
    assert_eq!(rig.hears(), News::Reloading);
    assert_eq!(rig.hears(), News::Ready);
    client.open(&hole(2)).expect("as before");

    client.reread().expect("a bundle");
    client
        .report(Report::Reloaded { in_force: true })
        .expect("told");
    assert_eq!(rig.hears(), News::Reloading);
    assert_eq!(rig.hears(), News::Ready);
    assert!(client.open(&hole(3)).is_err());
    assert_eq!(
        *rig.outside.settled.lock().expect("nobody panicked"),
        [false, false, true]
    );
}

#[test]
fn sighup_and_sigterm_are_passed_on() {
    let mut rig = Rig::start();
    let (pid, desktop) = rig.gateway();
    rig.hang_up.write_all(b"!").expect("rung");
    assert_eq!(crate::fake::next_notice(&desktop), Some(Notice::Reload));
    rig.terminate.write_all(b"!").expect("rung");
    assert_eq!(crate::fake::next_notice(&desktop), Some(Notice::Drain));
    rig.terminate.write_all(b"!").expect("rung");
    assert_eq!(crate::fake::next_notice(&desktop), Some(Notice::End));
    // It does not end by itself, so it is ended.
    assert_eq!(rig.ends(), 1);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

/// The price of the broker alone, without a kernel behind it. The bound is for the quickest hundredth, which nothing else on the
/// machine has held up.
#[test]
fn a_pair_of_open_and_close_costs_some_tens_of_microseconds() {
    let rig = Rig::start();
    let client = rig.client();
    let mut times: Vec<Duration> = (0..5000)
        .map(|key| {
            let begin = Instant::now();
            client.open(&hole(key)).expect("opened");
            client.close(HoleKey(key)).expect("closed");
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!("open + close through the broker: p50 {median:?}");
    let quick = times[times.len() / 100];
    assert!(quick < Duration::from_millis(2), "{quick:?}");
}
