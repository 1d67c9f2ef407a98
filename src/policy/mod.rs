//! What is allowed: requests in, decisions out.

/// The rules in force.
#[derive(Clone, Debug)]
pub struct RuleSet {}
