//! The broker: what it permits, how it answers, whom it starts anew and when.
//!
//! Most tests have a firewall of values instead of the kernel's, so that they need no privilege; `process` runs the
//! whole program with it, broker and gateway.

mod bounds;
#[path = "../gateway/client.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod client;
mod envelope;
mod fake;
mod life;
mod messages;
mod process;
mod requests;
#[path = "../gateway/server.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod server;
mod together;

use std::time::Duration;

/// How long anything that must happen may take, also on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);
