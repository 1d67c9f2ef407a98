//! Paths as servers read them: from what a client wrote and the working directory to one canonical path.
//!
//! A canonical path is absolute and has no `.`, no `..`, no empty components and one spelling for each file, whatever the
//! server's own form: a data set `SYS1.PROC(X)` is `/SYS1/PROC/X`. Invariant: what a server of this grammar may take for
//! another path than the canonical one has none; it is a [`Doubt`]. Links that a server follows can't be seen here.

mod canonical;
mod doubt;
mod ibm_i;
mod mvs;
mod unix;
mod vms;
mod windows;

pub(super) use canonical::Canonical;
pub use doubt::Doubt;
use doubt::{NO_DIRECTORY, NO_NAME, is_short_name, is_wild, plain, wildcard};

use super::path_glob::ANY;
use super::text::Text;
use crate::ftp::Reply;
use crate::yaml::choice::choice;

choice! {
    /// Names how a server writes paths.
    pub enum Grammar {
        /// `/home/bob/file`; case tells names apart.
        Unix = "unix",
        /// `\pub\file` and `/pub/file`; case, trailing dots and blanks do not tell names apart.
        Windows = "windows",
        /// `/QSYS.LIB/LIB.LIB/FILE.FILE/MBR.MBR`, `LIB/FILE.MBR`, `/home/bob/file`.
        IbmI = "ibm_i",
        /// `'SYS1.PROC(MEMBER)'`, `/u/bob/file`.
        Mvs = "mvs",
        /// `DISK:[DIR.SUB]FILE.TXT;3`.
        Vms = "vms",
    }
}

/// Says how a server writes paths, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Paths {
    /// Somebody who knows has said so.
    Stated(Grammar),
    /// Its answer to SYST says so. Many servers on Windows say `UNIX` there, so of a presumed `unix` nothing is believed
    /// that would mean something else on Windows.
    Presumed(Grammar),
}

impl Paths {
    /// Guesses from the answer to SYST (RFC 959 4.1.3; the names are in RFC 943 and what servers say).
    #[must_use]
    pub fn of_syst(reply: &Reply) -> Option<Paths> {
        let text = reply.final_text();
        let says = |word: &str| contains(text, word);
        let grammar = if says("WINDOWS") || says("WIN32") {
            Grammar::Windows
        } else if says("OS/400") || says("IBM I") {
            Grammar::IbmI
        } else if says("MVS") || says("Z/OS") || says("OS/390") {
            Grammar::Mvs
        } else if says("VMS") {
            Grammar::Vms
        } else if says("UNIX") {
            Grammar::Unix
        } else {
            return None;
        };
        Some(Paths::Presumed(grammar))
    }

    /// Names the grammar.
    #[must_use]
    pub fn grammar(self) -> Grammar {
        match self {
            Paths::Stated(grammar) | Paths::Presumed(grammar) => grammar,
        }
    }

    /// Tells whether the server takes `BOB` for `bob` where users are named.
    pub(super) fn users_have_no_case(self) -> bool {
        match self.grammar() {
            Grammar::Unix => false,
            Grammar::Windows | Grammar::IbmI | Grammar::Mvs | Grammar::Vms => true,
        }
    }
}

/// Says what case means in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// `A` is not `a`.
    Tells,
    /// `A` is `a`.
    IsOne,
    /// `A` may be `a`.
    MayTell,
}

/// Says how the server reads names that are not whole paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// As parts of a path between slashes.
    Slashes,
    /// IBM i, NAMEFMT 0: `LIB/FILE.MBR`.
    Library,
    /// z/OS: names go behind the qualifiers of this prefix.
    Prefix,
    /// z/OS: names are members of this data set.
    Members,
    /// VMS: `[.SUB]FILE.TXT`.
    Brackets,
}

/// A working directory, as the upstream reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    canonical: Box<[u8]>,
    style: Style,
}

impl Directory {
    /// Reads the 257 that answers PWD (RFC 959 appendix II); None where its path can't be told.
    #[must_use]
    pub fn reported(paths: Paths, reply: &Reply) -> Option<Directory> {
        if reply.code().get() != 257 {
            return None;
        }
        let text = reply.final_text();
        let name = quoted(text)?;
        let mut built = Built::new(paths);
        let style = match paths.grammar() {
            Grammar::Unix => unix::directory(&mut built, &name),
            Grammar::Windows => windows::directory(&mut built, &name),
            Grammar::IbmI => ibm_i::directory(&mut built, &name),
            Grammar::Mvs => mvs::directory(&mut built, &name, contains(text, "PARTITIONED")),
            Grammar::Vms => vms::directory(&mut built, &name),
        };
        let style = style.ok()?;
        Some(Directory {
            canonical: built.text.as_slice().into(),
            style,
        })
    }

    /// Takes a path from the root that an administrator wrote, as `explain` and examples have it.
    #[must_use]
    pub fn stated(paths: Paths, path: &str) -> Option<Directory> {
        let mut built = Built::new(paths);
        let style = match paths.grammar() {
            Grammar::Unix => unix::directory(&mut built, path.as_bytes()),
            Grammar::Windows => windows::directory(&mut built, path.as_bytes()),
            Grammar::IbmI => ibm_i::directory(&mut built, path.as_bytes()),
            Grammar::Mvs => mvs::directory(&mut built, path.as_bytes(), false),
            Grammar::Vms => vms::directory(&mut built, path.as_bytes()),
        };
        let style = style.ok()?;
        Some(Directory {
            canonical: built.text.as_slice().into(),
            style,
        })
    }

    /// Returns the canonical path; the root is `/`.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        if self.canonical.is_empty() {
            b"/"
        } else {
            &self.canonical
        }
    }
}

/// Tells whether a text has a word in it, in any case.
fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// Takes what stands in quotation marks; a doubled one is one (RFC 959 appendix II).
fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let start = memchr::memchr(b'"', text)? + 1;
    let mut name = Vec::new();
    let mut rest = text.get(start..)?.iter().peekable();
    while let Some(byte) = rest.next() {
        match (byte, rest.peek()) {
            (b'"', Some(b'"')) => {
                rest.next();
                name.push(b'"');
            }
            (b'"', _) => return Some(name),
            (byte, _) => name.push(*byte),
        }
    }
    None
}

/// A path that is being put together.
struct Built {
    text: Text,
    case: Case,
    /// Whether what names of a Windows server would be has to be doubted.
    presumed: bool,
    /// Whether wildcards stand for names, as in listings.
    listed: bool,
}

impl Built {
    fn new(paths: Paths) -> Built {
        let (case, presumed) = match paths {
            Paths::Stated(Grammar::Unix) => (Case::Tells, false),
            Paths::Presumed(Grammar::Unix) => (Case::MayTell, true),
            Paths::Stated(_) | Paths::Presumed(_) => (Case::IsOne, false),
        };
        Built {
            text: Text::new(),
            case,
            presumed,
            listed: false,
        }
    }

    fn push(&mut self, name: &[u8]) {
        self.text.extend(b"/");
        self.text.extend(name);
    }

    /// Adds a component with wildcards: what stands before the first and behind the last of them is certain.
    fn push_wild(&mut self, name: &[u8], is_wild: impl Fn(&u8) -> bool) {
        let first = name.iter().position(&is_wild).unwrap_or(0);
        let last = name
            .iter()
            .rposition(&is_wild)
            .map_or(name.len(), |last| last + 1);
        self.push(name.get(..first).unwrap_or_default());
        self.text.extend(ANY);
        self.text.extend(name.get(last..).unwrap_or_default());
    }

    fn pop(&mut self) {
        let end = memchr::memrchr(b'/', self.text.as_slice()).unwrap_or(0);
        self.text.truncate(end);
    }

    fn clear(&mut self) {
        self.text.truncate(0);
    }
}

fn here(built: &mut Built, cwd: Option<&Directory>) -> Result<(), Doubt> {
    built.text.extend(&cwd.ok_or(NO_DIRECTORY)?.canonical);
    Ok(())
}

fn resolve(
    built: &mut Built,
    paths: Paths,
    cwd: Option<&Directory>,
    name: &[u8],
) -> Result<(), Doubt> {
    if name.is_empty() {
        return Err(NO_NAME);
    }
    plain(name)?;
    match paths.grammar() {
        Grammar::Unix => unix::resolve(built, cwd, name),
        Grammar::Windows => windows::resolve(built, cwd, name),
        Grammar::IbmI => ibm_i::resolve(built, cwd, name),
        Grammar::Mvs => mvs::resolve(built, cwd, name),
        Grammar::Vms => vms::resolve(built, cwd, name),
    }
}
