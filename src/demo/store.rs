//! The demo server's files: a tree in memory, bounded in bytes and in entries.
//!
//! Every byte that is kept is counted by one [`Quota`], also the bytes of an upload that is still running and those of a
//! deleted file that somebody still reads. Nothing here touches a disk.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use thiserror::Error;

use super::path::TreePath;

/// Why the tree did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum StoreFault {
    #[error("No such file or directory.")]
    Missing,
    #[error("That is a directory.")]
    IsDirectory,
    #[error("That is not a directory.")]
    NotDirectory,
    #[error("That name is taken.")]
    Taken,
    #[error("The directory is not empty.")]
    NotEmpty,
    #[error("A directory can't move into itself, and / can't be changed.")]
    Immovable,
    #[error("The demo keeps its files in memory, and that is full; delete something first.")]
    Full,
}

/// Counts the bytes that are kept, and refuses more than its limit.
#[derive(Debug)]
struct Quota {
    used: AtomicUsize,
    limit: usize,
}

impl Quota {
    fn reserve(&self, bytes: usize) -> Result<(), StoreFault> {
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .map(|_| ())
            .map_err(|_| StoreFault::Full)
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// The bytes of one file, which give their room back when the last reader lets go.
#[derive(Debug)]
pub(super) struct Content {
    bytes: Vec<u8>,
    quota: Arc<Quota>,
}

impl Content {
    /// Adds bytes at the end; a full store leaves the content as it was.
    pub(super) fn push(&mut self, more: &[u8]) -> Result<(), StoreFault> {
        self.quota.reserve(more.len())?;
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.quota.release(self.bytes.len());
    }
}

/// What stands at a path.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Directory,
    File(Arc<Content>),
}

/// A node and when it last changed.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) node: Node,
    pub(super) modified: Timestamp,
}

impl Entry {
    fn now(node: Node) -> Self {
        Self {
            node,
            modified: Timestamp::now(),
        }
    }

    /// The size in bytes; 0 for a directory.
    pub(super) fn size(&self) -> usize {
        match &self.node {
            Node::Directory => 0,
            Node::File(content) => content.bytes().len(),
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.node, Node::Directory)
    }
}

/// The tree: absolute paths in order, so that what is inside a directory is one range of keys.
#[derive(Debug)]
pub(super) struct Store {
    tree: Mutex<BTreeMap<TreePath, Entry>>,
    quota: Arc<Quota>,
    most_entries: usize,
}

impl Store {
    /// Makes an empty tree that keeps at most so many bytes and so many entries, the root included.
    pub(super) fn new(most_bytes: usize, most_entries: usize) -> Self {
        let root = (TreePath::root(), Entry::now(Node::Directory));
        Self {
            tree: Mutex::new(BTreeMap::from([root])),
            quota: Arc::new(Quota {
                used: AtomicUsize::new(0),
                limit: most_bytes,
            }),
            most_entries,
        }
    }

    /// Starts the content of a file that is not in the tree yet.
    pub(super) fn draft(&self) -> Content {
        Content {
            bytes: Vec::new(),
            quota: Arc::clone(&self.quota),
        }
    }

    pub(super) fn look_up(&self, path: &TreePath) -> Result<Entry, StoreFault> {
        self.tree().get(path).cloned().ok_or(StoreFault::Missing)
    }

    /// The content of a file.
    pub(super) fn read(&self, path: &TreePath) -> Result<Arc<Content>, StoreFault> {
        match self.look_up(path)?.node {
            Node::File(content) => Ok(content),
            Node::Directory => Err(StoreFault::IsDirectory),
        }
    }

    /// The entries directly inside a directory, by name.
    pub(super) fn children(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, Entry)>, StoreFault> {
        let tree = self.tree();
        match tree.get(path) {
            None => return Err(StoreFault::Missing),
            Some(entry) if !entry.is_directory() => return Err(StoreFault::NotDirectory),
            Some(_) => {}
        }
        Ok(tree
            .iter()
            .filter(|(candidate, _)| candidate.is_child_of(path))
            .map(|(child, entry)| (child.name().to_vec(), entry.clone()))
            .collect())
    }

    /// Says whether a file could be put here, so that an upload can be refused before its first byte.
    pub(super) fn may_put(&self, path: &TreePath) -> Result<(), StoreFault> {
        let tree = self.tree();
        match tree.get(path) {
            Some(entry) if entry.is_directory() => Err(StoreFault::IsDirectory),
            Some(_) => Ok(()),
            None => self.may_add(&tree, path),
        }
    }

    /// Puts a file here, in place of the one that was here before.
    pub(super) fn put(&self, path: TreePath, mut content: Content) -> Result<(), StoreFault> {
        let mut tree = self.tree();
        if !tree.contains_key(&path) {
            self.may_add(&tree, &path)?;
        }
        content.bytes.shrink_to_fit();
        let entry = Entry::now(Node::File(Arc::new(content)));
        match tree.entry(path) {
            Slot::Occupied(slot) if slot.get().is_directory() => Err(StoreFault::IsDirectory),
            Slot::Occupied(mut slot) => {
                slot.insert(entry);
                Ok(())
            }
            Slot::Vacant(slot) => {
                slot.insert(entry);
                Ok(())
            }
        }
    }

    pub(super) fn make_directory(&self, path: TreePath) -> Result<(), StoreFault> {
        let mut tree = self.tree();
        if tree.contains_key(&path) {
            return Err(StoreFault::Taken);
        }
        self.may_add(&tree, &path)?;
        tree.insert(path, Entry::now(Node::Directory));
        Ok(())
    }

    pub(super) fn remove_file(&self, path: &TreePath) -> Result<(), StoreFault> {
        let mut tree = self.tree();
        match tree.get(path) {
            None => Err(StoreFault::Missing),
            Some(entry) if entry.is_directory() => Err(StoreFault::IsDirectory),
            Some(_) => {
                tree.remove(path);
                Ok(())
            }
        }
    }

    pub(super) fn remove_directory(&self, path: &TreePath) -> Result<(), StoreFault> {
        let mut tree = self.tree();
        match tree.get(path) {
            None => return Err(StoreFault::Missing),
            Some(entry) if !entry.is_directory() => return Err(StoreFault::NotDirectory),
            Some(_) => {}
        }
        if path.is_root() {
            return Err(StoreFault::Immovable);
        }
        if tree.keys().any(|other| other.is_inside(path)) {
            return Err(StoreFault::NotEmpty);
        }
        tree.remove(path);
        Ok(())
    }

    /// Gives a file or a directory, with all that is inside, another path; a file that stood there is replaced.
    pub(super) fn rename(&self, from: &TreePath, to: &TreePath) -> Result<(), StoreFault> {
        let mut tree = self.tree();
        let moving = tree.get(from).ok_or(StoreFault::Missing)?;
        if from == to {
            return Ok(());
        }
        if from.is_root() || to.is_root() || to.is_inside(from) {
            return Err(StoreFault::Immovable);
        }
        match tree.get(to) {
            Some(there) if there.is_directory() || moving.is_directory() => {
                return Err(StoreFault::Taken);
            }
            Some(_) => {}
            None => Self::parent_is_directory(&tree, to)?,
        }
        let moved: Vec<TreePath> = tree
            .keys()
            .filter(|path| *path == from || path.is_inside(from))
            .cloned()
            .collect();
        let targets: Option<Vec<TreePath>> =
            moved.iter().map(|path| path.moved(from, to)).collect();
        // A name that would grow too long moves nothing at all.
        let targets = targets.ok_or(StoreFault::Immovable)?;
        for (old, new) in moved.iter().zip(targets) {
            if let Some(entry) = tree.remove(old) {
                tree.insert(new, entry);
            }
        }
        Ok(())
    }

    fn may_add(&self, tree: &BTreeMap<TreePath, Entry>, path: &TreePath) -> Result<(), StoreFault> {
        Self::parent_is_directory(tree, path)?;
        if tree.len() >= self.most_entries {
            return Err(StoreFault::Full);
        }
        Ok(())
    }

    fn parent_is_directory(
        tree: &BTreeMap<TreePath, Entry>,
        path: &TreePath,
    ) -> Result<(), StoreFault> {
        let parent = path.parent().ok_or(StoreFault::IsDirectory)?;
        match tree.get(&parent) {
            None => Err(StoreFault::Missing),
            Some(entry) if entry.is_directory() => Ok(()),
            Some(_) => Err(StoreFault::NotDirectory),
        }
    }

    fn tree(&self) -> MutexGuard<'_, BTreeMap<TreePath, Entry>> {
        // No function above panics between two changes, so a poisoned tree is still whole.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::root()
            .resolve(text.as_bytes())
            .expect("a good path")
    }

    fn put(store: &Store, at: &str, bytes: &[u8]) -> Result<(), StoreFault> {
        let mut content = store.draft();
        content.push(bytes)?;
        store.put(path(at), content)
    }

    #[test]
    fn bytes_are_counted_until_the_last_reader_lets_go() {
        let store = Store::new(10, 10);
        put(&store, "/a", b"12345678").unwrap();
        let reader = store.read(&path("/a")).unwrap();
        assert_eq!(put(&store, "/b", b"123"), Err(StoreFault::Full));
        store.remove_file(&path("/a")).unwrap();
        assert_eq!(put(&store, "/b", b"123"), Err(StoreFault::Full));
        drop(reader);
        assert_eq!(put(&store, "/b", b"0123456789"), Ok(()));
        assert_eq!(put(&store, "/c", b""), Ok(()));
    }

    #[test]
    fn entries_are_bounded() {
        let store = Store::new(10, 3);
        store.make_directory(path("/d")).unwrap();
        put(&store, "/a", b"").unwrap();
        assert_eq!(put(&store, "/b", b""), Err(StoreFault::Full));
        assert_eq!(store.make_directory(path("/e")), Err(StoreFault::Full));
        assert_eq!(put(&store, "/a", b"again"), Ok(()));
    }

    #[test]
    fn a_directory_moves_with_what_is_inside() {
        let store = Store::new(100, 10);
        store.make_directory(path("/d")).unwrap();
        store.make_directory(path("/d/e")).unwrap();
        put(&store, "/d/e/f", b"x").unwrap();
        put(&store, "/dx", b"y").unwrap();
        assert_eq!(
            store.rename(&path("/d"), &path("/d/e/g")),
            Err(StoreFault::Immovable)
        );
        assert_eq!(
            store.rename(&path("/d"), &path("/dx")),
            Err(StoreFault::Taken)
        );
        store.rename(&path("/d"), &path("/n")).unwrap();
        assert_eq!(store.read(&path("/n/e/f")).unwrap().bytes(), b"x");
        assert_eq!(store.read(&path("/dx")).unwrap().bytes(), b"y");
        assert!(store.look_up(&path("/d")).is_err());
        assert_eq!(
            store.remove_directory(&path("/n")),
            Err(StoreFault::NotEmpty)
        );
    }

    #[test]
    fn children_are_the_next_level_only() {
        let store = Store::new(100, 10);
        store.make_directory(path("/d")).unwrap();
        put(&store, "/d/x", b"1").unwrap();
        put(&store, "/a", b"2").unwrap();
        let names = |at| -> Vec<Vec<u8>> {
            let children = store.children(&path(at)).unwrap();
            children.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names("/"), [b"a".to_vec(), b"d".to_vec()]);
        assert_eq!(names("/d"), [b"x".to_vec()]);
        assert_eq!(
            store.children(&path("/a")).err(),
            Some(StoreFault::NotDirectory)
        );
    }
}
