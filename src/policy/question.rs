//! A request that somebody made up: an example in a rule file, or `portcullis explain`.
//!
//! It is put at every moment that its command comes to, as a session would.

use std::net::IpAddr;

use super::decision::{Decision, Verdict};
use super::path::{Directory, Paths};
use super::request::{
    Asked, Circumstances, DataFacts, LegMode, Moment, Request, Words, negotiates,
};
use super::set::RuleSet;
use crate::ftp::Verb;

/// Describes a session and what is asked in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The listener's name.
    pub listener: Option<String>,
    /// The upstream's name.
    pub upstream: Option<String>,
    /// Who has given this name.
    pub user: Option<String>,
    /// Whether the login was accepted; by default when there is a user and the command does not log in.
    pub logged_in: Option<bool>,
    /// Whether the control connection is inside TLS.
    pub control_tls: bool,
    /// Whether data connections are.
    pub data_tls: bool,
    /// The name in the client's certificate.
    pub certificate: Option<String>,
    /// How the upstream writes paths.
    pub paths: Option<Paths>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The time, in microseconds since the epoch.
    pub at: Option<i64>,
    /// The command's line; without one a client arrives.
    pub command: Option<String>,
    /// The file's size.
    pub size: Option<u64>,
    /// The mode of the client's leg.
    pub client_mode: LegMode,
    /// The mode of the upstream's leg.
    pub upstream_mode: LegMode,
}

impl std::default::Default for Question {
    fn default() -> Question {
        Question {
            client: None,
            listener: None,
            upstream: None,
            user: None,
            logged_in: None,
            control_tls: false,
            data_tls: false,
            certificate: None,
            paths: None,
            cwd: None,
            at: None,
            command: None,
            size: None,
            client_mode: LegMode::Passive,
            upstream_mode: LegMode::Passive,
        }
    }
}

impl Question {
    /// Puts the request of every moment that it comes to, until one answers with what ends it.
    pub fn put<T>(&self, mut at_moment: impl FnMut(&Request<'_>) -> (T, bool)) -> Vec<T> {
        let directory = match (self.paths, &self.cwd) {
            (Some(paths), Some(cwd)) => Directory::stated(paths, cwd),
            _ => None,
        };
        let words = self.command.as_ref().map(|line| Words::of(line.as_bytes()));
        let logs_in = words.is_some_and(|words| {
            matches!(
                words.verb,
                Verb::User | Verb::Pass | Verb::Acct | Verb::Auth
            )
        });
        let session = Circumstances {
            client: self.client,
            listener: self.listener.as_deref(),
            upstream: self.upstream.as_deref(),
            user: self.user.as_ref().map(String::as_bytes),
            logged_in: self.logged_in.unwrap_or(self.user.is_some() && !logs_in),
            control_tls: self.control_tls,
            certificate: self.certificate.as_deref(),
            paths: self.paths,
            cwd: directory.as_ref(),
            at: self.at,
        };
        let data = DataFacts {
            client: self.client_mode,
            upstream: self.upstream_mode,
            tls: self.data_tls,
        };
        let moments = match words {
            None => vec![Asked::Connection],
            Some(command) => {
                let mut moments = vec![Asked::Command(command)];
                if negotiates(command.verb) {
                    moments.push(Asked::Data { command, data });
                }
                if command.verb.is_transfer() {
                    moments.push(Asked::Transfer {
                        command,
                        data,
                        size: self.size,
                    });
                }
                moments
            }
        };
        let mut answers = Vec::new();
        for asked in moments {
            let (answer, goes_on) = at_moment(&Request { session, asked });
            answers.push(answer);
            if !goes_on {
                break;
            }
        }
        answers
    }
}

impl RuleSet {
    /// Answers a question: the decision of the last moment that it came to.
    #[must_use]
    pub fn answer(&self, question: &Question) -> Option<(Moment, Decision)> {
        let mut answers = question.put(|request| {
            let decision = self.decide(request);
            let goes_on = decision.verdict == Verdict::Allow;
            ((request.asked.moment(), decision), goes_on)
        });
        answers.pop()
    }
}
