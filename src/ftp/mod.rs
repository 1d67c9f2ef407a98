//! The language of FTP's control connection: lines, verbs, commands, replies and addresses.
//!
//! Everything here is a value or a pure function of one. A peer's bytes become a [`line::Line`], a client's line becomes
//! a [`command::Command`], an upstream's lines become a [`reply::Reply`]; all of them are emitted anew and never patched
//! in place.
//!
//! Invariant: the results depend on the bytes alone and never on how they were cut into chunks, and whatever one value
//! emits is read back as exactly one value.
//!
//! This module must not decide what is allowed, remember a session, or touch sockets, files, clocks or logs.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod address;
pub mod command;
pub mod escape;
pub mod feature;
pub mod foreign;
pub mod line;
pub mod mask;
pub mod reply;
pub mod verb;

pub use address::{AddressFault, EpsvArgument};
pub use command::{BareLf, Command, CommandFault};
pub use escape::{escaped, escaped_to};
pub use foreign::ForeignProtocol;
pub use line::{Ending, FrameFault, Line, LineFramer};
pub use mask::{masked, masked_to};
pub use reply::{Reply, ReplyAssembler, ReplyClass, ReplyCode, ReplyFault};
pub use verb::{TransferDirection, Verb};
