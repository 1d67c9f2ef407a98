//! What a broken YAML file is told: the parser's words made plain.

use super::problem::Refusal;
use super::source::{Complaint, Place};
use super::wording::shorten;

/// Finds the first control character: a binary file is not YAML, and a terminal should not see it.
pub(crate) fn control_characters(text: &str) -> Vec<Complaint> {
    let found = text.lines().enumerate().find_map(|(number, line)| {
        let column = line.chars().position(|c| c.is_control() && c != '\t')?;
        Some(Place::File {
            line: number + 1,
            column: column + 1,
            width: 1,
        })
    });
    let refusal = || {
        Refusal::new("a control character")
            .help("a configuration is plain text; is this the right file?")
    };
    found.map(|place| (place, refusal())).into_iter().collect()
}

/// Finds lines that are indented with tabs, outside of nothing: a configuration has no text blocks in which they could stand.
pub(crate) fn tabs(text: &str) -> Vec<Complaint> {
    text.lines()
        .enumerate()
        .filter_map(|(number, line)| {
            let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
            let column = line.get(..indent)?.find('\t')?;
            let content = line.get(indent..)?.trim_end();
            if content.is_empty() || content.starts_with('#') {
                return None;
            }
            let refusal = Refusal::new("a tab in the indentation")
                .help("indent with spaces, YAML does not allow tabs");
            Some((
                Place::File {
                    line: number + 1,
                    column: column + 1,
                    width: 1,
                },
                refusal,
            ))
        })
        .collect()
}

/// Puts a message of the parser into words that say what to do; the place may move to where the mistake is.
pub(crate) fn explain(text: &str, info: &str, line: usize, column: usize) -> Complaint {
    let here = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let at = Place::File {
        line,
        column,
        width: 1,
    };
    if info.contains("unknown anchor") || info.contains("anchor or alias") {
        return unquoted_star(here, line, column);
    }
    if info.contains("mapping values are not allowed") {
        return stray_colon(text, here, line, column);
    }
    if let Some(open) = open_bracket(text, line) {
        let refusal = Refusal::new("a bracket that is never closed");
        return (
            open,
            refusal.help("write `[one, two]` and `{one: 1, two: 2}`"),
        );
    }
    if here.contains('=') && !here.contains(": ") {
        let refusal = Refusal::new("a line without a colon");
        return (
            at,
            refusal.help("write `key: value`, and not `key = value`"),
        );
    }
    let (message, help) = if info.contains("recursion limit") {
        (
            "nested far too deep",
            "no key of this format lies that deep",
        )
    } else if info.contains("in quoted scalar")
        || (info.contains("quoted scalar") && info.contains("unexpected"))
    {
        (
            "a quotation mark that is never closed",
            "close the quotation mark",
        )
    } else if info.contains("escape") {
        (
            "an escape that YAML does not know, in double quotes",
            "write the text in single quotes, or `\\\\` for a backslash",
        )
    } else if info.contains("expected ',' or ']'") {
        (
            "a list `[` that is not closed or lacks a comma",
            "write `[one, two]`",
        )
    } else if info.contains("',' or '}'") {
        (
            "a map `{` that is not closed or lacks a comma",
            "write `{one: 1, two: 2}`",
        )
    } else if info.contains("tab") {
        ("a tab where YAML allows none", "write spaces")
    } else if info.contains("simple key") {
        (
            "a line without a colon among keys and values",
            "write `key: value`, with a colon and a space",
        )
    } else if info.contains("expected key")
        || info.contains("indentation")
        || info.contains("'-' indicator")
        || info.contains("document start")
    {
        (
            "this line does not fit the lines before it",
            "keys that belong together begin in the same column; a key needs a colon and a space: `key: value`",
        )
    } else if info.contains("unexpected character")
        || info.contains("directive")
        || info.contains("node content")
        || info.contains("block scalar")
    {
        (
            "a character that can't stand here",
            "put the value in quotes",
        )
    } else {
        let refusal = Refusal::new(format!("not YAML: {info}"));
        return (
            at,
            refusal.help("write `key: value` lines, indented with spaces"),
        );
    };
    (at, Refusal::new(message).help(help))
}

/// Finds the innermost bracket that is open where a line begins.
fn open_bracket(text: &str, line: usize) -> Option<Place> {
    let mut open = Vec::new();
    let mut quote = None;
    for (number, line) in text.lines().enumerate().take(line.saturating_sub(1)) {
        let mut before = ' ';
        for (column, c) in line.chars().enumerate() {
            match (quote, c) {
                (Some(mark), c) if c == mark => quote = None,
                (Some(_), _) => {}
                (None, '#') if before == ' ' => break,
                (None, '"' | '\'') if matches!(before, ' ' | '[' | '{' | ',') => quote = Some(c),
                (None, '[' | '{') => open.push(Place::File {
                    line: number + 1,
                    column: column + 1,
                    width: 1,
                }),
                (None, ']' | '}') => drop(open.pop()),
                (None, _) => {}
            }
            before = c;
        }
    }
    open.pop()
}

/// YAML takes a leading `*` for a reference, which hits everybody who first writes `*:21`.
fn unquoted_star(here: &str, line: usize, column: usize) -> Complaint {
    let (column, word) = starred_word(here, column);
    let width = word.chars().count().max(1);
    let word = word.escape_debug();
    let refusal = Refusal::new(format!("`{word}` does not stand in quotes")).help(format!(
        "write `\"{word}\"`: YAML takes a leading `*` or `&` for a reference"
    ));
    (
        Place::File {
            line,
            column,
            width,
        },
        refusal,
    )
}

/// A colon where none can stand: the mistake is on this line or on the one before.
fn stray_colon(text: &str, here: &str, line: usize, column: usize) -> Complaint {
    let at = Place::File {
        line,
        column,
        width: 1,
    };
    let before_colon: String = here.chars().take(column.saturating_sub(1)).collect();
    if before_colon.contains(": ") {
        let refusal = Refusal::new("a second `: ` on this line");
        return (
            at,
            refusal.help("put a value with a colon and a space in it in quotes"),
        );
    }
    let before = text
        .lines()
        .enumerate()
        .take(line.saturating_sub(1))
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .last();
    if let Some((number, before)) = before {
        let word = before.trim();
        let is_key = word.contains(": ") || word.ends_with(':') || word.starts_with('-');
        if !is_key {
            let column = before.len() - before.trim_start().len() + 1;
            let at = Place::File {
                line: number + 1,
                column,
                width: word.chars().count(),
            };
            return (at, no_colon(word));
        }
    }
    let refusal = Refusal::new("this line is indented further than the line before it");
    (
        at,
        refusal.help("keys that belong together begin in the same column"),
    )
}

/// What to say about a line that should be a key and a value.
pub(crate) fn no_colon(word: &str) -> Refusal {
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    match (word.split_once(':'), word.split_once([' ', '='])) {
        (Some((key, value)), _) if is_word(key) && !value.is_empty() => {
            Refusal::new("a colon without a space behind it")
                .help(format!("write `{key}: {}`", shorten(value)))
        }
        (_, Some((key, value))) if is_word(key) => {
            Refusal::new("a key without its colon").help(format!(
                "write `{key}: {}`",
                shorten(value.trim_start_matches([' ', '=']))
            ))
        }
        _ => Refusal::new("a line that is not a key with its value")
            .help("write `key: value`, with a colon and a space"),
    }
}

/// Finds the word with the star that the parser stumbled over, at or before `column`.
fn starred_word(line: &str, column: usize) -> (usize, String) {
    let characters: Vec<char> = line.chars().collect();
    let upto = column.min(characters.len());
    let start = characters
        .iter()
        .take(upto)
        .rposition(|c| matches!(c, '*' | '&'))
        .unwrap_or(column.saturating_sub(1));
    let word: String = characters
        .iter()
        .skip(start)
        .take_while(|c| !matches!(c, ' ' | ',' | ']' | '}' | '\t'))
        .collect();
    (start + 1, word)
}
