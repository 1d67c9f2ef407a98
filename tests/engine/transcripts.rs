//! Runs the transcripts: what peers send, what they get, and what is done in between, line by line.
//!
//! `C>` from the client, `>U` to the upstream, `U>` from it, `>C` to the client, `!` effects and facts, `@` time and
//! settings. `C>>` and `U>>` send bytes without an added CR LF. Escapes: `\r \n \t \0 \\ \xNN`. Every effect must be
//! expected, in order; records only where `!record` asks for them. `!records N ID` counts those since the last line
//! from a peer; `!answer N JSON` is what somebody answers to question N, `!no-answer N WHY` that nobody does. `!never TEXT` says that no record so far holds a text. `@set rule` adds a rule, in YAML; `!rule` reloads.
//! With `@set upstream here` the upstream is on the gateway's own host, whose firewall shuts 21000-21015 and 22000-22999; with
//! `@set client here` the client.

use crate::ruled;
use crate::stage;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::stage::Stage;
use crate::words::{
    foreign, is_expectation, pinhole, show, side_of, tls_facts, tls_failure, told, unescape,
};
use portcullis::engine::{
    AskFault, DataMode, DialError, Input, Legs, Outcome, Output, PeerMatch, QuestionId, Record,
    RefusalReason, SessionEnd, Settings, Shut, Side, SourcePort, TlsMode, TlsPolicy, TlsRequire,
};
use portcullis::policy::{Default as DefaultVerdict, RuleSet};

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogue");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of this test")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let (mut passed, mut failures) = (0, Vec::new());
    for file in &files {
        let text = std::fs::read_to_string(file).expect("readable");
        let name = file
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        for (title, first, lines) in transcripts_of(&text) {
            match run(&lines, first) {
                Ok(()) => passed += 1,
                Err(why) => failures.push(format!("{name}: {title}\n    {why}")),
            }
        }
    }
    println!("{passed} transcripts passed");
    assert!(
        failures.is_empty(),
        "{} transcripts failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(passed >= 50, "only {passed} transcripts were found");
}

/// Cuts a file into its transcripts: title, number of the first line, lines.
fn transcripts_of(text: &str) -> Vec<(String, usize, Vec<String>)> {
    let mut all: Vec<(String, usize, Vec<String>)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("=== ") {
            all.push((title.to_owned(), number + 2, Vec::new()));
        } else if let Some((_, _, lines)) = all.last_mut() {
            lines.push(line.to_owned());
        }
    }
    all
}

struct Player {
    settings: Settings,
    /// The rules in force, as YAML.
    rules: Vec<String>,
    client: SocketAddr,
    target: SocketAddr,
    advertised: Option<std::net::IpAddr>,
    upstream_is_ipv6: bool,
    may_be_probe: bool,
    forwardable: bool,
    shut: Option<Shut>,
    greeted: bool,
    stage: Option<Stage>,
    /// Effects as lines, not yet expected.
    shown: std::collections::VecDeque<String>,
    /// Records already looked at.
    seen: usize,
}

fn run(lines: &[String], first: usize) -> Result<(), String> {
    let mut player = Player {
        settings: stage::settings(),
        rules: Vec::new(),
        client: stage::CLIENT.parse().expect("constant"),
        target: stage::TARGET.parse().expect("constant"),
        advertised: None,
        upstream_is_ipv6: false,
        may_be_probe: false,
        forwardable: false,
        shut: None,
        greeted: true,
        stage: None,
        shown: std::collections::VecDeque::new(),
        seen: 0,
    };
    for (offset, line) in lines.iter().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        player
            .line(line)
            .map_err(|why| format!("line {}: `{line}`: {why}", first + offset))?;
    }
    player
        .nothing_left()
        .map_err(|why| format!("at the end: {why}"))
}

impl Player {
    fn stage(&mut self) -> &mut Stage {
        if self.stage.is_none() {
            let mut facts = stage::facts(self.client, self.target);
            facts.may_be_probe = self.may_be_probe;
            facts.advertised = self.advertised.unwrap_or(facts.advertised);
            let mut made = Stage::new(facts, self.settings.clone());
            made.upstream_is_ipv6 = self.upstream_is_ipv6;
            made.forwardable = self.forwardable;
            made.shut = self.shut.clone();
            if self.greeted {
                made.greet();
            }
            self.stage = Some(made);
        }
        self.stage.as_mut().expect("just made")
    }

    fn shut_at(&mut self, side: Side) {
        let shut = self.shut.get_or_insert(Shut {
            windows: Legs {
                client: 21_000..=21_015,
                upstream: 22_000..=22_999,
            },
            here: Legs::default(),
        });
        shut.here[side] = true;
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(setting) = line.strip_prefix("@set ") {
            return self.set(setting);
        }
        if line.starts_with(">U") || line.starts_with(">C") || is_expectation(line) {
            return self.expect(line);
        }
        if let Some(event) = line.strip_prefix("!record ") {
            return self.expect_record(event);
        }
        if let Some(wanted) = line.strip_prefix("!records ") {
            return self.expect_records(wanted);
        }
        if let Some(text) = line.strip_prefix("!never ") {
            return self.expect_never(text);
        }
        self.nothing_left()?;
        self.stage();
        self.seen = self.stage().records.len();
        self.stimulus(line)?;
        let effects: Vec<Output> = self.stage().effects.drain(..).collect();
        for effect in effects {
            self.shown.extend(show(effect));
        }
        Ok(())
    }

    fn set(&mut self, setting: &str) -> Result<(), String> {
        let (key, value) = setting.split_once(' ').ok_or("@set KEY VALUE")?;
        let settings = &mut self.settings;
        match (key, value) {
            ("data_mode", "active") => settings.data_mode = DataMode::Active,
            ("data_mode", "passive") => settings.data_mode = DataMode::Passive,
            ("data_source_port", "random") => settings.data_source_port = SourcePort::Random,
            ("peer", "prefix") => settings.peer = PeerMatch::Prefix,
            ("peer", "any") => settings.peer = PeerMatch::Any,
            ("bare_lf", "accept") => settings.accept_bare_lf = true,
            ("anonymous_email", "true") => settings.anonymous_email = true,
            ("rules", "open") => settings.rules = Arc::new(RuleSet::empty(DefaultVerdict::Allow)),
            ("rules", "deny") => settings.rules = Arc::new(RuleSet::empty(DefaultVerdict::Deny)),
            ("client_tls", "explicit") => settings.client_tls.mode = TlsMode::Explicit,
            ("client_tls", "implicit") => settings.client_tls.mode = TlsMode::Implicit,
            ("tls_require", "login") => settings.client_tls.require = TlsRequire::Login,
            ("tls_require", "all") => settings.client_tls.require = TlsRequire::All,
            ("tls_resumption", "require") => settings.client_tls.resumed_only = true,
            ("certificates", "name_users") => settings.client_tls.names_users = true,
            ("upstream_tls", "explicit") => settings.upstream_tls.mode = TlsMode::Explicit,
            ("upstream_tls", "implicit") => settings.upstream_tls.mode = TlsMode::Implicit,
            ("upstream_tls_policy", "prefer") => settings.upstream_tls.policy = TlsPolicy::Prefer,
            ("tries", number) => {
                settings.logins.tries = Some(number.parse().map_err(|_| "a number")?);
            }
            ("delay", millis) => {
                let millis = millis.parse().map_err(|_| "milliseconds")?;
                settings.logins.delay = Duration::from_millis(millis);
            }
            ("users", "counted") => settings.logins.counts_users = true,
            ("client", "probe") => self.may_be_probe = true,
            ("pipeline", number) => settings.pipeline = number.parse().map_err(|_| "a number")?,
            ("line", number) => settings.line = number.parse().map_err(|_| "a number")?,
            ("reply", number) => settings.reply = number.parse().map_err(|_| "a number")?,
            ("commands", number) => {
                settings.commands_per_second = number.parse().map_err(|_| "a number")?
            }
            ("client_foreign", value) => settings.client_foreign_address = foreign(value)?,
            ("upstream_foreign", value) => settings.upstream_foreign_address = foreign(value)?,
            ("client", "here") => self.shut_at(Side::Client),
            ("client", address) => self.client = address.parse().map_err(|_| "an address")?,
            ("target", address) => self.target = address.parse().map_err(|_| "an address")?,
            ("advertised", address) => {
                self.advertised = Some(address.parse().map_err(|_| "an address")?)
            }
            ("upstream", "ipv6") => self.upstream_is_ipv6 = true,
            ("firewall", "nftables") => self.forwardable = true,
            ("upstream", "here") => self.shut_at(Side::Upstream),
            ("greeted", "false") => self.greeted = false,
            _ => return ruled::set(settings, &mut self.rules, key, value),
        }
        Ok(())
    }

    fn expect(&mut self, line: &str) -> Result<(), String> {
        match self.shown.pop_front() {
            Some(shown) if shown == line => Ok(()),
            Some(shown) => Err(format!(
                "there is `{shown}` instead; behind it {:?}",
                self.shown
            )),
            None => Err("there is nothing".to_owned()),
        }
    }

    fn expect_record(&mut self, wanted: &str) -> Result<(), String> {
        let seen = self.seen;
        let stage = self.stage();
        let texts: Vec<String> = stage
            .records
            .iter()
            .skip(seen)
            .map(|record| {
                let user = record.user.as_deref().unwrap_or("-");
                format!("{} user={user}", told(record))
            })
            .collect();
        let (id, parts) = wanted.split_once(' ').unwrap_or((wanted, ""));
        let id = format!("{id} ");
        let parts: Vec<&str> = parts.split(" & ").filter(|part| !part.is_empty()).collect();
        let found = texts
            .iter()
            .any(|text| text.starts_with(&id) && parts.iter().all(|part| text.contains(part)));
        if found {
            Ok(())
        } else {
            Err(format!("no such record among {texts:#?}"))
        }
    }

    /// Counts the records of one event since the last stimulus.
    fn expect_records(&mut self, wanted: &str) -> Result<(), String> {
        let (count, id) = wanted.split_once(' ').ok_or("!records COUNT ID")?;
        let seen = self.seen;
        let id = format!("{id} ");
        let texts = self.stage().records.iter().skip(seen).map(told);
        let found = texts.filter(|text| text.starts_with(&id)).count();
        match count.parse() == Ok(found) {
            true => Ok(()),
            false => Err(format!("there are {found} of them")),
        }
    }

    fn expect_never(&mut self, text: &str) -> Result<(), String> {
        let stage = self.stage();
        let user = |record: &&Record| {
            record
                .user
                .as_deref()
                .is_some_and(|user| user.contains(text))
        };
        let shows = |record: &&Record| told(record).contains(text) || user(record);
        match stage.records.iter().find(shows) {
            None => Ok(()),
            Some(record) => Err(format!("it is in {record:?}")),
        }
    }

    fn nothing_left(&self) -> Result<(), String> {
        if self.shown.is_empty() {
            Ok(())
        } else {
            Err(format!("not expected: {:?}", self.shown))
        }
    }

    fn stimulus(&mut self, line: &str) -> Result<(), String> {
        let stage = self.stage();
        for (mark, from, end) in [
            ("C>>", Side::Client, ""),
            ("U>>", Side::Upstream, ""),
            ("C>", Side::Client, "\r\n"),
            ("U>", Side::Upstream, "\r\n"),
        ] {
            if let Some(text) = line.strip_prefix(mark) {
                let mut bytes = unescape(text.strip_prefix(' ').unwrap_or(text))?;
                bytes.extend_from_slice(end.as_bytes());
                stage.received(from, &bytes);
                return Ok(());
            }
        }
        if let Some(time) = line.strip_prefix("@+") {
            let duration = match (time.strip_suffix("ms"), time.strip_suffix('s')) {
                (Some(millis), _) => Duration::from_millis(millis.parse().map_err(|_| "a number")?),
                (None, Some(seconds)) => {
                    Duration::from_secs(seconds.parse().map_err(|_| "a number")?)
                }
                (None, None) => return Err("a duration in s or ms".to_owned()),
            };
            stage.advance(duration);
            return Ok(());
        }
        if line == "!guest none" {
            let guest = None;
            let settings = Settings {
                guest,
                ..self.settings.clone()
            };
            self.stage().session.replace_settings(Arc::new(settings));
            return Ok(());
        }
        if let Some(rule) = line.strip_prefix("!rule ") {
            // A reload: this rule is in force instead of all others.
            let rules = ruled::rules(&[rule.to_owned()])?;
            // As the gateway does: other upstreams are there where somebody may choose one.
            let mut elsewhere = self.settings.elsewhere.clone();
            elsewhere.retain(|_, _| rules.asks());
            for settings in elsewhere.values_mut() {
                *settings = Arc::new(Settings {
                    rules: Arc::clone(&rules),
                    ..Settings::clone(settings)
                });
            }
            let settings = Settings {
                rules,
                elsewhere,
                ..self.settings.clone()
            };
            self.stage().session.replace_settings(Arc::new(settings));
            return Ok(());
        }
        let stage = self.stage();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["!arrived"] => stage.feed(Input::ClientArrived),
            ["!connected"] => {
                let (forwardable, shut) = (stage.forwardable, stage.shut.clone());
                stage.feed(Input::UpstreamConnected {
                    gateway: stage::GATEWAY.parse().expect("constant"),
                    upstream: stage::UPSTREAM.parse().expect("constant"),
                    forwardable,
                    shut,
                });
            }
            ["!answer", id, ..] => {
                let text = line.splitn(3, ' ').nth(2).unwrap_or_default();
                stage.feed(Input::Answered {
                    id: QuestionId(id.parse().map_err(|_| "a number")?),
                    answer: Ok(text.into()),
                });
            }
            ["!no-answer", id, why] => {
                let faults = [
                    AskFault::TimedOut,
                    AskFault::Busy,
                    AskFault::ExitStatus,
                    AskFault::Unreachable,
                ];
                let why = faults.into_iter().find(|fault| fault.word() == *why);
                stage.feed(Input::Answered {
                    id: QuestionId(id.parse().map_err(|_| "a number")?),
                    answer: Err(why.ok_or("no such fault")?),
                });
            }
            ["!unreachable"] => stage.feed(Input::UpstreamUnreachable {
                why: DialError::Refused,
            }),
            ["!opened", id, "at", at] => {
                let id = pinhole(id)?;
                stage.opened(id, at.parse().map_err(|_| "an address")?);
            }
            ["!refused", id, in_use] => {
                let in_use = in_use.parse().map_err(|_| "a number")?;
                stage.feed(Input::PinholeRefused {
                    id: pinhole(id)?,
                    why: RefusalReason::NoPort { in_use },
                });
            }
            ["!used", id, "by", peer] => {
                stage.feed(Input::PinholeUsed {
                    id: pinhole(id)?,
                    peer: peer.parse().map_err(|_| "an address")?,
                });
            }
            ["!secured", side, facts @ ..] => stage.feed(Input::TlsEstablished {
                with: side_of(side)?,
                facts: tls_facts(facts)?,
            }),
            ["!insecure", side, why @ ..] => stage.feed(Input::TlsFailed {
                with: side_of(side)?,
                why: tls_failure(why)?,
            }),
            ["!data-secured", side, facts @ ..] => {
                let transfer = stage.transfer;
                stage.feed(Input::DataTlsEstablished {
                    transfer,
                    side: side_of(side)?,
                    facts: tls_facts(facts)?,
                });
            }
            ["!data-tls-underway", underway] => {
                let transfer = stage.transfer;
                let underway = match *underway {
                    "yes" => true,
                    "no" => false,
                    other => return Err(format!("`{other}` is neither yes nor no")),
                };
                stage.feed(Input::DataTlsUnderway { transfer, underway });
            }
            ["!data-insecure", side, why @ ..] => {
                let transfer = stage.transfer;
                stage.feed(Input::DataTlsFailed {
                    transfer,
                    side: side_of(side)?,
                    why: tls_failure(why)?,
                });
            }
            ["!dialled", side] => {
                let transfer = stage.transfer;
                stage.feed(Input::DataDialled {
                    transfer,
                    side: side_of(side)?,
                });
            }
            ["!dial-failed", side] => {
                let transfer = stage.transfer;
                stage.feed(Input::DataDialFailed {
                    transfer,
                    side: side_of(side)?,
                    why: DialError::Refused,
                });
            }
            ["!finished", outcome, rest @ ..] => {
                let outcome = match *outcome {
                    "complete" => Outcome::Complete,
                    "broken-client" => Outcome::Broken { side: Side::Client },
                    "broken-upstream" => Outcome::Broken {
                        side: Side::Upstream,
                    },
                    "truncated-client" => Outcome::Truncated { side: Side::Client },
                    "truncated-upstream" => Outcome::Truncated {
                        side: Side::Upstream,
                    },
                    "stalled" => Outcome::Stalled,
                    "linger-over" => Outcome::LingerOver,
                    "exceeded" => Outcome::Exceeded,
                    _ => return Err("no such outcome".to_owned()),
                };
                let mut usage = stage::usage(outcome);
                for word in rest {
                    let (key, value) = word.split_once('=').ok_or("KEY=NUMBER")?;
                    let value = value.parse().map_err(|_| "a number")?;
                    let wire = &mut usage.wire;
                    match key {
                        "up" => usage.bytes_up = value,
                        "down" => usage.bytes_down = value,
                        "wire-up" => wire.get_or_insert_default().bytes_up = value,
                        "wire-down" => wire.get_or_insert_default().bytes_down = value,
                        "packets-up" => wire.get_or_insert_default().packets_up = value,
                        "packets-down" => wire.get_or_insert_default().packets_down = value,
                        "wrong" => usage.wrong_direction = value,
                        "unacknowledged" => usage.unacknowledged = value,
                        _ => return Err(format!("no such key {key}")),
                    }
                }
                stage.finish_data(usage);
            }
            ["!closed", side] => stage.feed(Input::Closed { by: side_of(side)? }),
            ["!send-stalled", side] => stage.feed(Input::SendStalled { to: side_of(side)? }),
            ["!seats", "taken"] => stage.seats = false,
            ["!ban"] => stage.feed(Input::KillRequested {
                reason: SessionEnd::Banned,
            }),
            ["!journal", "down"] => stage.journal_up = false,
            ["!journal", "up"] => stage.journal_up = true,
            ["!opening", "refused"] => stage.opens = false,
            ["!shutdown"] => stage.feed(Input::ShutdownRequested),
            ["!kill"] => stage.feed(Input::KillRequested {
                reason: SessionEnd::Killed,
            }),
            ["!accepts", side, wanted] => {
                let accepts = stage.session.accepts(side_of(side)?);
                if accepts.to_string() != **wanted {
                    return Err(format!("accepts is {accepts}"));
                }
            }
            _ => return Err("not a line of a transcript".to_owned()),
        }
        Ok(())
    }
}
