//! What a broken YAML file is told: the parser's words made plain.

use super::problem::Refusal;
use super::source::{Complaint, Place};

/// Finds the first control character: a binary file is not YAML, and a terminal should not see it.
pub(super) fn control_characters(text: &str) -> Vec<Complaint> {
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
pub(super) fn tabs(text: &str) -> Vec<Complaint> {
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
pub(super) fn explain(
    text: &str,
    info: &str,
    line: usize,
    column: usize,
) -> (usize, usize, Refusal) {
    let here = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    if info.contains("unknown anchor") || info.contains("anchor or alias") {
        let (column, word) = starred_word(here, column);
        let refusal = Refusal::new(format!(
            "`{}` does not stand in quotes",
            word.escape_debug()
        ))
        .help(format!(
            "write `\"{}\"`: YAML takes a leading `*` or `&` for a reference",
            word.escape_debug()
        ));
        return (line, column, refusal);
    }
    let (message, help) = if info.contains("mapping values are not allowed") {
        (
            "a `: ` that can't stand here",
            "either this line is indented too far, or the value has `: ` in it and needs quotes",
        )
    } else if info.contains("quoted scalar") && info.contains("end of stream") {
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
    } else if info.contains("unprintable") || info.contains("unexpected character") {
        (
            "a character that can't stand here",
            "put the value in quotes",
        )
    } else {
        return (
            line,
            column,
            Refusal::new(format!("not YAML: {info}"))
                .help("write `key: value` lines, indented with spaces"),
        );
    };
    (line, column, Refusal::new(message).help(help))
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
