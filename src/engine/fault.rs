//! Every reply that the gateway makes itself, grouped by whose fault it answers, in one place.
//!
//! Worded for people: what happened and what to do; never an upstream's address. Codes are those of
//! RFC 959, 2428 and 2577.

mod client;
mod own;
mod upstream;

pub(super) use client::ClientFault;
pub(super) use own::OwnFault;
pub(super) use upstream::UpstreamFault;

#[cfg(test)]
mod tests;
