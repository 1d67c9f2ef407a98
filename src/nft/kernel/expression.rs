//! One rule as the kernel's list of expressions.
//!
//! nftnl's expressions always use register 1, so a key of several parts can't be loaded with them; these are composed here. The
//! numbers are those of linux/netfilter/nf_tables.h. This module must not know what rules say.

use super::element::comment;
use super::message::{APPEND, Attributes, CREATE, Message, Subsystem};
use super::set::INET;

const NEW_RULE: u8 = 6;

/// What becomes of a packet (enum nft_verdicts, linux/netfilter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    Drop,
    Accept,
    Jump(&'a str),
    Goto(&'a str),
    Return,
}

/// A rule that is being put together.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) chain: &'static str,
    /// A word by which the rule is found again; nft shows it as its comment.
    pub(super) name: String,
    expressions: Attributes,
}

impl Rule {
    pub(super) fn new(chain: &'static str, name: impl Into<String>) -> Rule {
        Rule {
            chain,
            name: name.into(),
            expressions: Attributes::default(),
        }
    }

    /// The message that appends the rule to its chain.
    pub(super) fn message(&self, table: &str) -> Message {
        let kind = Subsystem::Tables.kind(NEW_RULE);
        Message::new(kind, CREATE | APPEND, INET, 0, |rule| {
            rule.text(1, table); // NFTA_RULE_TABLE
            rule.text(2, self.chain); // NFTA_RULE_CHAIN
            rule.bytes(4, self.expressions.as_bytes()); // NFTA_RULE_EXPRESSIONS
            rule.bytes(7, &comment(&self.name)); // NFTA_RULE_USERDATA
        })
    }

    pub(super) fn expression(mut self, name: &str, data: impl FnOnce(&mut Attributes)) -> Rule {
        self.expressions.nest(1, |expression| {
            expression.text(1, name).nest(2, data);
        });
        self
    }

    pub(super) fn meta(self, key: u32) -> Rule {
        self.expression("meta", |data| {
            data.be32(2, key).be32(1, register(0));
        })
    }

    pub(super) fn payload(self, base: u32, offset: u32, length: u32, word: u32) -> Rule {
        self.expression("payload", |data| {
            data.be32(1, register(word)).be32(2, base);
            data.be32(3, offset).be32(4, length);
        })
    }

    pub(super) fn tracked(self, key: u32, word: u32) -> Rule {
        self.expression("ct", |data| {
            data.be32(1, register(word)).be32(2, key);
        })
    }

    /// Loads something of the connection as its first packet was.
    pub(super) fn original(self, key: u32, word: u32) -> Rule {
        self.expression("ct", |data| {
            data.be32(1, register(word)).be32(2, key).bytes(3, &[0]); // IP_CT_DIR_ORIGINAL
        })
    }

    pub(super) fn compare(self, operator: u32, value: &[u8]) -> Rule {
        self.expression("cmp", |data| {
            data.be32(1, register(0)).be32(2, operator);
            data.nest(3, |operand| {
                operand.bytes(1, value);
            });
        })
    }

    /// Register = (register & mask) ^ bits.
    pub(super) fn bitwise(self, word: u32, mask: &[u8], bits: &[u8]) -> Rule {
        let length = u32::try_from(mask.len()).unwrap_or_default();
        self.expression("bitwise", |data| {
            data.be32(1, register(word)).be32(2, register(word));
            data.be32(3, length);
            data.nest(4, |operand| {
                operand.bytes(1, mask);
            });
            data.nest(5, |operand| {
                operand.bytes(1, bits);
            });
        })
    }

    pub(super) fn verdict(self, verdict: Verdict<'_>) -> Rule {
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3, Some(chain)),
            Verdict::Goto(chain) => (-4, Some(chain)),
            Verdict::Return => (-5, None),
        };
        self.expression("immediate", |data| {
            data.be32(1, 0); // NFT_REG_VERDICT
            data.nest(2, |value| {
                value.nest(2, |verdict| {
                    verdict.be32(1, i32::cast_unsigned(code));
                    if let Some(chain) = chain {
                        verdict.text(2, chain);
                    }
                });
            });
        })
    }
}

/// The register that begins at a word, as nft numbers it: NFT_REG_1 to 4 where they begin, else NFT_REG32_00 and so on.
pub(super) fn register(word: u32) -> u32 {
    if word.is_multiple_of(4) {
        1 + word / 4
    } else {
        8 + word
    }
}
