//! FTPS through the gateway, between a client of rustls' own and a server in clear, on loopback.
//!
//! Nothing here sleeps: everything waits for an event, and for at most [`PATIENCE`].

mod client;
mod failures;
mod field;
mod foreign;
mod foreign_upstream;
mod sessions;
mod suites;
mod thieves;
mod upstreams;

use std::time::Duration;

/// How long anything that must happen may take, also on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);
