//! The bit by which the operator's firewall knows our connections.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

use super::problem::Refusal;

/// Holds one bit of the connection mark; always compared and set under its own mask, so that all other bits stay others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(u32);

impl Mark {
    /// Bit 12, the one that least others claim.
    ///
    /// The registry at github.com/fwmark/registry, and who is known to use which bits: the lowest byte is the
    /// administrators' own; AWS' CNI has 0x80, Istio 0xfff, Cilium's magic 0xf00, CNI's portmap 0x2000, Kubernetes 0x4000 and
    /// 0x8000, Weave 0x60000, Tailscale 0xff0000, Calico 0xffff0000 (with 0x01000000 for what its eBPF programs have seen).
    /// Bit 12 is claimed by Cilium and by mwan3 of OpenWrt (0x3f00): beside these choose another.
    pub const DEFAULT: Self = Self(0x1000);

    /// Makes a mark of one bit; none when `bits` has another number of them.
    #[must_use]
    pub const fn new(bits: u32) -> Option<Self> {
        if bits.is_power_of_two() {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Reads `0x1000`: one bit, in hexadecimal.
    ///
    /// # Errors
    /// When `text` is no hexadecimal number of 32 bits, or has not exactly one bit.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refusal = || Refusal::new(format!("`{}` is not a mark", text.escape_debug()));
        let digits = text.strip_prefix("0x").filter(|digits| {
            (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        });
        let Some(bits) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return Err(
                refusal().help("write one bit of 32 in hexadecimal and in quotes: `\"0x1000\"`")
            );
        };
        Self::new(bits).ok_or_else(|| {
            refusal().help(format!(
                "write exactly one bit, such as `\"{}\"`; this has {}",
                Self::DEFAULT,
                bits.count_ones()
            ))
        })
    }

    /// Returns the bit.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Mark {
    fn schema_name() -> Cow<'static, str> {
        "Mark".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One bit of 32, in hexadecimal and in quotes: `\"0x1000\"`.",
            "type": "string",
            "maxLength": 10,
            "pattern": "^0x0*[1248]0*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_reads_and_writes() {
        for bit in 0..32 {
            let mark = Mark::new(1 << bit).expect("one bit");
            assert_eq!(Mark::parse(&mark.to_string()), Ok(mark));
        }
        assert_eq!(Mark::parse("0x00001000"), Ok(Mark::DEFAULT));
    }

    #[test]
    fn anything_but_one_bit_is_refused() {
        for bad in [
            "",
            "0x",
            "0x0",
            "0x3",
            "0xffffffff",
            "0x100000000",
            "0x000001000",
            "4096",
            "0x+1",
            "0X10",
            " 0x10",
        ] {
            assert!(Mark::parse(bad).is_err(), "{bad}");
        }
    }
}
