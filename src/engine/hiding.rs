//! What rules hide of the upstream: its greeting, and its answers to SYST, HELP, STAT and FEAT.
//!
//! Invariant: nothing of what is hidden is passed on, not even in part: where a text is hidden the gateway has its own.

use super::Wall;
use super::judgement::Permission;
use super::session::{Session, Step};
use crate::ftp::feature::{feature_verb, filter_feat, with_features};
use crate::ftp::{Command, Reply, Verb};
use crate::policy::Grammar;

impl Session {
    /// Answers a command whose answer is hidden, so that it need not go up at all.
    pub(super) fn hidden_answer(
        &self,
        command: &Command,
        permission: &Permission,
    ) -> Option<Reply> {
        let hide = &permission.hide;
        let argument = command.argument().unwrap_or_default().trim_ascii();
        match command.verb {
            Verb::Syst if hide.syst => Some(Reply::new(215, self.system())),
            Verb::Help if hide.help => Some(no_help()),
            // Servers tell their SITE commands so, and with them what they are (RFC 959 section 4.1.3).
            Verb::Site if hide.help && first_word(argument).eq_ignore_ascii_case("HELP") => {
                Some(no_help())
            }
            // With a path it is a listing (RFC 959 section 4.1.3).
            Verb::Stat if hide.stat && argument.is_empty() => Some(Reply::new(
                211,
                match self.in_transfer() {
                    true => "A transfer is running.",
                    false => "No transfer is running.",
                },
            )),
            _ => None,
        }
    }

    /// Names the kind of listings that clients have to expect, as far as the config says; most servers write Unix's.
    fn system(&self) -> &'static str {
        match self.settings.paths {
            None | Some(Grammar::Unix) => "UNIX Type: L8",
            Some(Grammar::Windows) => "Windows_NT",
            Some(Grammar::IbmI) => "OS/400",
            Some(Grammar::Mvs) => "MVS",
            Some(Grammar::Vms) => "VMS",
        }
    }

    /// Gives the greeting as the client may see it; its code says what it says.
    pub(super) fn shown_greeting(&self, now: Wall, greeting: Reply) -> Reply {
        if !self.hidden_at_arrival(now).banner {
            return greeting;
        }
        match greeting.code().get() {
            120 => Reply::new(120, "The service is ready in a moment."),
            220 => Reply::new(220, "FTP service ready."),
            code => Reply::new(code, "The service is not available now; try again later."),
        }
    }

    /// Passes the answer to FEAT, less what would not pass or is hidden, and with what is ours to offer.
    pub(super) fn say_features(&mut self, step: &mut Step, reply: &Reply) {
        let hidden = self.hidden_features(step.now.wall);
        let filtered = filter_feat(reply, |feature| {
            self.offers(step.now.wall, feature_verb(feature))
                && !hidden.hides_feature(first_word(feature))
        });
        self.say(step, with_features(filtered, self.security_features()));
    }

    /// Tells whether a feature's verb would pass: FEAT offers no more than that.
    fn offers(&self, now: Wall, verb: Verb) -> bool {
        let security = matches!(
            verb,
            Verb::Auth
                | Verb::Adat
                | Verb::Prot
                | Verb::Pbsz
                | Verb::Ccc
                | Verb::Mic
                | Verb::Conf
                | Verb::Enc
        );
        // Features such as UTF8 and TVFS name no command, so an unknown word says nothing of what would pass.
        let rules = &self.settings.rules;
        let denied = verb != Verb::Unknown && rules.denies_always(&self.circumstances(now), verb);
        !(security || verb.is_refused_alias() || verb == Verb::Algs || denied)
    }
}

fn no_help() -> Reply {
    Reply::new(214, "Help is not available through this gateway.")
}

/// Gives the word by which rules name a feature.
fn first_word(feature: &[u8]) -> &str {
    let word = feature
        .split(|byte| matches!(byte, b' ' | b'\t' | b';' | b'='))
        .next()
        .unwrap_or_default();
    // What is no text is named by no rule.
    std::str::from_utf8(word).unwrap_or_default()
}
