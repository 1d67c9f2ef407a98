//! The one spelling of a path, and how patterns compare with it.

use super::doubt::{Doubt, NO_GRAMMAR, UNTOLD};
use super::{ANY, Built, Case, Directory, Paths, here, resolve};
use crate::policy::path_glob::{PathGlob, Reading};
use crate::policy::target::Target;
use crate::policy::text::Text;
use crate::policy::value::Value;

/// One path, or all that wildcards in it can mean.
pub(in crate::policy) struct Canonical {
    text: Text,
    folded: Text,
    case: Case,
    /// Whether everything below is meant too.
    deep: bool,
}

impl Canonical {
    /// Finds the path that a command names.
    pub(in crate::policy) fn of(
        target: Target<'_>,
        paths: Option<Paths>,
        cwd: Option<&Directory>,
    ) -> Result<Canonical, Doubt> {
        if target == Target::Untold {
            return Err(UNTOLD);
        }
        let paths = paths.ok_or(NO_GRAMMAR)?;
        let mut built = Built::new(paths);
        let mut deep = false;
        match target {
            Target::Nothing | Target::Untold => return Err(UNTOLD),
            Target::Here => here(&mut built, cwd)?,
            Target::Parent => {
                here(&mut built, cwd)?;
                built.pop();
            }
            Target::Fresh => {
                here(&mut built, cwd)?;
                built.push(ANY);
            }
            Target::Named(name) => resolve(&mut built, paths, cwd, name)?,
            Target::Listed { name, recursive } => {
                deep = recursive;
                built.listed = true;
                if name.is_empty() {
                    here(&mut built, cwd)?;
                } else {
                    resolve(&mut built, paths, cwd, name)?;
                }
            }
        }
        let folded = Text::folded(built.text.as_slice());
        Ok(Canonical {
            text: built.text,
            folded,
            case: built.case,
            deep,
        })
    }

    /// Returns the path as people read it: `*` for what a wildcard can be.
    pub(in crate::policy) fn shown(&self) -> Vec<u8> {
        let mut shown = self.text.as_slice().to_vec();
        shown
            .iter_mut()
            .filter(|byte| **byte == 0)
            .for_each(|byte| *byte = b'*');
        if shown.is_empty() {
            shown.push(b'/');
        }
        if self.deep {
            shown.extend_from_slice(b"/**");
        }
        shown
    }

    /// Returns the path in lower case where it is one single path.
    pub(in crate::policy) fn single(&self) -> Option<&[u8]> {
        let folded = self.folded.as_slice();
        (!self.deep && !folded.contains(&0)).then_some(folded)
    }

    /// Tells whether it may match a pattern in lower case that names no user.
    pub(in crate::policy) fn may_match(&self, folded: &PathGlob) -> bool {
        folded.matches(self.folded.as_slice(), self.deep, None, Reading::May)
    }

    /// Compares with a pattern; `user` and `folded_user` stand for `{user}`.
    pub(in crate::policy) fn value(
        &self,
        exact: &PathGlob,
        folded: &PathGlob,
        user: Option<(&[u8], &[u8])>,
    ) -> Value {
        let name = user.map(|(user, _)| user);
        let folded_name = user.map(|(_, folded)| folded);
        let may = || folded.matches(self.folded.as_slice(), self.deep, folded_name, Reading::May);
        let must = || match self.case {
            Case::IsOne => folded.matches(
                self.folded.as_slice(),
                self.deep,
                folded_name,
                Reading::Must,
            ),
            Case::Tells | Case::MayTell => {
                exact.matches(self.text.as_slice(), self.deep, name, Reading::Must)
            }
        };
        let may = match self.case {
            Case::Tells => exact.matches(self.text.as_slice(), self.deep, name, Reading::May),
            Case::IsOne | Case::MayTell => may(),
        };
        Value::of(may && must(), may)
    }

    /// Tells whether the last component ends in `.` and this extension.
    pub(in crate::policy) fn has_extension(&self, extension: &[u8]) -> Value {
        let path = self.folded.as_slice();
        let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        let name = path.get(start..).unwrap_or_default();
        if self.deep {
            return Value::Unknown;
        }
        // Behind a wildcard only the end is certain.
        let (name, is_whole) = match memchr::memchr(0, name).and_then(|at| name.get(at + 1..)) {
            Some(end) => (end, false),
            None => (name, true),
        };
        if !is_whole && name.len() <= extension.len() {
            return Value::of(false, extension.ends_with(name) || name.is_empty());
        }
        let has = name
            .strip_suffix(extension)
            .is_some_and(|before| before.last() == Some(&b'.'));
        Value::from(has)
    }
}
