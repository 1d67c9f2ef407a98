//! OpenVMS: `DISK:[DIR.SUB]FILE.TXT;3`, `[.SUB]`, `[-]`.
//!
//! The canonical path is `/DISK/DIR/SUB/FILE.TXT`: versions are left out, and a directory's own file (`SUB.DIR`) is the
//! directory. A device other than that of the working directory may be a logical name for any place, so it can't be
//! told. The facts are from the "OpenVMS User's Manual", chapters on files and directories.

use super::{ANY, Built, Directory, Doubt, NO_DIRECTORY, Style};

pub(super) fn directory(built: &mut Built, name: &[u8]) -> Result<Style, Doubt> {
    let colon = memchr::memchr(b':', name).ok_or(NO_DIRECTORY)?;
    let (device, rest) = name.split_at_checked(colon).ok_or(NO_DIRECTORY)?;
    let rest = rest.get(1..).unwrap_or_default();
    component(built, device)?;
    match brackets(rest)? {
        Some((inner, b"")) => absolute(built, inner)?,
        Some(_) | None => return Err(NO_DIRECTORY),
    }
    Ok(Style::Brackets)
}

pub(super) fn resolve(
    built: &mut Built,
    cwd: Option<&Directory>,
    name: &[u8],
) -> Result<(), Doubt> {
    let cwd = cwd.ok_or(NO_DIRECTORY)?;
    if cwd.style != Style::Brackets {
        return Err(NO_DIRECTORY);
    }
    super::here(built, Some(cwd))?;
    let device = first_component(&cwd.canonical);
    let rest = match memchr::memchr(b':', name).and_then(|at| name.split_at_checked(at)) {
        Some((asked, rest)) if asked.eq_ignore_ascii_case(device) => {
            // Without brackets behind it the device is the working directory's own.
            rest.get(1..).unwrap_or_default()
        }
        Some(_) => return Err(Doubt("a device that may be a logical name for any place")),
        None => name,
    };
    let file = match brackets(rest)? {
        Some((inner, file)) => {
            if matches!(inner.first(), Some(b'.' | b'-') | None) {
                relative(built, inner)?;
            } else {
                built.text.truncate(device.len() + 1);
                absolute(built, inner)?;
            }
            file
        }
        None => rest,
    };
    if file.is_empty() {
        Ok(())
    } else {
        self::file(built, file)
    }
}

fn first_component(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'/').nth(1).unwrap_or_default()
}

/// What stands in brackets, and what stands behind them.
type Bracketed<'t> = (&'t [u8], &'t [u8]);

/// Takes `[...]` or `<...>` off the front.
fn brackets(text: &[u8]) -> Result<Option<Bracketed<'_>>, Doubt> {
    let close = match text.first() {
        Some(b'[') => b']',
        Some(b'<') => b'>',
        _ => return Ok(None),
    };
    let unclosed = Doubt("a bracket that is not closed");
    let end = memchr::memchr(close, text).ok_or(unclosed)?;
    let (inner, rest) = (text.get(1..end), text.get(end + 1..));
    Ok(inner.zip(rest))
}

fn absolute(built: &mut Built, inner: &[u8]) -> Result<(), Doubt> {
    for (number, name) in inner.split(|byte| *byte == b'.').enumerate() {
        // The master file directory holds itself.
        if number == 0 && name == b"000000" {
            continue;
        }
        component(built, name)?;
    }
    Ok(())
}

fn relative(built: &mut Built, inner: &[u8]) -> Result<(), Doubt> {
    for (number, name) in inner.split(|byte| *byte == b'.').enumerate() {
        match name {
            b"" if number == 0 => {}
            b"" => return Err(Doubt("an ellipsis: it stands for any directories below")),
            name if name.iter().all(|byte| *byte == b'-') => {
                for _ in name {
                    // Above the top there is nothing; the device stays.
                    let depth = built
                        .text
                        .as_slice()
                        .iter()
                        .filter(|byte| **byte == b'/')
                        .count();
                    if depth > 1 {
                        built.pop();
                    }
                }
            }
            name => component(built, name)?,
        }
    }
    Ok(())
}

/// Reads `FILE.TXT;3`; `FILE.TXT.3` is a version too.
fn file(built: &mut Built, name: &[u8]) -> Result<(), Doubt> {
    let name = name.split(|byte| *byte == b';').next().unwrap_or_default();
    let mut parts = name.splitn(3, |byte| *byte == b'.');
    let (stem, kind, version) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if version.is_some_and(|version| {
        !version
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'-')
    }) {
        return Err(Doubt("more than a name, a type and a version"));
    }
    component(built, stem)?;
    match kind {
        None | Some(b"") => Ok(()),
        Some(kind) if kind.eq_ignore_ascii_case(b"DIR") => Ok(()),
        Some(kind) => {
            let wild = is_wild(kind);
            if !(wild && built.listed || is_good(kind)) {
                return Err(Doubt("not the type of a file"));
            }
            if wild || built.text.as_slice().ends_with(ANY) {
                built.pop();
                built.push(ANY);
            } else {
                built.text.extend(b".");
                built.text.extend(kind);
            }
            Ok(())
        }
    }
}

fn component(built: &mut Built, name: &[u8]) -> Result<(), Doubt> {
    if built.listed && is_wild(name) {
        built.push(ANY);
        return Ok(());
    }
    if !is_good(name) {
        return Err(Doubt("not a name of OpenVMS without escapes and wildcards"));
    }
    built.push(name);
    Ok(())
}

fn is_wild(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().any(|byte| matches!(byte, b'*' | b'%'))
}

fn is_good(name: &[u8]) -> bool {
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'_' | b'-');
    !name.is_empty() && name.iter().all(is_good) && !name.iter().all(|byte| *byte == b'-')
}
