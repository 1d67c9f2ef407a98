//! The journal's lines about pinholes, told to a person.
//!
//! A pinhole's story is put together from its records: `pinhole.opened`, `pinhole.used` and `pinhole.closed` carry the same
//! `pinhole` id. What a record does not say is left out of the sentence.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

/// What the journal says of one pinhole, from opening to shutting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinholeStory {
    /// The login name behind it.
    pub user: Option<String>,
    /// The command that asked for it.
    pub command: Option<String>,
    /// Who may use it.
    pub peer: Option<String>,
    /// Where it is.
    pub at: Option<String>,
    /// When it opened.
    pub opened: Option<Timestamp>,
    /// When it was first used.
    pub used: Option<Timestamp>,
    /// When it shut.
    pub closed: Option<Timestamp>,
    /// Bytes that went to the client.
    pub to_client: Option<u64>,
    /// Bytes that went to the upstream.
    pub to_upstream: Option<u64>,
    /// Why it shut.
    pub reason: Option<String>,
}

/// A change that is worth a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A pinhole opened.
    Opened(PinholeStory),
    /// A pinhole shut.
    Shut(PinholeStory),
}

/// Listens to a journal and remembers the pinholes that are open.
#[derive(Debug, Default)]
pub struct Narrator {
    open: BTreeMap<String, PinholeStory>,
}

impl Narrator {
    /// Takes one line of the journal, a JSON object; most lines are no news.
    pub fn hear(&mut self, line: &str) -> Option<News> {
        let record: Map<String, Value> = serde_json::from_str(line).ok()?;
        let id = text(&record, "pinhole")?;
        match record.get("event")?.as_str()? {
            "pinhole.opened" => {
                let story = self.open.entry(id).or_default();
                story.learn(&record);
                story.opened = time(&record);
                Some(News::Opened(story.clone()))
            }
            "pinhole.used" => {
                let story = self.open.get_mut(&id)?;
                story.learn(&record);
                story.used = time(&record);
                None
            }
            "pinhole.closed" => {
                let mut story = self.open.remove(&id).unwrap_or_default();
                story.learn(&record);
                story.closed = time(&record);
                Some(News::Shut(story))
            }
            _ => None,
        }
    }
}

impl PinholeStory {
    fn learn(&mut self, record: &Map<String, Value>) {
        let texts = [
            (&mut self.user, "user"),
            (&mut self.command, "command"),
            (&mut self.peer, "from"),
            (&mut self.at, "at"),
            (&mut self.reason, "reason"),
        ];
        for (place, key) in texts {
            if let Some(value) = text(record, key) {
                *place = Some(value);
            }
        }
        let counts = [
            (&mut self.to_client, "bytes_down"),
            (&mut self.to_upstream, "bytes_up"),
        ];
        for (place, key) in counts {
            if let Some(value) = record.get(key).and_then(Value::as_u64) {
                *place = Some(value);
            }
        }
    }

    /// Where it was, for whom, and because of whom.
    fn place(&self) -> String {
        let at = self.at.as_deref().unwrap_or("a port");
        let peer = self.peer.as_deref().unwrap_or("one address");
        // A network of one address is that address.
        let peer = peer.trim_end_matches("/32").trim_end_matches("/128");
        let mut out = format!("{at} for {peer} only");
        match (&self.user, &self.command) {
            (Some(user), Some(command)) => out.push_str(&format!(" ({user} said {command})")),
            (Some(user), None) => out.push_str(&format!(" (user {user})")),
            (None, Some(command)) => out.push_str(&format!(" (after {command})")),
            (None, None) => {}
        }
        out
    }

    /// How long it was open and what went through.
    fn outcome(&self) -> String {
        let mut parts = Vec::new();
        if let (Some(opened), Some(closed)) = (self.opened, self.closed) {
            let lasted = milliseconds(closed.duration_since(opened));
            parts.push(format!("open for {lasted}"));
        }
        parts.push(match (self.opened, self.used) {
            (_, None) => "never used".to_owned(),
            (None, Some(_)) => "used".to_owned(),
            (Some(opened), Some(used)) => {
                format!("used after {}", milliseconds(used.duration_since(opened)))
            }
        });
        if let (Some(down), Some(up)) = (self.to_client, self.to_upstream) {
            let (down, up) = (grouped(down), grouped(up));
            parts.push(format!("{down} bytes to the client, {up} to the server"));
        }
        if let Some(reason) = &self.reason {
            parts.push(format!("shut: {reason}"));
        }
        parts.join(", ")
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(story) => {
                write!(f, "{} open  {}", clock(story.opened), story.place())
            }
            Self::Shut(story) => {
                let at = story.at.as_deref().unwrap_or("a port");
                write!(f, "{} shut  {at}: {}", clock(story.closed), story.outcome())
            }
        }
    }
}

/// The whole story on two lines, as the demo without a terminal prints it.
impl fmt::Display for PinholeStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pinhole {}", self.place())?;
        write!(
            f,
            "opened {}, shut {}: {}",
            clock(self.opened),
            clock(self.closed),
            self.outcome()
        )
    }
}

/// Writes a number with a comma between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn clock(time: Option<Timestamp>) -> String {
    match time {
        Some(time) => time.strftime("%H:%M:%S%.3f").to_string(),
        None => "?".to_owned(),
    }
}

fn milliseconds(span: SignedDuration) -> String {
    let micros = span.as_micros();
    if micros < 10_000 {
        return format!("{}.{} ms", micros / 1000, (micros % 1000).abs() / 100);
    }
    format!("{} ms", micros / 1000)
}

fn time(record: &Map<String, Value>) -> Option<Timestamp> {
    record.get("time")?.as_str()?.parse().ok()
}

/// The text of a field; what a peer chose (names, commands) can't act on the terminal.
fn text(record: &Map<String, Value>, key: &str) -> Option<String> {
    let mut out = String::new();
    for letter in record.get(key)?.as_str()?.chars() {
        if letter.is_control() {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: &str = r#"{"event":"pinhole.opened","time":"2026-11-21T04:05:06.000000Z","pinhole":"s.1","user":"bob",
        "command":"PASV\u001b[2J","from":"127.0.0.1","at":"127.0.0.1:21003"}"#;
    const USED: &str =
        r#"{"event":"pinhole.used","time":"2026-11-21T04:05:06.001500Z","pinhole":"s.1"}"#;
    const CLOSED: &str = r#"{"event":"pinhole.closed","time":"2026-11-21T04:05:06.250000Z","pinhole":"s.1",
        "bytes_down":1048576,"bytes_up":0,"reason":"Completed"}"#;

    #[test]
    fn a_story_is_put_together_from_its_records() {
        let mut narrator = Narrator::default();
        let opened = narrator.hear(OPENED).unwrap().to_string();
        assert_eq!(
            opened,
            "04:05:06.000 open  127.0.0.1:21003 for 127.0.0.1 only (bob said PASV\\u{1b}[2J)"
        );
        assert_eq!(narrator.hear(USED), None);
        let shut = narrator.hear(CLOSED).unwrap();
        assert_eq!(
            shut.to_string(),
            "04:05:06.250 shut  127.0.0.1:21003: open for 250 ms, used after 1.5 ms, \
             1,048,576 bytes to the client, 0 to the server, shut: Completed"
        );
        assert!(narrator.open.is_empty());
    }

    #[test]
    fn other_lines_are_no_news() {
        let mut narrator = Narrator::default();
        for line in [
            "",
            "nonsense",
            "[1]",
            r#"{"event":"session.opened"}"#,
            r#"{"event":"transfer.completed","pinhole":"s.1"}"#,
            r#"{"pinhole":"s.1"}"#,
        ] {
            assert_eq!(narrator.hear(line), None, "{line}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let written = [0, 999, 1000, 1_048_576].map(grouped);
        assert_eq!(written, ["0", "999", "1,000", "1,048,576"]);
    }
}
