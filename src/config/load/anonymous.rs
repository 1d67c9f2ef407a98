//! The account that anonymous users log in as.

use std::path::PathBuf;

use super::settings::parse_path;
use crate::config::problem::Refusal;
use crate::config::reader::{Item, Reader};
use crate::config::upstream::Anonymous;
use crate::config::wording::shorten;

/// Longest name or directory, in bytes: with its verb it has to fit into a line.
const LONGEST: usize = 255;

pub(super) fn read(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Anonymous> {
    let mut section = reader.section(item)?;
    let account = section.take("login_as");
    let anonymous = Anonymous {
        login_as: reader.or(account, None, |reader, item| {
            reader.text(item, "the account's name, or `none`", |text| {
                words(text, "guest")
            })
        }),
        password_file: reader.or(section.take("password_file"), None, |reader, item| {
            reader.text(item, "the path of a file, or `none`", password_file)
        }),
        start_in: reader.or(section.take("start_in"), None, |reader, item| {
            reader.text(item, "a directory of the server's, or `none`", |text| {
                words(text, "/pub")
            })
        }),
    };
    section.finish(reader);
    let account_and_password = (&anonymous.login_as, &anonymous.password_file);
    let refusal = match account_and_password {
        (Some(_), Some(_)) => return Some(anonymous),
        (None, None) if anonymous.start_in.is_none() => return Some(anonymous),
        (Some(_), None) => Refusal::new("an account without its password")
            .help("write `password_file:` and the path of a file that holds the password"),
        (None, Some(_) | None) => {
            Refusal::new("no account is named that anonymous users log in as")
                .help("write `login_as:` and the account's name at the server")
        }
    };
    if reader.clean(&item.key) {
        reader.error(item.at, &item.key, refusal);
    }
    None
}

fn words(text: &str, example: &str) -> Result<Option<String>, Refusal> {
    match text {
        "none" => Ok(None),
        text if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) => {
            Err(
                Refusal::new(format!("`{}` can't be said to a server", shorten(text))).help(
                    format!(
                        "write `none` or one line of at most {LONGEST} bytes, such as `{example}`"
                    ),
                ),
            )
        }
        text => Ok(Some(text.to_owned())),
    }
}

fn password_file(text: &str) -> Result<Option<PathBuf>, Refusal> {
    let example = "/etc/portcullis/guest.password";
    if text == "none" {
        return Ok(None);
    }
    let path = parse_path(text, example)?;
    match path.is_absolute() {
        true => Ok(Some(path)),
        false => Err(
            Refusal::new(format!("`{}` is not a path from the root", shorten(text)))
                .help(format!("write `none` or a whole path such as `{example}`")),
        ),
    }
}
