//! How the demo server writes its listings: LIST like `ls -l`, NLST, and the facts of MLSD and MLST (RFC 3659).

use jiff::{SignedDuration, Timestamp};

use super::store::Entry;

/// The facts that MLST and MLSD give, in the order in which FEAT names them.
pub(super) const FACTS: [&str; 4] = ["type", "size", "modify", "perm"];

/// Which of [`FACTS`] a session wants (OPTS MLST).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted([bool; FACTS.len()]);

impl Default for Wanted {
    fn default() -> Self {
        Self([true; FACTS.len()])
    }
}

impl Wanted {
    /// Reads the argument of OPTS MLST, `size;modify;`; what is not known is passed over (RFC 3659, section 7.9).
    pub(super) fn read(argument: &str) -> Self {
        let asked = |fact: &str| {
            argument
                .split(';')
                .any(|name| name.eq_ignore_ascii_case(fact))
        };
        Self(FACTS.map(asked))
    }

    /// The facts with a `;` behind each, those not wanted left out.
    pub(super) fn written(self) -> String {
        self.chosen().map(|fact| format!("{fact};")).collect()
    }

    /// The line of FEAT: every fact, a `*` behind the wanted ones.
    pub(super) fn feature(self) -> String {
        let facts = FACTS.iter().zip(self.0);
        facts
            .map(|(fact, wanted)| format!("{fact}{};", if wanted { "*" } else { "" }))
            .collect()
    }

    fn chosen(self) -> impl Iterator<Item = &'static str> {
        let facts = FACTS.into_iter().zip(self.0);
        facts.filter_map(|(fact, wanted)| wanted.then_some(fact))
    }
}

/// The facts of one entry, a space, and its name.
pub(super) fn facts(entry: &Entry, name: &[u8], wanted: Wanted) -> Vec<u8> {
    let directory = entry.is_directory();
    let mut line = String::new();
    for fact in wanted.chosen() {
        let value = match fact {
            "type" if directory => "dir".to_owned(),
            "type" => "file".to_owned(),
            "size" if directory => continue,
            "size" => entry.size().to_string(),
            "modify" => modified(entry),
            _ if directory => "cdeflmp".to_owned(),
            _ => "adfrw".to_owned(),
        };
        line.push_str(&format!("{fact}={value};"));
    }
    line.push(' ');
    let mut line = line.into_bytes();
    line.extend_from_slice(name);
    line
}

/// The time of the last change in UTC, `YYYYMMDDhhmmss` (RFC 3659, section 2.3).
pub(super) fn modified(entry: &Entry) -> String {
    entry.modified.strftime("%Y%m%d%H%M%S").to_string()
}

/// One line like `ls -l`: the time of day when the change is of the last half-year, else the year.
pub(super) fn long(entry: &Entry, name: &[u8], now: Timestamp) -> Vec<u8> {
    let mode = if entry.is_directory() {
        "drwxr-xr-x"
    } else {
        "-rw-r--r--"
    };
    let age = now.duration_since(entry.modified);
    let form = if age.abs() < SignedDuration::from_hours(24 * 180) {
        "%b %e %H:%M"
    } else {
        "%b %e  %Y"
    };
    let size = entry.size();
    let time = entry.modified.strftime(form);
    let mut line = format!("{mode}   1 demo     demo     {size:>12} {time} ").into_bytes();
    line.extend_from_slice(name);
    line
}

#[cfg(test)]
mod tests {
    use super::super::store::Node;
    use super::*;

    fn directory(at: &str) -> Entry {
        Entry {
            node: Node::Directory,
            modified: at.parse().unwrap(),
        }
    }

    #[test]
    fn the_year_stands_where_the_change_is_old() {
        let entry = directory("2026-03-04T05:06:07Z");
        let near = "2026-04-01T00:00:00Z".parse().unwrap();
        let far = "2027-04-01T00:00:00Z".parse().unwrap();
        assert_eq!(
            String::from_utf8(long(&entry, b"d", near)).unwrap(),
            "drwxr-xr-x   1 demo     demo                0 Mar  4 05:06 d"
        );
        assert_eq!(
            String::from_utf8(long(&entry, b"d", far)).unwrap(),
            "drwxr-xr-x   1 demo     demo                0 Mar  4  2026 d"
        );
    }

    #[test]
    fn facts_can_be_chosen() {
        let entry = directory("2026-03-04T05:06:07Z");
        let all = facts(&entry, b"a b", Wanted::default());
        assert_eq!(all, b"type=dir;modify=20260304050607;perm=cdeflmp; a b");
        let some = Wanted::read("Modify;unix.mode;");
        assert_eq!(facts(&entry, b"x", some), b"modify=20260304050607; x");
        assert_eq!(some.written(), "modify;");
        assert_eq!(some.feature(), "type;size;modify*;perm;");
    }
}
