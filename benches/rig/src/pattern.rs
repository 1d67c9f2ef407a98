//! The bytes that every transfer carries: computed from a file's name, so that both ends know each of them.
//!
//! A file is called `f-SIZE-SEED`. Its bytes are a block of random-looking bytes that repeats, begun at a place that the
//! seed decides. The block's length is a prime, so that a lost, doubled or misplaced buffer (their lengths are powers of
//! two) shows as a wrong byte, and so does a byte of another file.

use std::fmt;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::LazyLock;

/// Length of the block that repeats, in bytes: the largest prime below 256 KiB, small enough for a core's own cache.
const PERIOD: usize = 262_139;

/// Most bytes that are compared, or handed out, as one slice.
pub const CHUNK: usize = 256 * 1024;

/// Length of the file in memory from which large files are sent: as many whole periods as fit in 16 MiB.
const REEL: usize = 16 * 1024 * 1024 / PERIOD * PERIOD;

/// One period and one chunk more, so that any chunk is one slice.
static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let period: Vec<u8> = (0..PERIOD as u64)
        .map(|i| (scatter(i) >> 56) as u8)
        .collect();
    period
        .iter()
        .copied()
        .cycle()
        .take(PERIOD + CHUNK)
        .collect()
});

/// A file of the bench: its name says its length and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Length in bytes.
    pub size: u64,
    /// What tells its content from that of other files.
    pub seed: u64,
}

/// A name that is not `f-SIZE-SEED`.
#[derive(Debug, thiserror::Error)]
#[error("not a name of the form f-SIZE-SEED")]
pub struct NotAPattern;

impl Pattern {
    /// Returns the content at `offset`, at most one chunk of it and nothing beyond the end.
    pub fn slice(&self, offset: u64) -> &'static [u8] {
        let length = self.size.saturating_sub(offset).min(CHUNK as u64) as usize;
        let start = self.phase(offset);
        &BLOCK[start..start + length]
    }

    /// Compares received bytes with the content at `offset`; the error is the offset of the first that is wrong.
    ///
    /// Bytes beyond the end are wrong. `bytes` may be at most one chunk.
    pub fn verify(&self, offset: u64, bytes: &[u8]) -> Result<(), u64> {
        let expected = self.slice(offset);
        if expected.get(..bytes.len()) == Some(bytes) {
            return Ok(());
        }
        let agreeing = expected
            .iter()
            .zip(bytes)
            .take_while(|(a, b)| a == b)
            .count();
        Err(offset + agreeing as u64)
    }

    /// Returns where in the reel the content at `offset` stands, and how many bytes may be sent from there.
    pub fn on_reel(&self, offset: u64) -> (u64, usize) {
        let start = self.phase(offset);
        let length = self.size.saturating_sub(offset).min((REEL - start) as u64);
        (start as u64, length as usize)
    }

    fn phase(&self, offset: u64) -> usize {
        ((scatter(self.seed) % PERIOD as u64 + offset) % PERIOD as u64) as usize
    }
}

/// Makes the file in memory from which `sendfile` sends; [`Pattern::on_reel`] says what stands where.
pub fn reel() -> std::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("reel", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    for _ in 0..REEL / PERIOD {
        file.write_all(&BLOCK[..PERIOD])?;
    }
    Ok(file.into())
}

/// Mixes a number well (the finaliser of SplitMix64).
fn scatter(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f-{}-{}", self.size, self.seed)
    }
}

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(name: &str) -> Result<Self, NotAPattern> {
        let (size, seed) = name
            .strip_prefix("f-")
            .and_then(|rest| rest.split_once('-'))
            .ok_or(NotAPattern)?;
        Ok(Self {
            size: size.parse().map_err(|_| NotAPattern)?,
            seed: seed.parse().map_err(|_| NotAPattern)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, SeekFrom};

    fn content(pattern: Pattern) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < pattern.size {
            bytes.extend_from_slice(pattern.slice(bytes.len() as u64));
        }
        bytes
    }

    #[test]
    fn any_cutting_of_the_right_bytes_is_right() {
        let pattern = Pattern {
            size: 700_001,
            seed: 7,
        };
        let bytes = content(pattern);
        assert_eq!(bytes.len(), 700_001);
        for step in [1_009, 65_536, CHUNK] {
            let mut offset = 0;
            for part in bytes.chunks(step) {
                assert_eq!(pattern.verify(offset, part), Ok(()));
                offset += part.len() as u64;
            }
        }
    }

    #[test]
    fn one_wrong_byte_is_found_where_it_is() {
        let pattern = Pattern {
            size: 10_000,
            seed: 1,
        };
        let mut bytes = content(pattern);
        bytes[7_654] ^= 1;
        assert_eq!(pattern.verify(0, &bytes), Err(7_654));
    }

    #[test]
    fn a_lost_buffer_a_byte_too_many_and_another_file_are_wrong() {
        let pattern = Pattern {
            size: 600_000,
            seed: 1,
        };
        let bytes = content(pattern);
        for lost in [1, 1_448, 4_096, 65_536, 262_144] {
            assert!(
                pattern.verify(0, &bytes[lost..lost + 64]).is_err(),
                "{lost}"
            );
        }
        assert_eq!(pattern.verify(599_999, &[bytes[599_999], 0]), Err(600_000));
        assert!(
            Pattern {
                size: 600_000,
                seed: 2
            }
            .verify(0, &bytes[..64])
            .is_err()
        );
    }

    #[test]
    fn the_reel_holds_the_same_content() {
        let mut file = std::fs::File::from(reel().expect("a file in memory"));
        let pattern = Pattern {
            size: 40_000_000,
            seed: 3,
        };
        for offset in [0, 1, 262_138, 17_000_000, 39_999_990] {
            let (start, length) = pattern.on_reel(offset);
            let mut bytes = vec![0; length.min(1_000)];
            file.seek(SeekFrom::Start(start))
                .and_then(|_| file.read_exact(&mut bytes))
                .expect("within the reel");
            assert_eq!(pattern.verify(offset, &bytes), Ok(()));
        }
    }

    #[test]
    fn names_are_read_and_written() {
        assert_eq!(
            "f-1024-9".parse::<Pattern>().expect("a name").to_string(),
            "f-1024-9"
        );
        assert!("f-1024".parse::<Pattern>().is_err());
        assert!("g-1024-9".parse::<Pattern>().is_err());
    }
}
