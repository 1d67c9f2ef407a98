//! What is allowed: requests in, decisions out; pure.
//!
//! A [`RuleSet`] is read from the text of rule files and asked at four moments of a session: a client arrived, a command
//! arrived, a data connection was negotiated, a transfer is about to begin. Rules are asked in order and the first verdict
//! decides. A rule that asks for what a later moment supplies waits for that moment; where what it asks for should be
//! known and is not, a rule that refuses applies and one that allows does not.
//!
//! Invariant: [`RuleSet::decide`] is a function of its request alone, and a rule that does not match changes nothing.
//! This module must not read files or the clock, and remembers nothing of a session.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod ask;
mod asks;
mod condition;
mod decision;
mod example;
mod explain;
mod facts;
mod glob;
mod index;
mod load;
mod names;
mod network;
mod operation;
mod path;
mod path_glob;
mod question;
mod request;
mod review;
mod rule;
mod schema;
mod set;
mod target;
mod text;
mod user;
mod value;
mod window;

pub use ask::{Ask, Exit};
pub use decision::{Decision, Hide, Limits, Observed, Origin, Verdict, Why, Would};
pub use example::{Example, Expected, Failed, expected_of};
pub use explain::{Explanation, Step};
pub use index::MOST_RULES;
pub(crate) use load::RULE_FILE;
pub use load::{LoadedRules, Source, Surroundings};
pub use operation::Operation;
pub use path::{Directory, Doubt, Grammar, Paths};
pub use question::Question;
pub use request::{Asked, Circumstances, DataFacts, LegMode, Moment, Request, Words};
pub use schema::schema;
pub use set::{Default, RuleSet};
pub use value::Value;
