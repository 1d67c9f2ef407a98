//! The helper: a process beside the gateway that does for it what its sandbox forbids. It resolves names, and asks the programs
//! and servers that rules name.
//!
//! The broker starts it and gives it two lines, each a pair of SOCK_SEQPACKET sockets: on one it is asked by the gateway, on
//! the other it tells the broker which addresses a name has, before it answers the gateway. So the broker knows, without
//! asking the process that may have been broken into, where an upstream given by name may be.
//!
//! Invariant: everything is bounded (names at once, threads, addresses of a name, waiting); a question gets at most one answer;
//! nothing but names, addresses, questions and answers crosses, and nobody is asked whom the broker has not listed. The helper reads answers of name servers and nothing else from the network, and
//! has no capability, no user but its own. This module must not know sessions, FTP or the config.

mod client;
mod exits;
mod lines;
mod message;
mod serve;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

pub use client::Client;
pub use exits::{Asking, Exit, Exits, Fault, OwnExits};
pub use lines::Lines;
pub use message::{MOST_ADDRESSES, Told};
pub use serve::{Failed, run, serve};

/// What [`Names::resolve`] gives: the addresses in time.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Resolves the names of upstreams.
pub trait Names: Send + Sync {
    /// Finds the addresses of a name, in the order in which they are to be dialled.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// Resolves names in this process, on a thread of its runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnNames;

impl Names for OwnNames {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(distinct(found))
        })
    }
}

/// The addresses, each once, in their order.
fn distinct(found: impl Iterator<Item = SocketAddr>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    addresses
}
