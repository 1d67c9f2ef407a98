//! Where a session is on its server, as far as rules ask for paths: how the server writes them, and the working directory.
//!
//! The upstream is asked, by a SYST and a PWD of our own: after the login and after whatever may have changed the
//! directory, before the client's next command is taken. Invariant: where the directory may have changed and the upstream
//! has not said where it is, it is not known, and rules that refuse by path apply. Nothing is asked that no rule needs.
//!
//! What moves a session: CWD and CDUP, a new login, SMNT, and RNTO, which may rename a directory above the working one.
//! SITE and unknown verbs may do anything.

use super::dialogue::Purpose;
use super::judgement::words;
use super::session::{Phase, Session, Step};
use crate::ftp::{Command, Reply, Verb};
use crate::policy::{Directory, Operation, Paths, Words};

impl Session {
    /// Tells how the upstream writes paths: as the config says, else as it told itself.
    pub(super) fn paths(&self) -> Option<Paths> {
        match self.settings.paths {
            Some(grammar) => Some(Paths::Stated(grammar)),
            None => self.known.get().and_then(|known| known.paths),
        }
    }

    /// Tells whether the answer to a command decides how the next one is judged.
    pub(super) fn decides_the_next(&self, verb: Verb) -> bool {
        let rules = &self.settings.rules;
        rules.needs_paths() && may_move(verb) || rules.needs_sizes() && verb == Verb::Size
    }

    /// Learns from the final reply to a client's command that it may be elsewhere now, and asks where.
    pub(super) fn moved(&mut self, step: &mut Step, verb: Verb, code: u16) {
        if !may_move(verb) || code >= 400 {
            return;
        }
        self.forget_directory();
        self.ask_where(step);
    }

    pub(super) fn forget_directory(&mut self) {
        if let Some(known) = self.known.existing() {
            known.directory = None;
            known.pwd_asked = false;
            known.size = None;
        }
    }

    /// Asks the upstream where the session is, if a rule wants to know and nobody does; tells whether it was asked.
    pub(super) fn ask_where(&mut self, step: &mut Step) -> bool {
        let unknown = self
            .known
            .get()
            .is_none_or(|known| known.directory.is_none() && !known.pwd_asked);
        let may_ask = self.logged_in && self.phase == Phase::Talking && !self.in_transfer();
        if !self.settings.rules.needs_paths() || !unknown || !may_ask {
            return false;
        }
        let paths = self.paths();
        let known = self.known.facts();
        if paths.is_none() && !known.syst_asked {
            known.syst_asked = true;
            self.ask_ours(step, Command::new(Verb::Syst, None), Purpose::Syst);
            return true;
        }
        known.pwd_asked = true;
        if paths.is_none() {
            // What it would say could not be read.
            return false;
        }
        self.ask_ours(step, Command::new(Verb::Pwd, None), Purpose::Pwd);
        true
    }

    /// Tells whether a command has to wait until the upstream has said where the session is; it is asked then. After a
    /// reload rules may want to know what no rule had asked for.
    pub(super) fn must_ask_where(&mut self, step: &mut Step, command: &Command) -> bool {
        // Servers forget what RNFR named when another command comes between.
        let between = self.renaming && command.verb == Verb::Rnto;
        !between && Operation::of(&words(command)).is_some() && self.ask_where(step)
    }

    /// Handles the answer to our SYST.
    pub(super) fn syst_answered(&mut self, step: &mut Step, reply: &Reply) {
        if reply.code().get() == 215 {
            self.known.facts().paths = Paths::of_syst(reply);
        }
        self.ask_where(step);
    }

    /// Handles the answer to our PWD.
    pub(super) fn pwd_answered(&mut self, reply: &Reply) {
        let Some(paths) = self.paths() else { return };
        self.known.facts().directory = Directory::reported(paths, reply);
    }

    /// Remembers what a passing command tells of sizes.
    pub(super) fn note_sizes(&mut self, command: &Command) {
        if !self.settings.rules.needs_sizes() {
            return;
        }
        let argument = command.argument().unwrap_or_default();
        let known = self.known.facts();
        match command.verb {
            Verb::Size => {
                known.size = None;
                known.sizing = Some(argument.into());
            }
            Verb::Allo => {
                known.allocated = super::command::number(first_word(argument.trim_ascii()));
            }
            // These leave the file as it is, and what its size means.
            Verb::Rest | Verb::Noop | Verb::Mdtm | Verb::Stat | Verb::Pwd => {}
            verb => {
                known.size = None;
                if verb.is_transfer() {
                    known.allocated = None;
                }
            }
        }
    }

    /// Handles the answer to the client's SIZE (RFC 3659 section 4).
    pub(super) fn size_answered(&mut self, reply: &Reply) {
        let Some(known) = self.known.existing() else {
            return;
        };
        let size = super::command::number(reply.final_text().trim_ascii());
        known.size = match (reply.code().get(), known.sizing.take(), size) {
            (213, Some(name), Some(size)) => Some((name, size)),
            (_, _, _) => None,
        };
    }

    /// Tells how big the file is that a transfer command is about, as ALLO or SIZE told it.
    pub(super) fn size_of(&self, command: &Command) -> Option<u64> {
        let known = self.known.get()?;
        match command.verb {
            Verb::Stor | Verb::Stou | Verb::Appe => known.allocated,
            Verb::Retr => {
                let (name, size) = known.size.as_ref()?;
                (**name == *command.argument().unwrap_or_default()).then_some(*size)
            }
            _ => None,
        }
    }
}

/// Tells whether a command may change the working directory, or what lies where.
fn may_move(verb: Verb) -> bool {
    let logs_in = matches!(
        verb,
        Verb::User | Verb::Pass | Verb::Acct | Verb::Rein | Verb::Host
    );
    let bare = Words {
        verb,
        spelled: b"",
        argument: None,
    };
    let anything = matches!(
        Operation::of(&bare),
        Some(Operation::Site | Operation::Execute | Operation::Unknown)
    );
    let moves = matches!(
        verb.canonical(),
        Verb::Cwd | Verb::Cdup | Verb::Smnt | Verb::Rnto
    );
    logs_in || anything || moves
}

fn first_word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b' ');
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}
