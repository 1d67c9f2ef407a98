//! The files of a cell: what is uploaded, and what has to arrive.

use std::fs;
use std::path::Path;

use portcullis_netlab::Failure;

/// How many files go up and come down again: fifty transfers.
pub const FILES: usize = 25;

/// The one among them that needs many records and reads.
const BIG: usize = 17;

/// How long that is.
const BIG_LENGTH: usize = 1 << 20;

/// Some bytes that differ from file to file and from cell to cell.
fn bytes(seed: usize, number: usize) -> Vec<u8> {
    let length = match number {
        0 => 1,
        BIG => BIG_LENGTH,
        _ => number * 2_711,
    };
    // xorshift64*: plain, and no two offsets of it look alike.
    let mut state = (seed * 1000 + number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) as u64 | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn name(number: usize) -> String {
    format!("file-{number:02}")
}

/// Makes what is uploaded, and the place for what comes back.
pub fn prepare(here: &Path, seed: usize) -> Result<(), Failure> {
    let made = || -> std::io::Result<()> {
        fs::create_dir_all(here.join("up"))?;
        fs::create_dir_all(here.join("down"))?;
        (0..FILES).try_for_each(|number| {
            fs::write(here.join("up").join(name(number)), bytes(seed, number))
        })
    };
    made().map_err(|error| format!("{}: {error}", here.display()))
}

/// Puts the files on the server for a client that only reads, each of them twice: fifty to download.
pub fn seed(here: &Path, there: &Path) -> Result<(), Failure> {
    for number in 0..FILES {
        let name = name(number);
        for copy in [name.clone(), format!("again-{name}")] {
            fs::copy(here.join("up").join(&name), there.join(&copy))
                .map_err(|error| format!("{copy}: {error}"))?;
        }
    }
    Ok(())
}

/// Compares what lies on the server, and what came back, with what was sent, byte by byte.
pub fn compare(here: &Path, there: &Path, seed: usize) -> Result<(), Failure> {
    for number in 0..FILES {
        let wanted = bytes(seed, number);
        for place in [there, &here.join("down")] {
            let path = place.join(name(number));
            let got = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if got != wanted {
                return Err(format!(
                    "{}: {} other bytes than the {} that were sent",
                    path.display(),
                    got.len(),
                    wanted.len()
                ));
            }
        }
    }
    Ok(())
}
