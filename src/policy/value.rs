//! What a condition comes to: more than yes and no, since not everything is known at every moment.
//!
//! Kleene's three values, with "unknown" in the three kinds that a rule treats differently.

/// Says what a condition comes to for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// What this moment should have is lacking: a path that can't be told, a size that nobody knows.
    Unknown,
    /// A later moment supplies what it asks for.
    Waits,
    /// It asks for what this command never has: a path of NOOP, the size of a listing.
    Never,
}

impl Value {
    /// Tells whether both hold. What is false stays so; else the less that is known, the less the whole is.
    pub(super) fn and(self, other: Value) -> Value {
        let rank = |value| match value {
            Value::False => 4,
            Value::Never => 3,
            Value::Waits => 2,
            Value::Unknown => 1,
            Value::True => 0,
        };
        if rank(self) >= rank(other) {
            self
        } else {
            other
        }
    }

    /// Tells whether at least one holds.
    pub(super) fn or(self, other: Value) -> Value {
        let rank = |value| match value {
            Value::True => 4,
            Value::Waits => 3,
            Value::Unknown => 2,
            Value::Never => 1,
            Value::False => 0,
        };
        if rank(self) >= rank(other) {
            self
        } else {
            other
        }
    }

    /// Turns it round; what is not known does not become known by that.
    pub(super) fn negated(self) -> Value {
        match self {
            Value::True => Value::False,
            Value::False => Value::True,
            Value::Unknown | Value::Waits | Value::Never => self,
        }
    }

    /// Makes a value of what must and what may hold.
    pub(super) fn of(must: bool, may: bool) -> Value {
        match (must, may) {
            (true, _) => Value::True,
            (false, true) => Value::Unknown,
            (false, false) => Value::False,
        }
    }
}

impl From<bool> for Value {
    fn from(holds: bool) -> Value {
        if holds { Value::True } else { Value::False }
    }
}

#[cfg(test)]
mod tests {
    use super::Value::{self, *};

    const ALL: [Value; 5] = [True, False, Unknown, Waits, Never];

    #[test]
    fn and_and_or_are_those_of_logic_where_everything_is_known() {
        for (a, b) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(Value::from(a).and(b.into()), Value::from(a && b));
            assert_eq!(Value::from(a).or(b.into()), Value::from(a || b));
        }
    }

    #[test]
    fn order_does_not_matter_and_twice_is_once() {
        for a in ALL {
            assert_eq!((a.and(a), a.or(a), a.negated().negated()), (a, a, a));
            for b in ALL {
                assert_eq!((a.and(b), a.or(b)), (b.and(a), b.or(a)));
                for c in ALL {
                    assert_eq!(a.and(b).and(c), a.and(b.and(c)));
                    assert_eq!(a.or(b).or(c), a.or(b.or(c)));
                }
            }
        }
    }

    #[test]
    fn what_is_lacking_is_neither_yes_nor_no_and_decides_nothing_that_is_decided() {
        for lacking in [Unknown, Waits, Never] {
            assert_eq!(lacking.negated(), lacking);
            assert_eq!((lacking.and(False), lacking.or(True)), (False, True));
            assert_eq!((lacking.and(True), lacking.or(False)), (lacking, lacking));
        }
        assert_eq!((Unknown.and(Waits), Unknown.or(Waits)), (Waits, Waits));
    }
}
