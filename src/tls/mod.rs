//! TLS on both sides of a session: server to the client, client to the upstream, whoever dialled.
//!
//! [`Acceptor`] and [`Connector`] hold what the config says, with its certificates and keys; each makes one value per
//! session ([`ServerSession`], [`ClientSession`]), and these make a [`Channel`] for the control connection and one for
//! each data connection. A session's values have a memory of their own: what resumes there belongs to that session.
//!
//! Invariant: files are read only through [`Files`](crate::config::files::Files), and nothing below TLS 1.2 and no weak
//! cipher suite is spoken. This module must not know FTP, and opens no socket.

mod accept;
mod certificate;
mod channel;
mod client_store;
mod connect;
mod failure;
mod habit;
mod identity;
mod material;
mod memory;
mod provider;
#[cfg(test)]
pub(crate) mod testing;
mod transport;
mod verify;

pub use crate::config::Host;
pub use accept::{Acceptor, ServerSession};
pub use certificate::{Certificate, ENDS_SOON, Expiry};
pub use channel::Channel;
pub use connect::{ClientSession, Connector};
pub use material::{Material, MaterialError, files_of, load};
pub use transport::Transport;

#[cfg(test)]
mod tests;
