//! One rule: what it asks for, what it decides, what it adds.

use std::sync::Arc;

use super::condition::Condition;
use super::decision::{Effect, Hide, Limits, Origin, Would};
use super::value::Value;

/// A rule, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) origin: Arc<Origin>,
    pub(super) when: Condition,
    pub(super) effect: Option<Effect>,
    pub(super) limits: Limits,
    pub(super) hide: Hide,
    /// Whether it is only noted what it would have done.
    pub(super) observe: bool,
}

impl Rule {
    /// Tells whether it applies with this value: where something can't be told, whatever refuses, restricts or asks
    /// applies, and what allows does not.
    pub(super) fn applies(&self, value: Value) -> bool {
        match (value, &self.effect) {
            (Value::True, _) => true,
            (Value::Unknown, Some(Effect::Allow)) => false,
            (Value::Unknown, Some(Effect::Deny(_) | Effect::Close(_) | Effect::Ask(_)) | None) => {
                true
            }
            (Value::False | Value::Waits | Value::Never, _) => false,
        }
    }

    /// Tells whether it has a verdict that counts.
    pub(super) fn decides(&self) -> Option<&Effect> {
        self.effect.as_ref().filter(|_| !self.observe)
    }

    pub(super) fn would(&self) -> Would {
        match &self.effect {
            Some(effect) => effect.would(),
            None if self.limits.is_none() && self.hide.is_none() => Would::Nothing,
            None => Would::Modify,
        }
    }
}
