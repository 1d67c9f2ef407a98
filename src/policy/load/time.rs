//! `time`: days and hours in a time zone.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::scalar;
use crate::policy::window::{DAY, Day, Hours, Window};
use crate::yaml::problem::Refusal;
use crate::yaml::reader::{Item, Reader};
use crate::yaml::suggest::nearest;
use crate::yaml::wording::shorten;

pub(super) fn window(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Window> {
    let mut section = reader.section(item)?;
    let days = reader.or(section.take("days"), Vec::new(), |reader, item| {
        reader.list(item, "[mon, tue, wed, thu, fri]", true, |reader, item| {
            reader.choice::<Day>(item, &[])
        })
    });
    let hours = reader.or(section.take("hours"), Vec::new(), |reader, item| {
        reader.list(item, "[\"08:00-18:00\"]", true, |reader, item| {
            reader.text(item, "hours: `\"08:00-18:00\"`", scalar::hours)
        })
    });
    let zone = match section.take("zone") {
        Some(item) => reader.text(&item, "a time zone: `Europe/Berlin`", zone),
        None => {
            let refusal = Refusal::new("a time window without a time zone")
                .help("write `zone: Europe/Berlin`, or `zone: UTC`");
            section.missing(reader, "zone", refusal);
            None
        }
    };
    section.finish(reader);
    if days.is_empty() && hours.is_empty() && reader.clean(&item.key) {
        let refusal = Refusal::new("`time` asks for nothing");
        return reader.fail(
            item,
            refusal.help("write `days: [sat, sun]` or `hours: [\"08:00-18:00\"]`"),
        );
    }
    let bits = days.iter().fold(0, |bits, day| bits | 1 << *day as u8);
    Some(Window {
        days: if days.is_empty() { 0b0111_1111 } else { bits },
        hours: if hours.is_empty() {
            vec![Hours { from: 0, to: DAY }]
        } else {
            hours
        },
        zone: zone?,
    })
}

fn zone(text: &str) -> Result<TimeZone, Refusal> {
    let zones = TimeZoneDatabase::bundled();
    zones.get(text).map_err(|_| {
        let refusal = Refusal::new(format!("there is no time zone `{}`", shorten(text)));
        let names: Vec<String> = zones
            .available()
            .map(|name| name.as_str().to_owned())
            .collect();
        match nearest(text, names.iter().map(String::as_str)) {
            Some(name) => refusal.help(format!("did you mean `{name}`?")),
            None => refusal.help("write a name of the time zone database: `Europe/Berlin`, `UTC`"),
        }
    })
}
