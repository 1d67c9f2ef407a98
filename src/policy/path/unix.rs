//! Unix: components between slashes, `.` and `..` (POSIX.1-2017 section 4.13); every other byte is part of a name.

use super::{Built, Directory, Doubt, NO_DIRECTORY, Style, is_short_name, is_wild, wildcard};

pub(super) fn directory(built: &mut Built, name: &[u8]) -> Result<Style, Doubt> {
    if name.first() != Some(&b'/') {
        return Err(NO_DIRECTORY);
    }
    components(built, name)?;
    Ok(Style::Slashes)
}

pub(super) fn resolve(
    built: &mut Built,
    cwd: Option<&Directory>,
    name: &[u8],
) -> Result<(), Doubt> {
    if name.first() != Some(&b'/') {
        super::here(built, cwd)?;
    }
    if built.listed && name.contains(&b'\\') {
        return Err(Doubt(
            "a backslash in a listing: wildcards take it for an escape",
        ));
    }
    components(built, name)
}

/// Goes through a path component by component. `..` is taken by its letters: where it stands behind a link, the server
/// goes elsewhere, and links are the server's own matter.
pub(super) fn components(built: &mut Built, path: &[u8]) -> Result<(), Doubt> {
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => built.pop(),
            name => {
                if built.presumed {
                    not_of_windows(name)?;
                }
                if built.listed && wildcard(name)? {
                    built.push_wild(name, is_wild);
                } else {
                    built.push(name);
                }
            }
        }
    }
    Ok(())
}

/// Doubts names that mean something else on Windows: many servers there answer SYST with `UNIX`.
fn not_of_windows(name: &[u8]) -> Result<(), Doubt> {
    if name.contains(&b'\\') {
        Err(Doubt(
            "a backslash: on Windows it stands between directories (set `paths: unix` if it is Unix)",
        ))
    } else if matches!(name.last(), Some(b'.' | b' ')) {
        Err(Doubt(
            "a name that ends in a dot or a blank: Windows strips it (set `paths: unix` if it is Unix)",
        ))
    } else if is_short_name(name) {
        Err(Doubt(
            "a `~` and a digit: on Windows it may be another name's short form (set `paths: unix` if it is Unix)",
        ))
    } else if name.contains(&b':') {
        Err(Doubt(
            "a drive or a stream, if it is Windows (set `paths: unix` if it is Unix)",
        ))
    } else {
        Ok(())
    }
}
