//! The section `login_guard`.

use std::num::NonZeroU8;
use std::time::Duration;

use super::networks;
use crate::config::login_guard::LoginGuard;
use crate::config::problem::Refusal;
use crate::config::quantity::{parse_duration, show_duration};
use crate::config::reader::{Item, Reader};
use crate::config::wording::shorten;

pub(super) fn read(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<LoginGuard> {
    let mut section = reader.section(item)?;
    let default = LoginGuard::default();
    let guard = LoginGuard {
        tries: reader.or(section.take("tries"), default.tries, tries),
        delay: reader.or(section.take("delay"), default.delay, |reader, item| {
            let least = Duration::from_millis(1);
            time(reader, item, least, LoginGuard::LONGEST_DELAY)
        }),
        ban: reader.or(section.take("ban"), default.ban, |reader, item| {
            let least = LoginGuard::SHORTEST_BAN;
            time(reader, item, least, LoginGuard::LONGEST_BAN)
        }),
        never_ban: reader.or(section.take("never_ban"), Vec::new(), networks),
        probes_from: reader.or(section.take("probes_from"), Vec::new(), networks),
    };
    section.finish(reader);
    Some(guard)
}

fn tries(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Option<NonZeroU8>> {
    let most = LoginGuard::MOST_TRIES;
    reader.text(item, "`none` or a number", |text| {
        match (text, text.parse::<NonZeroU8>()) {
            ("none", _) => Ok(None),
            (_, Ok(tries)) if tries.get() <= most => Ok(Some(tries)),
            _ => Err(Refusal::new(format!(
                "`{}` is not a number from 1 to {most}",
                shorten(text)
            ))
            .help(format!("write `none` or a number from 1 to {most}"))),
        }
    })
}

fn time(
    reader: &mut Reader<'_>,
    item: &Item<'_>,
    least: Duration,
    most: Duration,
) -> Option<Option<Duration>> {
    reader.text(item, "`none` or a duration: `15m`", |text| {
        if text == "none" {
            return Ok(None);
        }
        match parse_duration(text)? {
            time if time < least => Err(Refusal::new(format!("`{text}` is too short")).help(
                format!("write `none`, or `{}` or more", show_duration(least)),
            )),
            time if time > most => Err(Refusal::new(format!("`{text}` is too long"))
                .help(format!("write `{}` or less", show_duration(most)))),
            time => Ok(Some(time)),
        }
    })
}
