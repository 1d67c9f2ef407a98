//! What the engine itself objects to, before any rule: verbs that hide data, arguments that are none.

use super::super::Refusal;
use super::super::fault::ClientFault;
use super::super::session::Session;
use crate::ftp::{Command, Verb};

impl Session {
    /// Says why the engine itself does not let a command pass.
    pub(super) fn objection(&self, command: &Command) -> Option<(Refusal, ClientFault)> {
        let argument = command.argument().unwrap_or_default().trim_ascii();
        let bad = Some((Refusal::Malformed, ClientFault::BadArgument));
        if command.verb.is_refused_alias() {
            return Some((Refusal::HiddenVerb, ClientFault::HiddenVerb));
        }
        if let Some(objection) = self.security_objection(command) {
            return Some(objection);
        }
        match command.verb {
            Verb::Algs => Some((Refusal::HiddenVerb, ClientFault::Algs)),
            Verb::Pasv | Verb::Port | Verb::Eprt if self.epsv_all => {
                Some((Refusal::EpsvAll, ClientFault::EpsvAll))
            }
            Verb::Mode => match argument {
                b"S" | b"s" | b"Z" | b"z" => None,
                b"B" | b"b" | b"C" | b"c" => Some((Refusal::Mode, ClientFault::HiddenMode)),
                _ => bad,
            },
            Verb::Stru if !matches!(argument, b"F" | b"f" | b"R" | b"r" | b"P" | b"p") => bad,
            Verb::Type if !is_type(argument) => bad,
            Verb::Rest if number(argument).is_none() => bad,
            Verb::Allo if !is_allocation(argument) => bad,
            _ => None,
        }
    }
}

/// Reads a decimal number; none if there is anything else, or too much.
pub(in crate::engine) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// RFC 959 section 5.3.2: A or E with an optional form, I, L with a byte size.
fn is_type(argument: &[u8]) -> bool {
    let mut words = argument
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    let (code, form, rest) = (words.next(), words.next(), words.next());
    if rest.is_some() {
        return false;
    }
    match code.map(<[u8]>::to_ascii_uppercase).as_deref() {
        Some(b"A" | b"E") => {
            form.is_none_or(|form| matches!(form, b"N" | b"n" | b"T" | b"t" | b"C" | b"c"))
        }
        Some(b"I") => form.is_none(),
        Some(b"L") => {
            form.is_some_and(|size| number(size).is_some_and(|bits| (1..=255).contains(&bits)))
        }
        Some([b'L', size @ ..]) => {
            form.is_none() && number(size).is_some_and(|bits| (1..=255).contains(&bits))
        }
        _ => false,
    }
}

/// RFC 959 section 5.3.1: `ALLO <decimal> [R <decimal>]`.
fn is_allocation(argument: &[u8]) -> bool {
    let words: Vec<&[u8]> = argument
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        [size] => number(size).is_some(),
        [size, b"R" | b"r", record] => number(size).is_some() && number(record).is_some(),
        _ => false,
    }
}
