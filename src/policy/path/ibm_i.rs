//! IBM i: library names (NAMEFMT 0, `LIB/FILE.MBR`) and paths (NAMEFMT 1, `/QSYS.LIB/LIB.LIB/FILE.FILE/MBR.MBR`).
//!
//! Both name the same objects; the canonical path is that of NAMEFMT 1. The facts are from IBM's "FTP server subcommands"
//! and "Naming conventions". Case tells nothing but below /QOpenSys, where it may.

use super::{ANY, Built, Case, Directory, Doubt, NO_DIRECTORY, Style};

pub(super) fn directory(built: &mut Built, name: &[u8]) -> Result<Style, Doubt> {
    if name.first() == Some(&b'/') {
        slashes(built, name)?;
        return Ok(Style::Slashes);
    }
    // `"QGPL" is current library`.
    if name.contains(&b'/') {
        return Err(NO_DIRECTORY);
    }
    library(built, name)?;
    Ok(Style::Library)
}

pub(super) fn resolve(
    built: &mut Built,
    cwd: Option<&Directory>,
    name: &[u8],
) -> Result<(), Doubt> {
    // The server goes over to NAMEFMT 1 where a name begins with a slash.
    if name.first() == Some(&b'/') {
        return slashes(built, name);
    }
    let cwd = cwd.ok_or(NO_DIRECTORY)?;
    match cwd.style {
        Style::Slashes => {
            super::here(built, Some(cwd))?;
            slashes(built, name)
        }
        Style::Library => object(built, cwd, name),
        Style::Prefix | Style::Members | Style::Brackets => Err(NO_DIRECTORY),
    }
}

fn slashes(built: &mut Built, path: &[u8]) -> Result<(), Doubt> {
    for name in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        match name {
            b"" | b"." => {}
            b".." => built.pop(),
            name if name.first() == Some(&b'%') => {
                return Err(Doubt(
                    "a library list: which library is meant is the job's own matter",
                ));
            }
            name if matches!(name.last(), Some(b'.' | b' ')) => {
                return Err(Doubt("a name that ends in a dot or a blank"));
            }
            name if built.listed && super::wildcard(name)? => built.push_wild(name, super::is_wild),
            name => built.push(name),
        }
    }
    let below_qopensys = built
        .text
        .as_slice()
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"/QOpenSys/"));
    if below_qopensys {
        built.case = Case::MayTell;
    }
    Ok(())
}

fn library(built: &mut Built, name: &[u8]) -> Result<(), Doubt> {
    let name = object_name(built, name)?;
    built.clear();
    built.push(b"QSYS.LIB");
    built.text.extend(b"/");
    built.text.extend(name);
    built.text.extend(b".LIB");
    Ok(())
}

/// Reads `LIB/FILE.MBR`, `FILE.MBR`, `FILE`, `LIB/FILE(MBR)`.
fn object(built: &mut Built, cwd: &Directory, name: &[u8]) -> Result<(), Doubt> {
    let mut parts = name.split(|byte| *byte == b'/');
    let (file, lib) = match (parts.next(), parts.next(), parts.next()) {
        (Some(b".."), None, None) => {
            return Err(Doubt("a parent of a library"));
        }
        (Some(file), None, None) => (file, None),
        (Some(lib), Some(file), None) => (file, Some(lib)),
        _ => return Err(Doubt("more than a library, a file and a member")),
    };
    match lib {
        Some(lib) => library(built, lib)?,
        None => super::here(built, Some(cwd))?,
    }
    let file = file.strip_suffix(b")").unwrap_or(file);
    let mut parts = file.splitn(2, |byte| matches!(byte, b'.' | b'('));
    let (file, member) = (parts.next().unwrap_or_default(), parts.next());
    let file = object_name(built, file)?;
    built.text.extend(b"/");
    built.text.extend(file);
    match member {
        // A save file is an object of its own.
        Some(member)
            if member.eq_ignore_ascii_case(b"SAVF") || member.eq_ignore_ascii_case(b"FILE") =>
        {
            built.text.extend(b".FILE");
        }
        Some(member) => {
            let member = object_name(built, member)?;
            built.text.extend(b".FILE/");
            built.text.extend(member);
            if member != ANY {
                built.text.extend(b".MBR");
            }
        }
        None => built.text.extend(b".FILE"),
    }
    Ok(())
}

fn object_name<'n>(built: &Built, name: &'n [u8]) -> Result<&'n [u8], Doubt> {
    if built.listed && !name.is_empty() && name.contains(&b'*') && name.first() != Some(&b'*') {
        return Ok(ANY);
    }
    let is_good =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#' | b'@');
    if name.is_empty() || name.len() > 10 || !name.iter().all(is_good) {
        return Err(Doubt(
            "not the name of an object of IBM i (`*LIBL` and names in quotation marks can't be told)",
        ));
    }
    Ok(name)
}
