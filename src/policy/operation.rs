//! Operation classes: what a command does to files, whatever its spelling.

use super::Words;
use crate::ftp::Verb;
use crate::yaml::choice::choice;

choice! {
    /// What a command does.
    pub enum Operation {
        /// Reads a file, or what is computed from all of it.
        Read = "read",
        /// Writes a file.
        Write = "write",
        /// Appends to a file.
        Append = "append",
        /// Lists names or asks about one.
        List = "list",
        /// Deletes a file.
        Delete = "delete",
        /// Renames.
        Rename = "rename",
        /// Makes a directory.
        Mkdir = "mkdir",
        /// Removes a directory.
        Rmdir = "rmdir",
        /// Changes the directory.
        Chdir = "chdir",
        /// Changes times or permissions.
        Attributes = "attributes",
        /// SITE commands that are not classed otherwise.
        Site = "site",
        /// Runs something on the server.
        Execute = "execute",
        /// Verbs that nobody knows.
        Unknown = "unknown",
    }
}

impl Operation {
    /// Classes a command; none for logging in, leaving, asking for help and setting up transfers.
    #[must_use]
    pub fn of(words: &Words<'_>) -> Option<Operation> {
        let argument = words.argument.unwrap_or_default();
        match words.verb.canonical() {
            Verb::Site => Some(site(argument)),
            // Of a path it is a listing in the reply (RFC 959 4.1.3); without one it asks how the session stands.
            Verb::Stat => (!argument.trim_ascii().is_empty()).then_some(Operation::List),
            // Some servers set the time when one stands before the name.
            Verb::Mdtm if sets_time(argument) => Some(Operation::Attributes),
            Verb::Pret => Operation::of(&Words::of(argument)),
            verb => Operation::usual(verb),
        }
    }

    /// Classes a verb by itself; SITE, STAT, MDTM and PRET depend on their argument too.
    fn usual(verb: Verb) -> Option<Operation> {
        Some(match verb {
            Verb::Retr | Verb::Thmb => Operation::Read,
            Verb::Hash | Verb::Xcrc | Verb::Xmd5 | Verb::Md5 => Operation::Read,
            Verb::Xsha | Verb::Xsha1 | Verb::Xsha256 | Verb::Xsha512 => Operation::Read,
            Verb::Stor | Verb::Stou | Verb::Comb => Operation::Write,
            Verb::Appe => Operation::Append,
            Verb::List | Verb::Nlst | Verb::Mlsd | Verb::Mlst | Verb::Size | Verb::Mdtm => {
                Operation::List
            }
            Verb::Avbl | Verb::Dsiz => Operation::List,
            Verb::Dele => Operation::Delete,
            Verb::Rnfr | Verb::Rnto => Operation::Rename,
            Verb::Mkd => Operation::Mkdir,
            Verb::Rmd | Verb::Rmda => Operation::Rmdir,
            Verb::Cwd | Verb::Cdup | Verb::Smnt => Operation::Chdir,
            Verb::Mfmt | Verb::Mfct | Verb::Mff => Operation::Attributes,
            Verb::Rcmd
            | Verb::Addm
            | Verb::Addv
            | Verb::Addc
            | Verb::Addl
            | Verb::Crtl
            | Verb::Crtp
            | Verb::Crts
            | Verb::Dltf
            | Verb::Dltl => Operation::Execute,
            Verb::Unknown => Operation::Unknown,
            _ => return None,
        })
    }

    /// Returns every class that commands of a verb can have; None where it can be any.
    pub(super) fn possible(verb: Verb) -> Option<Vec<Option<Operation>>> {
        Some(match verb.canonical() {
            Verb::Site => vec![
                Some(Operation::Site),
                Some(Operation::Attributes),
                Some(Operation::Execute),
            ],
            Verb::Stat => vec![None, Some(Operation::List)],
            Verb::Mdtm => vec![Some(Operation::List), Some(Operation::Attributes)],
            Verb::Pret => return None,
            verb => vec![Operation::usual(verb)],
        })
    }

    /// Returns its bit in a set of operations.
    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Makes a set of operations.
pub(super) fn set(operations: &[Operation]) -> u16 {
    operations
        .iter()
        .fold(0, |set, operation| set | operation.bit())
}

/// Returns the first word of an argument, whatever blanks stand before it.
pub(super) fn first_word(argument: &[u8]) -> &[u8] {
    words_of(argument).next().unwrap_or_default()
}

fn words_of(argument: &[u8]) -> impl Iterator<Item = &[u8]> {
    argument
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
}

/// Tells whether MDTM's argument begins with a time and goes on with a name.
pub(super) fn sets_time(argument: &[u8]) -> bool {
    let word = first_word(argument);
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits >= 8 && words_of(argument).nth(1).is_some()
}

fn site(argument: &[u8]) -> Operation {
    let word = first_word(argument);
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let jes = |word: &[u8]| {
        word.get(..12)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"FILETYPE=JES"))
    };
    if is("EXEC") || words_of(argument).any(jes) {
        Operation::Execute
    } else if is("CHMOD") || is("UTIME") || is("UMASK") || is("CHGRP") || is("CHOWN") {
        Operation::Attributes
    } else {
        Operation::Site
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_classed_by_what_they_do() {
        for (line, operation) in [
            ("RETR x", Some(Operation::Read)),
            ("XMKD x", Some(Operation::Mkdir)),
            ("STAT", None),
            ("STAT /etc", Some(Operation::List)),
            ("MDTM x", Some(Operation::List)),
            ("MDTM 20260101000000 x", Some(Operation::Attributes)),
            ("PRET STOR x", Some(Operation::Write)),
            ("SITE  exec id", Some(Operation::Execute)),
            ("SITE RECFM=FB FILETYPE=JES", Some(Operation::Execute)),
            ("SITE\tCHMOD 777 x", Some(Operation::Unknown)),
            ("SITE CHMOD 777 x", Some(Operation::Attributes)),
            ("SITE HELP", Some(Operation::Site)),
            ("XYZZY", Some(Operation::Unknown)),
            ("NOOP", None),
            ("PASV", None),
        ] {
            assert_eq!(
                Operation::of(&Words::of(line.as_bytes())),
                operation,
                "{line}"
            );
        }
    }

    #[test]
    fn every_class_that_a_command_has_is_possible_for_its_verb() {
        for verb in Verb::ALL {
            for argument in [
                None,
                Some(b"x".as_slice()),
                Some(b"20260101 x"),
                Some(b"EXEC x"),
                Some(b"CHMOD 1 x"),
            ] {
                let words = Words {
                    verb: *verb,
                    spelled: verb.name().as_bytes(),
                    argument,
                };
                let possible = Operation::possible(*verb);
                assert!(
                    possible.is_none_or(|all| all.contains(&Operation::of(&words))),
                    "{verb}"
                );
            }
        }
    }
}
