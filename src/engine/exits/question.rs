//! A question as text: one JSON object on one line, with the same keys each time. No password is ever in it.

use serde::Serialize;

use super::super::judgement::words;
use super::super::session::Session;
use super::super::{Side, TlsVersion, Wall};
use crate::ftp::{Command, Verb, escaped};
use crate::policy::{Asked, Operation, Origin, Request};

/// Longest question, in bytes; about what would need a longer one nobody is asked, and it is refused.
pub const LONGEST_QUESTION: usize = 32 * 1024;

/// The form of questions and answers.
const VERSION: u32 = 1;

/// What is asked. Bytes of peers stand as the journal writes them: printable UTF-8 as it is, `\\`, `\"`, `\xNN` and
/// `\u{..}` for the rest, so that each name has one spelling and no two names share one.
#[derive(Debug, Serialize)]
struct Question<'a> {
    version: u32,
    moment: &'static str,
    rule: &'a str,
    session: &'a str,
    client: String,
    target: String,
    listener: &'a str,
    upstream: &'a str,
    user: Option<String>,
    logged_in: bool,
    tls: Option<Tls<'a>>,
    verb: String,
    argument: Option<String>,
    operation: Option<String>,
    path: Option<String>,
    size: Option<u64>,
}

/// How the client's control connection is protected.
#[derive(Debug, Serialize)]
struct Tls<'a> {
    version: Option<TlsVersion>,
    sni: Option<String>,
    certificate: Option<&'a str>,
}

impl Session {
    /// Writes a question; None where it would be too long.
    pub(super) fn question(
        &self,
        now: Wall,
        rule: &Origin,
        command: &Command,
        asked: Asked<'_>,
    ) -> Option<Vec<u8>> {
        let mut session = self.circumstances(now);
        if matches!(command.verb, Verb::User | Verb::Pass | Verb::Acct) {
            // Whoever decides about a login is told whose it is to be.
            session.user = self.user_name();
        }
        let request = Request { session, asked };
        let shown = |bytes: &[u8]| escaped(bytes).to_string();
        let size = match asked {
            Asked::Transfer { size, .. } => size,
            Asked::Connection | Asked::Command(_) | Asked::Data { .. } => None,
        };
        let secret = command.verb.has_secret_argument();
        let question = Question {
            version: VERSION,
            moment: match command.verb {
                Verb::Pass => "login",
                _ => "command",
            },
            rule: &rule.name,
            session: self.facts.id.as_str(),
            client: self.facts.client.to_string(),
            target: self.facts.target.to_string(),
            listener: &self.settings.listener,
            upstream: &self.settings.upstream,
            user: session.user.map(shown),
            logged_in: self.logged_in,
            tls: self.security.is_tls(Side::Client).then(|| {
                let (version, sni) = self.security.client_facts();
                Tls {
                    version,
                    sni: sni.map(|sni| shown(sni.as_bytes())),
                    certificate: session.certificate,
                }
            }),
            verb: shown(command.verb_text()).to_ascii_uppercase(),
            argument: command
                .argument()
                .filter(|_| !secret)
                .and_then(|_| masked_argument(command)),
            operation: Operation::of(&words(command)).map(|operation| operation.to_string()),
            path: self
                .settings
                .rules
                .path_of(&request)
                .map(|path| shown(&path)),
            size,
        };
        // It holds no map whose keys are no strings, and nothing that fails.
        let mut line = serde_json::to_vec(&question).ok()?;
        line.push(b'\n');
        (line.len() <= LONGEST_QUESTION).then_some(line)
    }
}

/// The argument as the journal shows it: some servers change passwords by SITE.
fn masked_argument(command: &Command) -> Option<String> {
    let line = command.to_string();
    let behind = line.get(command.verb_text().len()..)?;
    Some(behind.strip_prefix(' ').unwrap_or(behind).to_owned())
}
