//! What a rule set answers.

use std::fmt;
use std::sync::Arc;

use super::Words;
use super::ask::Ask;
use crate::ftp::Reply;

/// A verdict, which rule it came from, why, and what the rules before it added.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule that gave it; [`Origin::default_verdict`]'s where none did.
    pub rule: Arc<Origin>,
    /// Why it applied.
    pub why: Why,
    /// What transfers are limited to: the tightest of all rules that matched.
    pub limits: Limits,
    /// What is hidden from the client.
    pub hide: Hide,
    /// Which rules would have decided or limited if they were not told to observe only.
    pub observed: Vec<Observed>,
}

/// What a decision says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may happen.
    Allow,
    /// The client gets this reply; the upstream never sees the command.
    Deny(Reply),
    /// The client gets this reply and the session ends.
    Close(Reply),
    /// Somebody else decides.
    Ask(Arc<Ask>),
}

/// Says where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file's name without path and ending, and the rule's: `house/jail`; `default` for the default verdict.
    pub name: Arc<str>,
    /// The rule's own name.
    pub rule: Arc<str>,
    /// The file as errors name it; empty for the default verdict.
    pub file: Arc<str>,
    /// The line at which the rule begins, from 1.
    pub line: usize,
}

impl Origin {
    /// Stands for the verdict where no rule has one.
    #[must_use]
    pub fn default_verdict() -> Origin {
        Origin {
            name: Arc::from("default"),
            rule: Arc::from("default"),
            file: Arc::from(""),
            line: 0,
        }
    }
}

/// Says why a verdict was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The rule matched.
    Matched,
    /// Whether the rule matches can't be told, and it is one that does not wait for certainty.
    CannotTell,
    /// An earlier rule that may allow it waits for a later moment, so it is not refused yet.
    PutOff,
    /// No rule has a verdict, and it is no operation on files.
    NoOperation,
    /// No rule has a verdict.
    NoRule,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Matched => "the rule matches",
            Why::CannotTell => {
                "whether the rule matches can't be told, and it refuses what can't be told"
            }
            Why::PutOff => "a rule that may allow it waits for what a later moment tells",
            Why::NoOperation => "no rule concerns it, and it is no operation on files",
            Why::NoRule => "no rule has a verdict",
        })
    }
}

/// Limits transfers; None where nothing is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes per second from the client.
    pub upload: Option<u64>,
    /// Bytes per second to the client.
    pub download: Option<u64>,
    /// Bytes of one transfer.
    pub transfer_bytes: Option<u64>,
    /// Bytes of all transfers of a session.
    pub session_bytes: Option<u64>,
}

impl Limits {
    /// Tells whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }

    /// Takes the tighter of both for each.
    pub(super) fn tightened(self, other: Limits) -> Limits {
        let least = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, None) | (None, one) => one,
        };
        Limits {
            upload: least(self.upload, other.upload),
            download: least(self.download, other.download),
            transfer_bytes: least(self.transfer_bytes, other.transfer_bytes),
            session_bytes: least(self.session_bytes, other.session_bytes),
        }
    }
}

/// Says which words of the upstream the client does not see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hide {
    /// The text of its greeting.
    pub banner: bool,
    /// Its answer to SYST.
    pub syst: bool,
    /// Its answer to HELP.
    pub help: bool,
    /// Its answer to STAT without a path.
    pub stat: bool,
    /// Lines of its answer to FEAT, by their first word in upper case.
    pub features: Vec<Arc<str>>,
}

impl Hide {
    /// Tells whether the line of a feature is hidden; `name` is its first word.
    #[must_use]
    pub fn hides_feature(&self, name: &str) -> bool {
        self.features
            .iter()
            .any(|hidden| hidden.eq_ignore_ascii_case(name))
    }

    /// Tells whether nothing is hidden.
    #[must_use]
    pub fn is_none(&self) -> bool {
        !(self.banner || self.syst || self.help || self.stat) && self.features.is_empty()
    }

    pub(super) fn add(&mut self, other: &Hide) {
        self.banner |= other.banner;
        self.syst |= other.syst;
        self.help |= other.help;
        self.stat |= other.stat;
        for name in &other.features {
            if !self.features.contains(name) {
                self.features.push(Arc::clone(name));
            }
        }
    }
}

/// What a rule that only observes would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The rule.
    pub rule: Arc<Origin>,
    /// What it would have done.
    pub would: Would,
}

/// Names what a rule would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Would {
    /// Allowed it.
    Allow,
    /// Refused it.
    Deny,
    /// Ended the session.
    Close,
    /// Asked somebody.
    Ask,
    /// Limited or hidden something.
    Modify,
    /// Nothing but be seen to match.
    Nothing,
}

impl fmt::Display for Would {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Would::Allow => "allow",
            Would::Deny => "deny",
            Would::Close => "close",
            Would::Ask => "ask",
            Would::Modify => "modify",
            Would::Nothing => "nothing",
        })
    }
}

/// A reply as a rule has it: a code, and text in which `{verb}` stands for the command's verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) text: Box<str>,
}

impl Answer {
    /// Makes the reply; at a moment without a command `{verb}` stands for `This`.
    pub(super) fn reply(&self, words: Option<Words<'_>>) -> Reply {
        if !self.text.contains("{verb}") {
            return Reply::new(self.code, &self.text);
        }
        let verb = match words {
            // What was taken for a verb is printable and short.
            Some(words) => String::from_utf8_lossy(words.spelled).to_ascii_uppercase(),
            None => "This".to_owned(),
        };
        Reply::new(self.code, self.text.replace("{verb}", &verb))
    }
}

/// What a rule decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny(Answer),
    Close(Answer),
    Ask(Arc<Ask>),
}

impl Effect {
    /// Tells whether nothing more can come of it than a refusal.
    pub(super) fn refuses(&self) -> bool {
        match self {
            Effect::Deny(_) | Effect::Close(_) => true,
            Effect::Allow | Effect::Ask(_) => false,
        }
    }

    pub(super) fn verdict(&self, words: Option<Words<'_>>) -> Verdict {
        match self {
            Effect::Allow => Verdict::Allow,
            Effect::Deny(answer) => Verdict::Deny(answer.reply(words)),
            Effect::Close(answer) => Verdict::Close(answer.reply(words)),
            Effect::Ask(ask) => Verdict::Ask(Arc::clone(ask)),
        }
    }

    pub(super) fn would(&self) -> Would {
        match self {
            Effect::Allow => Would::Allow,
            Effect::Deny(_) => Would::Deny,
            Effect::Close(_) => Would::Close,
            Effect::Ask(_) => Would::Ask,
        }
    }
}
