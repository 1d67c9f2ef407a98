//! The accounts that anonymous users log in as: read with the config, and handed to the engine.
//!
//! Invariant: a password is in memory here and in the engine, and nowhere in a message. This module must not use one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::files::Files;
use crate::config::{Anonymous, Config, ConfigErrors, Problem, Severity};
use crate::engine::Guest;

/// Longest password that a server is told, in bytes: with its verb it has to fit into a line.
const LONGEST_PASSWORD: usize = 512;

/// The account of each upstream that has one.
pub type Guests = BTreeMap<String, Arc<Guest>>;

/// Reads the password files that a config names.
///
/// # Errors
/// When one can't be read, can be read by everybody, or holds no password; nothing is used then.
pub fn load(config: &Config, files: &dyn Files) -> Result<Guests, ConfigErrors> {
    let mut guests = Guests::new();
    let mut problems = Vec::new();
    for (name, upstream) in &config.upstreams {
        let Anonymous {
            login_as: Some(account),
            password_file: Some(path),
            start_in,
        } = &upstream.anonymous
        else {
            continue;
        };
        match password(path, files) {
            Ok(password) => {
                let guest = Guest {
                    account: account.as_bytes().into(),
                    password,
                    start_in: start_in.as_ref().map(|path| path.as_bytes().into()),
                };
                guests.insert(name.to_string(), Arc::new(guest));
            }
            Err(message) => problems.push(Problem {
                severity: Severity::Error,
                file: path.display().to_string(),
                line: None,
                column: None,
                key: format!("upstreams.{name}.anonymous.password_file"),
                message,
                help: Some(
                    "write one line with the account's password into it, and let nobody else read it (mode 0600 or 0640)"
                        .to_owned(),
                ),
                excerpt: None,
            }),
        }
    }
    match problems.is_empty() {
        true => Ok(guests),
        false => Err(ConfigErrors::Wrong { problems, more: 0 }),
    }
}

pub(super) fn password(path: &Path, files: &dyn Files) -> Result<Box<[u8]>, String> {
    let contents = files
        .read(path)
        .map_err(|error| format!("the password file can't be read: {error}"))?;
    if contents.mode & 0o007 != 0 {
        return Err(format!(
            "everybody may read or change the password file (mode {:04o})",
            contents.mode
        ));
    }
    let bytes = contents.bytes.as_slice();
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line {
        [] => Err("the password file is empty".to_owned()),
        line if line.len() > LONGEST_PASSWORD => {
            Err(format!("a password has at most {LONGEST_PASSWORD} bytes"))
        }
        // Telnet would read 0xFF as a command (RFC 854).
        line if line
            .iter()
            .any(|byte| matches!(byte, b'\r' | b'\n' | 0 | 0xFF)) =>
        {
            Err(
                "the password file has more than one line, or a byte that no password can have"
                    .to_owned(),
            )
        }
        line => Ok(line.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;
    use crate::config::files::Contents;

    struct One(&'static [u8], u32);

    impl Files for One {
        fn read(&self, _: &Path) -> io::Result<Contents> {
            Ok(Contents {
                bytes: self.0.to_vec(),
                mode: self.1,
                uid: 0,
            })
        }

        fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
    }

    fn config() -> Config {
        let text = "version: 1\nlisteners: {main: {listen: [\"127.0.0.1:0\"]}}\nupstreams:\n  old:\n    addresses: [\"10.0.0.5:21\"]\n    anonymous: {login_as: guest, password_file: /etc/portcullis/guest, start_in: /pub}\n";
        Config::parse(text, "test").expect("a good config").config
    }

    #[test]
    fn a_password_is_the_files_one_line() {
        for bytes in [b"s3cret".as_slice(), b"s3cret\n", b"s3cret\r\n"] {
            let guests = load(&config(), &One(bytes, 0o640)).expect("a password");
            let guest = &guests["old"];
            assert_eq!(
                (&*guest.account, &*guest.password),
                (b"guest".as_slice(), b"s3cret".as_slice())
            );
            assert_eq!(guest.start_in.as_deref(), Some(b"/pub".as_slice()));
            assert!(!format!("{guest:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_no_password_is_refused_without_its_contents() {
        for (bytes, mode) in [
            (b"s3cret\n".as_slice(), 0o644),
            (b"", 0o600),
            (b"s3cret\nmore\n", 0o600),
            (b"s3cret\0", 0o600),
            (&[b's'; 513], 0o600),
        ] {
            let error = load(&config(), &One(bytes, mode))
                .expect_err("refused")
                .to_string();
            assert!(error.contains("/etc/portcullis/guest"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
