//! `portcullis check --system` against real kernels: each condition is made in a network namespace, found, and mended by the
//! very command that is printed; and the operator's one line is tried in each kind of firewall with real connections.
//!
//! Needs root and the programs that `scripts/test` installs.

#![cfg(feature = "nftables")]

mod conditions;
mod firewalls;
mod flows;
mod site;
