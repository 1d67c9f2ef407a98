//! Realises pinholes and carries the bytes of data connections.
//!
//! [`Pinholes`] opens ports of a window, each for one peer and one connection; [`dial()`] connects the legs
//! that we dial; [`Relay`] carries one transfer between its two legs, where the kernel does not carry it
//! ([`ForwardedPinhole`]). All sockets come from [`Sockets`], and what the kernel's firewall does from
//! [`Firewall`](crate::nft::Firewall).
//!
//! This module knows the engine's values only. It must not know sessions, FTP, the journal or the config,
//! and it does not know why a pinhole opens.

mod buffer;
mod carry;
mod dial;
mod forward;
mod grant;
mod guard;
mod here;
mod hole;
mod intruder;
mod kernel;
mod lent;
mod listener;
mod meter;
mod opened;
mod parking;
mod relay;
mod sockets;
mod sources;
mod splice;
mod stream;
mod window;
mod wishes;

pub use dial::{dial, dial_within};
pub use forward::{ForwardedPinhole, Forwarding, TakenBack};
pub use grant::MARGIN;
pub use guard::GuardKind;
pub use hole::Pinholes;
pub use intruder::Intruder;
pub use lent::LentSockets;
pub use opened::{OpenPinhole, Opened, Reservation};
pub use parking::PARKED;
pub use relay::{Relay, RelayLimits};
pub use sockets::{OwnSockets, Sockets, SourcePortFallback};
pub use splice::PIPES;
pub use stream::Stream;
pub use wishes::Wishes;

#[cfg(test)]
mod tests;
