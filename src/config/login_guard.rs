//! How logins are guarded against guessing.

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::num::NonZeroU8;
use std::time::Duration;

use super::problem::Refusal;
use super::quantity::{parse_duration, show_duration};

/// Guards logins against guessing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct LoginGuard {
    /// How many logins may be refused: in one session before it is closed, and of one address within the time of a ban before it is banned. Or `none`.
    #[serde(serialize_with = "write_tries")]
    #[schemars(schema_with = "tries")]
    pub tries: Option<NonZeroU8>,
    /// How long after its command a refused login is told, at the earliest; at most a minute. Or `none`.
    #[serde(serialize_with = "write_time")]
    #[schemars(schema_with = "time")]
    pub delay: Option<Duration>,
    /// How long an address is banned; from a second to a day. Or `none`.
    #[serde(serialize_with = "write_time")]
    #[schemars(schema_with = "time")]
    pub ban: Option<Duration>,
    /// Networks that are never banned.
    #[schemars(with = "Vec<String>")]
    pub never_ban: Vec<IpNet>,
    /// Networks of health checks: connections from there that never log in are in no journal and count for no address's limits. They are never banned either.
    #[schemars(with = "Vec<String>")]
    pub probes_from: Vec<IpNet>,
}

impl LoginGuard {
    /// The most refused logins that can be set.
    pub(super) const MOST_TRIES: u8 = 100;

    /// The longest delay.
    pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(60);

    /// The longest ban; the broker permits no longer one in the kernel.
    pub(super) const LONGEST_BAN: Duration = Duration::from_secs(24 * 3600);

    /// The shortest ban.
    pub(super) const SHORTEST_BAN: Duration = Duration::from_secs(1);

    /// Reads the time of a ban that an operator orders, from a second to a day: `90m`.
    ///
    /// # Errors
    /// When `text` is no duration, or one that is too short or too long.
    pub fn ban_time(text: &str) -> Result<Duration, Refusal> {
        let time = parse_duration(text)?;
        if (Self::SHORTEST_BAN..=Self::LONGEST_BAN).contains(&time) {
            return Ok(time);
        }
        let [least, most] = [Self::SHORTEST_BAN, Self::LONGEST_BAN].map(show_duration);
        let refusal = Refusal::new(format!("`{text}` is no time for a ban"));
        Err(refusal.help(format!("write a time from `{least}` to `{most}`")))
    }
}

impl Default for LoginGuard {
    fn default() -> Self {
        Self {
            tries: NonZeroU8::new(5),
            delay: Some(Duration::from_secs(2)),
            ban: Some(Duration::from_secs(15 * 60)),
            never_ban: Vec::new(),
            probes_from: Vec::new(),
        }
    }
}

fn write_tries<S: Serializer>(tries: &Option<NonZeroU8>, serializer: S) -> Result<S::Ok, S::Error> {
    match tries {
        Some(tries) => serializer.serialize_u8(tries.get()),
        None => serializer.serialize_str("none"),
    }
}

fn write_time<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_str(&show_duration(*time)),
        None => serializer.serialize_str("none"),
    }
}

fn tries(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"const": "none"}, {"type": "integer", "minimum": 1, "maximum": LoginGuard::MOST_TRIES}]})
}

fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"const": "none"}, {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}]})
}
