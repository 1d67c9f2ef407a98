//! An answer as text: one JSON object on one line. What is not exactly that is no answer.
//!
//! Invariant: nothing of an answer reaches a peer that has a control character in it.

use std::sync::Arc;

use serde::Deserialize;

use super::super::AskFault;
use crate::ftp::{Reply, escaped};

/// Longest answer, in bytes.
pub const LONGEST_ANSWER: usize = 4096;

/// Longest reply of its own that an answer may give, in bytes without the code.
const LONGEST_REPLY: usize = 400;

/// Longest name or path in an answer, in bytes.
const LONGEST_NAME: usize = 1024;

/// What somebody answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it may happen.
    pub allows: bool,
    /// Whether that holds for the rest of the session.
    pub session: bool,
    /// What the client is told where it may not.
    pub reply: Option<Reply>,
    /// What comes along with a login.
    pub grant: Option<Grant>,
}

/// What comes along with a login that may happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The upstream that the session goes to.
    pub upstream: Option<Arc<str>>,
    /// The account that the user gets there.
    pub login_as: Option<Account>,
    /// The directory where the user begins.
    pub start_in: Option<Box<str>>,
}

/// An account, with where its password is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its name.
    pub user: Box<str>,
    /// The path of the file with its password, as the rule lists it.
    pub password_file: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Allow,
    AllowSession,
    Deny,
    DenySession,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    answer: Word,
    reply: Option<String>,
    upstream: Option<Arc<str>>,
    login_as: Option<Account>,
    start_in: Option<Box<str>>,
}

impl Answer {
    /// Reads an answer, without the end of its line.
    ///
    /// # Errors
    /// `TooLong`; `Garbage` for what is no answer, or none to such a question: only at a login there is something to grant,
    /// and only a refusal has words.
    pub fn parse(line: &[u8], at_login: bool) -> Result<Answer, AskFault> {
        if line.len() > LONGEST_ANSWER {
            return Err(AskFault::TooLong);
        }
        if line.contains(&b'\n') {
            return Err(AskFault::Garbage);
        }
        let raw: Raw = serde_json::from_slice(line).map_err(|_| AskFault::Garbage)?;
        let allows = matches!(raw.answer, Word::Allow | Word::AllowSession);
        let session = matches!(raw.answer, Word::AllowSession | Word::DenySession);
        let grant = Grant {
            upstream: raw.upstream,
            login_as: raw.login_as,
            start_in: raw.start_in,
        };
        let grant = (grant != Grant::default()).then_some(grant);
        let misplaced = allows && raw.reply.is_some() || grant.is_some() && !(allows && at_login);
        if misplaced || !grant.as_ref().is_none_or(Grant::is_sendable) {
            return Err(AskFault::Garbage);
        }
        Ok(Answer {
            allows,
            session,
            reply: raw.reply.as_deref().and_then(refusal),
            grant,
        })
    }

    /// Gives the journal's word.
    pub fn word(&self) -> &'static str {
        match (self.allows, self.session) {
            (true, false) => "allow",
            (true, true) => "allow_session",
            (false, false) => "deny",
            (false, true) => "deny_session",
        }
    }
}

impl Grant {
    fn is_sendable(&self) -> bool {
        let user = self.login_as.as_ref().map(|account| &account.user);
        let mut told = user.into_iter().chain(&self.start_in);
        told.all(|text| {
            !text.trim().is_empty()
                && text.len() <= LONGEST_NAME
                && !text.chars().any(char::is_control)
        })
    }
}

/// Reads `550 Not here.`; None where it can't be told to a client as it is. 421 would say that the session ends, and it
/// does not.
fn refusal(text: &str) -> Option<Reply> {
    let (code, words) = text.split_once(' ')?;
    let number: u16 = code.parse().ok().filter(|_| code.len() == 3)?;
    let refuses = (400..=599).contains(&number) && number != 421 && code.starts_with(['4', '5']);
    let fits = words.len() <= LONGEST_REPLY && !words.trim().is_empty();
    let plain = words.replace(['"', '\\'], "");
    let printable = escaped(plain.as_bytes()).to_string() == plain;
    (refuses && fits && printable).then(|| Reply::new(number, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Answer, AskFault> {
        Answer::parse(text.as_bytes(), true)
    }

    #[test]
    fn the_four_answers_are_told_apart() {
        for (word, allows, session) in [
            ("allow", true, false),
            ("allow_session", true, true),
            ("deny", false, false),
            ("deny_session", false, true),
        ] {
            let answer = parse(&format!("{{\"answer\": \"{word}\"}}")).expect(word);
            assert_eq!((answer.allows, answer.session), (allows, session));
            assert_eq!(answer.word(), word);
        }
    }

    #[test]
    fn what_is_not_exactly_an_answer_is_none() {
        for text in [
            "",
            "yes",
            "allow",
            "{}",
            "null",
            "[\"allow\"]",
            "{\"answer\":\"Allow\"}",
            "{\"answer\":true}",
            "{\"answer\":\"allow\",\"why\":\"\"}",
            "{\"answer\":\"allow\",\"answer\":\"allow\"}",
            "{\"answer\":\"deny\",\"answer\":\"allow\"}",
            "{\"answer\":\"allow\"} {\"answer\":\"allow\"}",
            "{\"answer\":\"allow\"",
            "{\"answer\":\"allow\"}\n{}",
            "{\"answer\":\"allow\",\"reply\":\"550 no\"}",
            "{\"answer\":\"deny\",\"start_in\":\"/x\"}",
            "{\"answer\":\"allow\",\"start_in\":\"\"}",
            "{\"answer\":\"allow\",\"start_in\":\"/x\\r\\nDELE y\"}",
            "{\"answer\":\"allow\",\"login_as\":{\"user\":\"a\\nb\",\"password_file\":\"/p\"}}",
            "{\"answer\":\"allow\",\"login_as\":{\"user\":\"a\"}}",
            "{\"answer\":\"allow\",\"login_as\":{\"user\":\"a\",\"password\":\"x\"}}",
        ] {
            assert_eq!(parse(text), Err(AskFault::Garbage), "{text}");
        }
        let at_command = Answer::parse(b"{\"answer\":\"allow\",\"start_in\":\"/x\"}", false);
        assert_eq!(at_command, Err(AskFault::Garbage));
        let long = format!("{{\"answer\":\"allow\"}}{}", " ".repeat(LONGEST_ANSWER));
        assert_eq!(parse(&long), Err(AskFault::TooLong));
        assert_eq!(
            Answer::parse(b"{\"answer\":\"allow\",\"upstream\":\"\xff\"}", true),
            Err(AskFault::Garbage)
        );
    }

    #[test]
    fn a_refusal_has_words_of_its_own_only_if_a_client_may_hear_them() {
        let reply = |text: &str| {
            let line = serde_json::json!({"answer": "deny", "reply": text}).to_string();
            let answer = parse(&line).expect("an answer");
            assert!(!answer.allows);
            answer.reply.map(|reply| reply.code().get())
        };
        assert_eq!(reply("552 Over your quota: ask \"Ann\"."), Some(552));
        assert_eq!(reply("450 Later."), Some(450));
        for text in [
            "200 ok",
            "550",
            "550 ",
            "no",
            "+55 x",
            "0550 x",
            "550\tx",
            "550 a\r\n200 b",
            "550 \u{1b}[2J",
            "550 \u{202e}x",
            "421 bye",
            "600 x",
        ] {
            assert_eq!(reply(text), None, "{text:?}");
        }
        assert_eq!(reply(&format!("550 {}", "x".repeat(401))), None);
    }
}
