//! Absolute paths of the demo's tree, in one normal form.
//!
//! A path is a list of names, each of bytes (names need not be UTF-8), and can't name anything outside the tree: `..` at
//! the root stays at the root.

const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 1024;

/// An absolute, normalised path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TreePath(Vec<Vec<u8>>);

impl TreePath {
    pub(super) fn root() -> Self {
        Self(Vec::new())
    }

    /// Reads what a client wrote, from this directory; `None` for a name that the tree does not keep (too long, or with
    /// control characters or Telnet's 0xFF in it).
    pub(super) fn resolve(&self, written: &[u8]) -> Option<Self> {
        let mut names = match written.first() {
            Some(b'/') => Vec::new(),
            _ => self.0.clone(),
        };
        for name in written.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => {
                    names.pop();
                }
                _ if is_good(name) => names.push(name.to_vec()),
                _ => return None,
            }
        }
        Some(Self(names)).filter(Self::is_short)
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last name; empty for the root.
    pub(super) fn name(&self) -> &[u8] {
        self.0.last().map_or(b"", Vec::as_slice)
    }

    pub(super) fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    pub(super) fn is_inside(&self, directory: &Self) -> bool {
        self.0.len() > directory.0.len() && self.0.starts_with(&directory.0)
    }

    pub(super) fn is_child_of(&self, directory: &Self) -> bool {
        self.0
            .split_last()
            .is_some_and(|(_, parent)| parent == directory.0)
    }

    /// This path after `from` became `to`; `None` when this is neither `from` nor inside it, or would get too long.
    pub(super) fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(from.0.as_slice())?;
        let mut names = to.0.clone();
        names.extend_from_slice(rest);
        Some(Self(names)).filter(Self::is_short)
    }

    /// The path as it is written on the wire, from `/`.
    pub(super) fn written(&self) -> Vec<u8> {
        if self.is_root() {
            return b"/".to_vec();
        }
        let mut out = Vec::new();
        for name in &self.0 {
            out.push(b'/');
            out.extend_from_slice(name);
        }
        out
    }

    /// The path in double quotes, with the quotes inside doubled (RFC 959, appendix II).
    pub(super) fn quoted(&self) -> Vec<u8> {
        let mut out = vec![b'"'];
        for byte in self.written() {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
        out
    }

    fn is_short(&self) -> bool {
        self.0.iter().map(|name| name.len() + 1).sum::<usize>() <= LONGEST_PATH
    }
}

fn is_good(name: &[u8]) -> bool {
    name.len() <= LONGEST_NAME
        && name
            .iter()
            .all(|byte| !byte.is_ascii_control() && *byte != 0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_tree() {
        let here = TreePath::root().resolve(b"/a/b").unwrap();
        for (written, expected) in [
            ("", "/a/b"),
            ("c", "/a/b/c"),
            ("../c", "/a/c"),
            ("../../../../etc", "/etc"),
            ("/", "/"),
            ("//x/./y//", "/x/y"),
            ("..", "/a"),
        ] {
            let path = here.resolve(written.as_bytes()).unwrap();
            assert_eq!(path.written(), expected.as_bytes(), "{written}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        let root = TreePath::root();
        assert_eq!(root.resolve(b"a\0b"), None);
        assert_eq!(root.resolve(b"a\rb"), None);
        assert_eq!(root.resolve(b"\xff"), None);
        assert_eq!(root.resolve(&[b'a'; 256]), None);
        assert_eq!(root.resolve(&b"ab/".repeat(400)), None);
        assert!(root.resolve("Größe".as_bytes()).is_some());
    }

    #[test]
    fn quotes_are_doubled() {
        let path = TreePath::root().resolve(b"a\"b").unwrap();
        assert_eq!(path.quoted(), b"\"/a\"\"b\"");
    }
}
