//! Time windows: days and hours in a time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::value::Value;
use crate::yaml::choice::choice;

choice! {
    /// A day of the week.
    pub enum Day {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

/// Minutes of a day: from, and up to but not including; `to` before `from` runs over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hours {
    pub(super) from: u16,
    pub(super) to: u16,
}

/// Minutes of a whole day.
pub(super) const DAY: u16 = 24 * 60;

/// Days and hours; a span over midnight belongs to the day on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// A bit for each day, Monday first.
    pub(super) days: u8,
    pub(super) hours: Vec<Hours>,
    pub(super) zone: TimeZone,
}

impl Hours {
    /// Reads `08:00-18:00`.
    pub(super) fn parse(text: &str) -> Option<Hours> {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        (from != to && from < DAY).then_some(Hours { from, to })
    }
}

/// Reads `18:30` as minutes; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u16>().ok())
            .flatten()
    };
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY).then_some(minutes)
}

impl Window {
    /// Tells whether a time, in microseconds since the epoch, lies inside.
    pub(super) fn value(&self, at: Option<i64>) -> Value {
        let Some(time) = at.and_then(|at| Timestamp::from_microsecond(at).ok()) else {
            return Value::Unknown;
        };
        let local = self.zone.to_datetime(time);
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let today = local.weekday().to_monday_zero_offset();
        let on = |day: i8| self.days & (1 << day.rem_euclid(7)) != 0;
        let inside = |hours: &Hours| {
            let (from, to) = (i32::from(hours.from), i32::from(hours.to));
            if from < to {
                on(today) && (from..to).contains(&minute)
            } else {
                (on(today) && minute >= from) || (on(today - 1) && minute < to)
            }
        };
        Value::from(self.hours.iter().any(inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: u8, hours: &str, zone: &str) -> Window {
        let zone = jiff::tz::TimeZoneDatabase::bundled()
            .get(zone)
            .expect("a zone");
        Window {
            days,
            hours: vec![Hours::parse(hours).expect("hours")],
            zone,
        }
    }

    fn holds(window: &Window, at: &str) -> bool {
        let at: Timestamp = at.parse().expect("a time");
        window.value(Some(at.as_microsecond())) == Value::True
    }

    #[test]
    fn office_hours_follow_the_zone_and_its_summer_time() {
        let office = window(0b001_1111, "08:00-18:00", "Europe/Berlin");
        // 2026-01-05 and 2026-07-06 are Mondays.
        for (at, inside) in [
            ("2026-01-05T06:59:59Z", false),
            ("2026-01-05T07:00:00Z", true),
            ("2026-01-05T16:59:59Z", true),
            ("2026-01-05T17:00:00Z", false),
            ("2026-07-06T06:00:00Z", true),
            ("2026-07-06T16:00:00Z", false),
            ("2026-07-05T10:00:00Z", false),
        ] {
            assert_eq!(holds(&office, at), inside, "{at}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = window(0b000_0001, "22:00-06:00", "UTC");
        for (at, inside) in [
            ("2026-01-05T21:59:00Z", false),
            ("2026-01-05T22:00:00Z", true),
            ("2026-01-06T05:59:00Z", true),
            ("2026-01-06T06:00:00Z", false),
            ("2026-01-05T03:00:00Z", false),
            ("2026-01-06T23:00:00Z", false),
        ] {
            assert_eq!(holds(&night, at), inside, "{at}");
        }
        assert_eq!(night.value(None), Value::Unknown);
    }

    #[test]
    fn hours_are_two_digits_each() {
        for good in ["00:00-24:00", "08:00-18:30", "22:00-06:00"] {
            assert!(Hours::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "8-18",
            "8:00-18:00",
            "08:00",
            "08:00-25:00",
            "08:60-09:00",
            "24:00-06:00",
            "08:00-08:00",
            "+8:00-09:00",
        ] {
            assert!(Hours::parse(bad).is_none(), "{bad}");
        }
    }
}
