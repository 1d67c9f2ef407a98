//! Files with known contents, and their comparison by SHA-256.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

pub use portcullis_netlab::Failure;

/// The block of which big files are made; each copy of it begins with its number.
const BLOCK: usize = 1 << 20;

/// Bytes that look random and are the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Blob {
    pub seed: u64,
    pub length: usize,
}

impl Blob {
    pub fn bytes(self) -> Vec<u8> {
        // xorshift64*: plain, and no two offsets of it look alike.
        let mut state = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut bytes = Vec::with_capacity(self.length + 8);
        while bytes.len() < self.length {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
        }
        bytes.truncate(self.length);
        bytes
    }

    pub fn write(self, path: &Path) -> Result<(), Failure> {
        write(path, &self.bytes())
    }

    pub fn write_part(self, path: &Path, length: usize) -> Result<(), Failure> {
        let bytes = self.bytes();
        write(path, bytes.get(..length).unwrap_or(&bytes))
    }

    pub fn expect(self, path: &Path) -> Result<(), Failure> {
        expect_bytes(path, &self.bytes())
    }
}

/// Writes a file of whole blocks, no two of them the same.
pub fn write_big(path: &Path, length: u64) -> Result<(), Failure> {
    let written = || -> io::Result<()> {
        let mut block = Blob {
            seed: 7,
            length: BLOCK,
        }
        .bytes();
        let mut file = File::create(path)?;
        for number in 0..length / BLOCK as u64 {
            for (byte, digit) in block.iter_mut().zip(number.to_le_bytes()) {
                *byte = digit;
            }
            file.write_all(&block)?;
        }
        Ok(())
    };
    written().map_err(|error| format!("{}: {error}", path.display()))
}

pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

pub fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub fn link(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::hard_link(from, to).map_err(|error| format!("{}: {error}", to.display()))
}

/// Compares a file with bytes by their checksums.
pub fn expect_bytes(path: &Path, expected: &[u8]) -> Result<(), Failure> {
    let (length, sum) = checksum(path)?;
    let expected_sum = hex(&Sha256::digest(expected));
    compare(path, length, &sum, expected.len() as u64, &expected_sum)
}

/// Compares two files by their checksums.
pub fn expect_same(path: &Path, original: &Path) -> Result<(), Failure> {
    let (length, sum) = checksum(path)?;
    let (expected_length, expected_sum) = checksum(original)?;
    compare(path, length, &sum, expected_length, &expected_sum)
}

fn compare(
    path: &Path,
    length: u64,
    sum: &str,
    expected_length: u64,
    expected_sum: &str,
) -> Result<(), Failure> {
    if (length, sum) == (expected_length, expected_sum) {
        return Ok(());
    }
    Err(format!(
        "{}: {length} bytes with SHA-256 {sum}, but {expected_length} bytes with {expected_sum} were expected",
        path.display()
    ))
}

fn checksum(path: &Path) -> Result<(u64, String), Failure> {
    let read = || -> io::Result<(u64, String)> {
        let mut file = File::open(path)?;
        let (mut hash, mut length, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
        loop {
            let got = file.read(&mut block)?;
            if got == 0 {
                return Ok((length, hex(&hash.finalize())));
            }
            hash.update(block.get(..got).unwrap_or_default());
            length += got as u64;
        }
    };
    read().map_err(|error| format!("{}: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
