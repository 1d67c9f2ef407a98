//! The kernel half of the firewall with real packets: a client, a gateway that forwards, a server without a route to the
//! client, and an attacker, in network namespaces of their own.
//!
//! Needs root and `nft`. Nothing here waits for a time to pass but where time itself is what is tested.

#![cfg(feature = "nftables")]

mod again;
mod ending;
mod forwarded;
mod order;
mod race;
mod relayed;
mod table;
mod together;
mod yard;
