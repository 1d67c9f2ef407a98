//! The sections that concern the whole gateway.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::mark::Mark;
use crate::config::problem::Refusal;
use crate::config::process::{Account, Process};
use crate::config::quantity::{FileMode, Percent, Rate, parse_duration, parse_size, show_size};
use crate::config::reader::{Item, Reader};
use crate::config::settings::{
    Control, Journal, JournalFile, Limits, Pinholes, RuleFile, Rules, SHIPPED_RULES, Timeouts,
};
use crate::config::suggest::nearest;
use crate::config::window::PortRange;
use crate::config::wording::{one_of, shorten};

pub(super) fn pinholes(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Pinholes> {
    let mut section = reader.section(item)?;
    let default = Pinholes::default();
    let range = |reader: &mut Reader<'_>, item: &Item<'_>| {
        reader.text(item, "a range of ports: `21000-21015`", PortRange::parse)
    };
    let pinholes = Pinholes {
        firewall: reader.or(
            section.take("firewall"),
            default.firewall,
            |reader, item| reader.choice(item, &[]),
        ),
        mark: reader.or(section.take("mark"), default.mark, |reader, item| {
            reader.quoted_text(item, "one bit in quotes: `\"0x1000\"`", Mark::parse)
        }),
        nflog_group: reader.or(
            section.take("nflog_group"),
            default.nflog_group,
            |reader, item| {
                let group = reader.count(item, 0, u32::from(u16::MAX) - 1)?;
                u16::try_from(group).ok()
            },
        ),
        window: reader.or(section.take("window"), default.window, range),
        upstream_window: reader.or(
            section.take("upstream_window"),
            default.upstream_window,
            range,
        ),
        ttl: reader.or(section.take("ttl"), default.ttl, duration),
    };
    section.finish(reader);
    Some(pinholes)
}

pub(super) fn rules(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Rules> {
    let mut section = reader.section(item)?;
    let default = Rules::default();
    let rules = Rules {
        default: reader.or(section.take("default"), default.default, |reader, item| {
            reader.choice(item, &["close", "ask"])
        }),
        files: reader.or(section.take("files"), default.files, |reader, item| {
            reader.list(item, "[everything-but-dangerous]", false, |reader, item| {
                reader.text(
                    item,
                    "the name of built-in rules or the path of a file",
                    rule_file,
                )
            })
        }),
    };
    section.finish(reader);
    Some(rules)
}

pub(super) fn limits(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Limits> {
    let mut section = reader.section(item)?;
    let default = Limits::default();
    let rate =
        |reader: &mut Reader<'_>, item: &Item<'_>| reader.text(item, "a rate: `20/s`", Rate::parse);
    let limits = Limits {
        sessions: reader.or(
            section.take("sessions"),
            default.sessions,
            |reader, item| reader.count(item, 1, 1_000_000),
        ),
        sessions_per_address: reader.or(
            section.take("sessions_per_address"),
            default.sessions_per_address,
            |reader, item| reader.count(item, 1, 1_000_000),
        ),
        sessions_per_user: reader.or(
            section.take("sessions_per_user"),
            default.sessions_per_user,
            super::count_or_none,
        ),
        connects_per_address: reader.or(
            section.take("connects_per_address"),
            default.connects_per_address,
            rate,
        ),
        line: reader.or(section.take("line"), default.line, |reader, item| {
            size(reader, item, 512, 1 << 20)
        }),
        reply: reader.or(section.take("reply"), default.reply, |reader, item| {
            size(reader, item, 1 << 10, 16 << 20)
        }),
        pipeline: reader.or(
            section.take("pipeline"),
            default.pipeline,
            |reader, item| reader.count(item, 1, 10_000),
        ),
        commands: reader.or(section.take("commands"), default.commands, rate),
    };
    section.finish(reader);
    Some(limits)
}

pub(super) fn timeouts(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Timeouts> {
    let mut section = reader.section(item)?;
    let default = Timeouts::default();
    let timeouts = Timeouts {
        login: reader.or(section.take("login"), default.login, duration),
        idle: reader.or(section.take("idle"), default.idle, duration),
        connect: reader.or(section.take("connect"), default.connect, duration),
        command: reader.or(section.take("command"), default.command, duration),
        upstream_dial: reader.or(
            section.take("upstream_dial"),
            default.upstream_dial,
            duration,
        ),
        stall: reader.or(section.take("stall"), default.stall, duration),
        final_reply: reader.or(section.take("final_reply"), default.final_reply, duration),
        linger: reader.or(section.take("linger"), default.linger, duration),
        send_stall: reader.or(section.take("send_stall"), default.send_stall, duration),
        drain: reader.or(section.take("drain"), default.drain, duration),
        keepalive: reader.or(section.take("keepalive"), default.keepalive, duration),
    };
    section.finish(reader);
    Some(timeouts)
}

pub(super) fn journal(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Journal> {
    let mut section = reader.section(item)?;
    let default = Journal::default();
    let journal = Journal {
        file: reader.or(section.take("file"), default.file, |reader, item| {
            reader.text(item, "`stdout` or the path of a file", parse_journal_file)
        }),
        mode: reader.or(section.take("mode"), default.mode, file_mode),
        rotate_size: reader.or(
            section.take("rotate_size"),
            default.rotate_size,
            |reader, item| size(reader, item, 64 << 10, u64::MAX),
        ),
        keep: reader.or(section.take("keep"), default.keep, duration),
        warn_free: reader.or(
            section.take("warn_free"),
            default.warn_free,
            |reader, item| reader.text(item, "a percentage: `10%`", Percent::parse),
        ),
        anonymous_email: reader.or(
            section.take("anonymous_email"),
            default.anonymous_email,
            Reader::flag,
        ),
        addresses: reader.or(
            section.take("addresses"),
            default.addresses,
            |reader, item| reader.choice(item, &[]),
        ),
    };
    section.finish(reader);
    Some(journal)
}

pub(super) fn control(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Control> {
    let mut section = reader.section(item)?;
    section.later(&["metrics", "page"]);
    let default = Control::default();
    let socket = reader.or(section.take("socket"), default.socket, |reader, item| {
        reader.text(item, "`none` or a path", |text| match text {
            "none" => Ok(None),
            text => parse_path(text, "/run/portcullis/control.sock").and_then(|path| {
                if !path.is_absolute() {
                    return Err(Refusal::new(format!(
                        "`{}` is not a path from the root",
                        shorten(text)
                    ))
                    .help("write `none` or a whole path: `/run/portcullis/control.sock`"));
                }
                // sun_path of sockaddr_un: 108 bytes with the final NUL.
                if text.len() > 107 {
                    return Err(Refusal::new("this path is too long for a socket")
                        .help("a socket's path has at most 107 bytes"));
                }
                Ok(Some(path))
            }),
        })
    });
    section.finish(reader);
    Some(Control { socket })
}

pub(super) fn process(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Process> {
    let mut section = reader.section(item)?;
    let default = Process::default();
    let user = reader.or(section.take("user"), default.user, |reader, item| {
        reader.text(item, "the name of a user", Account::parse)
    });
    section.finish(reader);
    Some(Process { user })
}

fn rule_file(text: &str) -> Result<RuleFile, Refusal> {
    if text.starts_with('/') {
        return parse_path(text, "/etc/portcullis/house.yaml").map(RuleFile::Path);
    }
    let known = SHIPPED_RULES.iter().find(|name| **name == text);
    known.map(|name| RuleFile::Shipped(name)).ok_or_else(|| {
        let refusal = Refusal::new(format!("there are no built-in rules `{}`", shorten(text)));
        match nearest(text, SHIPPED_RULES) {
            Some(name) => refusal.help(format!("did you mean `{name}`?")),
            None if text.contains(['/', '.']) => refusal
                .help("write a whole path for a file of your own: `/etc/portcullis/house.yaml`"),
            None => refusal.help(format!(
                "write one of {}, or the whole path of a file",
                one_of(&SHIPPED_RULES)
            )),
        }
    })
}

fn parse_journal_file(text: &str) -> Result<JournalFile, Refusal> {
    match text {
        "stdout" => Ok(JournalFile::Stdout),
        "-" | "none" | "off" | "no" | "yes" | "on" | "true" | "false" | "stderr" => {
            Err(Refusal::new(format!("`{text}` is not a value here"))
                .help("write `stdout` or the path of a file; there is always a journal"))
        }
        text => parse_path(text, "/var/log/portcullis/journal.jsonl").map(JournalFile::Path),
    }
}

pub(super) fn parse_path(text: &str, example: &str) -> Result<PathBuf, Refusal> {
    let refusal = || Refusal::new(format!("`{}` is not the path of a file", shorten(text)));
    if text.is_empty() || text.chars().any(char::is_control) || text.ends_with('/') {
        return Err(refusal().help(format!("write a path such as `{example}`")));
    }
    if text.starts_with("~/") || text.contains("://") || text.contains('$') {
        return Err(refusal().help(format!(
            "paths are taken as they stand: write a whole path such as `{example}`"
        )));
    }
    Ok(PathBuf::from(text))
}

/// Without quotes a mode is another number to most YAML tools, so the quotes are asked for.
fn file_mode(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<FileMode> {
    reader.quoted_text(
        item,
        "the permissions in quotes: `\"0640\"`",
        FileMode::parse,
    )
}

fn duration(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Duration> {
    reader.text(item, "a duration: `30s`", parse_duration)
}

fn size(reader: &mut Reader<'_>, item: &Item<'_>, least: u64, most: u64) -> Option<u64> {
    reader.text(item, "a size: `4KiB`", |text| match parse_size(text)? {
        bytes if bytes < least => Err(Refusal::new(format!("`{text}` is too small"))
            .help(format!("write `{}` or more", show_size(least)))),
        bytes if bytes > most => Err(Refusal::new(format!("`{text}` is too large"))
            .help(format!("write `{}` or less", show_size(most)))),
        bytes => Ok(bytes),
    })
}
