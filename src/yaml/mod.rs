//! YAML text to typed values, and what is wrong with it: by line, column and key, all of it at once.
//!
//! The configuration and the rule files are read by the same words, so that a mistake is told in one way. Invariant: a
//! value that can't be read is reported, and nothing is used of a text of which something was reported as an error.
//!
//! This module must not know any key of any format, and touches no files: text is handed in.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod choice;
mod list;
pub mod name;
pub mod network;
pub mod problem;
pub mod quantity;
pub(crate) mod reader;
pub(crate) mod section;
pub(crate) mod source;
pub(crate) mod suggest;
mod syntax;
pub(crate) mod wording;
