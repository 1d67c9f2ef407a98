//! Maps of the file: which keys they have, and what to say about others.

use super::problem::Refusal;
use super::reader::{Item, Reader};
use super::source::{Entry, Place};
use super::suggest::nearest;
use super::wording::{join, quoted, shorten, show_key};

/// A map whose keys are known; what was not asked for when it ends is reported.
pub(crate) struct Section<'n> {
    entries: &'n [Entry],
    at: Place,
    key: String,
    known: Vec<&'static str>,
    later: &'static [&'static str],
}

impl<'n> Section<'n> {
    pub(crate) fn new(entries: &'n [Entry], item: &Item<'n>) -> Self {
        Self {
            entries,
            at: item.at,
            key: item.key.clone(),
            known: Vec::new(),
            later: &[],
        }
    }

    /// Returns what stands at `key`.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Item<'n>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Item {
            node: &entry.node,
            key: join(&self.key, key),
            at: entry.key_at,
        })
    }

    /// Returns every key with its node, for maps whose keys are names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'n Entry, Item<'n>)> + use<'n, '_> {
        self.entries.iter().map(|entry| {
            (
                entry,
                Item {
                    node: &entry.node,
                    key: join(&self.key, &entry.key),
                    at: entry.key_at,
                },
            )
        })
    }

    /// Reports that `key` is not there, unless it was misspelt and will be reported as that.
    pub(crate) fn missing(&self, reader: &mut Reader<'_>, key: &str, refusal: Refusal) {
        let misspelt = |entry: &Entry| nearest(&entry.key, [key]).is_some();
        if !self.entries.iter().any(misspelt) {
            reader.error(self.at, &join(&self.key, key), refusal);
        }
    }

    /// Names keys that a later version has.
    pub(crate) fn later(&mut self, keys: &'static [&'static str]) {
        self.later = keys;
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self, reader: &mut Reader<'_>) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.known.contains(&key) {
                continue;
            }
            let owner = match self.key.as_str() {
                "" => "the top level".to_owned(),
                key => show_key(key),
            };
            let refusal = if self.later.contains(&key) {
                Refusal::new(format!("this version of Portcullis does not have `{key}`"))
                    .help("leave the key away")
            } else {
                let refusal = Refusal::new(format!("`{}` is not a key of {owner}", shorten(key)));
                let homes = reader.homes(key);
                if let Some(meant) = nearest(
                    key,
                    self.known.iter().copied().filter(|known| !self.has(known)),
                ) {
                    refusal.help(format!("did you mean `{meant}`?"))
                } else if homes.is_empty() {
                    refusal.help(format!("its keys are {}", quoted(&self.known).join(", ")))
                } else {
                    refusal.help(format!("it belongs at `{}`", homes.join("` or `")))
                }
            };
            reader.error(entry.key_at, &join(&self.key, key), refusal);
        }
    }

    fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }
}
