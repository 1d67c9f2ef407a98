//! z/OS: data sets (`'SYS1.PROC(MEMBER)'`, relative to a prefix or to a partitioned data set) and the hierarchical file
//! system (`/u/bob/file`).
//!
//! The canonical path of a data set has a component for each qualifier and one for the member. The facts are from IBM's
//! "z/OS Communications Server: IP User's Guide and Commands", chapters on FTP.

use super::unix::components;
use super::{ANY, Built, Case, Directory, Doubt, NO_DIRECTORY, Style};

pub(super) fn directory(
    built: &mut Built,
    name: &[u8],
    is_partitioned: bool,
) -> Result<Style, Doubt> {
    if name.first() == Some(&b'/') {
        built.case = Case::MayTell;
        components(built, name)?;
        return Ok(Style::Slashes);
    }
    let inner = unquoted(name).unwrap_or(name);
    let (inner, ends_in_dot) = match inner.strip_suffix(b".") {
        Some(inner) => (inner, true),
        None => (inner, false),
    };
    if !inner.is_empty() {
        qualifiers(built, inner)?;
    }
    // A prefix is reported with a dot behind it; without one it is a partitioned data set.
    Ok(if is_partitioned || !ends_in_dot && !inner.is_empty() {
        Style::Members
    } else {
        Style::Prefix
    })
}

pub(super) fn resolve(
    built: &mut Built,
    cwd: Option<&Directory>,
    name: &[u8],
) -> Result<(), Doubt> {
    if name.first() == Some(&b'/') {
        built.case = Case::MayTell;
        return components(built, name);
    }
    if let Some(inner) = unquoted(name) {
        return data_set(built, inner.strip_suffix(b".").unwrap_or(inner));
    }
    let cwd = cwd.ok_or(NO_DIRECTORY)?;
    super::here(built, Some(cwd))?;
    match cwd.style {
        Style::Slashes => {
            built.case = Case::MayTell;
            components(built, name)
        }
        // In directories of data sets `..` takes the last qualifier off.
        Style::Prefix | Style::Members if name == b".." => {
            built.pop();
            Ok(())
        }
        Style::Prefix => data_set(built, name),
        Style::Members if !name.contains(&b'.') && !name.contains(&b'(') => qualifier(built, name),
        Style::Members => Err(Doubt("not the name of a member")),
        Style::Library | Style::Brackets => Err(NO_DIRECTORY),
    }
}

fn unquoted(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(b"'")?.strip_suffix(b"'")
}

/// Reads `A.B.C` or `A.B.C(MEMBER)`.
fn data_set(built: &mut Built, name: &[u8]) -> Result<(), Doubt> {
    let (set, member) = match memchr::memchr(b'(', name).and_then(|at| name.split_at_checked(at)) {
        Some((set, rest)) => {
            let member = rest.get(1..).and_then(|rest| rest.strip_suffix(b")"));
            (
                set,
                Some(member.ok_or(Doubt("a parenthesis that is not closed"))?),
            )
        }
        None => (name, None),
    };
    qualifiers(built, set)?;
    match member {
        // A number is a generation, and which data set that is changes.
        Some(member) if matches!(member.first(), None | Some(b'0'..=b'9' | b'+' | b'-')) => {
            Err(Doubt("a generation of a data set"))
        }
        Some(member) => qualifier(built, member),
        None => Ok(()),
    }
}

fn qualifiers(built: &mut Built, set: &[u8]) -> Result<(), Doubt> {
    set.split(|byte| *byte == b'.')
        .try_for_each(|name| qualifier(built, name))
}

fn qualifier(built: &mut Built, name: &[u8]) -> Result<(), Doubt> {
    if built.listed && name.contains(&b'*') {
        // Two stars are any number of qualifiers.
        if name.windows(2).any(|pair| pair == b"**") {
            return Err(Doubt("`**` stands for any qualifiers"));
        }
        built.push(ANY);
        return Ok(());
    }
    let is_good =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'#' | b'$' | b'-');
    if name.is_empty() || name.len() > 8 || !name.iter().all(is_good) {
        return Err(Doubt("not the name of a data set"));
    }
    built.push(name);
    Ok(())
}
