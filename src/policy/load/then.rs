//! `then`: what a rule decides and what it adds.

use std::sync::Arc;
use std::time::Duration;

use super::scalar;
use crate::policy::ask::{Ask, Exit, USUAL_TIMEOUT};
use crate::policy::decision::{Effect, Hide, Limits};
use crate::yaml::problem::Refusal;
use crate::yaml::quantity::parse_duration;
use crate::yaml::reader::{Item, Reader};
use crate::yaml::wording::shorten;

/// The keys of `then`.
pub(super) const KEYS: &[&str] = &["allow", "deny", "close", "ask", "observe", "limit", "hide"];

/// How short and how long an answer may be awaited.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes of a program with its arguments.
const LONGEST_PROGRAM: usize = 4096;

/// The keys of `limit`.
pub(super) const LIMITS: &[&str] = &["upload", "download", "transfer_bytes", "session_bytes"];

/// What `then` says.
pub(super) struct Then {
    pub(super) effect: Option<Effect>,
    pub(super) limits: Limits,
    pub(super) hide: Hide,
    pub(super) observe: bool,
}

pub(super) fn read(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Then> {
    let mut section = reader.section(item)?;
    let mut effects = Vec::new();
    if let Some(item) = section.take("allow")
        && only_true(reader, &item)
    {
        effects.push((Effect::Allow, item.at));
    }
    if let Some(item) = section.take("deny") {
        let answer = reader.text(&item, "a reply: `\"550 Not here.\"`", |text| {
            scalar::answer(text, 400, "550 Not here.")
        });
        effects.extend(answer.map(|answer| (Effect::Deny(answer), item.at)));
    }
    if let Some(item) = section.take("close") {
        let answer = reader.text(&item, "a reply: `\"421 Not from there.\"`", |text| {
            scalar::answer(text, 400, "421 Not from there.")
        });
        effects.extend(answer.map(|answer| (Effect::Close(answer), item.at)));
    }
    if let Some(item) = section.take("ask") {
        let ask = ask(reader, &item);
        effects.extend(ask.map(|ask| (Effect::Ask(Arc::new(ask)), item.at)));
    }
    let observe = match section.take("observe") {
        Some(item) => only_true(reader, &item),
        None => false,
    };
    let limits = reader.or(section.take("limit"), Limits::default(), limit);
    let hide = reader.or(section.take("hide"), Hide::default(), hide);
    section.finish(reader);
    if let Some((_, at)) = effects.get(1) {
        let refusal = Refusal::new("two verdicts in one rule")
            .help("write one of allow, deny, close and ask; a second verdict is a second rule");
        reader.error(*at, &item.key, refusal);
    }
    let effect = effects.into_iter().next().map(|(effect, _)| effect);
    if effect.is_none() && !observe && limits.is_none() && hide.is_none() && reader.clean(&item.key)
    {
        let refusal = Refusal::new("`then` does nothing");
        reader.error(
            item.at,
            &item.key,
            refusal.help(
                "write `deny: \"550 Not here.\"`, or allow, close, ask, limit, hide or observe",
            ),
        );
    }
    Some(Then {
        effect,
        limits,
        hide,
        observe,
    })
}

fn only_true(reader: &mut Reader<'_>, item: &Item<'_>) -> bool {
    match reader.flag(item) {
        Some(true) => true,
        Some(false) => {
            let refusal = Refusal::new("`false` says nothing here")
                .help("write `true`, or leave the key away");
            reader.error(item.node.at, &item.key, refusal);
            false
        }
        None => false,
    }
}

fn ask(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Ask> {
    let mut section = reader.section(item)?;
    let unix = section.take("unix").and_then(|item| {
        reader.text(
            &item,
            "the path of a socket: `/run/decider.sock`",
            whole_path,
        )
    });
    let exec = section.take("exec").and_then(|item| {
        let words = reader.entries(&item, "[/usr/local/libexec/decide, --ftp]", true)?;
        let mut program = Vec::new();
        for (number, item) in words.iter().enumerate() {
            program.push(reader.text(
                item,
                "a program and its arguments",
                |text| match number {
                    0 => whole_path(text),
                    _ => Ok(text.to_owned()),
                },
            )?);
        }
        let length: usize = program.iter().map(|word| word.len() + 1).sum();
        if length > LONGEST_PROGRAM || program.iter().any(|word| word.contains('\0')) {
            let refusal = Refusal::new("a program whose arguments can't be passed on");
            return reader.fail(&item, refusal.help("write at most 4096 bytes, and no NUL"));
        }
        (!program.is_empty()).then_some(program)
    });
    let timeout = section.take("timeout");
    let timeout = reader.or(timeout, USUAL_TIMEOUT, |reader, item| {
        reader.text(item, "how long an answer may be in coming: `5s`", patience)
    });
    let password_files = section.take("password_files").and_then(|item| {
        reader.list(
            &item,
            "[/etc/portcullis/guest.password]",
            true,
            |reader, item| reader.text(item, "the path of a password file", whole_path),
        )
    });
    section.finish(reader);
    let ask = |exit| Ask {
        exit,
        timeout,
        password_files: password_files.unwrap_or_default(),
    };
    match (unix, exec) {
        (Some(path), None) => Some(ask(Exit::Unix(path))),
        (None, Some(program)) => Some(ask(Exit::Exec(program))),
        (Some(_), Some(_)) => {
            let refusal = Refusal::new("two to be asked").help("write `unix` or `exec`");
            reader.fail(item, refusal)
        }
        (None, None) if !reader.clean(&item.key) => None,
        (None, None) => {
            let refusal = Refusal::new("nobody to be asked")
                .help("write `{unix: /run/decider.sock}` or `{exec: [/usr/local/libexec/decide]}`");
            reader.fail(item, refusal)
        }
    }
}

fn patience(text: &str) -> Result<Duration, Refusal> {
    let timeout = parse_duration(text)?;
    match (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&timeout) {
        true => Ok(timeout),
        false => Err(
            Refusal::new(format!("`{}` is too short or too long", shorten(text)))
                .help("write 100ms to 60s: the client waits for as long"),
        ),
    }
}

fn whole_path(text: &str) -> Result<String, Refusal> {
    if !text.starts_with('/') || text.chars().any(char::is_control) {
        return Err(
            Refusal::new(format!("`{}` is not a path from the root", shorten(text)))
                .help("write the whole path: `/usr/local/libexec/decide`"),
        );
    }
    Ok(text.to_owned())
}

pub(super) fn limit(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Limits> {
    let mut section = reader.section(item)?;
    let mut read = |key: &'static str, is_speed: bool| {
        let item = section.take(key)?;
        match is_speed {
            true => reader.text(&item, "a speed: `5MiB/s`", scalar::speed),
            false => reader.text(&item, "a size: `2GiB`", scalar::size),
        }
    };
    let limits = Limits {
        upload: read("upload", true),
        download: read("download", true),
        transfer_bytes: read("transfer_bytes", false),
        session_bytes: read("session_bytes", false),
    };
    section.finish(reader);
    if limits.is_none() && reader.clean(&item.key) {
        let refusal = Refusal::new("`limit` limits nothing")
            .help("write `upload`, `download`, `transfer_bytes` or `session_bytes`");
        reader.error(item.at, &item.key, refusal);
    }
    Some(limits)
}

fn hide(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Hide> {
    let mut section = reader.section(item)?;
    let features = section.take("feat").and_then(|item| {
        reader.list(&item, "[MLST]", true, |reader, item| {
            reader.text(
                item,
                "the first word of a line of FEAT: `MLST`",
                scalar::word,
            )
        })
    });
    let mut read = |key: &'static str| {
        section
            .take(key)
            .is_some_and(|item| only_true(reader, &item))
    };
    let hide = Hide {
        banner: read("banner"),
        syst: read("syst"),
        help: read("help"),
        stat: read("stat"),
        features: features.into_iter().flatten().map(Arc::from).collect(),
    };
    section.finish(reader);
    if hide.is_none() && reader.clean(&item.key) {
        let refusal = Refusal::new("`hide` hides nothing")
            .help("write `banner: true`, or syst, help, stat, or `feat: [MLST]`");
        reader.error(item.at, &item.key, refusal);
    }
    Some(hide)
}
