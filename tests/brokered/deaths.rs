//! What lives on, and what does not, when processes of ours are killed.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::PATIENCE;
use crate::lab::Yard;
use crate::program::Program;

/// The config's ttl (4 s), what the gateway asks for beyond it, and some air.
const EXPIRY: Duration = Duration::from_secs(4 + 2 + 3);

#[track_caller]
fn empties(yard: &Yard, within: Duration) {
    let until = Instant::now() + within;
    while yard.entries() > 0 {
        assert!(Instant::now() < until, "{} entries stay", yard.entries());
        // Nobody tells of it, so it is looked at again, up to the bound above.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_forwarded_transfer_outlives_its_gateway_and_unused_holes_do_not() {
    let yard = Yard::new();
    yard.works();
    let busy = yard.busy();
    let mut waiting = yard.client();
    waiting.passive();
    assert!(yard.entries() > 0);
    let gateway = yard.program.gateway();
    yard.program.kill(gateway);
    // Shut by the broker, long before their time.
    empties(&yard, EXPIRY / 2);
    yard.works();
    busy.finishes();
}

#[test]
fn a_forwarded_transfer_outlives_its_broker_and_the_kernel_shuts_the_rest() {
    let mut yard = Yard::new();
    let busy = yard.busy();
    let mut waiting = yard.client();
    waiting.passive();
    assert!(yard.entries() > 0);
    let gateway = yard.program.gateway();
    yard.program.kill_broker();
    drop(waiting);
    // Nobody is left who could shut it but the kernel.
    empties(&yard, EXPIRY);
    busy.finishes();
    Program::gone(gateway);
    yard.program = yard.program.start_again();
    yard.works();
}

#[test]
fn a_forwarded_transfer_outlives_both_and_a_restart_works_at_once() {
    let mut yard = Yard::new();
    let busy = yard.busy();
    let mut waiting = yard.client();
    waiting.passive();
    let gateway = yard.program.gateway();
    yard.program.kill_broker();
    yard.program.kill(gateway);
    assert!(yard.entries() > 0);
    yard.program = yard.program.start_again();
    // The successor has swept what was left.
    assert_eq!(yard.entries(), 0);
    yard.works();
    busy.finishes();
    yard.works();
}

#[test]
fn sigterm_waits_for_a_forwarded_transfer_and_leaves_no_entry() {
    let mut yard = Yard::new();
    let mut busy = yard.busy();
    yard.program.signal(Signal::TERM);
    yard.program.notified("STOPPING=1");
    drop(std::mem::replace(&mut busy.hold, yard.server.hold()));
    busy.client.hears("226");
    busy.finishes();
    let begun = Instant::now();
    assert_eq!(yard.program.ends(), Some(0));
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(yard.entries(), 0);
}
