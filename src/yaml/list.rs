//! Lists of the file.

use std::collections::HashSet;

use super::problem::Refusal;
use super::reader::{Item, Reader};
use super::source::{Node, Value};
use super::wording::{shorten, show_key};

/// From how many entries on a list's repetitions are sought by their text.
const LONG_LIST: usize = 64;

impl Reader<'_> {
    /// Reads the entries of a list; with `needs_one` an empty one is refused.
    pub(crate) fn entries<'n>(
        &mut self,
        item: &Item<'n>,
        example: &str,
        needs_one: bool,
    ) -> Option<Vec<Item<'n>>> {
        let nodes = match &item.node.value {
            Value::List(nodes) => nodes,
            Value::Scalar { .. } if item.node.is_null() => {
                return self.no_value(item, &format!("a list: `{example}`"));
            }
            Value::Scalar { text, .. } => {
                let refusal = Refusal::new(format!("{} is a list", show_key(&item.key)));
                return self.fail(
                    item,
                    refusal.help(match text.as_str() {
                        "none" if !needs_one => "write `[]`".to_owned(),
                        _ if example.starts_with("[{") => format!("write `{example}`"),
                        text => format!("write it in brackets: `[\"{}\"]`", shorten(text)),
                    }),
                );
            }
            Value::Map(_) => {
                let refusal = Refusal::new(format!(
                    "{} is a list, and keys stand here",
                    show_key(&item.key)
                ));
                self.error(
                    item.node.at,
                    &item.key,
                    refusal.help(format!("write `{example}`")),
                );
                return None;
            }
        };
        if needs_one && nodes.is_empty() {
            self.error(
                item.node.at,
                &item.key,
                Refusal::new(format!("{} is empty", show_key(&item.key)))
                    .help(format!("write `{example}`")),
            );
        }
        let entry = |(number, node): (usize, &'n Node)| Item {
            node,
            key: format!("{}[{number}]", item.key),
            at: node.at,
        };
        Some(nodes.iter().enumerate().map(entry).collect())
    }

    /// Reads a list of values; equal ones are refused.
    pub(crate) fn list<T: PartialEq>(
        &mut self,
        item: &Item<'_>,
        example: &str,
        needs_one: bool,
        mut each: impl FnMut(&mut Self, &Item<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let entries = self.entries(item, example, needs_one)?;
        let is_long = entries.len() >= LONG_LIST;
        let mut texts = HashSet::new();
        let mut values = Vec::new();
        for entry in entries {
            let value = each(self, &entry);
            let is_again = match &entry.node.value {
                Value::Scalar { text, .. } if is_long => !texts.insert(text.as_str()),
                _ => value.as_ref().is_some_and(|value| values.contains(value)),
            };
            match value {
                // What could not be read stands for itself no longer.
                Some(_) if !self.clean(&entry.key) => {}
                Some(_) if is_again => {
                    self.error(
                        entry.at,
                        &entry.key,
                        Refusal::new(format!(
                            "this entry stands twice in {}",
                            show_key(&item.key)
                        ))
                        .help("leave one of them away"),
                    );
                }
                Some(value) => values.push(value),
                None => {}
            }
        }
        Some(values)
    }
}
