//! Text inside a line: quoted, and without anything that a terminal or a log reader would obey.

/// Appends `text` as a JSON string.
///
/// Beyond what JSON demands, DEL, the C1 controls, line separators and the characters that turn the writing
/// direction or are invisible are escaped too: a line must look like what it is in any viewer.
pub(super) fn quote(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    let mut rest = text;
    while let Some((at, character)) = rest
        .char_indices()
        .find(|(_, character)| needs_escape(*character))
    {
        let (plain, tail) = rest.split_at(at);
        buffer.extend_from_slice(plain.as_bytes());
        escape(buffer, character);
        rest = tail.get(character.len_utf8()..).unwrap_or_default();
    }
    buffer.extend_from_slice(rest.as_bytes());
    buffer.push(b'"');
}

fn needs_escape(character: char) -> bool {
    matches!(character, '"' | '\\') || misleads(character)
}

/// Tells whether a terminal would obey a character, or a reader would be misled by it.
pub fn misleads(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn escape(buffer: &mut Vec<u8>, character: char) {
    match character {
        '"' => buffer.extend_from_slice(b"\\\""),
        '\\' => buffer.extend_from_slice(b"\\\\"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                buffer.extend_from_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    let digit = u32::from(*unit >> shift & 0xf);
                    buffer.push(char::from_digit(digit, 16).map_or(b'0', |digit| digit as u8));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut buffer = Vec::new();
        quote(&mut buffer, text);
        String::from_utf8(buffer).expect("UTF-8")
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        assert_eq!(quoted("plain %n%s"), r#""plain %n%s""#);
        assert_eq!(quoted("\x1b[2J"), r#""\u001b[2J""#);
        assert_eq!(quoted("a\"b\\c\r\n\t"), r#""a\"b\\c\u000d\u000a\u0009""#);
        assert_eq!(quoted("\u{9b}2J\x7f"), r#""\u009b2J\u007f""#);
        assert_eq!(quoted("Grüße\u{202e}txt"), r#""Grüße\u202etxt""#);
        assert_eq!(quoted("\u{e0041}"), r#""\udb40\udc41""#);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let line = quoted(&text);
            prop_assert!(!line.chars().any(char::is_control));
            let back: String = serde_json::from_str(&line).expect("JSON");
            prop_assert_eq!(back, text);
        }
    }
}
