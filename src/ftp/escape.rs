//! The one function through which a peer's bytes are printed.
//!
//! What comes out holds no control characters (so no terminal obeys it and no line breaks), nothing invisible, nothing
//! that turns the direction of writing, and may stand between double quotes.

use std::fmt::{self, Write};

/// Prints bytes of a peer: see [`escaped`].
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    max: usize,
}

/// Escapes a peer's bytes for people to read.
///
/// Printable ASCII and printable UTF-8 stay; `"` and `\` get a backslash; other characters become `\u{..}` (`\xNN` in
/// ASCII) and bytes that are no UTF-8 become `\xNN`.
#[must_use]
pub const fn escaped(bytes: &[u8]) -> Escaped<'_> {
    Escaped {
        bytes,
        max: usize::MAX,
    }
}

/// Escapes at most so much that the result has `max` bytes, followed by `…` when something is missing.
///
/// Never cuts an escape or a character in two.
#[must_use]
pub const fn escaped_to(bytes: &[u8], max: usize) -> Escaped<'_> {
    Escaped { bytes, max }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        // Most names and commands are nothing else.
        if self.bytes.len() <= self.max && self.bytes.iter().all(is_plain) {
            return f.write_str(str::from_utf8(self.bytes).unwrap_or_default());
        }
        let mut left = self.max;
        for chunk in self.bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                let piece = Piece::of(character);
                let Some(rest) = left.checked_sub(piece.len()) else {
                    return f.write_char('…');
                };
                left = rest;
                piece.write(f)?;
            }
            for byte in chunk.invalid() {
                let piece = Piece::Hex(*byte);
                let Some(rest) = left.checked_sub(piece.len()) else {
                    return f.write_char('…');
                };
                left = rest;
                piece.write(f)?;
            }
        }
        Ok(())
    }
}

/// Holds the printed form of one character or one byte.
enum Piece {
    Plain(char),
    Quoted(char),
    Hex(u8),
    Code(u32),
}

impl Piece {
    fn of(character: char) -> Self {
        match character {
            '"' | '\\' => Self::Quoted(character),
            ' '..='~' => Self::Plain(character),
            '\0'..='\x7F' => Self::Hex(u8::try_from(character).unwrap_or(b'?')),
            _ if is_printable(character) => Self::Plain(character),
            _ => Self::Code(u32::from(character)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Plain(character) => character.len_utf8(),
            Self::Quoted(_) => 2,
            Self::Hex(_) => 4,
            Self::Code(code) => 4 + usize::try_from(code.ilog2() / 4 + 1).unwrap_or(8),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(character) => f.write_char(*character),
            Self::Quoted(character) => write!(f, "\\{character}"),
            Self::Hex(byte) => write!(f, "\\x{byte:02x}"),
            Self::Code(code) => write!(f, "\\u{{{code:x}}}"),
        }
    }
}

/// Says whether the standard library's table of printable characters has this one.
///
/// It escapes controls, formatting characters (bidirectional overrides, zero-width ones), separators but the space,
/// private and unassigned ones. A letter stands before the character because a combining mark is printable behind one,
/// and names from macOS are written with them.
fn is_printable(character: char) -> bool {
    let mut buffer = [b'a'; 5];
    let length = character
        .encode_utf8(buffer.get_mut(1..).unwrap_or_default())
        .len();
    let pair = buffer
        .get(..=length)
        .and_then(|bytes| str::from_utf8(bytes).ok());
    pair.is_some_and(|pair| pair.escape_debug().nth(1) == Some(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_stays() {
        for text in [
            "plain text, 1/2 (x)'",
            "gr\u{fc}\u{df}e",
            "e\u{301}",
            "\u{65e5}\u{672c}",
            "\u{1f600}",
        ] {
            assert_eq!(escaped(text.as_bytes()).to_string(), text);
        }
    }

    #[test]
    fn what_would_move_a_terminal_break_a_line_or_hide_is_escaped() {
        for (bytes, shown) in [
            (b"\x1b[2J".as_slice(), r"\x1b[2J"),
            (b"a\r\nb\t\0\x7f", r"a\x0d\x0ab\x09\x00\x7f"),
            (b"say \"a\\b\"", r#"say \"a\\b\""#),
            (b"\xFF\xC3", r"\xff\xc3"),
            ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
            ("\u{202e}gpj.exe".as_bytes(), r"\u{202e}gpj.exe"),
            (
                "a\u{2028}b\u{200b}\u{feff}\u{e0041}".as_bytes(),
                r"a\u{2028}b\u{200b}\u{feff}\u{e0041}",
            ),
        ] {
            assert_eq!(escaped(bytes).to_string(), shown);
        }
    }

    #[test]
    fn a_bound_holds_and_cuts_nothing_in_two() {
        assert_eq!(escaped_to(b"abcdef", 6).to_string(), "abcdef");
        assert_eq!(escaped_to(b"abcdef", 5).to_string(), "abcde\u{2026}");
        assert_eq!(escaped_to(b"ab\x01", 5).to_string(), "ab\u{2026}");
        assert_eq!(
            escaped_to("a\u{fc}b".as_bytes(), 2).to_string(),
            "a\u{2026}"
        );
        assert_eq!(
            escaped_to("\u{202e}".as_bytes(), 8).to_string(),
            r"\u{202e}"
        );
        assert_eq!(escaped_to("\u{202e}".as_bytes(), 7).to_string(), "\u{2026}");
        assert_eq!(escaped_to(&[b'x'; 10_000], 100).to_string().len(), 103);
    }
}
