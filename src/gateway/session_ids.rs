//! The names of sessions.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::{SessionId, Wall};

/// Makes session ids: 34 bits of seconds, then 26 bits that never repeat within a process and begin at random.
#[derive(Debug)]
pub(super) struct Names {
    next: AtomicU64,
}

const COUNTER_BITS: u32 = 26;

impl Names {
    pub(super) fn new() -> Names {
        let mut random = [0; 8];
        // Without randomness ids are still unique within this process, and over restarts by their seconds.
        let begin = getrandom::fill(&mut random).map_or(0, |()| u64::from_le_bytes(random));
        Names {
            next: AtomicU64::new(begin),
        }
    }

    pub(super) fn next(&self, now: Wall) -> SessionId {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        // An odd factor permutes the numbers below a power of two: neighbours look different, none repeats.
        let scattered = count.wrapping_mul(0x9e37_79b1) & ((1 << COUNTER_BITS) - 1);
        let mut bits = ((now.0 / 1_000_000) << COUNTER_BITS) | scattered;
        let mut name = [b'a'; 12];
        for character in name.iter_mut().rev() {
            let index = usize::try_from(bits & 31).unwrap_or_default();
            *character = ALPHABET.get(index).copied().unwrap_or(b'a');
            bits >>= 5;
        }
        SessionId(name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn session_ids_are_twelve_base32_characters_and_never_repeat_within_a_second() {
        let names = Names::new();
        let made: HashSet<_> = (0..100_000)
            .map(|_| names.next(Wall(1_763_700_000_000_000)))
            .collect();
        assert_eq!(made.len(), 100_000);
        for id in made.iter().take(100) {
            assert!(
                id.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
            );
            assert_eq!(id.as_str().len(), 12);
        }
    }
}
