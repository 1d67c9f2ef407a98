//! What is said about exit points.
//!
//! ```text
//! asked for  version 1 | kind 0x10 | id 8 | milliseconds 4 | exit | question
//! asked      version 1 | kind 0x90 | id 8 | outcome 1 | answer
//! order      version 1 | kind 0x11 begins, 0x12 | exit, 0x13 holds from now on
//! exit       kind 1 | words 2 | words x (length 2 | bytes)
//! ```
//!
//! The first two stand between gateway and helper, the third is the broker's alone: the list of those who may be asked. It
//! comes on a line of which the gateway has no end.

use std::time::Duration;

use super::VERSION;
use crate::helper::exits::{Exit, Fault, LONGEST_LINE, LONGEST_QUESTION};

const ASK: u8 = 0x10;
const ASKED: u8 = 0x90;
const BEGIN: u8 = 0x11;
const PERMIT: u8 = 0x12;
const COMMIT: u8 = 0x13;

/// The longest exit: a path or a program with its arguments, and a length before each word.
const LONGEST_EXIT: usize = 3 + 3 * 4096;

/// The longest message.
pub(in crate::helper) const LONGEST: usize = 14 + LONGEST_EXIT + LONGEST_QUESTION;

/// Most exits that may be permitted: those of the rules in force and of the next ones.
const MOST_EXITS: usize = 256;

/// What the gateway wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::helper) struct AskedFor {
    pub(in crate::helper) id: u64,
    pub(in crate::helper) timeout: Duration,
    pub(in crate::helper) exit: Exit,
    pub(in crate::helper) question: Vec<u8>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::helper) struct Asked {
    pub(in crate::helper) id: u64,
    pub(in crate::helper) outcome: Result<Vec<u8>, Fault>,
}

/// Part of the list of those who may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::helper) enum Order {
    Begin,
    Permit(Exit),
    Commit,
}

/// Who may be asked, as the broker said last.
#[derive(Debug, Default)]
pub(in crate::helper) struct Permitted {
    now: Vec<Exit>,
    next: Option<Vec<Exit>>,
}

impl Permitted {
    pub(in crate::helper) fn take(&mut self, order: Order) {
        match (order, &mut self.next) {
            (Order::Begin, next) => *next = Some(Vec::new()),
            (Order::Permit(exit), Some(next)) if next.len() < MOST_EXITS => next.push(exit),
            (Order::Commit, next) => {
                if let Some(next) = next.take() {
                    self.now = next;
                }
            }
            // What was begun for a helper before this one.
            (Order::Permit(_), _) => {}
        }
    }

    pub(in crate::helper) fn contains(&self, exit: &Exit) -> bool {
        self.now.contains(exit)
    }
}

impl AskedFor {
    /// None where it has no place in a message.
    pub(in crate::helper) fn write(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![VERSION, ASK];
        bytes.extend(self.id.to_le_bytes());
        let millis = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        bytes.extend(millis.to_le_bytes());
        write_exit(&self.exit, &mut bytes)?;
        bytes.extend_from_slice(&self.question);
        (bytes.len() <= LONGEST).then_some(bytes)
    }

    pub(in crate::helper) fn read(bytes: &[u8]) -> Option<AskedFor> {
        let rest = bytes.strip_prefix(&[VERSION, ASK])?;
        let (id, rest) = rest.split_first_chunk()?;
        let (millis, rest) = rest.split_first_chunk()?;
        let (exit, question) = read_exit(rest)?;
        (question.len() <= LONGEST_QUESTION).then(|| AskedFor {
            id: u64::from_le_bytes(*id),
            timeout: Duration::from_millis(u64::from(u32::from_le_bytes(*millis))),
            exit,
            question: question.to_vec(),
        })
    }
}

impl Asked {
    pub(in crate::helper) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, ASKED];
        bytes.extend(self.id.to_le_bytes());
        let (outcome, answer): (u8, &[u8]) = match &self.outcome {
            Ok(answer) => (0, answer),
            Err(Fault::TimedOut) => (1, b""),
            Err(Fault::Busy) => (2, b""),
            Err(Fault::Garbage) => (3, b""),
            Err(Fault::TooLong) => (4, b""),
            Err(Fault::ExitStatus) => (5, b""),
            Err(Fault::Unreachable) => (6, b""),
            Err(Fault::NotPermitted) => (7, b""),
        };
        bytes.push(outcome);
        bytes.extend_from_slice(answer);
        bytes
    }

    pub(in crate::helper) fn read(bytes: &[u8]) -> Option<Asked> {
        let rest = bytes.strip_prefix(&[VERSION, ASKED])?;
        let (id, rest) = rest.split_first_chunk()?;
        let (outcome, answer) = rest.split_first()?;
        let outcome = match (outcome, answer.len()) {
            (0, 1..=LONGEST_LINE) => Ok(answer.to_vec()),
            (1, 0) => Err(Fault::TimedOut),
            (2, 0) => Err(Fault::Busy),
            (3, 0) => Err(Fault::Garbage),
            (4, 0) => Err(Fault::TooLong),
            (5, 0) => Err(Fault::ExitStatus),
            (6, 0) => Err(Fault::Unreachable),
            (7, 0) => Err(Fault::NotPermitted),
            _ => return None,
        };
        Some(Asked {
            id: u64::from_le_bytes(*id),
            outcome,
        })
    }
}

impl Order {
    pub(in crate::helper) fn write(&self) -> Option<Vec<u8>> {
        match self {
            Order::Begin => Some(vec![VERSION, BEGIN]),
            Order::Permit(exit) => {
                let mut bytes = vec![VERSION, PERMIT];
                write_exit(exit, &mut bytes)?;
                Some(bytes)
            }
            Order::Commit => Some(vec![VERSION, COMMIT]),
        }
    }

    pub(in crate::helper) fn read(bytes: &[u8]) -> Option<Order> {
        match bytes {
            [VERSION, BEGIN] => Some(Order::Begin),
            [VERSION, COMMIT] => Some(Order::Commit),
            [VERSION, PERMIT, rest @ ..] => {
                let (exit, rest) = read_exit(rest)?;
                rest.is_empty().then_some(Order::Permit(exit))
            }
            _ => None,
        }
    }
}

/// None where it is longer than any that a rule may name.
fn write_exit(exit: &Exit, bytes: &mut Vec<u8>) -> Option<()> {
    let before = bytes.len();
    let (kind, words) = match exit {
        Exit::Socket(path) => (0, std::slice::from_ref(path)),
        Exit::Program(words) => (1, words.as_slice()),
    };
    bytes.push(kind);
    bytes.extend(u16::try_from(words.len()).ok()?.to_le_bytes());
    for word in words {
        bytes.extend(u16::try_from(word.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(word.as_bytes());
    }
    (bytes.len() - before <= LONGEST_EXIT).then_some(())
}

fn read_exit(bytes: &[u8]) -> Option<(Exit, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (count, mut rest) = rest.split_first_chunk()?;
    let mut words = Vec::new();
    for _ in 0..u16::from_le_bytes(*count) {
        let (length, behind) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (word, behind) = behind.split_at_checked(length)?;
        words.push(std::str::from_utf8(word).ok()?.to_owned());
        rest = behind;
    }
    if bytes.len() - rest.len() > LONGEST_EXIT {
        return None;
    }
    let exit = match (kind, words.len()) {
        (0, 1) => Exit::Socket(words.pop()?),
        (1, 1..) => Exit::Program(words),
        _ => return None,
    };
    Some((exit, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exit() -> impl Strategy<Value = Exit> {
        prop_oneof![
            "/[a-z/]{0,40}".prop_map(Exit::Socket),
            proptest::collection::vec(".{0,20}", 1..6).prop_map(Exit::Program),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(id: u64, millis in 0..60_000_u64, exit in exit(), question: Vec<u8>, answer in proptest::collection::vec(any::<u8>(), 1..100)) {
            let timeout = Duration::from_millis(millis);
            let asked_for = AskedFor { id, timeout, exit: exit.clone(), question };
            prop_assert_eq!(AskedFor::read(&asked_for.write().expect("it fits")), Some(asked_for));
            for order in [Order::Begin, Order::Permit(exit), Order::Commit] {
                prop_assert_eq!(Order::read(&order.write().expect("it fits")), Some(order));
            }
            for outcome in [
                Ok(answer), Err(Fault::TimedOut), Err(Fault::Busy), Err(Fault::Garbage), Err(Fault::TooLong),
                Err(Fault::ExitStatus), Err(Fault::Unreachable), Err(Fault::NotPermitted),
            ] {
                let asked = Asked { id, outcome };
                prop_assert_eq!(Asked::read(&asked.write()), Some(asked));
            }
        }

        #[test]
        fn whatever_comes_is_read_without_a_panic(kind in prop_oneof![0x10..0x14_u8, Just(0x90)], rest: Vec<u8>) {
            let mut bytes = vec![VERSION, kind];
            bytes.extend(rest);
            if let Some(asked) = Asked::read(&bytes) {
                prop_assert_eq!(asked.write(), bytes.clone());
            }
            if let Some(order) = Order::read(&bytes) {
                prop_assert_eq!(order.write(), Some(bytes.clone()));
            }
            if let Some(asked_for) = AskedFor::read(&bytes) {
                prop_assert_eq!(asked_for.write(), Some(bytes));
            }
        }
    }

    #[test]
    fn a_list_holds_when_it_is_whole() {
        let one = Exit::Socket("/one".to_owned());
        let two = Exit::Program(vec!["/two".to_owned(), "-x".to_owned()]);
        let mut permitted = Permitted::default();
        // The rest of a list whose beginning another helper took.
        permitted.take(Order::Permit(one.clone()));
        permitted.take(Order::Commit);
        assert!(!permitted.contains(&one));
        permitted.take(Order::Begin);
        permitted.take(Order::Permit(one.clone()));
        assert!(!permitted.contains(&one), "it is not whole yet");
        permitted.take(Order::Commit);
        assert!(permitted.contains(&one) && !permitted.contains(&two));
        permitted.take(Order::Begin);
        permitted.take(Order::Permit(two.clone()));
        assert!(permitted.contains(&one), "the old one holds until then");
        permitted.take(Order::Commit);
        assert!(!permitted.contains(&one) && permitted.contains(&two));
        // Other arguments make another program of it.
        assert!(!permitted.contains(&Exit::Program(vec!["/two".to_owned()])));
    }
}
