//! Gateways die and misbehave; the broker starts them anew, and leaves nothing behind.

use std::io::Write as _;
use std::time::{Duration, Instant};

use portcullis::nft::broker::News;
use portcullis::nft::message::{Report, Request, SIZE};
use portcullis::nft::{Client, Firewall as _, FirewallHole, FlowState, Happening, HoleKey, socket};
use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;
use crate::bounds::passive;
use crate::fake::{Desktop, Rig, next_page};

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::KILL).expect("killed");
}

fn hole(key: u64) -> FirewallHole {
    FirewallHole {
        key: HoleKey(key),
        opening: passive(),
        ttl: Duration::from_secs(32),
    }
}

/// A gateway that was ready once, so that another one follows it.
fn ready(rig: &Rig) -> (u32, Desktop) {
    let (pid, desktop) = rig.gateway();
    socket::send(&desktop.events, &Report::Ready.emit(), None).expect("told");
    assert_eq!(rig.hears(), News::Ready);
    (pid, desktop)
}

#[test]
fn a_dead_gateway_is_followed_at_once_and_its_holes_are_shut() {
    let rig = Rig::start();
    let (pid, desktop) = ready(&rig);
    let client = Client::new(desktop.requests, desktop.events).expect("a client");
    client.open(&hole(7)).expect("opened");
    client.open(&hole(8)).expect("opened");
    rig.world
        .firewall()
        .used
        .insert(HoleKey(8), FlowState::Open);
    let died = Instant::now();
    kill(pid);
    let (_, next) = ready_after_restart(&rig);
    assert!(died.elapsed() < PATIENCE);
    assert!(
        client.open(&hole(9)).is_err(),
        "the dead gateway's socket still works"
    );
    let mut closed = rig.world.firewall().closed.clone();
    closed.sort();
    assert_eq!(closed, [HoleKey(7), HoleKey(8)]);
    // What runs is left alone.
    assert!(rig.world.firewall().killed.is_empty());

    // The next one may use the same names; what is told late of the old ones is not told to it.
    let client = std::sync::Arc::new(Client::new(next.requests, next.events).expect("a client"));
    let hearing = std::sync::Arc::clone(&client);
    let (pass, passed) = std::sync::mpsc::channel();
    std::thread::spawn(move || hearing.listen(|notice| pass.send(notice).expect("heard")));
    client.open(&hole(7)).expect("opened");
    let peer = "203.0.113.9:4000".parse().expect("an address");
    let key = HoleKey(7);
    rig.world.happens(Happening::Used { key, peer });
    rig.world.happens(Happening::Restored);
    passed
        .recv_timeout(PATIENCE)
        .expect("the later one was told");
    let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(client.used(HoleKey(7), &mut nobody).is_pending());
    let key = HoleKey(1 << 48 | 7);
    rig.world.happens(Happening::Used { key, peer });
    rig.world.happens(Happening::Restored);
    passed
        .recv_timeout(PATIENCE)
        .expect("the later one was told");
    assert!(client.used(HoleKey(7), &mut nobody).is_ready());
}

fn ready_after_restart(rig: &Rig) -> (u32, Desktop) {
    assert_eq!(rig.hears(), News::Restarting);
    ready(rig)
}

#[test]
fn deaths_in_a_row_are_answered_ever_more_slowly() {
    let rig = Rig::with_life(Duration::from_secs(3600));
    let (pid, _desktop) = ready(&rig);
    kill(pid);
    let (pid, _desktop) = ready_after_restart(&rig);
    let died = Instant::now();
    kill(pid);
    let (pid, _desktop) = ready_after_restart(&rig);
    assert!(died.elapsed() >= Duration::from_millis(100));
    let died = Instant::now();
    kill(pid);
    ready_after_restart(&rig);
    assert!(died.elapsed() >= Duration::from_millis(200));
}

/// Only one that announced it may end its broker by its own end.
#[test]
fn an_end_that_was_not_announced_is_a_death() {
    let rig = Rig::start();
    let (_, desktop) = ready(&rig);
    // `cat` ends with 0 when its input does.
    rig.outside
        .inputs
        .recv_timeout(PATIENCE)
        .map(drop)
        .expect("its input");
    let (_, next) = ready_after_restart(&rig);
    drop(desktop);
    socket::send(&next.events, &Report::Stopping.emit(), None).expect("told");
    assert_eq!(rig.hears(), News::Stopping);
    rig.outside
        .inputs
        .recv_timeout(PATIENCE)
        .map(drop)
        .expect("its input");
    assert_eq!(rig.ends(), 0);
}

#[test]
fn a_gateway_that_was_never_ready_ends_the_broker() {
    let rig = Rig::start();
    let (pid, _desktop) = rig.gateway();
    kill(pid);
    assert_eq!(rig.ends(), 1);
}

/// Sends something that no gateway says, and sees it ended and followed.
#[track_caller]
fn cut_off(misbehave: impl FnOnce(&Desktop)) {
    let rig = Rig::start();
    let (pid, desktop) = ready(&rig);
    misbehave(&desktop);
    ready_after_restart(&rig);
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "it still runs"
    );
    assert!(next_page(&desktop.events).is_none());
}

#[test]
fn a_request_that_says_nothing_ends_its_gateway() {
    cut_off(|desktop| {
        let mut page = Request::Close(HoleKey(1)).emit(1);
        page[2] = 200;
        socket::send(&desktop.requests[1], &page, None).expect("sent");
    });
}

#[test]
fn a_request_of_a_wrong_length_ends_its_gateway() {
    for length in [1, SIZE - 1, SIZE + 1, 4000] {
        cut_off(|desktop| {
            let flags = rustix::net::SendFlags::NOSIGNAL;
            let scrap = vec![1; length];
            rustix::net::send(&desktop.requests[0], &scrap, flags).expect("sent");
        });
    }
}

#[test]
fn a_report_that_says_nothing_ends_its_gateway() {
    cut_off(|desktop| {
        let page = Request::Close(HoleKey(1)).emit(1);
        socket::send(&desktop.events, &page, None).expect("sent");
    });
}

#[test]
fn a_gateway_that_asks_and_takes_no_answers_is_ended() {
    cut_off(|desktop| {
        socket::set_patience(&desktop.requests[0], PATIENCE).expect("set");
        let page = Request::Usage(HoleKey(1)).emit(1);
        // Until it is cut off, which a broken pipe tells.
        let until = Instant::now() + PATIENCE;
        while socket::send(&desktop.requests[0], &page, None).is_ok() {
            assert!(Instant::now() < until, "it may ask for ever");
        }
    });
}

#[test]
fn a_gateway_that_takes_no_notices_is_ended() {
    let rig = Rig::start();
    let (_, desktop) = ready(&rig);
    let client = Client::new(desktop.requests, desktop.events).expect("a client");
    client.open(&hole(1)).expect("opened");
    let used = Happening::Used {
        key: HoleKey(1),
        peer: "203.0.113.9:4000".parse().expect("an address"),
    };
    for _ in 0..20_000 {
        rig.world.firewall().happenings.push(used);
    }
    rig.world.happens(Happening::Restored);
    ready_after_restart(&rig);
}

/// Knocks are told only to a gateway that keeps up, so that strangers can't fill anything.
#[test]
fn a_flood_of_knocks_ends_nobody() {
    let rig = Rig::start();
    let (_, desktop) = ready(&rig);
    let knock = Happening::Knocked {
        from: "203.0.113.9:4000".parse().expect("an address"),
        at: "198.51.100.1:21000".parse().expect("an address"),
        more: 0,
    };
    for _ in 0..100_000 {
        rig.world.firewall().happenings.push(knock);
    }
    rig.world.happens(Happening::Restored);
    let mut knocks = 0;
    loop {
        match crate::fake::next_notice(&desktop).expect("it lives") {
            portcullis::nft::message::Notice::Happened(Happening::Restored) => break,
            _ => knocks += 1,
        }
    }
    assert!((1..100_000).contains(&knocks), "{knocks}");
}

/// Certificates on disk are looked at by the broker alone; what it finds reaches the gateway as a reload.
#[test]
fn renewed_files_are_a_reload() {
    let rig = Rig::start();
    let (_, desktop) = ready(&rig);
    *rig.outside.renewed_at.lock().expect("nobody panicked") = Some(Instant::now());
    // So that the broker looks when it next wants to be woken.
    rig.world.happens(Happening::Restored);
    loop {
        match crate::fake::next_notice(&desktop).expect("it lives") {
            portcullis::nft::message::Notice::Reload => break,
            _ => continue,
        }
    }
}

/// Every descriptor of this process that the broker could have left open.
fn descriptors() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").expect("a directory");
    entries.count()
}

/// Run alone in its process: others beside it open descriptors too.
#[test]
fn a_hundred_restarts_leave_no_descriptor_behind() {
    const ALONE: &str = "PORTCULLIS_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let this = std::env::current_exe().expect("this program");
        let name = "life::a_hundred_restarts_leave_no_descriptor_behind";
        let output = std::process::Command::new(this)
            .args(["--exact", name])
            .env(ALONE, "1")
            .output()
            .expect("run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
        return;
    }
    let mut rig = Rig::start();
    let (mut pid, mut desktop) = ready(&rig);
    let mut before = 0;
    for restart in 0..100 {
        if restart == 1 {
            before = descriptors();
        }
        kill(pid);
        drop(desktop);
        drop(
            rig.outside
                .inputs
                .recv_timeout(PATIENCE)
                .expect("its input"),
        );
        (pid, desktop) = ready_after_restart(&rig);
    }
    // The old one's sockets are gone before the next one starts.
    assert_eq!(descriptors(), before);
    rig.terminate.write_all(b"!").expect("rung");
    rig.terminate.write_all(b"!").expect("rung");
    rig.ends();
}
