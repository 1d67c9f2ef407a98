//! Realises pinholes and carries the bytes of data connections.
//!
//! [`Pinholes`] opens ports of a window, each for one peer and one connection; [`dial()`] connects the legs
//! that we dial; [`Relay`] carries one transfer between its two legs. All sockets come from [`Sockets`].
//!
//! This module knows the engine's values only. It must not know sessions, FTP, the journal or the config,
//! and it does not know why a pinhole opens.

mod buffer;
mod carry;
mod dial;
mod guard;
mod hole;
mod intruder;
mod kernel;
mod listener;
mod parking;
mod relay;
mod sockets;
mod splice;
mod stream;
mod window;

pub use dial::{dial, dial_within};
pub use hole::{OpenPinhole, Pinholes, Reservation};
pub use intruder::Intruder;
pub use parking::PARKED;
pub use relay::{Relay, RelayLimits};
pub use sockets::{OwnSockets, Sockets, SourcePortFallback};
pub use splice::PIPES;
pub use stream::Stream;

#[cfg(test)]
mod tests;
