//! `examples`: what the author of a file expects of it.

use std::collections::HashSet;
use std::net::IpAddr;

use jiff::Timestamp;

use super::{File, scalar, then};
use crate::policy::example::{Example, Expected};
use crate::policy::path::{Directory, Grammar, Paths};
use crate::policy::question::Question;
use crate::policy::request::LegMode;
use crate::yaml::problem::Refusal;
use crate::yaml::reader::{Item, Reader};
use crate::yaml::source::Place;
use crate::yaml::suggest::nearest;
use crate::yaml::wording::shorten;

impl File<'_> {
    pub(super) fn example(
        &self,
        reader: &mut Reader<'_>,
        item: &Item<'_>,
        rules: &HashSet<String>,
    ) -> Option<Example> {
        let mut section = reader.section(item)?;
        let mut question = Question {
            client: section
                .take("client")
                .and_then(|item| reader.text(&item, "an address: `203.0.113.7`", address)),
            ..Question::default()
        };
        let mut word = |reader: &mut Reader<'_>, key| {
            let item = section.take(key)?;
            reader.text(&item, "a word", |text| Ok(text.to_owned()))
        };
        question.listener = word(reader, "listener");
        question.upstream = word(reader, "upstream");
        question.user = word(reader, "user");
        question.certificate = word(reader, "certificate");
        question.command = word(reader, "command");
        question.cwd = word(reader, "cwd");
        question.logged_in = section
            .take("logged_in")
            .and_then(|item| reader.flag(&item));
        question.control_tls = reader.or(section.take("control_tls"), false, Reader::flag);
        question.data_tls = reader.or(section.take("data_tls"), false, Reader::flag);
        let paths = reader.or(section.take("paths"), Grammar::Unix, |reader, item| {
            reader.choice(item, &[])
        });
        question.paths = Some(Paths::Stated(paths));
        question.at = section
            .take("at")
            .and_then(|item| reader.text(&item, "a time: `2026-01-05T09:00:00Z`", time));
        question.size = section
            .take("size")
            .and_then(|item| reader.text(&item, "a size: `10MiB`", scalar::size));
        if let Some(item) = section.take("data_mode")
            && let Some(mut modes) = reader.section(&item)
        {
            let mut mode = |reader: &mut Reader<'_>, key| {
                reader.or(modes.take(key), LegMode::Passive, |reader, item| {
                    reader.choice(item, &[])
                })
            };
            question.client_mode = mode(reader, "client");
            question.upstream_mode = mode(reader, "upstream");
            modes.finish(reader);
        }
        let expect = match section.take("expect") {
            Some(item) => reader.choice::<Expected>(&item, &[]),
            None => {
                let refusal = Refusal::new("an example that expects nothing")
                    .help("write `expect: deny`, or allow, close, ask");
                section.missing(reader, "expect", refusal);
                None
            }
        };
        let rule = section.take("rule").and_then(|item| {
            reader.text(&item, "the name of a rule", |text| known_rule(text, rules))
        });
        let limits = section
            .take("limit")
            .and_then(|item| then::limit(reader, &item));
        section.finish(reader);
        directory(reader, item, &question, paths);
        let line = match item.node.at {
            Place::File { line, .. } => line,
            Place::Flag(_) | Place::Whole => 0,
        };
        Some(Example {
            question,
            expect: expect?,
            rule,
            limits,
            file: self.origin.clone(),
            line,
        })
    }
}

fn address(text: &str) -> Result<IpAddr, Refusal> {
    text.parse().map_err(|_| {
        Refusal::new(format!("`{}` is not an address", shorten(text)))
            .help("write an IP address without port: `203.0.113.7`")
    })
}

fn time(text: &str) -> Result<i64, Refusal> {
    text.parse::<Timestamp>()
        .map(Timestamp::as_microsecond)
        .map_err(|_| {
            Refusal::new(format!("`{}` is not a time", shorten(text))).help(
                "write date, time and zone: `2026-01-05T09:00:00Z`, `2026-01-05T09:00:00+01:00`",
            )
        })
}

fn known_rule(text: &str, rules: &HashSet<String>) -> Result<String, Refusal> {
    if text == "default" || rules.contains(text) {
        return Ok(text.to_owned());
    }
    let refusal = Refusal::new(format!("this file has no rule `{}`", shorten(text)));
    let mut known: Vec<&str> = rules.iter().map(String::as_str).collect();
    known.sort_unstable();
    Err(match nearest(text, known) {
        Some(name) => refusal.help(format!("did you mean `{name}`?")),
        None => refusal
            .help("write the name of a rule above, or `default` where none should have a verdict"),
    })
}

/// Refuses a working directory that its grammar can't read: the example would test something else.
fn directory(reader: &mut Reader<'_>, item: &Item<'_>, question: &Question, grammar: Grammar) {
    let Some(cwd) = &question.cwd else { return };
    if Directory::stated(Paths::Stated(grammar), cwd).is_none() {
        let at = item.node.get("cwd").map_or(item.at, |node| node.at);
        let refusal = Refusal::new(format!(
            "`{}` is no working directory of `{grammar}`",
            shorten(cwd)
        ));
        let help = match grammar {
            Grammar::Unix | Grammar::Windows => "write a path from the root: `/home/bob`",
            Grammar::IbmI => "write `/home/bob`, or the name of a library: `QGPL`",
            Grammar::Mvs => {
                "write `\"'BOB.'\"` for a prefix, `\"'BOB.PDS'\"` for a partitioned data set, or `/u/bob`"
            }
            Grammar::Vms => "write `\"DISK:[BOB]\"`",
        };
        reader.error(at, &item.key, refusal.help(help));
    }
}
