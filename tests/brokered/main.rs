//! The whole of `firewall: nftables` in network namespaces: broker, confined gateway, and the kernel's own firewall.
//!
//! What dies is killed as `kill -9` does, in the middle of forwarded transfers; and the price of a pinhole is measured.
#![cfg(feature = "nftables")]

mod bans;
#[path = "../broker/bounds.rs"]
#[expect(dead_code, reason = "the broker's own tests use the rest")]
mod bounds;
#[path = "../gateway/client.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod client;
mod confinement;
mod deaths;
#[path = "../broker/fake.rs"]
#[expect(dead_code, reason = "the broker's own tests use the rest")]
mod fake;
mod in_kernel;
mod lab;
mod machine;
mod nearby;
mod outward;
mod price;
#[path = "../broker/process/program.rs"]
#[expect(dead_code, reason = "the broker's own tests use the rest")]
mod program;
#[path = "../gateway/server.rs"]
#[expect(dead_code, reason = "the gateway's own tests use the rest")]
mod server;
mod starts;

use std::time::Duration;

/// How long anything that must happen may take, also on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);
