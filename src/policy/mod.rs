//! What is allowed: requests in, decisions out; pure.
//!
//! This version knows one rule set besides the default verdict: `everything-but-dangerous`, which denies
//! remote execution, server-side copies, permission changes by SITE, and verbs that nobody knows.
//! Invariant: [`RuleSet::decide`] is a function of its request alone.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod operation;

use std::net::IpAddr;
use std::sync::Arc;

use crate::ftp::{Reply, Verb};

pub use operation::Operation;

/// What is asked: one client command.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The command's verb.
    pub verb: Verb,
    /// The verb as the client spelled it.
    pub spelled: &'a [u8],
    /// The argument's raw bytes.
    pub argument: Option<&'a [u8]>,
}

/// What is known of a data connection before its pinhole opens; the transfer command has not come yet.
#[derive(Clone, Copy, Debug)]
pub struct Prospect<'a> {
    /// The user, once there is one.
    pub user: Option<&'a str>,
    /// The client's address.
    pub client: IpAddr,
    /// The listener's name.
    pub listener: &'a str,
    /// The upstream's name.
    pub upstream: &'a str,
}

/// What a decision says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The command may pass.
    Allow,
    /// The client gets this reply; the upstream never sees the command.
    Deny(Reply),
}

/// A verdict, which rule it came from, and why.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule's name; `default` for the default verdict.
    pub rule: Arc<str>,
    /// Why it applied, in words.
    pub why: &'static str,
}

/// The verdict when no rule has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Commands pass.
    Allow,
    /// Every operation on files is denied; logging in, leaving and asking for help stay possible.
    Deny,
}

/// The rules in force.
#[derive(Clone, Debug)]
pub struct RuleSet {
    default: Default,
    refuse_dangerous: bool,
    default_name: Arc<str>,
    dangerous_name: Arc<str>,
}

/// The name of the built-in rule file.
pub const EVERYTHING_BUT_DANGEROUS: &str = "everything-but-dangerous";

impl RuleSet {
    /// Makes the rule set of a default verdict, with or without `everything-but-dangerous` before it.
    pub fn new(default: Default, refuse_dangerous: bool) -> RuleSet {
        RuleSet {
            default,
            refuse_dangerous,
            default_name: Arc::from("default"),
            dangerous_name: Arc::from(EVERYTHING_BUT_DANGEROUS),
        }
    }

    /// Decides whether a command may pass to the upstream.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let Some(operation) = Operation::of(request) else {
            return self.decision(
                Verdict::Allow,
                &self.default_name,
                "it is no operation on files",
            );
        };
        if self.refuse_dangerous
            && let Some(why) = operation.danger(request)
        {
            let name = String::from_utf8_lossy(request.spelled).to_ascii_uppercase();
            let reply = match operation {
                Operation::Unknown => Reply::new(
                    502,
                    format!("{name} is not known here and does not pass this gateway."),
                ),
                _ => Reply::new(
                    550,
                    format!("{name} with this argument is not allowed through this gateway."),
                ),
            };
            return self.decision(Verdict::Deny(reply), &self.dangerous_name, why);
        }
        match self.default {
            Default::Allow => {
                self.decision(Verdict::Allow, &self.default_name, "no rule denies it")
            }
            Default::Deny => {
                let reply = Reply::new(550, "Not allowed: no rule of this gateway allows it.");
                self.decision(
                    Verdict::Deny(reply),
                    &self.default_name,
                    "no rule allows it",
                )
            }
        }
    }

    /// Tells whether a verb is denied whatever its argument: FEAT does not offer such verbs.
    pub fn denies_always(&self, verb: Verb) -> bool {
        let request = Request {
            verb,
            spelled: verb.name().as_bytes(),
            argument: None,
        };
        match Operation::of(&request) {
            None => false,
            Some(Operation::Unknown) => self.refuse_dangerous || self.default == Default::Deny,
            Some(operation) => {
                self.default == Default::Deny
                    || (self.refuse_dangerous && operation == Operation::Execute)
            }
        }
    }

    /// Tells whether a rule may still limit, time or count the bytes of a data connection: then it has to be relayed.
    ///
    /// The rules of this version decide about commands only.
    pub fn could_limit(&self, prospect: &Prospect<'_>) -> bool {
        let Prospect {
            user: _,
            client: _,
            listener: _,
            upstream: _,
        } = prospect;
        false
    }

    fn decision(&self, verdict: Verdict, rule: &Arc<str>, why: &'static str) -> Decision {
        Decision {
            verdict,
            rule: Arc::clone(rule),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rules: &RuleSet, line: &str) -> bool {
        let (verb, argument) = match line.split_once(' ') {
            Some((verb, argument)) => (verb, Some(argument.as_bytes())),
            None => (line, None),
        };
        let request = Request {
            verb: Verb::parse(verb.as_bytes()),
            spelled: verb.as_bytes(),
            argument,
        };
        rules.decide(&request).verdict == Verdict::Allow
    }

    #[test]
    fn site_exec_copies_and_chmod_are_denied_unless_a_rule_allows_them() {
        let shipped = RuleSet::new(Default::Allow, true);
        for line in [
            "SITE EXEC id",
            "site  exec id",
            "SITE CPFR /etc/passwd",
            "SITE CPTO x",
            "SITE CHMOD 777 x",
            "RCMD DLTLIB X",
            "SITE FILETYPE=JES",
            "XYZZY now",
        ] {
            assert!(!verdict(&shipped, line), "{line}");
        }
        for line in [
            "SITE UTIME 20260101 x",
            "SITE HELP",
            "RETR x",
            "STOR x",
            "DELE x",
            "USER bob",
            "NOOP",
        ] {
            assert!(verdict(&shipped, line), "{line}");
        }
        let open = RuleSet::new(Default::Allow, false);
        assert!(verdict(&open, "SITE EXEC id"));
        assert!(verdict(&open, "XYZZY now"));
    }

    #[test]
    fn default_deny_leaves_login_and_leaving() {
        let closed = RuleSet::new(Default::Deny, false);
        for line in [
            "USER bob", "PASS x", "QUIT", "NOOP", "FEAT", "TYPE I", "PASV",
        ] {
            assert!(verdict(&closed, line), "{line}");
        }
        for line in [
            "RETR x",
            "STOR x",
            "LIST",
            "CWD /",
            "DELE x",
            "RNFR x",
            "MKD x",
            "SITE HELP",
        ] {
            assert!(!verdict(&closed, line), "{line}");
        }
    }
}
