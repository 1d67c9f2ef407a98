//! Durations, sizes, rates, percentages: numbers that carry their unit.

use std::fmt;
use std::time::Duration;

use super::problem::Refusal;

/// Units of time with their milliseconds, largest first.
const TIMES: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// Units of size with their bytes, largest first.
const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
/// Spans of a rate with their seconds.
const SPANS: [(&str, u64); 3] = [("s", 1), ("min", 60), ("h", 3600)];
/// The longest duration, ten years of days.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// Reads a duration above zero: `500ms`, `30s`, `15m`, `2h`, `90d`.
///
/// # Errors
/// When `text` has no unit, another unit, is zero, or longer than ten years.
pub fn parse_duration(text: &str) -> Result<Duration, Refusal> {
    let (number, unit) = split_unit(text);
    let refusal = || Refusal::new(format!("`{}` is not a duration", text.escape_debug()));
    let number = match number.parse::<u64>() {
        Ok(number) => number,
        Err(_) => {
            return Err(refusal()
                .help("write a whole number and its unit: `500ms`, `30s`, `15m`, `2h`, `90d`"));
        }
    };
    if unit.is_empty() {
        return Err(refusal().help(format!(
            "write `{number}s`: a duration needs a unit (ms, s, m, h or d)"
        )));
    }
    if unit.starts_with(['.', ',']) {
        return Err(refusal().help("write a whole number with a smaller unit: `1500ms`, `90s`"));
    }
    let Some((_, factor)) = TIMES.iter().find(|(known, _)| *known == unit) else {
        let likely = match unit.to_ascii_lowercase().as_str() {
            "min" | "mins" | "minute" | "minutes" => "m",
            "sec" | "secs" | "second" | "seconds" => "s",
            "hour" | "hours" | "hr" | "hrs" => "h",
            "day" | "days" => "d",
            "msec" | "millis" | "milliseconds" => "ms",
            lower => TIMES
                .iter()
                .find(|(known, _)| *known == lower)
                .map_or("s", |(known, _)| known),
        };
        return Err(refusal().help(format!(
            "write `{number}{likely}`: the units are ms, s, m, h and d"
        )));
    };
    let duration = number.checked_mul(*factor).map(Duration::from_millis);
    match duration {
        Some(Duration::ZERO) => Err(Refusal::new(format!("`{text}` is no time at all"))
            .help("write a duration above zero; a timeout can't be switched off")),
        Some(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(Refusal::new(format!("`{text}` is longer than ten years"))
            .help("the longest duration is `3650d`")),
    }
}

/// Reads a size above zero: `512B`, `4KiB`, `100MiB`, `2GiB`, in bytes.
///
/// # Errors
/// When `text` has no unit, another unit, is zero, or too large for 64 bits.
pub fn parse_size(text: &str) -> Result<u64, Refusal> {
    let (number, unit) = split_unit(text);
    let refusal = || Refusal::new(format!("`{}` is not a size", text.escape_debug()));
    let number = match number.parse::<u64>() {
        Ok(number) => number,
        Err(_) => {
            return Err(refusal()
                .help("write a whole number and its unit: `512B`, `4KiB`, `100MiB`, `2GiB`"));
        }
    };
    if unit.is_empty() {
        return Err(refusal().help(format!(
            "write `{number}B`: a size needs a unit (B, KiB, MiB, GiB or TiB)"
        )));
    }
    if unit.starts_with(['.', ',']) {
        return Err(refusal().help("write a whole number with a smaller unit: `1536KiB`"));
    }
    let Some((_, factor)) = SIZES.iter().find(|(known, _)| *known == unit) else {
        let likely = match unit.to_ascii_lowercase().bytes().next() {
            Some(b'k') => "KiB",
            Some(b'm') => "MiB",
            Some(b'g') => "GiB",
            Some(b't') => "TiB",
            _ => "B",
        };
        return Err(refusal().help(format!(
            "write `{number}{likely}`: the units are B, KiB, MiB, GiB and TiB"
        )));
    };
    match number.checked_mul(*factor) {
        Some(0) => {
            Err(Refusal::new(format!("`{text}` is nothing at all")).help("write a size above zero"))
        }
        Some(bytes) => Ok(bytes),
        None => Err(Refusal::new(format!("`{text}` is too large"))
            .help("write a smaller size, such as `1GiB`")),
    }
}

/// Splits leading digits from what follows them.
fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).unwrap_or((text, ""))
}

/// Writes a duration with the largest unit that holds it whole.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, &TIMES)
}

/// Writes a size in bytes with the largest unit that holds it whole.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

fn show(number: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor))
        .map_or_else(
            || number.to_string(),
            |(unit, factor)| format!("{}{unit}", number / factor),
        )
}

/// Says how often something may happen: a count above zero per span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How often.
    pub count: u32,
    /// In which span: a second, a minute or an hour.
    pub per: Duration,
}

impl Rate {
    /// Makes a rate of `count` per second.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self {
            count,
            per: Duration::from_secs(1),
        }
    }

    /// Reads `20/s`, `100/min` or `500/h`.
    ///
    /// # Errors
    /// When `text` has no span, another span, or is zero.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refusal = || Refusal::new(format!("`{}` is not a rate", text.escape_debug()));
        let (count, span) = split_unit(text);
        let Ok(count) = count.parse::<u32>() else {
            return Err(refusal().help(
                "write a whole number per second, minute or hour: `20/s`, `100/min`, `500/h`",
            ));
        };
        let seconds = span
            .strip_prefix('/')
            .and_then(|span| SPANS.iter().find(|(known, _)| *known == span))
            .map(|(_, seconds)| *seconds);
        match seconds {
            None => Err(refusal().help(format!(
                "write `{count}/s`: a rate is per second, minute or hour (/s, /min, /h)"
            ))),
            Some(_) if count == 0 => Err(Refusal::new(format!("`{text}` lets nothing through"))
                .help("write a rate above zero")),
            Some(seconds) => Ok(Self {
                count,
                per: Duration::from_secs(seconds),
            }),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = SPANS
            .iter()
            .find(|(_, seconds)| *seconds == self.per.as_secs())
            .map_or("s", |(span, _)| span);
        write!(f, "{}/{span}", self.count)
    }
}

/// Holds a share in whole percent, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// Makes a percentage; more than 100 is taken as 100.
    #[must_use]
    pub const fn new(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// Reads `10%`.
    ///
    /// # Errors
    /// When `text` has no `%` or is more than 100.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refusal = Refusal::new(format!("`{}` is not a percentage", text.escape_debug()));
        let (number, sign) = split_unit(text);
        match (number.parse::<u8>(), sign) {
            (Ok(number), "%") if number <= 100 => Ok(Self(number)),
            (Ok(number), "") if number <= 100 => {
                Err(refusal.help(format!("write `{number}%`: a percentage needs its sign")))
            }
            _ => Err(refusal.help("write a whole number from 0 to 100 and its sign: `10%`")),
        }
    }

    /// Returns the number, 0 to 100.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// Holds the permission bits of a file, 0 to 0o777.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// Makes a mode of the lowest nine bits.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self(bits & 0o777)
    }

    /// Reads `0640`, octal.
    ///
    /// # Errors
    /// When `text` is not three or four octal digits, or leaves the owner without the right to write.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refusal = || Refusal::new(format!("`{}` is not a file mode", text.escape_debug()));
        let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u32::from_str_radix(text, 8) {
            Ok(bits) if octal && bits <= 0o777 && bits & 0o200 != 0 => Ok(Self(bits)),
            Ok(bits) if octal && bits <= 0o777 => {
                Err(refusal().help("the owner must be able to write: `\"0640\"`"))
            }
            _ => Err(refusal().help("write the permissions in octal and in quotes: `\"0640\"`")),
        }
    }

    /// Returns the bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        for (text, millis, canonical) in [
            ("500ms", 500, "500ms"),
            ("60s", 60_000, "1m"),
            ("90s", 90_000, "90s"),
            ("15m", 900_000, "15m"),
            ("24h", 86_400_000, "1d"),
            ("3650d", 315_360_000_000, "3650d"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis));
            assert_eq!(show_duration(duration), canonical);
        }
        for bad in [
            "",
            "30",
            "s",
            "-5s",
            "1.5s",
            "1e3s",
            "30 s",
            "0s",
            "3651d",
            "99999999999999999999s",
            "18446744073709551615d",
            "5S",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_read_and_write() {
        for (text, bytes, canonical) in [
            ("512B", 512, "512B"),
            ("4KiB", 4096, "4KiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("1536KiB", 1536 << 10, "1536KiB"),
            ("2TiB", 2 << 40, "2TiB"),
        ] {
            assert_eq!(parse_size(text), Ok(bytes));
            assert_eq!(show_size(bytes), canonical);
        }
        for bad in [
            "",
            "4096",
            "4K",
            "4KB",
            "4kib",
            "0B",
            "-1B",
            "1.5MiB",
            "99999999TiB",
        ] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_read_and_write() {
        for text in ["20/s", "100/min", "500/h"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Rate::parse("20/s"), Ok(Rate::per_second(20)));
        assert_eq!(Rate::parse("6/min").unwrap().per, Duration::from_secs(60));
        for bad in [
            "",
            "20",
            "/s",
            "0/s",
            "20/d",
            "20 /s",
            "-1/s",
            "99999999999/s",
        ] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn percentages_and_modes_have_bounds() {
        assert_eq!(Percent::parse("0%").map(Percent::get), Ok(0));
        assert_eq!(Percent::parse("100%").map(Percent::get), Ok(100));
        for bad in ["101%", "10", "%", "-1%", "1.5%", "300%"] {
            assert!(Percent::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(FileMode::parse("0640").map(FileMode::bits), Ok(0o640));
        assert_eq!(FileMode::parse("600").unwrap().to_string(), "0600");
        for bad in ["", "64", "0888", "04755", "0444", "rw", "+640", "1777"] {
            assert!(FileMode::parse(bad).is_err(), "{bad}");
        }
    }
}
