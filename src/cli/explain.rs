//! `portcullis explain`: why something is allowed or refused.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::ctl::Format;
use super::output::print;
use super::run::DEFAULT_CONFIG;
use super::{Exit, Failure};
use crate::config::choice::Choice as _;
use crate::config::files::Disk;
use crate::config::quantity::parse_size;
use crate::config::{Config, ConfigErrors, Firewall, PathGrammar};
use crate::ftp::escaped;
use crate::policy::{
    Decision, Explanation, Grammar, LegMode, Limits, Paths, Question, RuleSet, Value, Verdict,
    expected_of,
};
use crate::rules;

const EXAMPLES: &str = "\
Examples:
  portcullis explain --client 203.0.113.7 --user bob --cwd /home/bob 'STOR ../x'
      Which rule decides, where it stands, and why each rule before it did not.
  portcullis explain --rules house.yaml --client 203.0.113.7 --user bob 'RETR file'
      By one rule file alone.
  portcullis explain --client 198.51.100.9
      Whether a client may arrive at all.

Exit codes: 0 allowed; 1 refused, or somebody else is asked; 2 could not be read; 78 wrong.";

/// Explains a decision.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The command as the client sends it; without it, whether the client may arrive
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,

    /// The client's address
    #[arg(long, value_name = "IP")]
    pub client: IpAddr,

    /// Who logged in
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,

    /// Control and data connections of the client are inside TLS
    #[arg(long)]
    pub tls: bool,

    /// The name in the client's certificate
    #[arg(long, value_name = "NAME")]
    pub certificate: Option<String>,

    /// The working directory
    #[arg(long, value_name = "PATH")]
    pub cwd: Option<String>,

    /// How the server writes paths: unix, windows, ibm_i, mvs or vms; as the configuration says without it
    #[arg(long, value_name = "GRAMMAR")]
    pub paths: Option<String>,

    /// The file's size, such as 10MiB
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,

    /// The client's data connections are active (PORT)
    #[arg(long)]
    pub active: bool,

    /// The listener; the first one of the configuration without it
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,

    /// The time, such as 2026-01-05T09:00:00Z; now without it
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "rules")]
    pub config: PathBuf,

    /// One rule file instead of a configuration
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,

    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What is said about one moment, for programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    moment: String,
    verdict: String,
    rule: &'a str,
    file: &'a str,
    line: usize,
    why: String,
    reply: Option<String>,
    path: Option<String>,
    path_unknown: Option<String>,
    limits: Vec<String>,
    relayed: bool,
    observed: Vec<String>,
    rules: Vec<Asked<'a>>,
}

/// What is said about one rule, for programs.
#[derive(Debug, Serialize)]
struct Asked<'a> {
    rule: &'a str,
    file: &'a str,
    line: usize,
    applied: bool,
    because: &'a str,
}

impl Args {
    /// Explains and reports.
    ///
    /// # Errors
    /// When a file can't be read or is wrong, or a flag is.
    pub fn execute(self) -> Result<Exit, Failure> {
        let (rules, question, forwards) = self.question()?;
        let explanations = rules.explain_question(&question);
        let text = match self.format {
            Format::Text => text(&explanations, forwards),
            Format::Json => {
                let told: Vec<Told<'_>> = explanations.iter().map(Told::of).collect();
                serde_json::to_string_pretty(&told).map_err(anyhow::Error::from)? + "\n"
            }
        };
        print(text.as_bytes())?;
        let refused = explanations
            .iter()
            .any(|explanation| explanation.decision.verdict != Verdict::Allow);
        Ok(if refused { Exit::Failed } else { Exit::Done })
    }

    fn question(&self) -> Result<(RuleSet, Question, bool), Failure> {
        let (rules, listener, upstream, paths, forwards) = match &self.rules {
            Some(path) => {
                let loaded = rules::load_alone(path, &Disk).map_err(failure)?;
                (
                    loaded.rules,
                    self.listener.clone(),
                    None,
                    Some(Paths::Stated(Grammar::Unix)),
                    false,
                )
            }
            None => self.configured()?,
        };
        let paths = match &self.paths {
            None => paths,
            Some(word) => Some(Paths::Stated(Grammar::from_word(word).ok_or_else(
                || {
                    wrong(format!(
                        "--paths {word}: the grammars are unix, windows, ibm_i, mvs and vms"
                    ))
                },
            )?)),
        };
        let size = match &self.size {
            None => None,
            Some(text) => {
                Some(parse_size(text).map_err(|refusal| wrong(format!("--size: {refusal}")))?)
            }
        };
        let at = match &self.at {
            None => Timestamp::now(),
            Some(text) => text.parse().map_err(|_| {
                wrong(format!(
                    "--at {text}: write a time such as 2026-01-05T09:00:00Z"
                ))
            })?,
        };
        let question = Question {
            client: Some(self.client),
            listener,
            upstream,
            user: self.user.clone(),
            control_tls: self.tls,
            data_tls: self.tls,
            certificate: self.certificate.clone(),
            paths,
            cwd: self.cwd.clone(),
            at: Some(at.as_microsecond()),
            command: self.command.clone(),
            size,
            client_mode: if self.active {
                LegMode::Active
            } else {
                LegMode::Passive
            },
            ..Question::default()
        };
        Ok((rules, question, forwards))
    }

    /// Takes rules, listener and upstream from a configuration.
    #[expect(
        clippy::type_complexity,
        reason = "the parts of one question, taken apart at once"
    )]
    fn configured(
        &self,
    ) -> Result<(RuleSet, Option<String>, Option<String>, Option<Paths>, bool), Failure> {
        let config = Config::load(&self.config).map_err(failure)?.config;
        let loaded = rules::load(&config, &Disk).map_err(failure)?;
        let listener = match &self.listener {
            None => config.listeners.iter().next(),
            Some(name) => config
                .listeners
                .iter()
                .find(|(known, _)| known.as_str() == name),
        };
        let (name, listener) = listener.ok_or_else(|| {
            let names: Vec<&str> = config.listeners.keys().map(|name| name.as_str()).collect();
            wrong(format!(
                "--listener: the listeners are {}",
                names.join(", ")
            ))
        })?;
        let paths = config
            .upstream_of(listener)
            .map(|upstream| match upstream.paths {
                // Nobody was asked for SYST: most servers say so.
                PathGrammar::Auto => Paths::Presumed(Grammar::Unix),
                PathGrammar::Unix => Paths::Stated(Grammar::Unix),
                PathGrammar::Windows => Paths::Stated(Grammar::Windows),
                PathGrammar::IbmI => Paths::Stated(Grammar::IbmI),
                PathGrammar::Mvs => Paths::Stated(Grammar::Mvs),
                PathGrammar::Vms => Paths::Stated(Grammar::Vms),
            });
        let forwards = config.pinholes.firewall != Firewall::None;
        let upstream = listener.upstream.as_str().to_owned();
        Ok((
            loaded.rules,
            Some(name.as_str().to_owned()),
            Some(upstream),
            paths,
            forwards,
        ))
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Exit::Unreadable, message)
}

fn failure(errors: ConfigErrors) -> Failure {
    Failure::from(errors)
}

fn text(explanations: &[Explanation], forwards: bool) -> String {
    let mut text = String::new();
    for explanation in explanations {
        let decision = &explanation.decision;
        let _ = writeln!(text, "at the {}: {}", explanation.moment, verdict(decision));
        let _ = match decision.rule.line {
            0 => writeln!(text, "  by the default verdict: {}", decision.why),
            line => writeln!(
                text,
                "  by the rule `{}` ({}:{line}): {}",
                decision.rule.name, decision.rule.file, decision.why
            ),
        };
        let _ = match &explanation.path {
            None => Ok(()),
            Some(Ok(path)) => writeln!(text, "  the path is {path}"),
            Some(Err(doubt)) => writeln!(text, "  the path can't be told: {doubt}"),
        };
        for limit in limits(decision.limits) {
            let _ = writeln!(text, "  limited: {limit}");
        }
        for observed in &decision.observed {
            let _ = writeln!(
                text,
                "  observed: `{}` would {}",
                observed.rule.name, observed.would
            );
        }
        if explanation.could_limit && forwards {
            text.push_str("  relayed by this process and not forwarded by the kernel: a rule may limit or count it\n");
        }
        for step in &explanation.asked {
            let mark = match (step.applied, step.value) {
                (true, _) => "applied",
                (false, Value::Waits) => "waits",
                (false, _) => "passed over",
            };
            let _ = writeln!(
                text,
                "    {mark}: {} ({}:{}): {}",
                step.rule.name, step.rule.file, step.rule.line, step.because
            );
        }
    }
    text
}

fn verdict(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::Allow => "allowed".to_owned(),
        Verdict::Deny(reply) => format!("denied, {}", reply_line(reply)),
        Verdict::Close(reply) => format!("closed, {}", reply_line(reply)),
        Verdict::Ask(ask) => format!(
            "would ask {}, for at most {}",
            ask.exit,
            crate::config::quantity::show_duration(ask.timeout)
        ),
    }
}

fn reply_line(reply: &crate::ftp::Reply) -> String {
    escaped(reply.final_line()).to_string()
}

fn limits(limits: Limits) -> Vec<String> {
    let mut told = Vec::new();
    for (what, bytes, unit) in [
        ("upload", limits.upload, "/s"),
        ("download", limits.download, "/s"),
        ("transfer_bytes", limits.transfer_bytes, ""),
        ("session_bytes", limits.session_bytes, ""),
    ] {
        if let Some(bytes) = bytes {
            told.push(format!(
                "{what}: {}{unit}",
                crate::config::quantity::show_size(bytes)
            ));
        }
    }
    told
}

impl<'a> Told<'a> {
    fn of(explanation: &'a Explanation) -> Told<'a> {
        let decision = &explanation.decision;
        let reply = match &decision.verdict {
            Verdict::Deny(reply) | Verdict::Close(reply) => Some(reply_line(reply)),
            Verdict::Allow | Verdict::Ask(_) => None,
        };
        let asked = explanation.asked.iter().map(|step| Asked {
            rule: &step.rule.name,
            file: &step.rule.file,
            line: step.rule.line,
            applied: step.applied,
            because: &step.because,
        });
        Told {
            moment: explanation.moment.to_string(),
            verdict: expected_of(&decision.verdict).to_string(),
            rule: &decision.rule.name,
            file: &decision.rule.file,
            line: decision.rule.line,
            why: decision.why.to_string(),
            reply,
            path: explanation
                .path
                .as_ref()
                .and_then(|path| path.as_ref().ok().cloned()),
            path_unknown: explanation
                .path
                .as_ref()
                .and_then(|path| path.as_ref().err().cloned()),
            limits: limits(decision.limits),
            relayed: explanation.could_limit,
            observed: decision
                .observed
                .iter()
                .map(|one| one.rule.name.to_string())
                .collect(),
            rules: asked.collect(),
        }
    }
}
