//! The gateway's shell.

pub mod journal;
