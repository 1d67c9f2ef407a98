//! YAML text as a tree in which every key and value knows its line and column.
//!
//! Only what a configuration needs: one document of maps, lists and scalars. Anchors, aliases and tags are refused (an
//! alias is how a small file becomes a large one), and so are duplicate keys, deep nesting and long files. A scalar keeps
//! its text: what it means is for the reader to say, so that `yes` or `0640` never turn into something else.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::problem::Refusal;
use super::syntax;

/// The deepest nesting; the formats themselves need less.
const DEEPEST: usize = 16;

/// Says how large a file of some format may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The longest file, in bytes.
    pub(crate) longest: u64,
    /// The same in words.
    pub(crate) longest_in_words: &'static str,
    /// The most keys and values.
    pub(crate) most_nodes: usize,
    /// What a file of this format usually is, in words.
    pub(crate) usual: &'static str,
}

/// Where a key or value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the file: line and column from 1, and how many characters it takes on that line.
    File {
        line: usize,
        column: usize,
        width: usize,
    },
    /// On the command line.
    Flag(&'static str),
    /// Nowhere: it concerns the file as a whole.
    Whole,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `plain` = not in quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Place,
    pub(crate) node: Node,
}

impl Node {
    /// Returns the node of `key` in a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.node),
            Value::Scalar { .. } | Value::List(_) => None,
        }
    }

    /// Returns the text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Returns where the key or entry at `path` (`listeners.main.listen[0]`) stands: an entry's or value's place.
    pub(crate) fn locate(&self, path: &str) -> Option<Place> {
        let mut node = self;
        for step in path.split('.') {
            let (key, numbers) = step.split_once('[').unwrap_or((step, ""));
            node = node.get(key)?;
            for number in numbers
                .split(['[', ']'])
                .filter(|number| !number.is_empty())
            {
                node = match &node.value {
                    Value::List(nodes) => nodes.get(number.parse::<usize>().ok()?)?,
                    Value::Scalar { .. } | Value::Map(_) => return None,
                };
            }
        }
        Some(node.at)
    }

    /// Tells whether it is an empty value: nothing, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// A complaint with its place.
pub(crate) type Complaint = (Place, Refusal);

/// Takes the bytes of a file as text.
pub(crate) fn decode(bytes: &[u8], bounds: Bounds) -> Result<&str, Complaint> {
    let whole = |refusal| (Place::Whole, refusal);
    if bytes.len() as u64 > bounds.longest {
        let refusal = Refusal::new(format!(
            "the file is longer than {}",
            bounds.longest_in_words
        ));
        return Err(whole(
            refusal.help(format!("{}; is this the right file?", bounds.usual)),
        ));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(whole(
            Refusal::new("the file is in UTF-16").help("save it as UTF-8"),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes
            .get(..error.valid_up_to())
            .and_then(|good| std::str::from_utf8(good).ok());
        let good = good.unwrap_or_default();
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let refusal = Refusal::new("a byte that is not UTF-8").help("save the file as UTF-8");
        (
            Place::File {
                line,
                column,
                width: 1,
            },
            refusal,
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Builds the tree; the second part is what is wrong with the text. Without a tree nothing more can be said.
pub(crate) fn parse(text: &str, bounds: Bounds) -> (Option<Node>, Vec<Complaint>) {
    for complaints in [syntax::control_characters(text), syntax::tabs(text)] {
        if !complaints.is_empty() {
            return (None, complaints);
        }
    }
    let mut builder = Builder {
        open: Vec::new(),
        root: None,
        documents: 0,
        nodes: 0,
        bounds,
        complaints: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(syntax_error(text, &error)),
        };
        if let Err(complaint) = step {
            builder.complaints.push(complaint);
            return (None, builder.complaints);
        }
    }
    // A file without content has no document.
    let nothing = Value::Scalar {
        text: String::new(),
        plain: true,
    };
    let root = builder.root.unwrap_or(Node {
        at: Place::Whole,
        value: nothing,
    });
    (Some(root), builder.complaints)
}

fn syntax_error(text: &str, error: &ScanError) -> Complaint {
    let mark = error.marker();
    syntax::explain(text, error.info(), mark.line().max(1), mark.col() + 1)
}

/// Turns events into nodes without recursion.
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    bounds: Bounds,
    complaints: Vec<Complaint>,
}

/// A map or list whose end has not come.
enum Open {
    List {
        at: Place,
        items: Vec<Node>,
    },
    Map {
        at: Place,
        entries: Vec<Entry>,
        /// Where each key stands in `entries`.
        known: HashMap<String, usize>,
        key: Option<(String, Place)>,
    },
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Complaint> {
        let at = place(span);
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.is_some())
            }
            _ => (0, false),
        };
        if anchor != 0 {
            return Err((at, Refusal::new("anchors (`&name`) have no meaning here").help("write the value out where it is needed; a value that begins with `&` stands in quotes")));
        }
        if tag {
            return Err((
                at,
                Refusal::new("tags (`!name`) have no meaning here")
                    .help("leave the tag away; a value that begins with `!` stands in quotes"),
            ));
        }
        self.nodes += 1;
        if self.nodes > self.bounds.most_nodes {
            let most = self.bounds.most_nodes;
            let refusal = Refusal::new(format!("more than {most} keys and values"));
            return Err((
                at,
                refusal.help(format!("{}; is this the right file?", self.bounds.usual)),
            ));
        }
        match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                self.add(Node { at, value: Value::Scalar { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(..) => self.open(Open::List { at, items: Vec::new() }),
            Event::MappingStart(..) => self.open(Open::Map { at, entries: Vec::new(), known: HashMap::new(), key: None }),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at, items }) => self.add(Node { at, value: Value::List(items) }),
                Some(Open::Map { at, entries, .. }) => self.add(Node { at, value: Value::Map(entries) }),
                None => Ok(()),
            },
            Event::Alias(_) => Err((at, Refusal::new("references (`*name`) have no meaning here").help("write the value out where it is needed; a value that begins with `*` stands in quotes"))),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err((at, Refusal::new("a second document begins here").help("one file holds one configuration: leave `---` away")));
                }
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), Complaint> {
        let at = match open {
            Open::List { at, .. } | Open::Map { at, .. } => at,
        };
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            return Err((
                at,
                Refusal::new("a list or map can't be a key")
                    .help("a key is a word: `listen: [\"*:21\"]`"),
            ));
        }
        if self.open.len() >= DEEPEST {
            return Err((
                at,
                Refusal::new(format!("nested more than {DEEPEST} deep"))
                    .help("no key of this format lies that deep"),
            ));
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Complaint> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map {
                entries,
                known,
                key,
                ..
            }) => match (key.take(), node.value) {
                (Some((key, key_at)), value) => {
                    known.entry(key.clone()).or_insert(entries.len());
                    entries.push(Entry {
                        key,
                        key_at,
                        node: Node { at: node.at, value },
                    });
                }
                (None, Value::Scalar { text, .. }) => {
                    if let Some(first) = known.get(&text).and_then(|at| entries.get(*at)) {
                        let first_line = match first.key_at {
                            Place::File { line, .. } => format!(", first at line {line}"),
                            Place::Flag(_) | Place::Whole => String::new(),
                        };
                        let refusal = Refusal::new(format!(
                            "the key `{}` stands twice{first_line}",
                            text.escape_debug()
                        ));
                        self.complaints
                            .push((node.at, refusal.help("leave one of them away")));
                    }
                    *key = Some((text, node.at));
                }
                (None, Value::List(_) | Value::Map(_)) => {
                    return Err((node.at, Refusal::new("a list or map can't be a key")));
                }
            },
        }
        Ok(())
    }
}

fn place(span: Span) -> Place {
    let width = if span.start.line() == span.end.line() {
        span.end.col().saturating_sub(span.start.col())
    } else {
        1
    };
    Place::File {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
        width: width.max(1),
    }
}
