//! What can't be told, and why: spellings that servers read differently.

use std::fmt;

/// Says why a path can't be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt(pub(super) &'static str);

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

pub(super) const NO_GRAMMAR: Doubt =
    Doubt("how the upstream writes paths is not known (`paths` of the upstream)");
pub(super) const NO_DIRECTORY: Doubt = Doubt("the working directory is not known");
pub(super) const NO_NAME: Doubt = Doubt("the command names no file");
pub(super) const UNTOLD: Doubt = Doubt("where in this command a path stands is not known");

/// Doubts what some servers decode, strip or expand before they look for a file.
pub(super) fn plain(name: &[u8]) -> Result<(), Doubt> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_blank(name.first()) || is_blank(name.last()) {
        return Err(Doubt("blanks around a name: some servers strip them"));
    }
    if name.iter().any(|byte| byte.is_ascii_control()) {
        return Err(Doubt("a control character in the name"));
    }
    if name.contains(&0xFF) {
        return Err(Doubt("a byte 0xFF in the name: Telnet gives it a meaning"));
    }
    if name.first() == Some(&b'~') {
        return Err(Doubt(
            "a leading `~`: some servers take it for a home directory",
        ));
    }
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let encoded = memchr::memchr_iter(b'%', name)
        .any(|at| is_hex(name.get(at + 1)) && is_hex(name.get(at + 2)));
    if encoded {
        return Err(Doubt(
            "a byte written as `%` and two digits: some servers decode it",
        ));
    }
    if is_overlong(name) {
        return Err(Doubt("an overlong UTF-8 form: some servers decode it"));
    }
    Ok(())
}

/// Finds encodings that are longer than a character needs (RFC 3629 section 3), as in C0 AE for a dot.
fn is_overlong(name: &[u8]) -> bool {
    let next = |at: usize| name.get(at + 1).copied().unwrap_or(0);
    let continues = |byte: u8| (0x80..=0xBF).contains(&byte);
    name.iter().enumerate().any(|(at, byte)| match byte {
        0xC0 | 0xC1 => continues(next(at)),
        0xE0 => (0x80..=0x9F).contains(&next(at)),
        0xF0 => (0x80..=0x8F).contains(&next(at)),
        0xF5..=0xFE => continues(next(at)),
        _ => false,
    })
}

pub(super) fn is_wild(byte: &u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b']' | b'{' | b'}')
}

/// Tells whether a name holds a wildcard of a server's own, and doubts those that could mean a parent directory.
pub(super) fn wildcard(name: &[u8]) -> Result<bool, Doubt> {
    if !name.iter().any(is_wild) {
        return Ok(false);
    }
    let pairs = |pair: &[u8]| name.windows(2).any(|window| window == pair);
    let open = name.iter().filter(|byte| **byte == b'{').count();
    let close = name.iter().filter(|byte| **byte == b'}').count();
    if name.first() == Some(&b'.') || pairs(b"[.") || pairs(b"{.") || pairs(b",.") || open != close
    {
        return Err(Doubt("a wildcard that could mean a parent directory"));
    }
    Ok(true)
}

/// Tells whether a name holds a `~` and a digit, as the short names of Windows do.
pub(super) fn is_short_name(name: &[u8]) -> bool {
    name.windows(2)
        .any(|pair| matches!(pair, [b'~', digit] if digit.is_ascii_digit()))
}
