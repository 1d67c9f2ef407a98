//! Port ranges.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use super::problem::Refusal;
use super::wording::shorten;

/// Holds a range of ports that is never empty and never below 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The default window for clients.
    pub const CLIENT_WINDOW: Self = Self {
        first: 21000,
        last: 21015,
    };
    /// The default window for upstreams.
    pub const UPSTREAM_WINDOW: Self = Self {
        first: 22000,
        last: 22999,
    };

    /// Makes a range of the ports from `first` to `last`, both included; `None` when it is empty or begins below 1024.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (1024 <= first && first <= last).then_some(Self { first, last })
    }

    /// Reads `21000-21015`; one port is written twice (`21000-21000`).
    ///
    /// # Errors
    /// When `text` is not a range, is empty, or begins below 1024.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let ports: Vec<Option<u32>> = text
            .split('-')
            .map(|port| parse_number(port.trim()))
            .collect();
        match ports[..] {
            [Some(first), Some(last)] => Self::from_numbers(first, last, text),
            [Some(port)] => Err(Refusal::new(format!(
                "`{text}` is one port, and a range is needed"
            ))
            .help(format!(
                "write `{port}-{}`",
                port.saturating_add(15).min(65_535).max(port)
            ))),
            _ => Err(
                Refusal::new(format!("`{}` is not a range of ports", text.escape_debug()))
                    .help("write the first and the last port: `21000-21015`"),
            ),
        }
    }

    fn from_numbers(first: u32, last: u32, text: &str) -> Result<Self, Refusal> {
        if first > last {
            return Err(
                Refusal::new(format!("the range `{}` is empty", shorten(text)))
                    .help(format!("write `{last}-{first}`")),
            );
        }
        let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(last)) else {
            return Err(Refusal::new(format!(
                "the range `{text}` goes beyond 65535, the last port"
            ))
            .help("write a range that ends at 65535 or before"));
        };
        Self::new(first, last).ok_or_else(|| {
            Refusal::new(format!("the range `{text}` holds ports below 1024"))
                .help("peers refuse those for data connections; write a range from 1024 on, such as `21000-21015`")
        })
    }

    /// Returns the first port.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.first
    }

    /// Returns the last port.
    #[must_use]
    pub fn last(&self) -> u16 {
        self.last
    }

    /// Returns every port.
    #[must_use]
    pub fn ports(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    /// Returns how many ports there are, 1 or more.
    #[must_use]
    pub fn size(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Tells whether `port` is in the range.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.ports().contains(&port)
    }

    /// Tells whether both have a port in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

fn parse_number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for PortRange {
    fn schema_name() -> Cow<'static, str> {
        "PortRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The first and the last port of a range, from 1024 on.",
            "type": "string",
            "pattern": "^[0-9]{4,5}-[0-9]{4,5}$",
            "examples": ["21000-21015"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_both_ends() {
        let range = PortRange::parse("21000-21015").unwrap();
        assert_eq!(
            (range.first(), range.last(), range.size()),
            (21000, 21015, 16)
        );
        assert!(range.contains(21000) && range.contains(21015));
        assert!(!range.contains(20999) && !range.contains(21016));
        assert_eq!(PortRange::parse("65535-65535").unwrap().size(), 1);
        assert_eq!(range, PortRange::CLIENT_WINDOW);
        assert_eq!(
            PortRange::parse("22000-22999"),
            Ok(PortRange::UPSTREAM_WINDOW)
        );
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in [
            "",
            "-",
            "21000",
            "21015-21000",
            "1023-2000",
            "0-0",
            "21000-70000",
            "a-b",
            "1-2-3",
            "+1-5",
            "99999999999-1",
        ] {
            assert!(PortRange::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_overlap_where_they_share_a_port() {
        let range = |first, last| PortRange::new(first, last).unwrap();
        assert!(range(2000, 2010).overlaps(&range(2010, 2020)));
        assert!(range(2000, 2030).overlaps(&range(2010, 2020)));
        assert!(!range(2000, 2009).overlaps(&range(2010, 2020)));
    }
}
