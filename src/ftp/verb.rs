//! The verbs that are known by name, and what the gateway has to know about them.
//!
//! A verb that is not here is [`Verb::Unknown`]; its bytes stay in the command that holds it.

mod class;
mod table;

pub use class::TransferDirection;
pub use table::Verb;
