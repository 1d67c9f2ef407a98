//! Operation classes: what a command does to files, whatever its spelling.

use super::Request;
use crate::ftp::Verb;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Reads a file.
    Read,
    /// Writes a file.
    Write,
    /// Appends to a file.
    Append,
    /// Lists names or asks about one.
    List,
    /// Deletes a file.
    Delete,
    /// Renames.
    Rename,
    /// Makes a directory.
    Mkdir,
    /// Removes a directory.
    Rmdir,
    /// Changes the directory.
    Chdir,
    /// Changes times or permissions.
    Attributes,
    /// SITE commands that are not classed otherwise.
    Site,
    /// Runs something on the server.
    Execute,
    /// Verbs that nobody knows.
    Unknown,
}

impl Operation {
    /// Classes a command; none for logging in, leaving, asking for help and setting up transfers.
    pub fn of(request: &Request<'_>) -> Option<Operation> {
        Some(match request.verb.canonical() {
            Verb::Retr => Operation::Read,
            Verb::Stor | Verb::Stou => Operation::Write,
            Verb::Appe => Operation::Append,
            Verb::List | Verb::Nlst | Verb::Mlsd | Verb::Mlst | Verb::Size | Verb::Mdtm => {
                Operation::List
            }
            Verb::Dele => Operation::Delete,
            Verb::Rnfr | Verb::Rnto => Operation::Rename,
            Verb::Mkd => Operation::Mkdir,
            Verb::Rmd | Verb::Rmda => Operation::Rmdir,
            Verb::Cwd | Verb::Cdup => Operation::Chdir,
            Verb::Mfmt | Verb::Mfct | Verb::Mff => Operation::Attributes,
            Verb::Rcmd
            | Verb::Addm
            | Verb::Addv
            | Verb::Crtl
            | Verb::Crtp
            | Verb::Crts
            | Verb::Dltf
            | Verb::Dltl => Operation::Execute,
            Verb::Site => site(request.argument.unwrap_or_default()),
            Verb::Unknown => Operation::Unknown,
            _ => return None,
        })
    }

    /// Tells why `everything-but-dangerous` denies it, if it does.
    pub(super) fn danger(self, request: &Request<'_>) -> Option<&'static str> {
        match self {
            Operation::Execute => Some("it runs something on the server"),
            Operation::Unknown => Some("nobody knows what it does"),
            Operation::Site | Operation::Attributes if request.verb == Verb::Site => {
                let word = first_word(request.argument.unwrap_or_default());
                let dangerous = ["CPFR", "CPTO", "CHMOD"]
                    .iter()
                    .any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
                dangerous.then_some("it copies on the server or changes permissions")
            }
            _ => None,
        }
    }
}

fn first_word(argument: &[u8]) -> &[u8] {
    argument
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .find(|word| !word.is_empty())
        .unwrap_or_default()
}

fn site(argument: &[u8]) -> Operation {
    let word = first_word(argument);
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let jes = || word.len() >= 12 && word[..12].eq_ignore_ascii_case(b"FILETYPE=JES");
    if is("EXEC") || jes() {
        Operation::Execute
    } else if is("CHMOD") || is("UTIME") || is("UMASK") || is("CHGRP") || is("CHOWN") {
        Operation::Attributes
    } else {
        Operation::Site
    }
}
