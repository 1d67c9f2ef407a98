//! Faults of `firewall: nftables`, with a real FTP server behind: what dies, what somebody else removes, what is full,
//! what the kernel refuses, who vanishes; and what must not start at all.
//!
//! After each: no entry beyond its time, the operator's own tables as they were, and the next transfer works at once.
#![cfg(feature = "nftables")]

#[path = "../broker/bounds.rs"]
#[expect(dead_code, reason = "the broker's own tests use the rest")]
mod bounds;
#[path = "../gateway/client.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod client;
mod endings;
#[path = "../broker/fake.rs"]
#[expect(dead_code, reason = "the broker's own tests use the rest")]
mod fake;
mod flushes;
mod kernel;
mod kills;
#[path = "../broker/process/program.rs"]
#[expect(dead_code, reason = "the broker's own tests use the rest")]
mod program;
mod refusals;
#[path = "../gateway/server.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod server;
mod site;
mod transfer;

use std::time::Duration;

/// How long anything that must happen may take, also on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);
