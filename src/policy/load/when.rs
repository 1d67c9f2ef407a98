//! `when`: what a rule asks for.

use std::sync::Arc;

use super::time::window;
use super::{File, MOST_REGEXES, scalar};
use crate::ftp::Verb;
use crate::policy::asks::{Asks, VerbName};
use crate::policy::condition::Condition;
use crate::policy::network::Networks;
use crate::policy::user::Users;
use crate::policy::{Operation, operation};
use crate::yaml::network::parse_network;
use crate::yaml::problem::Refusal;
use crate::yaml::reader::{Item, Reader};
use crate::yaml::section::Section;
use crate::yaml::suggest::nearest;
use crate::yaml::wording::{quoted, shorten};

/// The keys of `when`.
pub(super) const KEYS: &[&str] = &[
    "client",
    "listener",
    "upstream",
    "user",
    "logged_in",
    "control_tls",
    "data_tls",
    "client_certificate",
    "verb",
    "operation",
    "site",
    "path",
    "extension",
    "argument",
    "size",
    "data_mode",
    "time",
    "moment",
    "not",
    "any",
    "all",
];

impl File<'_> {
    pub(super) fn when(&mut self, reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Condition> {
        let mut section = reader.section(item)?;
        if section.entries().next().is_none() {
            let refusal = Refusal::new("`when` asks for nothing")
                .help("leave it away for a rule that always matches");
            return reader.fail(item, refusal);
        }
        let mut all = Vec::new();
        self.session(reader, &mut section, &mut all);
        self.command(reader, &mut section, &mut all);
        if let Some(item) = section.take("time") {
            all.extend(window(reader, &item).map(Condition::Time));
        }
        if let Some(item) = section.take("moment") {
            let moments = reader.list(&item, "[command]", true, |reader, item| {
                reader.choice(item, &[])
            });
            all.extend(moments.map(Condition::Moment));
        }
        if let Some(item) = section.take("not") {
            let inner = self.when(reader, &item);
            all.extend(inner.map(|inner| Condition::Not(Box::new(inner))));
        }
        for (key, make) in [
            ("any", Condition::Any as fn(Vec<Condition>) -> Condition),
            ("all", Condition::All),
        ] {
            if let Some(item) = section.take(key) {
                let entries =
                    reader.entries(&item, "[{user: [bob]}, {client: [192.0.2.0/24]}]", true);
                let entries = entries.unwrap_or_default();
                let inner = entries
                    .iter()
                    .filter_map(|item| self.when(reader, item))
                    .collect();
                all.push(make(inner));
            }
        }
        section.finish(reader);
        Some(Condition::All(all))
    }

    /// Reads what concerns the session.
    fn session(
        &mut self,
        reader: &mut Reader<'_>,
        section: &mut Section<'_>,
        all: &mut Vec<Condition>,
    ) {
        if let Some(item) = section.take("client") {
            all.extend(self.client(reader, &item).map(Condition::Client));
        }
        if let Some(item) = section.take("listener") {
            let names = self.names(reader, &item, "listener", self.surroundings.listeners);
            all.extend(names.map(Condition::Listener));
        }
        if let Some(item) = section.take("upstream") {
            let names = self.names(reader, &item, "upstream", self.surroundings.upstreams);
            all.extend(names.map(Condition::Upstream));
        }
        if let Some(item) = section.take("user") {
            all.extend(self.user(reader, &item).map(Condition::User));
        }
        for (key, make) in [
            ("logged_in", Condition::LoggedIn as fn(bool) -> Condition),
            ("control_tls", Condition::ControlTls),
            ("data_tls", Condition::DataTls),
        ] {
            if let Some(item) = section.take(key) {
                all.extend(reader.flag(&item).map(make));
            }
        }
        if let Some(item) = section.take("client_certificate") {
            let patterns = reader.list(&item, "[\"*\"]", true, |reader, item| {
                reader.text(
                    item,
                    "a name in a certificate, or a pattern: `\"*\"`",
                    scalar::glob,
                )
            });
            all.extend(patterns.map(Condition::Certificate));
        }
        if let Some(item) = section.take("data_mode") {
            all.extend(data_mode(reader, &item));
        }
    }

    /// Reads what concerns the command.
    fn command(
        &mut self,
        reader: &mut Reader<'_>,
        section: &mut Section<'_>,
        all: &mut Vec<Condition>,
    ) {
        let mut asks = Vec::new();
        if let Some(item) = section.take("verb") {
            asks.extend(reader.list(&item, "[RETR]", true, verb).map(Asks::Verb));
        }
        if let Some(item) = section.take("operation") {
            let operations = reader.list(&item, "[write, delete]", true, |reader, item| {
                reader.choice::<Operation>(item, &[])
            });
            asks.extend(operations.map(|all| Asks::Operation(operation::set(&all))));
        }
        if let Some(item) = section.take("site") {
            let words = reader.list(&item, "[CHMOD]", true, |reader, item| {
                reader.text(item, "a word behind SITE: `CHMOD`", scalar::word)
            });
            let bytes = |word: Box<str>| word.into_boxed_bytes();
            asks.extend(words.map(|words| Asks::Site(words.into_iter().map(bytes).collect())));
        }
        if let Some(item) = section.take("path") {
            let patterns = reader.list(&item, "[\"/pub/**\"]", true, |reader, item| {
                reader.text(item, "a path or a pattern: `\"/pub/**\"`", scalar::path)
            });
            asks.extend(patterns.map(Asks::Path));
        }
        if let Some(item) = section.take("extension") {
            let extensions = reader.list(&item, "[exe, tar.gz]", true, |reader, item| {
                reader.text(item, "an extension: `exe`", scalar::extension)
            });
            asks.extend(extensions.map(Asks::Extension));
        }
        if let Some(item) = section.take("argument") {
            asks.extend(self.argument(reader, &item).map(Asks::Argument));
        }
        if let Some(item) = section.take("size") {
            asks.extend(size(reader, &item));
        }
        all.extend(asks.into_iter().map(Condition::Command));
    }

    fn client(&self, reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Vec<Arc<Networks>>> {
        let entries = reader.entries(item, "[192.0.2.0/24]", true)?;
        let (mut sets, mut prefixes) = (Vec::new(), Vec::new());
        for entry in &entries {
            let wanted = "a network or the name of a list: `192.0.2.0/24`";
            let _ = reader.text(entry, wanted, |text| {
                match self.networks.get(text) {
                    Some(list) => {
                        sets.push(Arc::clone(list));
                        return Ok(());
                    }
                    None if text.contains(['/', ':'])
                        || text.starts_with(|c: char| c.is_ascii_digit()) => {}
                    None => return Err(self.no_list(text, "networks", self.networks.keys())),
                }
                parse_network(text).map(|prefix| prefixes.push(prefix))
            });
        }
        if !prefixes.is_empty() {
            sets.push(Arc::new(Networks::of(prefixes)));
        }
        Some(sets)
    }

    fn user(&self, reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Vec<Arc<Users>>> {
        let entries = reader.entries(item, "[bob, \"svc-*\"]", true)?;
        let mut sets: Vec<Arc<Users>> = Vec::new();
        let is_list = |entry: &&Item<'_>| {
            entry
                .node
                .text()
                .is_some_and(|text| self.users.contains_key(text))
        };
        for list in entries.iter().filter(is_list) {
            sets.extend(
                list.node
                    .text()
                    .and_then(|name| self.users.get(name))
                    .cloned(),
            );
        }
        if sets.len() < entries.len() {
            let mut own = Users::default();
            for entry in entries.iter().filter(|entry| !is_list(entry)) {
                let _ = reader.text(
                    entry,
                    "a user, a pattern or the name of a list: `bob`",
                    |text| own.add(text).map_err(|why| scalar::no_pattern(text, why)),
                );
            }
            sets.push(Arc::new(own));
        }
        Some(sets)
    }

    fn no_list<'n>(
        &self,
        text: &str,
        kind: &str,
        known: impl Iterator<Item = &'n String>,
    ) -> Refusal {
        let mut known: Vec<&str> = known.map(String::as_str).collect();
        known.sort_unstable();
        let refusal = Refusal::new(format!(
            "there is no list `{}` in `lists.{kind}`",
            shorten(text)
        ));
        match nearest(text, known.iter().copied()) {
            Some(name) => refusal.help(format!("did you mean `{name}`?")),
            None if known.is_empty() => {
                refusal.help("write a network, such as `192.0.2.0/24`, or add the list")
            }
            None => refusal.help(format!("the lists are {}", quoted(&known).join(", "))),
        }
    }

    /// Reads names of the configuration, and checks them where it is known.
    fn names(
        &self,
        reader: &mut Reader<'_>,
        item: &Item<'_>,
        kind: &str,
        known: Option<&[&str]>,
    ) -> Option<Vec<Arc<str>>> {
        reader.list(item, "[main]", true, |reader, item| {
            reader.text(item, &format!("the name of a {kind}"), |text| match known {
                Some(known) if !known.contains(&text) => {
                    let refusal = Refusal::new(format!("there is no {kind} `{}`", shorten(text)));
                    Err(match nearest(text, known.iter().copied()) {
                        Some(name) => refusal.help(format!("did you mean `{name}`?")),
                        None => refusal.help(format!("the names are {}", quoted(known).join(", "))),
                    })
                }
                _ => Ok(Arc::from(text)),
            })
        })
    }

    fn argument(
        &mut self,
        reader: &mut Reader<'_>,
        item: &Item<'_>,
    ) -> Option<Vec<regex::bytes::Regex>> {
        let entries = reader.entries(item, "[\"^-R\"]", true)?;
        let mut patterns = Vec::new();
        for entry in &entries {
            self.regexes += 1;
            if self.regexes > MOST_REGEXES {
                let refusal = Refusal::new(format!("more than {MOST_REGEXES} regular expressions"));
                return reader.fail(
                    entry,
                    refusal.help("`path`, `extension` and `site` need none, and are faster"),
                );
            }
            patterns.extend(reader.text(entry, "a regular expression: `\"^-R\"`", scalar::regex));
        }
        Some(patterns)
    }
}

fn verb(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<VerbName> {
    let name = reader.text(item, "a verb: `RETR`", scalar::verb)?;
    if let VerbName::Other(word) = &name {
        let word = String::from_utf8_lossy(word);
        let known = Verb::ALL.iter().map(|verb| verb.name());
        if let Some(meant) = nearest(&word, known) {
            let refusal = Refusal::new(format!("no verb `{word}` is known"));
            reader.warn(
                item.node.at,
                &item.key,
                refusal.help(format!("did you mean `{meant}`?")),
            );
        }
    }
    Some(name)
}

fn size(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Asks> {
    let mut section = reader.section(item)?;
    let mut read = |key| {
        let item = section.take(key)?;
        reader.text(&item, "a size: `10MiB`", scalar::size)
    };
    let (over, up_to) = (read("over"), read("up_to"));
    section.finish(reader);
    if !reader.clean(&item.key) {
        return None;
    }
    match (over, up_to) {
        (None, None) => {
            let refusal = Refusal::new("`size` asks for nothing")
                .help("write `over: 1GiB` or `up_to: 10MiB`");
            reader.fail(item, refusal)
        }
        (Some(over), Some(up_to)) if over >= up_to => {
            let refusal = Refusal::new("no size is over the one and up to the other");
            reader.fail(
                item,
                refusal.help("write a smaller `over` or a larger `up_to`"),
            )
        }
        _ => Some(Asks::Size { over, up_to }),
    }
}

fn data_mode(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Condition> {
    let mut section = reader.section(item)?;
    let mut read = |key| {
        let item = section.take(key)?;
        reader.choice(&item, &[])
    };
    let (client, upstream) = (read("client"), read("upstream"));
    section.finish(reader);
    if client.is_none() && upstream.is_none() && reader.clean(&item.key) {
        let refusal = Refusal::new("`data_mode` asks for nothing");
        return reader.fail(
            item,
            refusal.help("write `client: active`, or `upstream:` with `active` or `passive`"),
        );
    }
    Some(Condition::DataMode { client, upstream })
}
