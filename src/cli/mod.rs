//! The command line.

pub mod pinholes;
