//! What a session remembers of TLS with its client, so that its data connections can resume it.
//!
//! Each session has a memory of its own: a handshake that finds its session here belongs to this client. That holds for
//! TLS 1.3, where the ticket is a key of this memory, and for TLS 1.2, where the session id is.
//!
//! Invariant: bounded; and what the control connection's own handshake left is never pushed out, since many clients
//! resume that one each time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::StoresServerSessions;

/// How many of the first entries stay for ever: the tickets of the control connection.
const FIRST: usize = 2;
/// How many later ones are kept: those that were given or used last.
const LATER: usize = 6;

type Entry = (Box<[u8]>, Box<[u8]>);

/// Sessions of one client, under the names that it was given for them.
#[derive(Debug, Default)]
pub(super) struct Memory {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    first: Vec<Entry>,
    later: VecDeque<Entry>,
}

impl StoresServerSessions for Memory {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = (key.into_boxed_slice(), value.into_boxed_slice());
        let Entries { first, later } = &mut *entries;
        if let Some(known) = first.iter_mut().find(|known| known.0 == entry.0) {
            *known = entry;
        } else if first.len() < FIRST {
            first.push(entry);
        } else {
            later.retain(|known| known.0 != entry.0);
            if later.len() >= LATER {
                later.pop_front();
            }
            later.push_back(entry);
        }
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { first, later } = &mut *entries;
        if let Some(known) = first.iter().find(|known| *known.0 == *key) {
            return Some(known.1.to_vec());
        }
        // What a client goes on using stays, however many others it is given: not every client takes them in.
        let place = later.iter().position(|known| *known.0 == *key)?;
        let entry = later.remove(place)?;
        let value = entry.1.to_vec();
        later.push_back(entry);
        Some(value)
    }

    /// Leaves the entry where it is: clients use one ticket for all their data connections (RFC 8446 appendix C.4
    /// advises against it, for privacy between connections that the network can tell belong together anyway).
    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// A data connection's view of its session's memory: it can look up, and what it would add waits until its handshake is
/// known to have resumed.
///
/// Without that, whoever finishes a full handshake on a data connection would be given a ticket that resumes the next one.
#[derive(Debug)]
pub(super) struct Probation {
    session: Arc<Memory>,
    added: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Probation {
    pub(super) fn new(session: &Arc<Memory>) -> Probation {
        Probation {
            session: Arc::clone(session),
            added: Mutex::default(),
        }
    }

    /// Remembers what was added: the handshake resumed, so this is the session's own client.
    pub(super) fn pass(&self) {
        let added = std::mem::take(&mut *self.added.lock().unwrap_or_else(PoisonError::into_inner));
        for (key, value) in added {
            self.session.put(key, value);
        }
    }
}

impl StoresServerSessions for Probation {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.push((key, value));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.session.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.session.take(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entries_stay_and_of_the_later_ones_the_newest() {
        let memory = Memory::default();
        for key in 0..20 {
            memory.put(vec![key], vec![key, key]);
        }
        let known: Vec<u8> = (0..20)
            .filter(|key| memory.get(&[*key]).is_some())
            .collect();
        assert_eq!(known, [0, 1, 14, 15, 16, 17, 18, 19]);
        // One that is used again and again outlives any number that is not.
        for key in 20..60 {
            assert_eq!(memory.take(&[16]), Some(vec![16, 16]), "{key}");
            memory.put(vec![key], vec![key]);
        }
        assert_eq!(memory.take(&[0]), Some(vec![0, 0]));
        assert_eq!(memory.take(&[0]), Some(vec![0, 0]));
        memory.put(vec![1], vec![9]);
        assert_eq!(memory.get(&[1]), Some(vec![9]));
    }
}
