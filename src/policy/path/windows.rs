//! Windows: `\` and `/`, no case, trailing dots and blanks stripped, drives, streams and short names.
//!
//! The facts are from Microsoft's "Naming Files, Paths, and Namespaces" and [MS-FSCC] section 2.1.5.

use super::{Built, Directory, Doubt, NO_DIRECTORY, Style, is_short_name};

/// Letters that some code pages turn into dots and slashes.
const LOOKALIKES: [char; 10] = [
    '\u{2024}', '\u{2025}', '\u{2026}', '\u{FF0E}', '\u{FF0F}', '\u{FF3C}', '\u{2215}', '\u{2044}',
    '\u{2216}', '\u{00A5}',
];

pub(super) fn directory(built: &mut Built, name: &[u8]) -> Result<Style, Doubt> {
    if !matches!(name.first(), Some(b'/' | b'\\')) {
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
    let is_slash = |byte: Option<&u8>| matches!(byte, Some(b'/' | b'\\'));
    if is_slash(name.first()) {
        if is_slash(name.get(1)) {
            return Err(Doubt(
                "two slashes in front: Windows takes it for another machine's name",
            ));
        }
    } else {
        super::here(built, cwd)?;
    }
    components(built, name)
}

fn components(built: &mut Built, path: &[u8]) -> Result<(), Doubt> {
    let text = std::str::from_utf8(path).map_err(|_| {
        Doubt("a name that is not UTF-8: which letters it has depends on the server's code page")
    })?;
    if text.contains(LOOKALIKES) {
        return Err(Doubt(
            "a letter that some code pages turn into a dot or a slash",
        ));
    }
    for name in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        match name {
            b"" | b"." => {}
            b".." => built.pop(),
            name => component(built, name)?,
        }
    }
    Ok(())
}

fn component(built: &mut Built, name: &[u8]) -> Result<(), Doubt> {
    if name.contains(&b':') {
        return Err(Doubt("a colon: a drive or a stream of a file"));
    }
    if is_short_name(name) {
        return Err(Doubt(
            "a `~` and a digit: it may be another name's short form",
        ));
    }
    let length = name
        .iter()
        .rposition(|byte| !matches!(byte, b'.' | b' '))
        .map_or(0, |last| last + 1);
    let name = match name.get(..length) {
        None | Some(b"") => return Err(Doubt("a name of dots and blanks only")),
        Some(name) => name,
    };
    let of_windows = |byte: &u8| matches!(byte, b'<' | b'>' | b'"' | b'*' | b'?');
    let any = |byte: &u8| of_windows(byte) || super::is_wild(byte);
    match (name.iter().any(of_windows), built.listed) {
        (true, true) => built.push_wild(name, any),
        (true, false) => return Err(Doubt("a wildcard: Windows looks for what fits it")),
        (false, true) if super::wildcard(name)? => built.push_wild(name, any),
        (false, _) => built.push(name),
    }
    Ok(())
}
