//! Single values of a rule file.

use regex::bytes::{Regex, RegexBuilder};

use crate::ftp::Verb;
use crate::policy::asks::{PathPattern, VerbName};
use crate::policy::decision::Answer;
use crate::policy::glob::{Glob, LONGEST};
use crate::policy::window::Hours;
use crate::yaml::problem::Refusal;
use crate::yaml::quantity::parse_size;
use crate::yaml::wording::shorten;

/// How large a regular expression may become, in bytes.
const REGEX_SIZE: usize = 64 << 10;

pub(super) fn no_pattern(text: &str, why: &'static str) -> Refusal {
    Refusal::new(format!("`{}` is not a pattern", shorten(text))).help(why)
}

pub(super) fn path(text: &str) -> Result<PathPattern, Refusal> {
    PathPattern::parse(text).map_err(|why| no_pattern(text, why))
}

pub(super) fn glob(text: &str) -> Result<Glob, Refusal> {
    Glob::parse(text, false).map_err(|why| no_pattern(text, why))
}

/// Reads a regular expression: over bytes, so that what is no UTF-8 hides nothing, and `.` is any of them.
pub(super) fn regex(text: &str) -> Result<Regex, Refusal> {
    let refusal = || Refusal::new(format!("`{}` is not a regular expression", shorten(text)));
    if text.len() > LONGEST {
        return Err(refusal().help("it has at most 1024 bytes"));
    }
    RegexBuilder::new(text)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(REGEX_SIZE)
        .dfa_size_limit(4 * REGEX_SIZE)
        .nest_limit(32)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => Refusal::new(format!(
                "the regular expression `{}` is too large",
                shorten(text)
            ))
            .help("repeat less: `{1000}` inside `{1000}` is a million"),
            error => {
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default();
                let last = last.trim_start_matches("error: ");
                let help = if last.contains("Unicode") {
                    "begin it with `(?u)` to match letters that are not ASCII as letters".to_owned()
                } else {
                    format!("{}; `\\.` is a dot, `\\*` a star", shorten(last))
                };
                refusal().help(help)
            }
        })
}

/// Reads `550 Not here.`
pub(super) fn answer(text: &str, least: u16, example: &str) -> Result<Answer, Refusal> {
    let refusal = |why: &str| {
        Refusal::new(format!("`{}` is not a reply that refuses", shorten(text)))
            .help(format!("{why}: `{example}`"))
    };
    let (code, words) = text
        .split_once(' ')
        .ok_or_else(|| refusal("write a code, a blank and what the user reads"))?;
    let code = match code.parse::<u16>() {
        Ok(number) if code.len() == 3 && (least..=599).contains(&number) => number,
        _ => return Err(refusal(&format!("write a code from {least} to 599"))),
    };
    if words.trim().is_empty() {
        return Err(refusal("say what happened and what to do"));
    }
    if words.len() > 400 || words.chars().any(char::is_control) {
        return Err(refusal("a reply is one line of at most 400 bytes"));
    }
    if words.replace("{verb}", "").contains(['{', '}']) {
        return Err(refusal(
            "braces stand only around `{verb}`, which becomes the command's verb",
        ));
    }
    Ok(Answer {
        code,
        text: words.into(),
    })
}

/// Reads `5MiB/s`.
pub(super) fn speed(text: &str) -> Result<u64, Refusal> {
    match text.strip_suffix("/s").map(parse_size) {
        Some(Ok(bytes)) => Ok(bytes),
        _ => Err(Refusal::new(format!("`{}` is not a speed", shorten(text)))
            .help("write a size per second: `512KiB/s`, `5MiB/s`")),
    }
}

pub(super) fn size(text: &str) -> Result<u64, Refusal> {
    parse_size(text)
}

pub(super) fn hours(text: &str) -> Result<Hours, Refusal> {
    Hours::parse(text).ok_or_else(|| {
        Refusal::new(format!("`{}` are not hours", shorten(text))).help(
            "write two times of day in quotes: `\"08:00-18:00\"`, over midnight `\"22:00-06:00\"`",
        )
    })
}

/// Reads a verb: any word that could be one.
pub(super) fn verb(text: &str) -> Result<VerbName, Refusal> {
    let is_verb =
        (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_verb || text.contains(['*', '?']) {
        return Err(
            Refusal::new(format!("`{}` is not a verb", shorten(text))).help(
                "write an FTP command as it is sent: `RETR`; several kinds of them are `operation`",
            ),
        );
    }
    Ok(match Verb::parse(text.as_bytes()) {
        Verb::Unknown => VerbName::Other(text.to_ascii_uppercase().into_bytes().into()),
        verb => VerbName::Known(verb),
    })
}

pub(super) fn extension(text: &str) -> Result<Box<[u8]>, Refusal> {
    let name = text.trim_start_matches('.');
    if name.is_empty()
        || name.contains(['/', '\\', '*', '?', '['])
        || name.chars().any(char::is_control)
    {
        return Err(
            Refusal::new(format!("`{}` is not an extension", shorten(text)))
                .help("write what stands behind the last dot: `exe`; patterns belong at `path`"),
        );
    }
    Ok(crate::policy::asks::extension(name))
}

/// Reads the name of a feature or of a SITE command.
pub(super) fn word(text: &str) -> Result<Box<str>, Refusal> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('*') {
        return Err(Refusal::new(format!("`{}` is not one word", shorten(text)))
            .help("write the word as it is sent: `CHMOD`, `MLST`"));
    }
    Ok(text.to_ascii_uppercase().into())
}
