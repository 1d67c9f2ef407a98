//! Lines of a journal, each within a bound.

use std::io::{self, Read};

/// The longest line that is read; a longer one is passed over.
const LONGEST: usize = 1024 * 1024;
/// Bytes per read.
const CHUNK: usize = 128 * 1024;

/// Complete lines from a reader that may have more later.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where no line feed is.
    searched: usize,
    /// Whether the line that is being read is too long already.
    overlong: bool,
}

impl<R: Read> Lines<R> {
    /// Begins with nothing read.
    pub(super) fn new(reader: R) -> Self {
        Lines {
            reader,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            overlong: false,
        }
    }

    /// Gives the reader, which stands behind everything that was read.
    pub(super) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Gives the next complete line without its line feed: `Some(None)` is one that was too long, `None` the end
    /// for now.
    pub(super) fn next(&mut self) -> io::Result<Option<Option<&[u8]>>> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', unsearched) {
                let (from, to) = (self.start, self.searched + at);
                self.start = to + 1;
                self.searched = self.start;
                if std::mem::take(&mut self.overlong) {
                    return Ok(Some(None));
                }
                return Ok(Some(self.buffer.get(from..to)));
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.buffer.len() > LONGEST {
                self.overlong = true;
                self.buffer.clear();
            }
            let length = self.buffer.len();
            self.searched = length;
            self.buffer.resize(length + CHUNK, 0);
            let room = self.buffer.get_mut(length..).unwrap_or_default();
            let read = loop {
                match self.reader.read(room) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(None);
            }
        }
    }

    /// Takes what stands behind the last line feed, as `next` would give it; none if nothing does.
    pub(super) fn rest(&mut self) -> Option<Option<&[u8]>> {
        if std::mem::take(&mut self.overlong) {
            return Some(None);
        }
        let from = std::mem::replace(&mut self.start, self.buffer.len());
        self.searched = self.start;
        let rest = self.buffer.get(from..)?;
        (!rest.is_empty()).then_some(Some(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its parts one per read.
    struct Parts(Vec<Vec<u8>>);

    impl Read for Parts {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            match self.0.pop() {
                Some(part) => (&part[..]).read(to),
                None => Ok(0),
            }
        }
    }

    #[test]
    fn lines_come_whole_however_they_are_read() {
        let parts = ["c", "b\n\n", "b", "aa\n"].map(|part| part.as_bytes().to_vec());
        let mut lines = Lines::new(Parts(parts.to_vec()));
        for expected in ["aa", "bb", ""] {
            let line = lines.next().expect("read").expect("a line");
            assert_eq!(line, Some(expected.as_bytes()));
        }
        assert_eq!(lines.next().expect("read"), None);
        assert_eq!(lines.rest(), Some(Some(&b"c"[..])));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn an_endless_line_takes_no_endless_memory() {
        let mut parts = vec![b"\nnext\n".to_vec()];
        parts.extend(std::iter::repeat_n(vec![b'x'; CHUNK], 64));
        let mut lines = Lines::new(Parts(parts));
        assert_eq!(lines.next().expect("read"), Some(None));
        assert_eq!(lines.next().expect("read"), Some(Some(&b"next"[..])));
        assert!(lines.buffer.capacity() < 4 * LONGEST);
    }
}
