//! Behaviours that only real sockets can show: the gateway on loopback addresses of this process's own, between a
//! client and a server that do exactly what the test wants.
//!
//! Each test is named after the behaviour that it holds. Nothing here sleeps: everything waits for an event, and for
//! at most [`PATIENCE`]. Nothing here starts a process: until its exec, a child keeps open what a test expects to be shut.

#[path = "../gateway/client.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod client;
mod crowds;
mod endings;
#[path = "../gateway/gate.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod gate;
mod hostile;
#[path = "../gateway/kernel.rs"]
#[expect(dead_code, reason = "the gateway's own tests use it")]
mod kernel;
mod legs;
mod pinholes;
mod scripted;
#[path = "../gateway/server.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod server;

use std::net::IpAddr;
use std::time::Duration;

/// How long anything that must happen may take, also on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// The address of a test of this process: other processes that run the same tests have others.
fn ours(test: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    IpAddr::from([127, 64 + test, high, low.max(1)])
}

/// The address of a peer; peers are told apart by number.
fn host(peer: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, peer])
}
