//! The gateway on real sockets of the loopback interface, between scripted peers of the test's own.
//!
//! Each test is named after the behaviour that it holds. Nothing here sleeps: everything waits for an event, and for
//! at most [`PATIENCE`].

mod admission;
mod banning;
mod carrying;
mod client;
mod commands;
mod endings;
mod exits;
mod forwarding;
mod gate;
mod guessing;
mod kernel;
mod process;
mod reloading;
mod rules;
mod server;
mod upstreams;
mod window;

use std::time::Duration;

/// How long anything that must happen may take, also on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);
