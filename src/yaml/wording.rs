//! How parts of the file are named in messages.

use std::fmt::Write as _;

pub(crate) fn join(path: &str, key: &str) -> String {
    let mut joined = path.to_owned();
    if !path.is_empty() {
        joined.push('.');
    }
    let _ = write!(joined, "{}", shorten(key));
    joined
}

pub(crate) fn show_key(key: &str) -> String {
    if key.is_empty() {
        "the file".to_owned()
    } else {
        format!("`{key}`")
    }
}

/// Makes text of the file fit for a message.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(60)
        .collect::<String>()
        .escape_debug()
        .to_string()
        .replace("\\\"", "\"");
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

pub(crate) fn quoted(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("`{word}`")).collect()
}

pub(crate) fn one_of(words: &[&str]) -> String {
    match quoted(words).split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
