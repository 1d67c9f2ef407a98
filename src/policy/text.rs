//! Short text that needs no allocation: a decision makes one for the path and one for the user.

/// How many bytes stay without allocation; longer paths are rare.
const INLINE: usize = 256;

/// Holds bytes, the first of them in itself.
#[derive(Clone)]
pub(super) struct Text {
    inline: [u8; INLINE],
    length: usize,
    /// All of them once they are too many.
    heap: Vec<u8>,
}

impl Text {
    pub(super) fn new() -> Text {
        Text {
            inline: [0; INLINE],
            length: 0,
            heap: Vec::new(),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        if self.heap.is_empty() {
            self.inline.get(..self.length).unwrap_or_default()
        } else {
            &self.heap
        }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if self.heap.is_empty()
            && let Some(room) = self.inline.get_mut(self.length..self.length + bytes.len())
        {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
            return;
        }
        if self.heap.is_empty() {
            self.heap
                .extend_from_slice(self.inline.get(..self.length).unwrap_or_default());
        }
        self.heap.extend_from_slice(bytes);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        if self.heap.is_empty() {
            self.length = self.length.min(length);
        } else if length <= INLINE {
            let kept = self.heap.get(..length).unwrap_or_default();
            let mut inline = [0; INLINE];
            if let Some(room) = inline.get_mut(..kept.len()) {
                room.copy_from_slice(kept);
                (self.inline, self.length) = (inline, kept.len());
                self.heap.clear();
            }
        } else {
            self.heap.truncate(length);
        }
    }

    /// Appends `bytes` in lower case.
    ///
    /// A letter whose other case is several letters stays, and so does one that would become ASCII (the Kelvin sign):
    /// file systems do not take those for the same either. What is not UTF-8 is folded as ASCII.
    pub(super) fn extend_folded(&mut self, bytes: &[u8]) {
        if bytes.is_ascii() {
            for byte in bytes {
                self.extend(&[byte.to_ascii_lowercase()]);
            }
            return;
        }
        for chunk in bytes.utf8_chunks() {
            for letter in chunk.valid().chars() {
                let mut lower = letter.to_lowercase();
                let folded = match (lower.next(), lower.next()) {
                    (Some(one), None) if letter.is_ascii() || !one.is_ascii() => one,
                    _ => letter,
                };
                self.extend(folded.encode_utf8(&mut [0; 4]).as_bytes());
            }
            self.extend(chunk.invalid());
        }
    }

    pub(super) fn folded(bytes: &[u8]) -> Text {
        let mut text = Text::new();
        text.extend_folded(bytes);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_over_its_inline_room_and_shrinks_back() {
        let mut text = Text::new();
        let mut model = Vec::new();
        for number in 0..200_u16 {
            let word = number.to_string().repeat(3);
            text.extend(word.as_bytes());
            model.extend_from_slice(word.as_bytes());
            assert_eq!(text.as_slice(), model);
        }
        for length in [1000, 257, 256, 255, 255, 10, 0] {
            text.truncate(length);
            model.truncate(length);
            assert_eq!(text.as_slice(), model);
            text.extend(b"x");
            model.push(b'x');
            assert_eq!(text.as_slice(), model);
        }
    }

    #[test]
    fn case_is_folded_letter_by_letter() {
        for (from, to) in [
            ("AbC", "abc"),
            ("ÄÖÜ", "äöü"),
            ("\u{212A}", "\u{212A}"),
            ("İ", "İ"),
            ("ß", "ß"),
        ] {
            assert_eq!(Text::folded(from.as_bytes()).as_slice(), to.as_bytes());
        }
        assert_eq!(Text::folded(b"A\xFFB\xC4").as_slice(), b"a\xFFb\xC4");
    }
}
