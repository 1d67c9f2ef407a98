//! A laboratory on one machine: network namespaces that only the gateway joins, real FTP servers in one of them,
//! clients in another, and a `portcullis run` between them.
//!
//! Everything that a [`Lab`] makes carries the process id of the test that made it and is removed when that process
//! ends, however it ends: a child that does nothing but wait for that moment does the removing.
//!
//! Needs root, `ip` and the servers that [`server::programs`] looks for. What is missing is an error with a sentence that
//! says so; nothing is ever left out in silence.

pub mod daemon;
pub mod firewall;
pub mod gateway;
pub mod journal;
pub mod lab;
pub mod program;
pub mod segment;
pub mod server;
mod setup;

pub use daemon::Daemon;
pub use firewall::Firewall;
pub use gateway::{DataMode, Gateway, Listener};
pub use lab::{Family, Lab, Node};
pub use server::{Server, ServerKind, TlsFiles};

/// What went wrong, in a sentence for the person who runs the tests.
pub type Failure = String;
