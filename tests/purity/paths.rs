//! Reads the paths that a Rust source names: in `use` trees and anywhere else, never in comments or literals.

/// One path, as its segments; `super` and `self` are resolved, so that the first one is `crate` or a crate's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub segments: Vec<String>,
    pub line: usize,
    /// Whether a `!` follows: the name of a macro.
    pub is_macro: bool,
    /// Whether it stands in a `use`.
    pub is_use: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Sign(char),
}

/// Cuts a source into words and signs.
fn tokens(source: &str) -> Vec<(Token, usize)> {
    let bytes = source.as_bytes();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    while at < bytes.len() {
        let start = at;
        match byte(at) {
            b'/' if byte(at + 1) == b'/' => {
                while at < bytes.len() && byte(at) != b'\n' {
                    at += 1;
                }
            }
            b'/' if byte(at + 1) == b'*' => at = after_block_comment(bytes, at),
            b'"' => at = after_string(bytes, at + 1),
            b'\'' => at = after_quote(source, at),
            b':' if byte(at + 1) == b':' => {
                tokens.push((Token::Colons, line));
                at += 2;
            }
            first if first.is_ascii_alphabetic() || first == b'_' || first >= 0x80 => {
                let is_word =
                    |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
                while is_word(byte(at)) {
                    at += 1;
                }
                let word = &source[start..at];
                let raw = matches!(word, "r" | "br" | "cr") && matches!(byte(at), b'"' | b'#');
                if raw && let Some(end) = after_raw_string(source, at) {
                    at = end;
                } else if word == "r" && byte(at) == b'#' {
                    // A raw identifier: its word is read next.
                    at += 1;
                } else {
                    tokens.push((Token::Word(word.to_owned()), line));
                }
            }
            first if first.is_ascii_digit() => {
                while byte(at).is_ascii_alphanumeric() || byte(at) == b'_' {
                    at += 1;
                }
            }
            other => {
                if !other.is_ascii_whitespace() {
                    tokens.push((Token::Sign(char::from(other)), line));
                }
                at += 1;
            }
        }
        line += source[start..at].matches('\n').count();
    }
    tokens
}

fn after_block_comment(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// A character literal, or the quote of a lifetime.
fn after_quote(source: &str, at: usize) -> usize {
    let mut after = source[at + 1..].chars();
    match (after.next(), after.next()) {
        (Some('\\'), _) => {
            let end = source[at + 3..].find('\'');
            at + 3 + end.map_or(0, |end| end + 1)
        }
        (Some(literal), Some('\'')) => at + 2 + literal.len_utf8(),
        _ => at + 1,
    }
}

fn after_raw_string(source: &str, at: usize) -> Option<usize> {
    let hashes = source[at..]
        .bytes()
        .take_while(|byte| *byte == b'#')
        .count();
    let body = source[at + hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(at + hashes + 1 + body.find(&close)? + close.len())
}

/// Collects all paths of a source that is the module `module` of its crate.
pub fn paths(source: &str, module: &[&str]) -> Vec<Path> {
    let tokens = tokens(source);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        module: module.iter().map(|name| (*name).to_owned()).collect(),
        found: Vec::new(),
    };
    // Which braces belong to a module inside the file.
    let mut braces: Vec<bool> = Vec::new();
    while let Some(token) = reader.peek().cloned() {
        match token {
            Token::Word(word) if word == "use" => {
                reader.at += 1;
                reader.tree(&[]);
            }
            Token::Word(word) if word == "mod" => {
                reader.at += 1;
                let name = reader.word();
                if let (Some(name), Some(Token::Sign('{'))) = (name, reader.peek()) {
                    reader.at += 1;
                    reader.module.push(name);
                    braces.push(true);
                }
            }
            Token::Word(_) | Token::Colons => reader.plain(),
            Token::Sign(sign) => {
                reader.at += 1;
                match sign {
                    '{' => braces.push(false),
                    '}' if braces.pop() == Some(true) => drop(reader.module.pop()),
                    _ => {}
                }
            }
        }
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
    module: Vec<String>,
    found: Vec<Path>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn word(&mut self) -> Option<String> {
        let Some(Token::Word(word)) = self.peek() else {
            return None;
        };
        let word = word.clone();
        self.at += 1;
        Some(word)
    }

    fn line(&self) -> usize {
        let last = self.tokens.len().saturating_sub(1);
        self.tokens
            .get(self.at.min(last))
            .map_or(0, |(_, line)| *line)
    }

    /// One tree of a `use`.
    fn tree(&mut self, before: &[String]) {
        let (mut segments, line) = (before.to_vec(), self.line());
        loop {
            match self.peek() {
                Some(Token::Colons) => self.at += 1,
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    while !matches!(self.peek(), None | Some(Token::Sign('}'))) {
                        self.tree(&segments);
                        if matches!(self.peek(), Some(Token::Sign(','))) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    segments.push("*".to_owned());
                }
                Some(Token::Word(word)) if word == "as" => {
                    self.at += 2;
                }
                Some(Token::Word(_)) => segments.extend(self.word()),
                Some(Token::Sign(_)) | None => break,
            }
        }
        self.keep(segments, line, true);
    }

    /// A path outside a `use`.
    fn plain(&mut self) {
        let (mut segments, line) = (Vec::new(), self.line());
        while let Some(Token::Word(_) | Token::Colons) = self.peek() {
            if self.peek() == Some(&Token::Colons) {
                self.at += 1;
                if !matches!(self.peek(), Some(Token::Word(_))) {
                    break;
                }
            }
            segments.extend(self.word());
            if self.peek() != Some(&Token::Colons) {
                break;
            }
        }
        self.keep(segments, line, false);
    }

    fn keep(&mut self, segments: Vec<String>, line: usize, is_use: bool) {
        let is_macro = self.peek() == Some(&Token::Sign('!'));
        let mut segments = segments.into_iter().peekable();
        let mut base = Vec::new();
        match segments.peek().map(String::as_str) {
            None => return,
            Some("self" | "super") => {
                base = self.module.clone();
                while let Some(step) = segments.next_if(|word| word == "self" || word == "super") {
                    if step == "super" {
                        base.pop();
                    }
                }
                base.insert(0, "crate".to_owned());
            }
            Some(_) => {}
        }
        base.extend(segments);
        self.found.push(Path {
            segments: base,
            line,
            is_macro,
            is_use,
        });
    }
}
